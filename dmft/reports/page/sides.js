// Two runs side by side: the records that they take differently.

function sideBySide() {
  const [first, second] = document.querySelectorAll("select.side");
  if (!first) return;
  const how = document.getElementById("changed-how");
  // The first run beside the first one of another setting that was tested on the same records.
  const other = found.runs.findIndex((run) => run.setting !== found.runs[0].setting && run.tested === found.runs[0].tested);
  second.value = String(other > 0 ? other : 1);
  const redraw = () => compareSides(found.runs[first.value], found.runs[second.value], how.value);
  for (const choice of [first, second, how]) choice.addEventListener("change", redraw);
  redraw();
}

function compareSides(one, two, how) {
  const tested = new Set(found.tested[two.tested]);
  const both = found.tested[one.tested].filter((record) => tested.has(record));
  const [wrongOne, wrongTwo] = [one, two].map((run) => new Map(run.errors.map((error) => [error[0], error])));
  const kindOf = (record) => {
    const [a, b] = [wrongOne.get(record), wrongTwo.get(record)];
    if (!a && !b) return "right";
    return a && b ? "both" : a ? "won" : "lost";
  };
  const kinds = new Map(both.map((record) => [record, kindOf(record)]));
  const number = (kind) => both.filter((record) => kinds.get(record) === kind).length;
  document.getElementById("sides-said").textContent = !both.length ? "No record was tested by both." :
    `${both.length} records were tested by both: ${number("right")} right in both, ${number("lost")} only in the first, ` +
    `${number("won")} only in the second, ${number("both")} in neither.`;
  const says = (run, error) => (error ? `${classesOf(run)[error[2]]} (${percent(error[3], 0)})` : "right");
  const changed = both.filter((record) => kinds.get(record) !== "right" && (!how || kinds.get(record) === how)
    && (how || kinds.get(record) !== "both" || wrongOne.get(record)[2] !== wrongTwo.get(record)[2]));
  fill(document.getElementById("changed"), changed.map((record) => make("tr", {}, cell(recordLink(record)),
    cell(wrongOf.get(record).truth), cell(found.people[record] ?? ""), cell(says(one, wrongOne.get(record))), cell(says(two, wrongTwo.get(record))))));
  classesOfSides(one, two);
}

function classesOfSides(one, two) {
  const figure = document.getElementById("by-side");
  const accuracies = [one, two].map((run) => new Map(run.confusion[WHOLE].map((row, i) =>
    [classesOf(run)[i], sum(row) ? row[i] / sum(row) : null])));
  const names = [...accuracies[0].keys()].filter((name) => accuracies.every((each) => (each.get(name) ?? null) !== null));
  const apart = (name) => Math.abs(accuracies[0].get(name) - accuracies[1].get(name));
  names.sort((a, b) => apart(b) - apart(a));
  dots(figure, "two-runs", `Accuracy of each class, ${one.name} and ${two.name}`, names,
    [one, two].map((run, kind) => ({ name: run.name, kind, values: names.map((name) => accuracies[kind].get(name)) })));
}
