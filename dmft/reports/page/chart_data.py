"""The numbers that the page carries for its figures: matrices, curves, folds, wrong records."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import pandas as pd

from dmft.evaluation.significance import wilson
from dmft.reports.format import hits_of
from dmft.reports.load import Measured
from dmft.reports.page.settings import fold_values, setting_name, settings_of

WHOLE = "all modalities"
MAX_ERRORS = 2000
"""Most wrong records of a run that the page carries for the matrix's cells."""


def drawn_from(runs: Sequence[Measured]) -> dict[str, Any]:
    """Return plain data for JSON; class lists that are equal stand there once."""
    classes: list[list[str]] = []
    for run in runs:
        names = list(run.info.spec.classes)
        if names not in classes:
            classes.append(names)
    return {
        "classes": classes,
        "runs": [_run(run, classes.index(list(run.info.spec.classes))) for run in runs],
        "settings": [
            {
                "name": setting_name(group, runs),
                "kind": group[0].info.spec.kind,
                "folds": {
                    fold: statistics.fmean(values) for fold, values in fold_values(group).items()
                },
            }
            for group in settings_of(runs)
        ],
    }


def errors_of(run: Measured) -> pd.DataFrame:
    """Test records that were taken for another class."""
    predictions = run.predictions
    return predictions[~predictions["correct"]]


def votes_of(run: Measured) -> list[str]:
    """Whose votes there are matrices of: of all modalities, and of each."""
    modalities = run.metrics.modalities
    return [WHOLE, *modalities] if len(modalities) > 1 else [WHOLE]


def _run(run: Measured, classes: int) -> dict[str, Any]:
    metrics = run.metrics
    hits, n = hits_of(metrics.confusion)
    votes = {name: metrics.modalities.get(name, metrics) for name in votes_of(run)}
    errors = errors_of(run)[:MAX_ERRORS]
    return {
        "name": run.name,
        "kind": run.info.spec.kind,
        "classes": classes,
        "pooled": hits / max(n, 1),
        "interval": [round(bound, 5) for bound in wilson(hits, n)],
        "baseline": metrics.nearest_neighbour_accuracy,
        "confusion": {name: vote.confusion for name, vote in votes.items()},
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
