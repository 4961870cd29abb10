const found = JSON.parse(document.getElementById("found").textContent);
const WHOLE = "all modalities";
/** Kind of model to its mark and colour, the same in every figure. */
const KINDS = { teacher: 0, student: 1, distilled: 2 };

const classesOf = (run) => found.classes[run.classes];
const sum = (list) => list.reduce((a, b) => a + b, 0);
const shorten = (name, n = 22) => (name.length > n ? name.slice(0, n - 1) + "…" : name);

// -- all runs ---------------------------------------------------------------------------------

function overview() {
  const figure = document.getElementById("overview");
  if (!figure) return;
  const rows = found.runs, width = room(900), top = 26;
  const label = (run) => shorten(run.name.includes(run.kind) ? run.name : `${run.name} · ${run.kind}`, 44);
  const wanted = 20 + 6.6 * Math.max(...rows.map((run) => label(run).length));
  // Where names would take the room of the marks they stand above them.
  const above = wanted > width / 2, left = above ? 10 : wanted, step = above ? 40 : 24;
  const height = top + rows.length * step + 40;
  const lowest = Math.min(...rows.map((run) => run.interval[0]), ...rows.map((run) => run.baseline));
  const x0 = Math.max(0, Math.floor(lowest * 10) / 10 - 0.02);
  const X = (part) => left + (width - left - 90) * ((part - x0) / (1 - x0));
  const svg = canvas(width, height, "Accuracy of every run with its 95 % interval");
  for (const part of ticks(x0, 1, width / 110)) {
    svg.append(draw("line", { x1: X(part), x2: X(part), y1: top - 6, y2: height - 34, stroke: "var(--grid)" }));
    text(svg, X(part), height - 18, percent(part, 0), { "text-anchor": "middle", fill: "var(--soft)" });
  }
  text(svg, 4, height - 3, "line: 95 % interval; cross: nearest neighbour", { fill: "var(--soft)" });
  rows.forEach((run, i) => {
    const y = top + i * step + (above ? 24 : 6);
    if (above) text(svg, left, y - 12, label(run));
    else text(svg, left - 10, y + 4, label(run), { "text-anchor": "end" });
    svg.append(draw("line", { x1: X(run.interval[0]), x2: X(run.interval[1]), y1: y, y2: y, stroke: `var(--c${KINDS[run.kind]})`, "stroke-width": 2.5 }));
    svg.append(mark(4, X(run.baseline), y, 3.5));
    svg.append(mark(KINDS[run.kind], X(run.pooled), y, 5.5));
    text(svg, width - 4, y + 4, percent(run.pooled), { "text-anchor": "end" });
  });
  show(figure, svg, "accuracy-by-run");
}

function byFold() {
  const figure = document.getElementById("by-fold");
  if (!figure) return;
  const settings = found.settings.slice(0, 6);
  const folds = [...new Set(settings.flatMap((each) => Object.keys(each.folds)))];
  const distinct = new Set(settings.map((each) => each.kind)).size === settings.length;
  dots(figure, "accuracy-by-fold", "Accuracy of each fold", folds, settings.map((each, i) =>
    ({ name: each.name, kind: distinct ? KINDS[each.kind] : i, values: folds.map((fold) => each.folds[fold] ?? null) })));
}

/** Rows of marks, one mark a series; the legend is drawn into the figure, so that it is saved. */
function dots(figure, name, label, rows, series) {
  const width = room(900), step = 24, left = 20 + 6.6 * Math.max(...rows.map((row) => shorten(row).length), 6);
  const legend = series.map((each) => each.name.length * 6.8 + 34);
  let lines = 1, used = 0;
  const places = legend.map((w) => {
    if (used + w > width - 10 && used) { lines++; used = 0; }
    used += w;
    return [used - w + 10, lines * 20 - 6];
  });
  const top = lines * 20 + 18, height = top + rows.length * step + 26;
  const values = series.flatMap((each) => each.values).filter((v) => v !== null);
  const x0 = Math.max(0, Math.floor((Math.min(1, ...values) - 0.02) * 10) / 10);
  const X = (part) => left + (width - left - 30) * ((part - x0) / (1 - x0));
  const svg = canvas(width, height, label);
  series.forEach((each, i) => {
    svg.append(mark(each.kind, places[i][0], places[i][1] - 4));
    text(svg, places[i][0] + 11, places[i][1], each.name);
  });
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
  show(figure, svg, name);
}

