// What models see: a map of records, and their attention over time.

const [TRAINED, RIGHT, WRONG] = [0, 1, 2];
const STATES = ["trained on", "right", "wrong"];

/** A colour for each of many groups, far apart and readable on light and dark. */
const hue = (k, n) => (n <= 6 ? `var(--c${k % 6})` : `hsl(${Math.round((360 * k) / n + 25 * (k % 2))} 62% ${k % 3 ? 46 : 56}%)`);

function seenMap() {
  const figure = document.getElementById("seen");
  if (!figure) return;
  const [model, colour, only] = ["model", "colour", "only"].map((name) => figure.querySelector(`[name="${name}"]`));
  const status = figure.querySelector(".status");
  const personOf = new Map(found.records.map((record, i) => [record, found.people[i]]));
  const redraw = () => {
    const map = found.inside.maps[model.value], setting = found.settings[map.setting];
    const run = found.runs.find((each) => each.setting === map.setting);
    const groupOf = { class: (i) => classesOf(run)[map.labels[i]], person: (i) => personOf.get(map.records[i]) ?? "not known",
      error: (i) => STATES[map.states[i]] }[colour.value];
    const groups = [...new Set(map.records.map((_, i) => groupOf(i)))].sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
    const chosen = groups.includes(only.value) ? only.value : "";
    only.replaceChildren(make("option", { value: "" }, "everything"), ...groups.map((group) => make("option", { value: group }, group)));
    only.value = chosen;
    const width = room(760), height = Math.round(width * 0.72) + 24, edge = 14;
    const svg = canvas(width, height, `Map of ${setting.name}, coloured by ${colour.value}`);
    const [X, Y] = [0, 1].map((axis) => {
      const values = map.places.map((place) => place[axis]), low = Math.min(...values), high = Math.max(...values);
      const size = (axis ? height - 24 : width) - 2 * edge, scale = (value) => (value - low) / (high - low || 1);
      return (value) => edge + size * (axis ? 1 - scale(value) : scale(value));
    });
    svg.append(draw("rect", { x: 0.5, y: 0.5, width: width - 1, height: height - 24, fill: "none", stroke: "var(--line)" }));
    const order = map.records.map((_, i) => i).sort((a, b) => map.states[a] - map.states[b]);
    for (const i of order) {
      const [x, y] = [X(map.places[i][0]).toFixed(1), Y(map.places[i][1]).toFixed(1)], state = map.states[i], group = groupOf(i);
      const paint = hue(groups.indexOf(group), groups.length);
      const point = state === WRONG
        ? draw("path", { d: `M${x - 5} ${y - 5}l10 10m0 -10l-10 10`, stroke: paint, "stroke-width": 3, fill: "none" })
        : draw("circle", { cx: x, cy: y, r: state === RIGHT ? 4 : 3, fill: state === RIGHT ? paint : "none", stroke: paint });
      if (chosen && group !== chosen) point.setAttribute("opacity", 0.12);
      point.dataset.place = i;
      point.append(draw("title", {}, aboutPlace(run, map, i)));
      svg.append(point);
    }
    text(svg, 4, height - 6, map.explained ? `across: ${percent(map.explained[0], 0)} of the variance; up: ${percent(map.explained[1], 0)}`
      : "UMAP: who is near to whom; axes and distances say nothing", { fill: "var(--soft)" });
    svg.addEventListener("click", (event) => {
      const i = event.target.closest("[data-place]")?.dataset.place;
      if (i === undefined) return;
      const known = found.records.includes(map.records[i]);
      status.replaceChildren(make("p", {}, aboutPlace(run, map, i)), known ? make("button", { type: "button", class: "record" }, map.records[i]) : "");
    });
    const shown = groups.length <= 40 ? groups : groups.slice(0, 40);
    status.replaceChildren(make("ul", { class: "colours" }, ...shown.map((group) => {
      const item = make("li", {}, make("span", { class: "patch" }), group);
      item.firstChild.style.background = hue(groups.indexOf(group), groups.length);
      return item;
    })));
    show(figure, svg, `map-${setting.name}-${colour.value}`, [["record", "class", "person", "state", "first", "second"],
      ...map.records.map((record, i) => [record, classesOf(run)[map.labels[i]], personOf.get(record) ?? "", STATES[map.states[i]], ...map.places[i]])]);
  };
  for (const choice of [model, colour, only]) choice.addEventListener("change", redraw);
  redraw();
}

function aboutPlace(run, map, i) {
  return `${map.records[i]}: ${classesOf(run)[map.labels[i]]}, ${STATES[map.states[i]]}`;
}

/** What models attend to in a record, a figure a modality. */
function attentionFigures(place, name) {
  if (!Object.hasOwn(found.inside.attention, name)) return;
  const all = found.inside.attention[name], settings = drawnSettings();
  for (const modality of new Set(all.map((each) => each.modality))) {
    const figure = make("figure", {}, make("div", { class: "drawing wide" }),
      make("figcaption", {}, `${modality}: where in the record the class token of the last temporal layer looks; evenly spread it would be 1 everywhere.`));
    place.append(figure);
    const series = all.filter((each) => each.modality === modality).map(({ setting, weights }) => ({
      name: settings[setting].name, kind: settings[setting].mark,
      points: weights.map((weight, i) => [(i + 0.5) / weights.length, weight * weights.length]) }));
    curves(figure, `attention-${modality}-${name}`, `Attention to ${modality} of ${name} over time`, series, room(560), 200,
      { xLabel: "part of the record", yLabel: "attention", xRange: [0, 1], xFormat: (v) => percent(v, 0) });
  }
}
