// Records that are wrong somewhere: a table to filter, and one record opened.

/** Rows of a table that are drawn; more are found by filtering. */
const MOST_ROWS = 200;

/** Record to what is known of it: its class, and the runs that take it for another. */
const wrongOf = new Map();
for (const run of found.runs)
  for (const [record, label, predicted, probability] of run.errors) {
    if (!wrongOf.has(record)) wrongOf.set(record, { record, truth: classesOf(run)[label], wrong: [] });
    wrongOf.get(record).wrong.push({ run, says: classesOf(run)[predicted], probability });
  }

/** The runs that were tested on a record. */
const testsOf = (() => {
  const sides = found.tested.map((side) => new Set(side));
  return (record) => found.runs.filter((run) => sides[run.tested].has(record));
})();

/** A record's name, to press. */
function recordLink(record) {
  return make("button", { type: "button", class: "record" }, found.records[record]);
}

/** Fills a table's body, and says what was left out. */
function fill(table, rows, said, what) {
  table.tBodies[0].replaceChildren(...rows.slice(0, MOST_ROWS));
  if (said) said.textContent = `${rows.length} ${what}.` + (rows.length > MOST_ROWS ? ` The first ${MOST_ROWS} are shown.` : "");
}

const cell = (...content) => make("td", {}, ...content);
const numberCell = (value, shown = String(value)) => make("td", { class: "n", "data-value": value }, shown);

/** Words with how often they occur, the most frequent first. */
function counted(words) {
  const counts = new Map();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]).map(([word, n]) => (n > 1 ? `${word} (${n})` : word)).join(", ");
}

function wrongTable() {
  const [find, where] = [document.getElementById("find"), document.getElementById("wrong-in")];
  const all = [...wrongOf.values()].map((each) => ({ ...each, n: testsOf(each.record).length, person: found.people[each.record] ?? "" }));
  all.sort((a, b) => b.wrong.length / b.n - a.wrong.length / a.n || a.record - b.record);
  const redraw = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const run = where.value === "" ? null : found.runs[where.value];
    const kept = all.filter((each) => {
      const text = [found.records[each.record], each.truth, `person ${each.person}`, ...each.wrong.map((one) => one.says)].join(" ").toLowerCase();
      return words.every((word) => text.includes(word)) && (!run || each.wrong.some((one) => one.run === run));
    });
    fill(document.getElementById("wrong"), kept.map((each) => make("tr", {}, cell(recordLink(each.record)), cell(each.truth), cell(each.person),
      numberCell(each.wrong.length), numberCell(each.n), cell(counted(each.wrong.map((one) => one.says))),
      numberCell(Math.max(...each.wrong.map((one) => one.probability)), percent(Math.max(...each.wrong.map((one) => one.probability)), 0)))),
    document.getElementById("wrong-said"), `of ${all.length} records`);
  };
  find.addEventListener("input", redraw);
  where.addEventListener("change", redraw);
  redraw();
}

/** Opens a record by its name: what every run says of it, and its signals where the page has them. */
function openRecord(name) {
  const record = found.records.indexOf(name);
  const known = wrongOf.get(record), person = found.people[record];
  const dialog = document.getElementById("opened"), content = dialog.querySelector(".content");
  document.getElementById("opened-name").textContent = name;
  const runs = testsOf(record).map((run) => {
    const wrong = known?.wrong.find((each) => each.run === run);
    return make("tr", {}, cell(run.name), cell(wrong ? wrong.says : "right"), numberCell(wrong?.probability ?? "", wrong ? percent(wrong.probability, 0) : ""));
  });
  const head = ["run", "says", "how certain"].map((word, i) => make("th", { scope: "col", ...(i === 2 ? { class: "n" } : {}) }, word));
  content.replaceChildren(
    make("p", {}, [known?.truth, person && `person ${person}`].filter(Boolean).join(", ")),
    make("div", { class: "wide said", tabindex: 0, role: "region", "aria-label": "What runs say" }, make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...runs))));
  dialog.showModal();
  attentionFigures(content, name);
  if (Object.hasOwn(found.drawn.records, name)) recordFigures(content, found.drawn.records[name], found.drawn);
  else content.append(make("p", { class: "note" }, "This page does not hold its signals: the cache was not at hand, or others are wrong more often."));
}

function recordsOpen() {
  const dialog = document.getElementById("opened");
  document.addEventListener("click", (event) => {
    const pressed = event.target.closest("button.record");
    if (pressed) openRecord(pressed.textContent);
    else if (event.target.closest("#opened .close")) dialog.close();
  });
  dialog.addEventListener("close", stopPlaying);
}
