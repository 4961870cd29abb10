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

/** The mean of training curves of equal epochs; where they differ, of those that have the epoch. */
function meanCurve(curves, key) {
  const at = new Map();
  for (const curve of curves.filter((each) => each[key]))
    curve.epoch.forEach((epoch, i) => { if (curve[key][i] !== null) at.set(epoch, [...(at.get(epoch) ?? []), curve[key][i]]); });
  return [...at].sort((a, b) => a[0] - b[0]).map(([epoch, values]) => [epoch, sum(values) / values.length]);
}

/** Training curves of many runs together: thick the mean of a setting, thin each of its runs. */
function learning() {
  const figure = document.getElementById("learning");
  if (!figure) return;
  const which = figure.querySelector("select");
  const redraw = () => {
    const key = which.value, settings = drawnSettings();
    const runs = found.runs.filter((run) => run.setting < settings.length && run.curves.length);
    if (!runs.length) return figure.remove();
    const thin = runs.slice(0, 60).map((run) => ({ name: run.name, kind: settings[run.setting].mark, dash: 0, thin: true, points: meanCurve(run.curves, key) }));
    const thick = settings.map((each, i) => ({ name: each.name, kind: each.mark,
      points: meanCurve(runs.filter((run) => run.setting === i).flatMap((run) => run.curves), key) }));
    const part = key.endsWith("accuracy"), called = which.selectedOptions[0].textContent;
    curves(figure, `learning-${key}`, `Training of every run: ${called}`, thick, room(900), 320, { xLabel: "epoch", yLabel: called, format: part ? (v) => percent(v, 0) : undefined }, thin);
  };
  which.addEventListener("change", redraw);
  redraw();
}

/** Risk over coverage, and how right answers are by how sure they are. */
function sureness() {
  const settings = drawnSettings(), width = room(580);
  const part = (value) => percent(value, 0);
  const begins = Math.min(1, ...settings.flatMap((each) => each.risk.filter((point) => point[1]).map((point) => point[0])));
  const first = Math.max(0, Math.floor(10 * begins - 0.5) / 10);
  const most = Math.max(0.01, ...settings.flatMap((each) => each.risk.map((point) => point[1])));
  curves(document.getElementById("risk-coverage"), "risk-coverage", "Risk over coverage", settings.map((each) =>
    ({ name: each.name, kind: each.mark, points: each.risk.map(([covered, risk]) => [covered, risk]).filter((point) => point[0] >= first) })),
    width, 300, { xLabel: "records that are answered", yLabel: "of those wrong", xRange: [first, 1],
      yRange: [0, most], format: (v) => percent(v, most < 0.05 ? 1 : 0), xFormat: part });
  curves(document.getElementById("reliability"), "reliability", "Reliability", settings.map((each) =>
    ({ name: each.name, kind: each.mark, dots: true, points: each.reliability.map(([sure, right]) => [sure, right]) })),
    width, 300, { xLabel: "probability of the answer", yLabel: "part that is right", xRange: [0, 1],
      yRange: [0, 1], format: part, xFormat: part },
    [{ name: "as sure as right", kind: 5, dash: 2, thin: true, points: [[0, 0], [1, 1]] }]);
}

