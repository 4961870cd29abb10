"""The numbers that the page carries for its figures: matrices, curves, folds, wrong records."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from dmft.evaluation.significance import wilson
from dmft.reports.format import hits_of
from dmft.reports.load import Measured, Prediction
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


def errors_of(run: Measured) -> list[Prediction]:
    """Test records that were taken for another class."""
    return [each for each in run.predictions if each.label != each.predicted]


def votes_of(run: Measured) -> list[str]:
    """Whose votes there are matrices of: of all modalities, and of each."""
    modalities = run.figures["modalities"]
    if len(modalities) < 2:
        return [WHOLE]
    return [WHOLE, *(name for name, of in modalities.items() if "confusion" in of)]


def _run(run: Measured, classes: int) -> dict[str, Any]:
    figures = run.figures
    hits, n = hits_of(figures["confusion"])
    votes = {name: figures["modalities"].get(name, figures) for name in votes_of(run)}
    return {
        "name": run.name,
        "kind": run.info.spec.kind,
        "classes": classes,
        "pooled": hits / max(n, 1),
        "interval": [round(bound, 5) for bound in wilson(hits, n)],
        "baseline": figures["nearest_neighbour_accuracy"],
        "confusion": {name: of["confusion"] for name, of in votes.items()},
        "errors": [
            [each.record, each.label, each.predicted, round(each.probability, 3)]
            for each in errors_of(run)[:MAX_ERRORS]
        ],
        "curves": [
            {
                "fold": fold.info.spec.fold.name,
                "loss": [round(float(epoch["loss"]), 4) for epoch in fold.epochs],
                "accuracy": [round(float(epoch["accuracy"]), 4) for epoch in fold.epochs],
            }
            for fold in run.folds
            if fold.epochs
        ],
    }
