// The confusion matrix of one run, or of all seeds of its setting.

const UNREAD = "Move over a cell, or use the arrow keys in the matrix, to read it; a click or Enter shows its records.";

/** Runs that differ from this one in the seed alone, itself among them. */
const seedsOf = (run) => found.runs.filter((each) => each.setting === run.setting);

/** Sum of the confusion matrices of some runs. */
const added = (runs, vote) => runs.map((run) => run.confusion[vote])
  .reduce((a, b) => a.map((row, i) => row.map((count, j) => count + b[i][j])));

/** Records of a cell, with the certainty of each run that took them so. */
function recordsOf(runs, i, j) {
  const certain = new Map();
  for (const run of runs)
    for (const [record, label, predicted, probability] of run.errors)
      if (label === i && predicted === j) certain.set(record, [...(certain.get(record) ?? []), probability]);
  return [...certain].sort((a, b) => b[1].length - a[1].length || b[1][0] - a[1][0]);
}

function confusionFigure(figure, run) {
  const [vote, scale, of] = ["vote", "cells", "of"].map((name) => figure.querySelector(`[name="${name}"]`));
  const status = figure.querySelector(".status");
  const names = classesOf(run);
  const redraw = () => {
    const runs = of?.value === "setting" ? seedsOf(run) : [run];
    const all = added(runs, vote.value);
    // A class that no record is of, and none is taken for, is in no fold.
    const kept = names.map((_, i) => i).filter((i) => sum(all[i]) || all.some((row) => row[i]));
    const counts = kept.map((i) => kept.map((j) => all[i][j])), totals = counts.map(sum);
    const title = `${runs.length > 1 ? `${runs.length} seeds of ` : ""}${run.name}, ${vote.value}`;
    const { svg, cellAt, point } = matrix(`Confusion matrix of ${title}: true classes in rows, predictions in columns`,
      kept.map((i) => names[i]), counts, scale.value === "counts", names.length - kept.length);
    const here = make("p", {}, UNREAD), list = make("div", {});
    status.replaceChildren(here, list);
    let at = [0, 0];
    const read = (i, j) => {
      at = [i, j];
      point(i, j);
      const what = i === j ? `${names[kept[i]]} recognised` : `${names[kept[i]]} taken for ${names[kept[j]]}`;
      const part = totals[i] ? ` (${percent(counts[i][j] / totals[i])})` : "";
      here.textContent = `${what}: ${counts[i][j]} of ${totals[i]}${part}.`;
    };
    const answer = (i, j) => {
      read(i, j);
      list.replaceChildren();
      if (i === j || !counts[i][j]) return;
      if (vote.value !== WHOLE) return list.append("Records are listed where all modalities vote.");
      const records = recordsOf(runs, kept[i], kept[j]);
      if (!records.length) return list.append("Its records are not in this page.");
      list.append(make("p", {}, `${names[kept[i]]} taken for ${names[kept[j]]}, with how certain the vote was:`),
        make("ul", {}, ...records.map(([record, certain]) => make("li", {}, recordLink(record),
          runs.length > 1 ? `: ${certain.length} of ${runs.length} seeds, ` : ": ", certain.map((p) => percent(p, 0)).join(", ")))));
    };
    svg.addEventListener("mousemove", (event) => {
      const cell = cellAt(event);
      if (cell && (cell[0] !== at[0] || cell[1] !== at[1])) read(...cell);
    });
    svg.addEventListener("click", (event) => { const cell = cellAt(event); if (cell) answer(...cell); });
    svg.addEventListener("keydown", (event) => {
      const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
      const move = moves[event.key], inside = (k) => Math.min(kept.length - 1, Math.max(0, k));
      if (move) read(inside(at[0] + move[0]), inside(at[1] + move[1]));
      else if (event.key === "Enter") answer(...at);
      else return;
      event.preventDefault();
    });
    show(figure, svg, `confusion-${run.name}-${vote.value}`,
      [["true class", ...kept.map((i) => names[i])], ...kept.map((i, k) => [names[i], ...counts[k]])]);
  };
  for (const choice of [vote, scale, of]) choice?.addEventListener("change", redraw);
  redraw();
}

/** Draws a matrix; returns also which cell an event is over, and what puts the cursor on one. */
function matrix(label, names, counts, asCounts, nHidden) {
  const K = names.length;
  const cell = K > 30 ? 20 : K > 12 ? 23 : K > 6 ? 34 : 46, size = K > 30 ? 10 : 11;
  const most = Math.max(...names.map((name) => Math.min(name.length, 22)), 6);
  const left = 30 + most * 6.5, top = 24 + most * 4.9, edge = most * 4.6;
  const width = Math.max(left + K * cell + edge + 10, 330), height = top + K * cell + 34;
  const svg = canvas(width, height, label);
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
    const part = count / sum(row), x = left + j * cell, y = top + i * cell;
    const strong = 0.12 + 0.88 * part;
    svg.append(draw("rect", { x: x + 0.5, y: y + 0.5, width: cell - 1, height: cell - 1, fill: `rgb(var(--${i === j ? "heat" : "miss"}))`, "fill-opacity": strong.toFixed(2) }));
    const shown = asCounts ? String(count) : String(Math.round(100 * part));
    text(svg, x + cell / 2, y + cell / 2 + 4, shown, { "text-anchor": "middle", "font-size": shown.length > 2 ? size - 1.5 : size, fill: strong > 0.75 ? "var(--on-heat)" : "var(--ink)", "font-weight": i === j ? 400 : 600 });
  }));
  const hidden = nHidden ? ` ${nHidden} ${nHidden > 1 ? "classes" : "class"} without records left out.` : "";
  text(svg, 4, height - 12, `Rows: true class. Columns: predicted. ${asCounts ? "Records." : "Percent of the row."}${hidden}`, { fill: "var(--soft)", "font-size": 11.5 });
  const cursor = draw("rect", { class: "cursor", width: cell, height: cell, fill: "none", stroke: "var(--ink)", "stroke-width": 2, visibility: "hidden" });
  svg.append(cursor);
  const point = (i, j) => {
    cursor.setAttribute("x", left + j * cell);
    cursor.setAttribute("y", top + i * cell);
    cursor.setAttribute("visibility", "visible");
  };
  const cellAt = (event) => {
    const box = svg.getBoundingClientRect();
    const [j, i] = [Math.floor((event.clientX - box.left - left) / cell), Math.floor((event.clientY - box.top - top) / cell)];
    return i >= 0 && j >= 0 && i < K && j < K ? [i, j] : null;
  };
  return { svg, cellAt, point };
}
