// What pages draw of a record: its skeleton moving, its signals, its patches.
const BONES = [[0, 1], [1, 2], [2, 3], [1, 4], [4, 5], [5, 6], [6, 7], [1, 8], [8, 9], [9, 10],
  [10, 11], [3, 12], [12, 13], [13, 14], [14, 15], [3, 16], [16, 17], [17, 18], [18, 19]];

let playing = null;

function stopPlaying() {
  if (playing) clearInterval(playing);
  playing = null;
}

/** The skeleton from the front and from the side, patch after patch. */
function skeletonPlayer(place, record) {
  const values = record.skeleton, P = values.length;
  const width = room(560), height = 330, half = width / 2;
  const svg = canvas(width, height, `Skeleton of ${record.id}`);
  const all = values.flat(), axis = (a) => all.filter((_, i) => i % 3 === a);
  const middle = [0, 1, 2].map((a) => (Math.min(...axis(a)) + Math.max(...axis(a))) / 2);
  const extent = Math.max(...[0, 1, 2].map((a) => Math.max(...axis(a)) - Math.min(...axis(a)))) || 1;
  const scale = Math.min(height - 50, half - 20) / extent;
  const points = (patch, a) => Array.from({ length: 20 }, (_, j) =>
    [half * (a === 0 ? 0.5 : 1.5) + (values[patch][3 * j + a] - middle[a]) * scale,
      (height + 10) / 2 - (values[patch][3 * j + 1] - middle[1]) * scale]);
  const layer = draw("g");
  svg.append(layer);
  text(svg, half / 2, height - 6, "from the front", { "text-anchor": "middle", fill: "var(--soft)" });
  text(svg, half * 1.5, height - 6, "from the side", { "text-anchor": "middle", fill: "var(--soft)" });
  const put = (patch) => {
    layer.replaceChildren();
    for (const a of [0, 2]) {
      const at = points(patch, a);
      for (const [from, to] of BONES) {
        const right = from >= 8 && from <= 11 || from >= 16 || to >= 16 || (to >= 8 && to <= 11);
        layer.append(draw("line", { x1: at[from][0], y1: at[from][1], x2: at[to][0], y2: at[to][1], stroke: right ? "var(--c2)" : "var(--c1)", "stroke-width": right ? 4 : 2.5, "stroke-linecap": "round" }));
      }
      layer.append(draw("circle", { cx: at[0][0], cy: at[0][1], r: 8, fill: "var(--paper)", stroke: "var(--ink)", "stroke-width": 2 }));
    }
  };
  const play = make("button", { type: "button" }, "Play");
  const slider = make("input", { type: "range", min: 0, max: P - 1, value: 0, "aria-label": "Patch" });
  const said = make("span", { class: "soft" });
  const to = (patch) => { slider.value = patch; said.textContent = `patch ${+patch + 1} of ${P}`; put(+patch); };
  slider.addEventListener("input", () => to(slider.value));
  const stop = () => { clearInterval(playing); playing = null; play.textContent = "Play"; };
  play.addEventListener("click", () => {
    if (playing) return stop();
    play.textContent = "Stop";
    playing = setInterval(() => to((+slider.value + 1) % P), 60);
  });
  to(0);
  place.append(make("div", { class: "bar controls" }, play, slider, said));
  show(place, svg, `skeleton-${record.id}`);
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) play.click();
}

/** The columns of a signal over time, three to a drawing. */
function traces(place, record, name, columns) {
  const values = record.traces[name];
  const units = [];
  for (let start = 0; start < columns.length; start += 3) units.push([start, Math.min(start + 3, columns.length)]);
  const whole = make("div", { class: "drawing wide" });
  place.append(whole);
  const width = room(560), tall = 180;
  const svg = canvas(width, units.length * (tall + 22), `Traces of ${name} of ${record.id}`);
  units.forEach(([from, until], row) => {
    const series = [];
    for (let c = from; c < until; c++) series.push({ name: columns[c], kind: c - from + 1, points: values.map((each, i) => [i + 1, each[c]]) });
    const part = lines(width, tall, "", series, { xLabel: row === units.length - 1 ? "patch" : "" });
    const group = draw("g", { transform: `translate(0 ${row * (tall + 22) + 18})` });
    let x = 58;
    series.forEach((each) => {
      group.append(draw("line", { x1: x, x2: x + 24, y1: -4, y2: -4, stroke: `var(--c${each.kind})`, "stroke-width": 2, "stroke-dasharray": DASHES[each.kind] }));
      group.append(draw("text", { x: x + 29, y: 0 }, each.name));
      x += 48 + 7 * each.name.length;
    });
    group.append(...[...part.childNodes].filter((each) => each.nodeName !== "title"));
    svg.append(group);
  });
  show(place, svg, `traces-${name}-${record.id}`);
}

