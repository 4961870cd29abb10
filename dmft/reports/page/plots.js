// Figures that several parts of the report have, and what they are drawn from.
const found = JSON.parse(document.getElementById("found").textContent);
const WHOLE = "all modalities";
/** Kind of model to its mark and colour, the same in every figure. */
const KINDS = { teacher: 0, student: 1, distilled: 2 };
/** Settings that a figure has lines or marks for. */
const MOST_DRAWN = 6;

const classesOf = (run) => found.classes[run.classes];
const sum = (list) => list.reduce((a, b) => a + b, 0);
const shorten = (name, n = 22) => (name.length > n ? name.slice(0, n - 1) + "…" : name);

/** The first settings, each with a mark of its own: its kind's where no two are of one kind. */
function drawnSettings() {
  const settings = found.settings.slice(0, MOST_DRAWN);
  const distinct = new Set(settings.map((each) => each.kind)).size === settings.length;
  return settings.map((each, i) => ({ ...each, mark: distinct ? KINDS[each.kind] : i }));
}

/** Lays out names beside their marks in lines; `put` draws them, so that they are saved as well. */
function legend(series, width) {
  let lines = 1, used = 0;
  const places = series.map((each) => {
    const w = each.name.length * 6.8 + 34;
    if (used + w > width - 10 && used) { lines++; used = 0; }
    used += w;
    return [used - w + 10, lines * 20 - 6];
  });
  const put = (svg, sign) => series.forEach((each, i) => {
    svg.append(sign(each, places[i][0], places[i][1] - 4));
    text(svg, places[i][0] + 11, places[i][1], each.name);
  });
  return { height: lines * 20, put };
}

/** Rows of marks, one mark a series; the legend is drawn into the figure, so that it is saved. */
function dots(figure, name, label, rows, series) {
  const width = room(900), step = 24, left = 20 + 6.6 * Math.max(...rows.map((row) => shorten(row).length), 6);
  const names = legend(series, width);
  const top = names.height + 18, height = top + rows.length * step + 26;
  const values = series.flatMap((each) => each.values).filter((v) => v !== null);
  const x0 = Math.max(0, Math.floor((Math.min(1, ...values) - 0.02) * 10) / 10);
  const X = (part) => left + (width - left - 30) * ((part - x0) / (1 - x0));
  const svg = canvas(width, height, label);
  names.put(svg, (each, x, y) => mark(each.kind, x, y));
  for (const part of ticks(x0, 1, width / 90)) {
    svg.append(draw("line", { x1: X(part), x2: X(part), y1: top - 8, y2: height - 24, stroke: "var(--grid)" }));
    text(svg, X(part), height - 8, percent(part, 0), { "text-anchor": "middle", fill: "var(--soft)" });
  }
  rows.forEach((row, i) => {
    const y = top + i * step + 6;
    text(svg, left - 10, y + 4, shorten(row), { "text-anchor": "end" });
    const here = series.map((each) => each.values[i]).filter((v) => v !== null);
    if (!here.length) return text(svg, left, y + 4, "no test records", { fill: "var(--soft)" });
    svg.append(draw("line", { x1: X(Math.min(...here)), x2: X(Math.max(...here)), y1: y, y2: y, stroke: "var(--line)" }));
    for (const each of [...series].reverse()) {
      if (each.values[i] === null) continue;
      const point = mark(each.kind, X(each.values[i]), y);
      point.append(draw("title", {}, `${row}, ${each.name}: ${percent(each.values[i])}`));
      svg.append(point);
    }
  });
  show(figure, svg, name, [["", ...series.map((each) => each.name)],
    ...rows.map((row, i) => [row, ...series.map((each) => each.values[i])])]);
}

/** Lines with a legend above them; series are those of `lines`, `more` what that takes. */
function curves(figure, name, label, series, width, height, more, under = []) {
  const shown = [...under, ...series];
  const names = legend(series, width);
  const svg = canvas(width, names.height + height, label);
  names.put(svg, (each, x, y) => draw("line", { x1: x - 9, x2: x + 8, y1: y, y2: y,
    stroke: `var(--c${each.kind % 6})`, "stroke-width": 2, "stroke-dasharray": DASHES[each.kind % 6] }));
  const part = lines(width, height, "", shown, more);
  const group = draw("g", { transform: `translate(0 ${names.height})` });
  group.append(...[...part.childNodes].filter((each) => each.nodeName !== "title"));
  svg.append(group);
  show(figure, svg, name, [["series", more.xLabel, more.yLabel],
    ...shown.flatMap((each) => each.points.map((point) => [each.name, ...point]))]);
}