// -- one run ----------------------------------------------------------------------------------

const drawn = new Set();

function drawRun(index) {
  const section = document.querySelector(`section[data-run="${index}"]`);
  for (const each of document.querySelectorAll("section[data-run]")) each.hidden = each !== section;
  if (drawn.has(index)) return;
  drawn.add(index);
  const run = found.runs[index];
  confusionFigure(section.querySelector(".confusion"), run);
  classFigure(section.querySelector(".by-class"), run);
  curvesFigure(section.querySelector(".curves"), run);
}

function confusionFigure(figure, run) {
  const [vote, scale] = figure.querySelectorAll("select");
  const status = figure.querySelector(".status");
  const names = classesOf(run), K = names.length;
  const initial = "Move over a cell, or use the arrow keys in the matrix, to read it; Enter shows its records.";
  const redraw = () => {
    const counts = run.confusion[vote.value];
    const totals = counts.map(sum);
    const cell = K > 30 ? 20 : K > 12 ? 23 : K > 6 ? 34 : 46, size = K > 30 ? 10 : 11;
    const most = Math.max(...names.map((name) => Math.min(name.length, 22)), 6);
    const left = 30 + most * 6.5, top = 24 + most * 4.9, edge = most * 4.6;
    const width = Math.max(left + K * cell + edge + 10, 330), height = top + K * cell + 34;
    const svg = canvas(width, height, `Confusion matrix of ${run.name}, ${vote.value}: true classes in rows, predictions in columns`);
    svg.setAttribute("tabindex", "0");
    names.forEach((name, i) => {
      text(svg, left - 6, top + i * cell + cell / 2 + 4, shorten(name), { "text-anchor": "end", "font-size": size + 0.5 });
      const x = left + i * cell + cell / 2 + 3, y = top - 6;
      text(svg, x, y, shorten(name), { transform: `rotate(-48 ${x} ${y})`, "font-size": size + 0.5 });
    });
    svg.append(draw("rect", { x: left, y: top, width: K * cell, height: K * cell, fill: "none", stroke: "var(--line)" }));
    const grid = [];
    for (let i = 1; i < K; i++) grid.push(`M${left} ${top + i * cell}h${K * cell}M${left + i * cell} ${top}v${K * cell}`);
    svg.append(draw("path", { d: grid.join(""), stroke: "var(--grid)" }));
    counts.forEach((row, i) => row.forEach((count, j) => {
      if (!count) return;
      const part = count / totals[i], x = left + j * cell, y = top + i * cell;
      const strong = 0.12 + 0.88 * part;
      svg.append(draw("rect", { x: x + 0.5, y: y + 0.5, width: cell - 1, height: cell - 1, fill: `rgb(var(--${i === j ? "heat" : "miss"}))`, "fill-opacity": strong.toFixed(2) }));
      const shown = scale.value === "counts" ? String(count) : String(Math.round(100 * part));
      const dark = strong > 0.75;
      text(svg, x + cell / 2, y + cell / 2 + 4, shown, { "text-anchor": "middle", "font-size": shown.length > 2 ? size - 1.5 : size, fill: dark ? "var(--on-heat)" : "var(--ink)", "font-weight": i === j ? 400 : 600 });
    }));
    text(svg, left, height - 12, `Rows: true class. Columns: predicted. ${scale.value === "counts" ? "Records." : "Percent of the row."}`, { fill: "var(--soft)", "font-size": 11.5 });
    const cursor = draw("rect", { class: "cursor", width: cell, height: cell, fill: "none", stroke: "var(--ink)", "stroke-width": 2, visibility: "hidden" });
    svg.append(cursor);
    let at = [0, 0];
    const read = (i, j, records) => {
      at = [i, j];
      cursor.setAttribute("x", left + j * cell);
      cursor.setAttribute("y", top + i * cell);
      cursor.setAttribute("visibility", "visible");
      const count = counts[i][j];
      const what = i === j ? `${names[i]} recognised` : `${names[i]} taken for ${names[j]}`;
      let said = `${what}: ${count} of ${totals[i]}${totals[i] ? ` (${percent(count / totals[i])})` : ""}.`;
      if (records && i !== j && vote.value === WHOLE && count) {
        const ids = run.errors.filter((e) => e[1] === i && e[2] === j).map((e) => `${e[0]} (${percent(e[3], 0)})`);
        said += ids.length ? ` Records, with the vote's certainty: ${ids.join(", ")}` : " Its records are not in this page.";
      }
      status.textContent = said;
    };
    const cellAt = (event) => {
      const box = svg.getBoundingClientRect();
      const [j, i] = [Math.floor((event.clientX - box.left - left) / cell), Math.floor((event.clientY - box.top - top) / cell)];
      return i >= 0 && j >= 0 && i < K && j < K ? [i, j] : null;
    };
    svg.addEventListener("mousemove", (event) => {
      const here = cellAt(event);
      if (here && (here[0] !== at[0] || here[1] !== at[1])) read(...here, true);
    });
    svg.addEventListener("click", (event) => { const here = cellAt(event); if (here) read(...here, true); });
    svg.addEventListener("keydown", (event) => {
      const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
      const move = moves[event.key];
      if (move) read(Math.min(K - 1, Math.max(0, at[0] + move[0])), Math.min(K - 1, Math.max(0, at[1] + move[1])), false);
      else if (event.key === "Enter") read(...at, true);
      else return;
      event.preventDefault();
    });
    status.textContent = initial;
    show(figure, svg, `confusion-${run.name}-${vote.value}`);
  };
  vote.addEventListener("change", redraw);
  scale.addEventListener("change", redraw);
  redraw();
}

