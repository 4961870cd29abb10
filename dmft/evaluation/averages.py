"""Means over folds and seeds, of scores and of tables; and how folds are ordered."""

from __future__ import annotations

import dataclasses
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from dmft.evaluation.metrics import (
    Matrix,
    RunMetrics,
    Scores,
    accuracy,
    class_accuracies,
    macro_f1,
    plain,
)

ScoresT = TypeVar("ScoresT", bound=Scores)
COUNTS = ("n_records", "n_without_modality")
"""Fields of scores that are added; whatever else is no figure is the first's."""


def mean_scores(parts: Sequence[ScoresT]) -> ScoresT:
    """Mean of every figure of some scores; records and confusion matrices are added.

    >>> mean_scores([Scores(accuracy=1.0, macro_f1=1.0), Scores(accuracy=0.5, macro_f1=0.0)])
    Scores(accuracy=0.75, macro_f1=0.5)
    """
    means = {}
    for field in dataclasses.fields(parts[0]):
        values = [getattr(part, field.name) for part in parts]
        if field.name in COUNTS:
            means[field.name] = sum(values)
        elif field.name == "confusion":
            means[field.name] = _added(values)
        else:
            means[field.name] = _mean(values)
    return dataclasses.replace(parts[0], **means)


def _mean(values: Sequence[Any]) -> Any:
    first = values[0]
    if isinstance(first, float):
        return statistics.fmean(values)
    if isinstance(first, Scores):
        return mean_scores(values)
    if isinstance(first, Mapping):
        return {name: _mean([value[name] for value in values]) for name in first}
    return first


def _added(matrices: Sequence[Matrix]) -> Matrix:
    """Sum of confusion matrices."""
    return plain(np.array(matrices).sum(axis=0))


def mean_of_folds(folds: Sequence[RunMetrics]) -> RunMetrics:
    """Means over folds of what is quoted, and the figures of their summed confusion matrix."""
    mean = mean_scores(folds)
    matrix = np.array(mean.confusion)
    accuracies = [fold.accuracy for fold in folds]
    subsets = zip(*(fold.missing_modalities for fold in folds), strict=True)
    return dataclasses.replace(
        mean,
        class_accuracy=class_accuracies(matrix),
        n_folds=len(folds),
        folds=tuple(part for fold in folds for part in fold.folds),
        accuracy_spread=statistics.stdev(accuracies) if len(folds) > 1 else 0.0,
        pooled_accuracy=accuracy(matrix),
        pooled_macro_f1=macro_f1(matrix),
        missing_modalities=tuple(mean_scores(parts) for parts in subsets),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Average:
    """One figure over folds and seeds."""

    mean: float
    """Over folds, then over seeds."""
    seed_std: float | None
    """Standard deviation over seeds of the mean over folds; None for one seed."""
    fold_std: float | None
    """Standard deviation over folds of the mean over seeds; None for one fold."""
    n_seeds: int
    """Seeds in the mean."""
    n_folds: int
    """Folds in the mean."""


def average(runs: pd.DataFrame, n_folds: int) -> Average:
    """Average ``value`` over ``fold``, then ``seed``; the last of a fold and seed counts.

    Args:
        runs: A row a run, with the three columns.
        n_folds: Seeds that lack folds of these count only where none has all.

    >>> runs = pd.DataFrame({"seed": [0, 0, 1], "fold": list("aba"), "value": [90.0, 80.0, 99.0]})
    >>> average(runs, n_folds=2).mean
    85.0
    """
    runs = runs.drop_duplicates(["seed", "fold"], keep="last")
    complete = runs.groupby("seed")["fold"].transform("size") == n_folds
    runs = runs[complete] if complete.any() else runs
    by_seed = runs.groupby("seed")["value"].mean()
    by_fold = runs.groupby("fold")["value"].mean()
    return Average(
        mean=float(by_seed.mean()),
        seed_std=float(by_seed.std()) if len(by_seed) > 1 else None,
        fold_std=float(by_fold.std()) if len(by_fold) > 1 else None,
        n_seeds=len(by_seed),
        n_folds=len(by_fold),
    )


def natural_key(name: str) -> list[tuple[int, str]]:
    """Sorts names by the numbers in them.

    >>> sorted(["subject-10", "subject-2"], key=natural_key)
    ['subject-2', 'subject-10']
    """
    parts: list[str] = re.findall(r"\d+|\D+", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
