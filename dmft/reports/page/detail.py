"""One run in detail: its folds, modalities, confusions, classes, training and provenance."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from dmft.evaluation.significance import wilson
from dmft.reports.format import count, hits_of, interval, percent, share, whole
from dmft.reports.load import Measured, Prediction
from dmft.reports.page.chart_data import WHOLE, errors_of, votes_of
from dmft.reports.page.provenance import provenance
from pipeline.common.page import Cell, Number, chooser, facts, figure, select, table

N_PAIRS = 15
N_RECORDS_SHOWN = 12


def detail(runs: Sequence[Measured]) -> str:
    """A section for each run, of which the page shows one at a time."""
    names = [f"{run.name} ({run.info.spec.kind})" for run in runs]
    sections = "".join(_run_section(index, run) for index, run in enumerate(runs))
    choice = chooser("run", "Run", names, hidden=len(runs) == 1)
    return f'<h2 id="detail">One run in detail</h2>{choice}{sections}'


def _run_section(index: int, run: Measured) -> str:
    info = run.info
    about = {
        "model": info.spec.kind,
        "data set": info.source.dataset or "not recorded",
        "protocol": f"{info.source.protocol.name}: {count(len(run.folds), 'fold')}, "
        f"metric {info.source.protocol.metric}",
        "modalities": ", ".join(info.spec.modalities),
        "seed": str(info.spec.seed),
        "epochs": str(info.spec.config.training.epochs),
    }
    note = (
        '<p class="note">In a teacher a modality\'s temporal branch has seen the other '
        "modalities, so its figures are not those of the modality alone.</p>"
        if info.spec.kind == "teacher" and len(info.spec.modalities) > 1
        else ""
    )
    return (
        f'<section data-run="{index}" aria-label="{escape(run.name)}">'
        f"<h3>{escape(run.name)}</h3>{facts(about)}"
        f"<h3>Folds</h3>{_fold_table(run)}"
        f"<h3>Modalities and branches</h3>{_modality_table(run)}{note}"
        f"<h3>Confusion matrix</h3>{_confusion_figure(run)}"
        f"<h3>Most confused pairs</h3>{_pairs(run)}"
        f"<h3>Accuracy of each class</h3>{_class_figure()}"
        f"<h3>Training</h3>{_curve_figure()}"
        f"<h3>Provenance</h3>{provenance(run)}</section>"
    )


def _fold_table(run: Measured) -> str:
    rows: list[list[Cell]] = []
    for fold in run.folds:
        hits, n = hits_of(fold.figures["confusion"])
        rows.append(
            [
                fold.info.spec.fold.name,
                whole(fold.info.spec.n_train),
                whole(fold.info.spec.n_test),
                whole(n - hits),
                share(fold.figures["accuracy"]),
                Number(hits / max(n, 1), interval(wilson(hits, n))),
                share(fold.figures["macro_f1"]),
                share(fold.figures["nearest_neighbour_accuracy"]),
            ]
        )
    head = ["fold", "#train", "#test", "#wrong", "#accuracy", "#95 %", "#macro F1"]
    return table([*head, "#nearest neighbour"], rows)


def _modality_table(run: Measured) -> str:
    rows: list[list[Cell]] = []
    for name, of in run.figures["modalities"].items():
        hits, n = hits_of(of["confusion"]) if "confusion" in of else (0, 0)
        rows.append(
            [
                name,
                Number(n, f"{n:,}" if n else "–"),
                share(of["accuracy"]),
                Number(of["accuracy"], interval(wilson(hits, n)) if n else "–"),
                share(of["spatial"]["accuracy"]),
                share(of["temporal"]["accuracy"]),
                share(of["macro_f1"]),
            ]
        )
    head = ["modality", "#records", "#accuracy", "#95 %", "#spatial", "#temporal", "#macro F1"]
    return table(head, rows)


def _confusion_figure(run: Measured) -> str:
    votes = votes_of(run)
    old = (
        '<p class="note">This run was measured by an earlier version, without matrices by '
        "modality: remove its metrics.json and train again to measure it anew.</p>"
        if len(run.figures["modalities"]) > 1 and votes == [WHOLE]
        else ""
    )
    controls = select("Vote of", [(name, name) for name in votes])
    controls += select("Cells", [("counts", "records"), ("percent", "percent of the row")])
    return old + figure(
        "Blue cells on the diagonal are right, orange ones off it are wrong.",
        kind="confusion",
        controls=controls,
        after='<p class="status soft" role="status"></p>',
    )


def _class_figure() -> str:
    order = [("given", "as in the data set"), ("worst", "worst first")]
    caption = "Each modality's own vote beside the vote of all; every series has its own mark."
    return figure(caption, kind="by-class", controls=select("Classes", order))


def _curve_figure() -> str:
    caption = (
        "Of the training records. There is no curve of test records: nothing is chosen on them, "
        "and the weights are those of the last epoch."
    )
    choices = [("loss", "loss"), ("accuracy", "accuracy")]
    return figure(caption, kind="curves", controls=select("Show", choices))


def _pairs(run: Measured) -> str:
    names = run.info.spec.classes
    cells = [
        (n, i, j)
        for i, row in enumerate(run.figures["confusion"])
        for j, n in enumerate(row)
        if i != j and n
    ]
    cells.sort(key=lambda cell: (-cell[0], cell[1], cell[2]))
    if not cells:
        return "<p>No record was taken for another class.</p>"
    behind: dict[tuple[int, int], list[Prediction]] = {}
    for each in errors_of(run):
        behind.setdefault((each.label, each.predicted), []).append(each)
    totals = [sum(row) for row in run.figures["confusion"]]
    rows: list[list[Cell]] = []
    for n, i, j in cells[:N_PAIRS]:
        found = sorted(behind.get((i, j), []), key=lambda each: -each.probability)
        shown = ", ".join(
            f"{each.record} ({each.probability:.0%})" for each in found[:N_RECORDS_SHOWN]
        )
        more = len(found) - N_RECORDS_SHOWN
        rows.append(
            [
                names[i],
                names[j],
                Number(n, str(n)),
                Number(n / totals[i], percent(n / totals[i])),
                (shown or "not listed") + (f" and {more} more" if more > 0 else ""),
            ]
        )
    head = ["true class", "taken for", "#records", "#of the class", "records (certainty)"]
    n_more = len(cells) - N_PAIRS
    caption = f"{n_more} further pairs are in the matrix." if n_more > 0 else ""
    return table(head, rows, caption=caption)
