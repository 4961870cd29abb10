// One run in detail.

/** Shows a run, and hides the others; what it says stands as text in the page until then. */
function drawRun(index) {
  for (const each of document.querySelectorAll("section[data-run]")) each.hidden = each.dataset.run !== String(index);
  const waiting = document.querySelector(`noscript[data-run="${index}"]`);
  if (!waiting) return;
  waiting.insertAdjacentHTML("afterend", waiting.textContent);
  waiting.remove();
  const section = document.querySelector(`section[data-run="${index}"]`);
  sortableTables(section);
  const run = found.runs[index];
  confusionFigure(section.querySelector(".confusion"), run);
  classFigure(section.querySelector(".by-class"), run);
  curvesFigure(section.querySelector(".curves"), run);
}

function classFigure(figure, run) {
  const order = figure.querySelector("select");
  const names = classesOf(run);
  const kept = names.map((_, i) => i).filter((i) => Object.values(run.confusion).some((matrix) => sum(matrix[i])));
  const parts = (matrix) => matrix.map((row, i) => (sum(row) ? row[i] / sum(row) : null));
  const series = Object.entries(run.confusion).map(([name, matrix], kind) => ({ name, kind, values: parts(matrix) }));
  const redraw = () => {
    const places = [...kept];
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
    const key = which.value, having = run.curves.filter((each) => each[key]);
    if (!having.length) return figure.querySelector(".drawing").replaceChildren(make("p", { class: "note" }, "Nobody was held out of this run's training side."));
    const folds = having.map((each) => ({ name: each.fold, kind: 1, dash: 0, thin: having.length > 1, points: each[key].map((v, i) => [each.epoch[i], v]) }));
    const mean = meanCurve(having, key);
    const all = folds.length > 1 ? [...folds, { name: "mean of the folds", kind: 0, dash: 0, points: mean }] : folds.map((each) => ({ ...each, kind: 0 }));
    const part = key.endsWith("accuracy"), called = which.selectedOptions[0].textContent;
    show(figure, lines(room(760), 300, `Training curve of ${run.name}: ${called}`, all, {
      xLabel: "epoch", yLabel: called,
      yRange: part ? [0, 1] : undefined, format: part ? (v) => percent(v, 0) : undefined }), `${key}-${run.name}`,
      [["fold", "epoch", called], ...having.flatMap((each) => each.epoch.map((epoch, i) => [each.fold, epoch, each[key][i]]))]);
  };
  which.addEventListener("change", redraw);
  redraw();
}
