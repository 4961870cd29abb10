"""How far figures can be trusted: intervals, paired tests, calibration.

Plain functions of counts and arrays; they know no run, no file and no model. Wilson's interval
and the bootstrap over records take test records as independent. Records of one person are not, so
an interval that draws people, or the spread over folds of different people, is the wider and the
more honest one.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import ConfigError

N_DRAWS = 10_000
EXACT_UP_TO = 14
"""Pairs up to which every one of the 2^n swaps of signs is counted."""
CALIBRATION_STEPS = 15
N_RESAMPLES = 1000
"""Confusion matrices that are drawn for an interval of macro F1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A figure with its bootstrap interval."""

    value: float
    """On all records."""
    low: float
    """Lower end."""
    high: float
    """Upper end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class McNemar:
    """McNemar's exact test of two predictions of the same records."""

    n_only_first: int
    """Records that only the first has right."""
    n_only_second: int
    """Records that only the second has right."""
    p: float
    """Chance of a difference at least as large if both were equally good; two-sided."""


def wilson(n_correct: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion; (0, 1) where nothing was counted.

    Raises:
        ValueError: the counts are no proportion.

    >>> [round(bound, 3) for bound in wilson(50, 100)]
    [0.404, 0.596]
    """
    if not 0 <= n_correct <= n:
        raise ValueError(f"{n_correct} hits of {n}: wanted between 0 and {n}")
    if n == 0:
        return 0.0, 1.0
    interval = _binomial_test(n_correct, n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def bootstrap_macro_f1(matrix: Sequence[Sequence[int]], seed: int = 0) -> tuple[float, float]:
    """95 % of the macro F1 over resampled records; (0, 1) where there are none.

    Shapes: matrix (K, K), rows true classes.
    """
    counts = np.asarray(matrix, dtype=np.int64)
    n = int(counts.sum())
    if n == 0:
        return 0.0, 1.0
    drawn = np.random.default_rng(seed).multinomial(n, counts.ravel() / n, size=N_RESAMPLES)
    cells = drawn.reshape(N_RESAMPLES, *counts.shape)
    both = cells.sum(axis=1) + cells.sum(axis=2)
    correct = 2 * np.diagonal(cells, axis1=1, axis2=2)
    occurs = both > 0
    f1 = np.divide(correct, both, out=np.zeros(both.shape), where=occurs).sum(axis=1)
    low, high = np.quantile(f1 / occurs.sum(axis=1), [0.025, 0.975])
    return float(low), float(high)


def bootstrap_interval(
    values: NDArray[np.float64],
    clusters: NDArray[np.int64] | None = None,
    *,
    level: float = 0.95,
    n_draws: int = N_DRAWS,
    seed: int = 0,
) -> Interval:
    """Percentile interval of a mean, drawing records with replacement, or whole clusters of them.

    Records of one person are alike, so an interval for new people draws people: ``clusters``
    holds each record's person.

    Shapes: values (N,), clusters (N,).

    Raises:
        ConfigError: there are no values, or the level is not between 0 and 1.
    """
    values = np.asarray(values, dtype=np.float64)
    if not len(values):
        raise ConfigError("values has 0 records: wanted at least one")
    if not 0 < level < 1:
        raise ConfigError(f"level is {level}: wanted a number between 0 and 1, such as 0.95")
    groups = np.arange(len(values)) if clusters is None else np.asarray(clusters)
    _, member = np.unique(groups, return_inverse=True)
    sums = np.bincount(member, weights=values)
    sizes = np.bincount(member)
    random = np.random.default_rng(seed)
    means = np.empty(n_draws)
    for start in range(0, n_draws, 500):
        n = min(500, n_draws - start)
        drawn = random.integers(len(sums), size=(n, len(sums)))
        means[start : start + n] = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value=float(values.mean()), low=float(low), high=float(high))


def mcnemar(first_right: NDArray[np.bool_], second_right: NDArray[np.bool_]) -> McNemar:
    """Test two predictions of the same records; only those that one alone has right count.

    Shapes: (N,) twice.

    Raises:
        ConfigError: the two are not of the same records.
    """
    first, second = np.asarray(first_right, dtype=bool), np.asarray(second_right, dtype=bool)
    if first.shape != second.shape:
        raise ConfigError(
            f"predictions are of {first.size} and of {second.size} records: wanted the same ones"
        )
    n_first, n_second = int((first & ~second).sum()), int((second & ~first).sum())
    p = mcnemar_p(n_first, n_second)
    return McNemar(n_only_first=n_first, n_only_second=n_second, p=p)


def mcnemar_p(n_only_first: int, n_only_second: int) -> float:
    """Two-sided exact p of McNemar's test; 1 where no record tells the two apart.

    >>> mcnemar_p(1, 5)
    0.21875
    """
    n = n_only_first + n_only_second
    return float(_binomial_test(n_only_first, n).pvalue) if n else 1.0


def _binomial_test(k: int, n: int) -> Any:
    """SciPy's exact test of k out of n against a half; its result has an interval too."""
    from scipy.stats import binomtest  # takes a second: not for every training

    return binomtest(k, n)


def paired_test(
    differences: NDArray[np.float64], *, n_draws: int = N_DRAWS, seed: int = 0
) -> float:
    """Chance of a mean difference at least as large if each pair's sign were a coin's throw.

    For pairs such as folds, people or seeds. Exact for up to 14 pairs; with n pairs the smallest
    possible value is 2 / 2^n, so few pairs cannot show much.

    Shapes: (n,).

    Raises:
        ConfigError: there are no pairs.
    """
    differences = np.asarray(differences, dtype=np.float64)
    n = len(differences)
    if not n:
        raise ConfigError("differences has 0 pairs: wanted at least one")
    observed = abs(differences.mean()) - 1e-12
    if n <= EXACT_UP_TO:
        signs = np.array(list(itertools.product((-1.0, 1.0), repeat=n)))
        return float((np.abs(signs @ differences / n) >= observed).mean())
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(n_draws, n))
    n_as_large = int((np.abs(signs @ differences / n) >= observed).sum())
    return (n_as_large + 1) / (n_draws + 1)


def calibration_error(
    probabilities: NDArray[np.float64],
    labels: NDArray[np.int64],
    n_steps: int = CALIBRATION_STEPS,
) -> float:
    """Mean distance between confidence and accuracy, over equally filled steps of confidence.

    Shapes: probabilities (N, K), labels (N,).

    Raises:
        ConfigError: probabilities and labels are of different numbers of records.
    """
    probabilities, labels = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    if len(probabilities) != len(labels):
        raise ConfigError(
            f"probabilities are of {len(probabilities)} records, labels of {len(labels)}: "
            "wanted the same"
        )
    if not len(labels):
        return 0.0
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    total = 0.0
    for step in np.array_split(np.argsort(confidence, kind="stable"), n_steps):
        if len(step):
            total += len(step) * abs(float(right[step].mean() - confidence[step].mean()))
    return total / len(labels)
