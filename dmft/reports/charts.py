"""The numbers of each chart, of which the page's script and matplotlib draw the same figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dmft.evaluation.metrics import Matrix
from dmft.evaluation.significance import wilson
from dmft.reports.compare import Setting
from dmft.reports.format import hits_of
from dmft.reports.load import Measured

WHOLE = "all modalities"
MAX_ERRORS = 2000
"""Most wrong records of a run that the page carries for the matrix's cells."""


def chart_data(runs: Sequence[Measured], settings: Sequence[Setting]) -> dict[str, Any]:
    """Return plain data for JSON; class lists that are equal stand there once."""
    classes = list(dict.fromkeys(run.info.spec.classes for run in runs))
    return {
        "classes": classes,
        "runs": [run_data(run) | {"classes": classes.index(run.info.spec.classes)} for run in runs],
        "settings": [
            {
                "name": setting.name,
                "kind": setting.runs[0].info.spec.kind,
                "folds": setting.fold_accuracies,
            }
            for setting in settings
        ],
    }


def matrices_of(run: Measured) -> dict[str, Matrix]:
    """Confusion by the vote of all modalities, and by that of each where there are several."""
    modalities = run.metrics.modalities if len(run.metrics.modalities) > 1 else {}
    return {WHOLE: run.metrics.confusion} | {n: own.confusion for n, own in modalities.items()}


def run_data(run: Measured) -> dict[str, Any]:
    """One run: its accuracy with an interval, and by vote, class, wrong record and epoch."""
    metrics = run.metrics
    hits, n = hits_of(metrics.confusion)
    errors = run.errors[:MAX_ERRORS]
    return {
        "name": run.name,
        "kind": run.info.spec.kind,
        "metric": metrics.metric,
        "classes": run.info.spec.classes,
        "pooled": hits / max(n, 1),
        "interval": [round(bound, 5) for bound in wilson(hits, n)],
        "baseline": metrics.nearest_neighbour_accuracy,
        "confusion": matrices_of(run),
        "errors": [
            [error.record, error.label, error.predicted, round(error.probability, 3)]
            for error in errors.itertuples()
        ],
        "curves": [
            {
                "fold": fold.info.spec.fold.name,
                "loss": fold.epochs["loss"].round(4).tolist(),
                "accuracy": fold.epochs["accuracy"].round(4).tolist(),
            }
            for fold in run.folds
            if len(fold.epochs)
        ],
    }
