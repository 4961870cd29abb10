"""Failing modalities: what ``dmft robustness`` measured, where it has."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from html import escape

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
    intact = _mean(measured, INTACT, "accuracy")
    rows: list[list[Cell]] = []
    for fault in measured[0].folds[0].faults:
        accuracy = _mean(measured, fault, "accuracy")
        lost = Number(0.0, "–") if fault == INTACT else change(accuracy - intact)
        macro_f1, certainty = (_mean(measured, fault, key) for key in ("macro_f1", "confidence"))
        rows.append([name, fault, n_runs, share(accuracy), lost, share(macro_f1)])
        rows[-1].append(share(certainty))
    return rows


def _mean(runs: Sequence[Measured], fault: str, key: str) -> float:
    faults: list[Mapping[str, Mapping[str, float]]] = [f.faults for r in runs for f in r.folds]
    return statistics.fmean(each[fault][key] for each in faults)