function classFigure(figure, run) {
  const order = figure.querySelector("select");
  const names = classesOf(run);
  const parts = (matrix) => matrix.map((row, i) => (sum(row) ? row[i] / sum(row) : null));
  const series = Object.entries(run.confusion).map(([name, matrix], kind) => ({ name, kind, values: parts(matrix) }));
  const redraw = () => {
    const places = names.map((_, i) => i);
    const whole = series[0].values;
    if (order.value === "worst") places.sort((a, b) => (whole[a] ?? 2) - (whole[b] ?? 2));
    dots(figure, `class-accuracy-${run.name}`, `Accuracy of each class, ${run.name}`, places.map((i) => names[i]),
      series.map((each) => ({ ...each, values: places.map((i) => each.values[i]) })));
  };
  order.addEventListener("change", redraw);
  redraw();
}

function curvesFigure(figure, run) {
  if (!run.curves.length) {
    figure.querySelector(".drawing").append(make("p", { class: "note" }, "There is no epochs.jsonl beside this run."));
    return;
  }
  const which = figure.querySelector("select");
  const redraw = () => {
    const key = which.value;
    const folds = run.curves.map((each) => ({ name: each.fold, kind: 1, dash: 0, thin: run.curves.length > 1, points: each[key].map((v, i) => [i + 1, v]) }));
    const longest = Math.max(...folds.map((each) => each.points.length));
    const mean = [];
    for (let i = 0; i < longest; i++) {
      const here = folds.filter((each) => each.points.length > i).map((each) => each.points[i][1]);
      mean.push([i + 1, sum(here) / here.length]);
    }
    const all = folds.length > 1 ? [...folds, { name: "mean of the folds", kind: 0, dash: 0, points: mean }] : folds.map((each) => ({ ...each, kind: 0 }));
    const part = key === "accuracy";
    show(figure, lines(room(760), 300, `Training curve of ${run.name}: ${key}`, all, {
      xLabel: folds.length > 1 ? "epoch; thick: mean of the folds, thin: each fold" : "epoch", yLabel: part ? "accuracy of training" : key,
      yRange: part ? [0, 1] : undefined, format: part ? (v) => percent(v, 0) : undefined }), `${key}-${run.name}`);
  };
  which.addEventListener("change", redraw);
  redraw();
}

// -- start ------------------------------------------------------------------------------------

const chooser = document.getElementById("run");
chooser.addEventListener("change", () => drawRun(Number(chooser.value)));
for (const link of document.querySelectorAll("a[data-run]"))
  link.addEventListener("click", () => { chooser.value = link.dataset.run; drawRun(Number(link.dataset.run)); });
// First, since it hides all runs but one: the first figure that asks for its width lays out the page.
drawRun(Number(chooser.value));
overview();
byFold();
sortableTables();
themeSwitch();
