// Figures of all runs together.

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
  show(figure, svg, "accuracy-by-run", [["run", "model", "accuracy", "low", "high", "nearest neighbour"],
    ...rows.map((run) => [run.name, run.kind, run.pooled, ...run.interval, run.baseline])]);
}

/** Accuracy of each setting by what `of` names: folds or people. */
function bySetting(id, name, label, of, sorted) {
  const figure = document.getElementById(id);
  if (!figure) return;
  const settings = drawnSettings();
  const rows = [...new Set(settings.flatMap((each) => Object.keys(each[of])))];
  if (sorted) rows.sort((a, b) => (settings[0][of][a] ?? 2) - (settings[0][of][b] ?? 2));
  dots(figure, name, label, rows, settings.map((each) =>
    ({ name: each.name, kind: each.mark, values: rows.map((row) => each[of][row] ?? null) })));
}

/** Risk over coverage, and how right answers are by how sure they are. */
function sureness() {
  const settings = drawnSettings(), width = room(580);
  const part = (value) => percent(value, 0);
  const most = Math.max(0.01, ...settings.flatMap((each) => each.risk.map((point) => point[1])));
  curves(document.getElementById("risk-coverage"), "risk-coverage", "Risk over coverage", settings.map((each) =>
    ({ name: each.name, kind: each.mark, points: each.risk.map(([covered, risk]) => [covered, risk]) })),
    width, 300, { xLabel: "part of the records that is answered", yLabel: "of those wrong", xRange: [0, 1],
      yRange: [0, most], format: (v) => percent(v, most < 0.05 ? 1 : 0), xFormat: part });
  curves(document.getElementById("reliability"), "reliability", "Reliability", settings.map((each) =>
    ({ name: each.name, kind: each.mark, points: each.reliability.map(([sure, right]) => [sure, right]) })),
    width, 300, { xLabel: "probability of the answer", yLabel: "part that is right", xRange: [0, 1],
      yRange: [0, 1], format: part, xFormat: part },
    [{ name: "as sure as right", kind: 5, dash: 2, thin: true, points: [[0, 0], [1, 1]] }]);
}
