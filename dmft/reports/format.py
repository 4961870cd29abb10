"""Figures in words: percent, intervals, counts."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

METRIC_NAMES = {"accuracy": "accuracy", "macro_f1": "macro F1"}


def hits_of(matrix: Sequence[Sequence[int]]) -> tuple[int, int]:
    """Records on the diagonal of a confusion matrix, and all of them."""
    return sum(row[i] for i, row in enumerate(matrix)), sum(map(sum, matrix))


def percent(part: float) -> str:
    """``97.90 %``."""
    return f"{100 * part:.2f} %"


def interval(bounds: Sequence[float]) -> str:
    """``95.2 – 99.1 %``."""
    return f"{100 * bounds[0]:.1f} – {100 * bounds[1]:.1f} %"


def count(n: int, what: str) -> str:
    """``1 fold``, ``8 folds``."""
    return f"{n} {what}{'' if n == 1 else 's'}"


def mean_and_spread(values: Sequence[float]) -> str:
    """``97.90 % ± 0.31 % (3)``; of one value itself alone."""
    several = f" ± {percent(statistics.stdev(values))} ({len(values)})" if len(values) > 1 else ""
    return f"{percent(statistics.fmean(values))}{several}"
