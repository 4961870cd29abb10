// What the scripts of all pages share: drawing, saving a figure, sorting, light and dark.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const VARIABLES = ["paper", "panel", "ink", "soft", "line", "grid", "accent", "heat", "miss",
  "on-heat", "c0", "c1", "c2", "c3", "c4", "c5"];

/** An SVG element; text is set as text, never as markup. */
function draw(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  for (const child of children)
    element.append(typeof child === "object" ? child : document.createTextNode(child));
  return element;
}

/** An HTML element; the same. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  for (const child of children)
    element.append(typeof child === "object" ? child : document.createTextNode(child));
  return element;
}

function canvas(width, height, label) {
  const svg = draw("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": label, "font-size": 12, fill: "var(--ink)" });
  svg.append(draw("title", {}, label));
  return svg;
}

function text(svg, x, y, content, more = {}) {
  const element = draw("text", { x, y, ...more }, content);
  svg.append(element);
  return element;
}

/** Width of a drawing that can be narrow: what the page has. Asked once, for asking lays it out. */
let pageWidth = 0;
addEventListener("resize", () => { pageWidth = 0; });
const room = (most) => {
  pageWidth ||= document.body.clientWidth;
  return Math.max(340, Math.min(most, pageWidth - 30));
};

const percent = (part, digits = 1) =>
  part === null || part === undefined ? "–" : (100 * part).toFixed(digits) + " %";

/** A mark of its own shape for each series, so that colour is never alone. */
function mark(kind, x, y, size = 5) {
  const fill = `var(--c${kind % 6})`;
  const shapes = [
    () => draw("path", { d: `M${x} ${y - size - 1}l${size + 1} ${size + 1}l${-size - 1} ${size + 1}l${-size - 1} ${-size - 1}z`, fill }),
    () => draw("circle", { cx: x, cy: y, r: size - 0.5, fill: "var(--paper)", stroke: fill, "stroke-width": 2 }),
    () => draw("path", { d: `M${x} ${y - size}l${size} ${2 * size - 1}h${-2 * size}z`, fill }),
    () => draw("rect", { x: x - size + 1, y: y - size + 1, width: 2 * size - 2, height: 2 * size - 2, fill: "var(--paper)", stroke: fill, "stroke-width": 2 }),
    () => draw("path", { d: `M${x - size} ${y - size}l${2 * size} ${2 * size}M${x + size} ${y - size}l${-2 * size} ${2 * size}`, stroke: fill, "stroke-width": 2.5, fill: "none" }),
    () => draw("path", { d: `M${x} ${y + size}l${size} ${-2 * size + 1}h${-2 * size}z`, fill }),
  ];
  return shapes[kind % shapes.length]();
}

const DASHES = ["", "7 3", "2 3", "9 3 2 3", "12 4", "4 2"];

/** Lines over a common x; series are {name, points: [[x, y], ...], kind, thin, dots}. */
function lines(width, height, label, series, { xLabel, yLabel, yRange, format, xRange, xFormat = trim }) {
  const svg = canvas(width, height, label);
  const left = 56, right = 20, top = 12, bottom = 44;
  const all = series.flatMap((each) => each.points).filter((p) => Number.isFinite(p[1]));
  const xs = all.map((p) => p[0]), ys = all.map((p) => p[1]);
  const low = (list) => list.reduce((a, b) => Math.min(a, b), Infinity);
  const high = (list) => list.reduce((a, b) => Math.max(a, b), -Infinity);
  const [x0, x1] = xRange || [low(xs), high(xs)];
  let [y0, y1] = yRange || [low(ys), high(ys)];
  if (!all.length) return svg;
  if (flat(y0, y1)) { y0 -= 0.5; y1 += 0.5; }
  const X = (x) => left + (width - left - right) * (x1 > x0 ? (x - x0) / (x1 - x0) : 0.5);
  const Y = (y) => height - bottom - (height - top - bottom) * ((y - y0) / (y1 - y0));
  for (const y of ticks(y0, y1, 5)) {
    svg.append(draw("line", { x1: left, x2: width - right, y1: Y(y), y2: Y(y), stroke: "var(--grid)" }));
    text(svg, left - 6, Y(y) + 4, format ? format(y) : trim(y), { "text-anchor": "end", fill: "var(--soft)" });
  }
  for (const x of ticks(x0, x1, 8))
    text(svg, X(x), height - bottom + 16, xFormat(x), { "text-anchor": "middle", fill: "var(--soft)" });
  text(svg, left, height - 8, xLabel, { fill: "var(--soft)" });
  if (yLabel) text(svg, width - right, height - 8, yLabel, { "text-anchor": "end", fill: "var(--soft)" });
  for (const each of series) {
    const points = each.points.filter((p) => Number.isFinite(p[1]));
    const d = points.map((p, i) => `${i ? "L" : "M"}${X(p[0]).toFixed(1)} ${Y(p[1]).toFixed(1)}`).join("");
    const path = draw("path", { d, fill: "none", stroke: `var(--c${each.kind % 6})`,
      "stroke-width": each.thin ? 1 : 2, "stroke-dasharray": DASHES[(each.dash ?? each.kind) % 6],
      "stroke-opacity": each.thin ? 0.55 : 1 });
    path.append(draw("title", {}, each.name));
    svg.append(path);
    if (each.dots)
      svg.append(...points.map((p) => draw("circle", { cx: X(p[0]), cy: Y(p[1]), r: 3, fill: `var(--c${each.kind % 6})` })));
  }
  return svg;
}