/** Patches over features, as far from the median as `record.heat` says in tenths of a deviation. */
function heat(place, record, name) {
  const rows = record.heat[name];
  const [P, D] = [rows.length, rows[0].length];
  const left = 40, top = 8, width = room(560), cw = (width - left - 8) / P, ch = Math.max(3, Math.min(14, 260 / D));
  const height = top + D * ch + 58;
  const svg = canvas(width, height, `Patches of ${name} of ${record.id} as a heat map`);
  rows.forEach((row, p) => row.forEach((tenths, d) => {
    if (!tenths) return;
    svg.append(draw("rect", { x: (left + p * cw).toFixed(2), y: (top + d * ch).toFixed(2), width: (cw + 0.3).toFixed(2), height: (ch + 0.3).toFixed(2), fill: `rgb(var(--${tenths > 0 ? "miss" : "heat"}))`, "fill-opacity": (Math.abs(tenths) / 30).toFixed(2) }));
  }));
  svg.append(draw("rect", { x: left, y: top, width: P * cw, height: D * ch, fill: "none", stroke: "var(--line)" }));
  text(svg, left, height - 38, `patch 1 to ${P}`, { fill: "var(--soft)" });
  text(svg, 14, top + (D * ch) / 2, "feature", { transform: `rotate(-90 14 ${top + (D * ch) / 2})`, "text-anchor": "middle", fill: "var(--soft)" });
  let x = left;
  for (const [shade, words] of [[-30, "≤ -3"], [-15, "-1.5"], [0, "median"], [15, "+1.5"], [30, "≥ +3"]]) {
    svg.append(draw("rect", { x, y: height - 24, width: 14, height: 14, stroke: "var(--line)", fill: `rgb(var(--${shade > 0 ? "miss" : "heat"}))`, "fill-opacity": Math.abs(shade) / 30 }));
    text(svg, x + 18, height - 12, words, { fill: "var(--soft)", "font-size": 11 });
    x += 30 + words.length * 6;
  }
  show(place, svg, `patches-${name}-${record.id}`);
}

function aboutHeat(name, { widths, groups, over = "the cache" }) {
  const grouped = widths[name] > groups ? `, ${widths[name]} features in ${groups} groups` : "";
  return `${name}: patches in robust deviations from each feature's median over ${over}${grouped}. Orange is above it, blue below.`;
}

/** Frames of a raw recording, side by side as far as there is room. */
function frames(place, record, name) {
  const strip = make("div", { class: "frames" });
  for (const { frame, source } of record.frames[name].images)
    strip.append(make("span", {}, make("img", { src: source, alt: `Frame ${frame} of ${name} of ${record.id}` }), `frame ${frame}`));
  place.append(strip);
}

/**
 * All there is of a record, one figure below the other.
 *
 * `of` has the `features` of each modality that is drawn as traces, the `widths` of those that are
 * drawn as heat, in how many `groups`, and `over` which records the heat's medians are.
 */
function recordFigures(place, record, of) {
  stopPlaying();
  const figure = (caption, fill) => {
    const element = make("figure", {});
    place.append(element);
    fill(element);
    element.append(make("figcaption", {}, caption));
  };
  if (record.skeleton)
    figure("Joints as they are stored, after the encoding's normalisation. Thick and orange: the right side.", (element) => {
      element.append(make("div", { class: "drawing wide" }));
      skeletonPlayer(element, record);
    });
  for (const name of Object.keys(record.frames ?? {}))
    figure(`${name}, raw: ${record.frames[name].said}.`, (element) => frames(element, record, name));
  for (const name of Object.keys(record.traces))
    figure(`${name}: one line a feature, in stored units.`, (element) => traces(element, record, name, of.features[name]));
  for (const name of Object.keys(record.heat))
    figure(aboutHeat(name, of), (element) => {
      element.append(make("div", { class: "drawing wide" }));
      heat(element, record, name);
    });
}
