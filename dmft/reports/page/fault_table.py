"""Failing modalities: what ``dmft robustness`` measured, where it has."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from dmft.evaluation.averages import mean_scores
from dmft.evaluation.robustness import FAULTS, INTACT
from dmft.reports.format import change, share, whole
from dmft.reports.load import Measured
from dmft.reports.page.settings import setting_name, settings_of
from pipeline.common.page import Cell, Number, table


def failing(runs: Sequence[Measured]) -> str:
    """What each fault of each modality costs, a mean over the folds and seeds of a setting."""
    rows: list[list[Cell]] = []
    for group in settings_of(runs):
        measured = [run for run in group if all(fold.faults for fold in run.folds)]
        if measured:
            rows += _rows(setting_name(group, runs), measured)
    if not rows:
        return ""
    meanings = "; ".join(f"{fault.name}: {fault.meaning}" for fault in FAULTS)
    note = (
        "Measured by 'dmft robustness'. A removed modality is known to be absent; of the other "
        f"faults the model is not told. {meanings}. Certainty is the vote's mean probability for "
        "what it chose: a model that fails should be less certain. Means over folds and seeds."
    )
    head = ["trained", "fault at test time", "#seeds", "#accuracy", "#change", "#macro F1"]
    return (
        '<h2 id="failing">Failing modalities</h2>'
        f'<p class="note">{escape(note)}</p>{table([*head, "#certainty"], rows)}'
    )


def _rows(name: str, measured: Sequence[Measured]) -> list[list[Cell]]:
    n_runs = whole(len(measured))
    folds = [fold for run in measured for fold in run.folds]
    means = {fault: mean_scores([f.faults[fault] for f in folds]) for fault in folds[0].faults}
    rows: list[list[Cell]] = []
    for fault, mean in means.items():
        lost = change(mean.accuracy - means[INTACT].accuracy)
        lost = Number(0.0, "–") if fault == INTACT else lost
        rows.append([name, fault, n_runs, share(mean.accuracy), lost, share(mean.macro_f1)])
        rows[-1].append(share(mean.confidence))
    return rows