/** Whether nothing but rounding tells the ends of a range apart: there are no steps between them. */
function flat(low, high) { return !(high - low > 1e-9 * Math.max(Math.abs(low), Math.abs(high))); }

function trim(value) { return String(+value.toPrecision(3)); }

function ticks(low, high, n) {
  if (flat(low, high)) return [low];
  const rough = (high - low) / n;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((f) => f * power).find((s) => s >= rough);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) found.push(k * step);
  return found;
}

/**
 * Put a drawing into a figure, with buttons to save it; the same place is drawn again later.
 * `numbers` is a table of what is drawn, its first row the headings.
 */
function show(figure, svg, name, numbers) {
  const place = figure.querySelector(".drawing");
  place.replaceChildren(svg);
  figure.querySelector(".save")?.remove();
  const bar = make("div", { class: "bar save controls" });
  const file = name.replace(/[^A-Za-z0-9_-]+/g, "-");
  for (const kind of ["SVG", "PNG", ...(numbers ? ["CSV"] : [])]) {
    const button = make("button", { type: "button" }, `Save as ${kind}`);
    button.addEventListener("click", () =>
      kind === "CSV" ? download(new Blob([csv(numbers)], { type: "text/csv" }), `${file}.csv`) : save(svg, file, kind));
    bar.append(button);
  }
  (figure.querySelector(".beside") ?? place).after(bar);
}

/** A table as text; words that a spreadsheet would take for a formula stay words. */
function csv(rows) {
  const cell = (value) => {
    if (typeof value === "number") return String(value);
    const words = /^[=+@\t\r-]/.test(value ?? "") ? `'${value}` : String(value ?? "");
    return /[",\n\r]/.test(words) ? `"${words.replaceAll('"', '""')}"` : words;
  };
  return rows.map((row) => row.map(cell).join(",") + "\n").join("");
}

/** The drawing as a file of its own: light colours written out, a background, no variables. */
function standalone(svg) {
  const probe = make("span", { "data-theme": "light", hidden: "" });
  document.body.append(probe);
  const style = getComputedStyle(probe);
  const colours = Object.fromEntries(VARIABLES.map((v) => [v, style.getPropertyValue(`--${v}`).trim()]));
  probe.remove();
  const copy = svg.cloneNode(true);
  for (const dropped of copy.querySelectorAll(".cursor")) dropped.remove();
  copy.setAttribute("xmlns", SVG);
  copy.setAttribute("font-family", "Helvetica, Arial, sans-serif");
  copy.insertBefore(draw("rect", { width: "100%", height: "100%", fill: "#ffffff" }), copy.firstChild);
  return new XMLSerializer().serializeToString(copy)
    .replace(/var\(--([a-z0-9-]+)\)/g, (_, name) => colours[name] ?? "#000000");
}

async function save(svg, name, kind) {
  const source = standalone(svg);
  if (kind === "SVG") return download(new Blob([source], { type: "image/svg+xml" }), `${name}.svg`);
  const image = new Image();
  image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(source);
  await image.decode();
  const sheet = document.createElement("canvas");
  sheet.width = svg.width.baseVal.value * 2;
  sheet.height = svg.height.baseVal.value * 2;
  sheet.getContext("2d").drawImage(image, 0, 0, sheet.width, sheet.height);
  sheet.toBlob((blob) => download(blob, `${name}.png`));
}

function download(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** What is folded and large stands as text in the page until it is opened. */
function lateDetails() {
  for (const waiting of document.querySelectorAll("details > noscript"))
    waiting.parentElement.addEventListener("toggle", (event) => {
      waiting.insertAdjacentHTML("afterend", waiting.textContent);
      waiting.remove();
      sortableTables(event.target);
    }, { once: true });
}

/** Every table with the class, in a part of the page, sorts by the column whose heading is pressed. */
function sortableTables(part = document) {
  for (const table of part.querySelectorAll("table.sortable")) {
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, column) => {
      const button = make("button", { type: "button" }, heading.textContent);
      heading.replaceChildren(button);
      button.addEventListener("click", () => {
        const numbers = heading.classList.contains("n");
        const old = heading.getAttribute("aria-sort");
        const down = old ? old === "ascending" : numbers;
        headings.forEach((each) => each.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", down ? "descending" : "ascending");
        const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
        const compare = (a, b) => {
          const [x, y] = [key(a), key(b)];
          if (!numbers) return x.localeCompare(y, undefined, { numeric: true });
          const [p, q] = [parseFloat(x), parseFloat(y)];
          if (Number.isNaN(p) || Number.isNaN(q)) return Number.isNaN(q) - Number.isNaN(p);
          return p - q;
        };
        const body = table.tBodies[0];
        const rows = [...body.rows].sort((a, b) => (down ? -compare(a, b) : compare(a, b)));
        body.append(...rows);
      });
    });
  }
}

function themeSwitch() {
  const button = document.getElementById("theme");
  const root = document.documentElement;
  const names = ["", "dark", "light"];
  const put = (name) => {
    if (name) root.dataset.theme = name; else delete root.dataset.theme;
    button.textContent = `Colours: ${name || "as the system"}`;
  };
  let now = "";
  try { now = localStorage.getItem("dmft-theme") || ""; } catch { /* a mail reader may forbid it */ }
  put(names.includes(now) ? now : "");
  button.hidden = false;
  button.addEventListener("click", () => {
    now = names[(names.indexOf(root.dataset.theme || "") + 1) % names.length];
    put(now);
    try { localStorage.setItem("dmft-theme", now); } catch { /* then it is forgotten */ }
  });
}
