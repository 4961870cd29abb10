// Suspects: a table to filter and tick, and one of them opened beside what it is held against.
const found = JSON.parse(document.getElementById("found").textContent);
const table = document.getElementById("suspects");
const columns = ["record", "kind", "modality", "score", "other", "old_label", "new_label", "note"];

/** The record's figures beside those of others, a column each. */
function openSuspect(index) {
  const dialog = document.getElementById("opened"), content = dialog.querySelector(".content");
  const suspect = found.suspects[index];
  document.getElementById("opened-name").textContent = `${suspect.record}: ${suspect.kind}`;
  content.replaceChildren(make("p", {}, `${suspect.note}.`));
  dialog.showModal();
  const beside = found.beside[index].filter(([record]) => Object.hasOwn(found.drawn.records, record));
  if (!beside.length)
    return content.append(make("p", { class: "note" }, "This page does not hold its signals: others of its kind are likelier. More are drawn with --records."));
  const columns = make("div", { class: "sides" });
  content.append(columns);
  for (const [record, words] of beside) {
    const place = make("section", {}, make("h3", {}, record), make("p", { class: "soft" }, words));
    columns.append(place);
    recordFigures(place, found.drawn.records[record], found.drawn);
  }
  // One skeleton moves at a time: none until it is asked to.
  stopPlaying();
  for (const button of content.querySelectorAll("button"))
    if (button.textContent === "Stop") button.textContent = "Play";
}

if (table) {
  const rows = () => [...table.tBodies[0].rows];
  const [find, kind, said] = ["find", "kind", "said"].map((id) => document.getElementById(id));
  const filter = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows()) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word)) || (kind.value !== "" && found.suspects[row.dataset.index].kind !== kind.value);
    }
  };
  const ticked = () => rows().filter((row) => row.querySelector("input").checked);
  const count = () => { said.textContent = `${ticked().length} ticked`; };
  find.addEventListener("input", filter);
  kind.addEventListener("change", filter);
  table.addEventListener("change", count);
  table.addEventListener("click", (event) => {
    const pressed = event.target.closest("button.record");
    if (pressed) openSuspect(pressed.closest("tr").dataset.index);
  });
  document.getElementById("save").addEventListener("click", () => {
    const lines = ticked().map((row) => columns.map((name) => found.suspects[row.dataset.index][name]));
    download(new Blob([csv([columns, ...lines])], { type: "text/csv" }), "suspects.csv");
  });
  const dialog = document.getElementById("opened");
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", stopPlaying);
  count();
}
sortableTables();
themeSwitch();
