"""One run in detail: its folds, modalities, confusions, classes, training and provenance."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from dmft.evaluation.significance import wilson
from dmft.reports.format import count, hits_of, interval, percent, share, whole
from dmft.reports.load import Measured
from dmft.reports.page.chart_data import errors_of, votes_of
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
        hits, n = hits_of(fold.metrics.confusion)
        rows.append(
            [
                fold.info.spec.fold.name,
                whole(fold.info.spec.n_train),
                whole(fold.info.spec.n_test),
                whole(n - hits),
                share(fold.metrics.accuracy),
                Number(hits / max(n, 1), interval(wilson(hits, n))),
                share(fold.metrics.macro_f1),
                share(fold.metrics.nearest_neighbour_accuracy),
            ]
        )
    head = ["fold", "#train", "#test", "#wrong", "#accuracy", "#95 %", "#macro F1"]
    return table([*head, "#nearest neighbour"], rows)


def _modality_table(run: Measured) -> str:
    rows: list[list[Cell]] = []
    for name, own in run.metrics.modalities.items():
        hits, n = hits_of(own.confusion)
        rows.append(
            [
                name,
                Number(n, f"{n:,}" if n else "–"),
                share(own.accuracy),
                Number(own.accuracy, interval(wilson(hits, n)) if n else "–"),
                share(own.spatial.accuracy),
                share(own.temporal.accuracy),
                share(own.macro_f1),
            ]
        )
    head = ["modality", "#records", "#accuracy", "#95 %", "#spatial", "#temporal", "#macro F1"]
    return table(head, rows)


def _confusion_figure(run: Measured) -> str:
    controls = select("Vote of", [(name, name) for name in votes_of(run)])
    controls += select("Cells", [("counts", "records"), ("percent", "percent of the row")])
    return figure(
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
        for i, row in enumerate(run.metrics.confusion)
        for j, n in enumerate(row)
        if i != j and n
    ]
    cells.sort(key=lambda cell: (-cell[0], cell[1], cell[2]))
    if not cells:
        return "<p>No record was taken for another class.</p>"
    errors = errors_of(run).sort_values("probability", ascending=False, kind="stable")
    totals = [sum(row) for row in run.metrics.confusion]
    rows: list[list[Cell]] = []
    for n, i, j in cells[:N_PAIRS]:
        pair = errors[(errors["label"] == i) & (errors["predicted"] == j)]
        shown = ", ".join(
            f"{error.record} ({error.probability:.0%})"
            for error in pair[:N_RECORDS_SHOWN].itertuples()
        )
        more = len(pair) - N_RECORDS_SHOWN
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