/** The score of each setting with each family of faults, and with each of its degrees. */
function faults() {
  const figure = document.getElementById("faults");
  if (!figure) return;
  const modality = figure.querySelector("select");
  const redraw = () => {
    const settings = drawnSettings().filter((each) => each.faults);
    const chosen = settings.map((each) => each.faults.single.filter((fault) => !modality.value || fault.modality === modality.value));
    const families = familiesOf(chosen);
    const width = room(900), step = 14 + 9 * settings.length, left = 118;
    const names = legend(settings, width), top = names.height + 18;
    const height = top + families.length * step + 26;
    const all = families.flatMap((family) => family.of.flatMap((each) => (each ? [each.score, ...each.degrees.map((d) => d[1])] : [])));
    const x0 = Math.max(0, Math.floor((Math.min(1, ...all) - 0.02) * 10) / 10);
    const X = (part) => left + (width - left - 30) * ((part - x0) / (1 - x0));
    const svg = canvas(width, height, `Score with each family of faults, ${modality.value || "any modality"}`);
    names.put(svg, (each, x, y) => mark(each.mark, x, y));
    for (const part of ticks(x0, 1, width / 90)) {
      svg.append(draw("line", { x1: X(part), x2: X(part), y1: top - 8, y2: height - 24, stroke: "var(--grid)" }));
      text(svg, X(part), height - 8, percent(part, 0), { "text-anchor": "middle", fill: "var(--soft)" });
    }
    for (const each of settings)
      svg.append(draw("line", { x1: X(each.faults.intact), x2: X(each.faults.intact), y1: top - 8, y2: height - 24, stroke: `var(--c${each.mark % 6})`, "stroke-dasharray": "3 3" }));
    families.forEach((family, row) => {
      const y = top + row * step;
      if (row % 2) svg.append(draw("rect", { x: 0, y: y - 3, width, height: step, fill: "var(--panel)", "fill-opacity": 0.6 }));
      text(svg, left - 10, y + step / 2, family.name + (family.learnt ? "" : " *"), { "text-anchor": "end" });
      family.of.forEach((found, i) => {
        if (!found) return;
        const at = y + 8 + 9 * i, colour = `var(--c${settings[i].mark % 6})`;
        const parts = found.degrees.map((degree) => degree[1]);
        if (parts.length) svg.append(draw("line", { x1: X(Math.min(...parts)), x2: X(Math.max(...parts)), y1: at, y2: at, stroke: colour, "stroke-opacity": 0.5 }));
        for (const [degree, part] of found.degrees) {
          const stroke = draw("line", { x1: X(part), x2: X(part), y1: at - 3 - 2 * degree, y2: at + 3 + 2 * degree, stroke: colour, "stroke-width": 1.5 });
          stroke.append(draw("title", {}, `${family.name}, ${percent(+degree)} of its size, ${settings[i].name}: ${percent(part)}`));
          svg.append(stroke);
        }
        const point = mark(settings[i].mark, X(found.score), at, 4.5);
        point.append(draw("title", {}, `${family.name}, ${settings[i].name}: ${percent(found.score)}`));
        svg.append(point);
      });
    });
    show(figure, svg, `faults-${modality.value || "any-modality"}`, [["setting", "fault", "modality", "size", "score"],
      ...settings.flatMap((each, i) => [[each.name, "intact", "", "", each.faults.intact], ...chosen[i].flatMap((fault) =>
        [[each.name, fault.family, fault.modality, "mean", fault.score],
          ...Object.entries(fault.degrees).map(([degree, part]) => [each.name, fault.family, fault.modality, +degree, part])])])]);
  };
  modality.addEventListener("change", redraw);
  redraw();
}

/** Families of faults, the worst first, each with the mean over modalities that every setting has of it. */
function familiesOf(chosen) {
  const names = [...new Set(chosen.flatMap((faults) => faults.map((fault) => fault.family)))];
  const mean = (list) => sum(list) / list.length;
  const families = names.map((name) => ({
    name,
    learnt: chosen.some((faults) => faults.some((fault) => fault.family === name && fault.learnt)),
    of: chosen.map((faults) => {
      const here = faults.filter((fault) => fault.family === name);
      if (!here.length) return null;
      const degrees = Object.keys(here[0].degrees).sort((a, b) => a - b);
      return { score: mean(here.map((fault) => fault.score)),
        degrees: degrees.map((degree) => [degree, mean(here.map((fault) => fault.degrees[degree] ?? fault.score))]) };
    }),
  }));
  const least = (family) => Math.min(...family.of.map((each) => each?.score ?? 1));
  return families.sort((a, b) => least(a) - least(b));
}
