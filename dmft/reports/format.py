"""Figures in words: percent, points, intervals, counts; and the cells that show them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from dmft.reports.load import Measured
from pipeline.common.page import Number

METRIC_NAMES = {"accuracy": "accuracy", "macro_f1": "macro F1"}


def hits_of(matrix: Sequence[Sequence[int]]) -> tuple[int, int]:
    """Records on the diagonal of a confusion matrix, and all of them."""
    return sum(row[i] for i, row in enumerate(matrix)), sum(map(sum, matrix))


def metric_of(run: Measured) -> str:
    """Key of the figure that a run's protocol is quoted by."""
    return run.info.source.protocol.metric


def percent(part: float) -> str:
    """``97.90 %``."""
    return f"{100 * part:.2f} %"


def interval(bounds: tuple[float, float]) -> str:
    """``95.2 – 99.1 %``."""
    return f"{100 * bounds[0]:.1f} – {100 * bounds[1]:.1f} %"


def count(n: int, what: str) -> str:
    """``1 fold``, ``8 folds``."""
    return f"{n} {what}{'' if n == 1 else 's'}"


def seeds(group: Sequence[Measured]) -> str:
    """How many seeds some runs have."""
    return count(len({run.info.spec.seed for run in group}), "seed")


def over_seeds(runs: Sequence[Measured], metric: str) -> str:
    """The spread over runs, and their number; nothing for one."""
    values = [run.metrics.score(metric) for run in runs]
    return f" ± {percent(statistics.stdev(values))} ({len(values)})" if len(values) > 1 else ""


def share(part: float) -> Number:
    """A cell of a part."""
    return Number(part, percent(part))


def change(part: float) -> Number:
    """A cell of a difference between parts, in points."""
    return Number(part, f"{100 * part:+.2f}")


def whole(n: int) -> Number:
    """A cell of a count."""
    return Number(n, f"{n:,}")


def gain(means: Mapping[str, float], first: str, second: str) -> Number:
    """A cell of the first less the second, where both are there."""
    if first not in means or second not in means:
        return Number(None, "–")
    return change(means[first] - means[second])
