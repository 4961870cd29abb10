// What happens when the page opens.

const chooser = document.getElementById("run");
chooser.addEventListener("change", () => drawRun(Number(chooser.value)));
for (const link of document.querySelectorAll("a[data-run]"))
  link.addEventListener("click", () => { chooser.value = link.dataset.run; drawRun(Number(link.dataset.run)); });
sortableTables(document);
lateDetails();
drawRun(Number(chooser.value));
overview();
bySetting("by-fold", "accuracy-by-fold", "Accuracy of each fold", "folds", false);
bySetting("by-person", "accuracy-by-person", "Accuracy of each person", "people", true);
sureness();
faults();
learning();
wrongTable();
sideBySide();
seenMap();
recordsOpen();
themeSwitch();
