const found = JSON.parse(document.getElementById("found").textContent);

/** Bars of how many records have a length; the rarest are still a pixel high. */
function histogram(figure, name, of) {
  const width = room(560), height = 190, left = 44, bottom = 40, top = 12;
  const svg = canvas(width, height, `Lengths of ${name}`);
  const most = Math.max(...of.counts), n = of.counts.length;
  const X = (k) => left + (width - left - 12) * (k / n);
  const Y = (count) => height - bottom - (height - bottom - top) * (count / most);
  for (const count of ticks(0, most, 4)) {
    if (count % 1) continue;
    svg.append(draw("line", { x1: left, x2: width - 12, y1: Y(count), y2: Y(count), stroke: "var(--grid)" }));
    text(svg, left - 6, Y(count) + 4, String(count), { "text-anchor": "end", fill: "var(--soft)" });
  }
  of.counts.forEach((count, k) => {
    if (!count) return;
    const y = Math.min(Y(count), height - bottom - 1.5);
    const bar = draw("rect", { x: X(k) + 0.5, y, width: Math.max(X(k + 1) - X(k) - 1, 1), height: height - bottom - y, fill: "var(--c1)" });
    bar.append(draw("title", {}, `${of.edges[k]} to ${of.edges[k + 1]}: ${count}`));
    svg.append(bar);
  });
  for (const k of [0, Math.floor(n / 2), n])
    text(svg, X(k), height - bottom + 16, trim(of.edges[k]), { "text-anchor": k ? (k === n ? "end" : "middle") : "start", fill: "var(--soft)" });
  text(svg, left, height - 6, "rows or frames of a record; height: records", { fill: "var(--soft)" });
  show(figure, svg, `lengths-${name}`);
}

function drawRecord(index) {
  const record = found.records[index];
  const place = document.getElementById("drawn");
  place.replaceChildren(make("p", {}, record.about));
  recordFigures(place, record, found);
}

sortableTables();
themeSwitch();
for (const figure of document.querySelectorAll("figure[data-lengths]"))
  histogram(figure, figure.dataset.lengths, found.lengths[figure.dataset.lengths]);
const chooser = document.getElementById("record");
if (chooser) {
  chooser.addEventListener("change", () => drawRecord(Number(chooser.value)));
  drawRecord(Number(chooser.value));
  for (const link of document.querySelectorAll("a[data-record]"))
    link.addEventListener("click", () => {
      chooser.value = link.dataset.record;
      drawRecord(Number(chooser.value));
    });
}
