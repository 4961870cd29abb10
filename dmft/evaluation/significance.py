"""How far figures can be trusted: intervals, paired tests, calibration.

Plain functions of arrays; they know no run, no file and no model. Tests are exact where the
numbers are small enough to count every case.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import ConfigError

N_DRAWS = 10_000
EXACT_UP_TO = 14
"""Pairs up to which every one of the 2^n swaps of signs is counted."""
CALIBRATION_STEPS = 15


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
    n = n_first + n_second
    # Whole numbers all the way: the smaller tail of the binomial, doubled.
    tail = sum(math.comb(n, k) for k in range(min(n_first, n_second) + 1))
    p = min(1.0, float(2 * tail / 2**n)) if n else 1.0
    return McNemar(n_only_first=n_first, n_only_second=n_second, p=p)


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
    found = abs(differences.mean()) - 1e-12
    if n <= EXACT_UP_TO:
        signs = np.array(list(itertools.product((-1.0, 1.0), repeat=n)))
        return float((np.abs(signs @ differences / n) >= found).mean())
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(n_draws, n))
    hits = int((np.abs(signs @ differences / n) >= found).sum())
    return (hits + 1) / (n_draws + 1)


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
