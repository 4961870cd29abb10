"""How sure a figure is: intervals of a proportion and of a macro F1.

They treat test records as independent. Records of one person are not, so the spread over folds
of different people is the wider and the more honest of the two; the report shows both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Z95 = 1.959963984540054
N_RESAMPLES = 1000


def wilson(n_hits: int, n: int, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval of a proportion; (0, 1) where nothing was counted.

    Raises:
        ValueError: the counts are no proportion.
    """
    if not 0 <= n_hits <= n:
        raise ValueError(f"{n_hits} hits of {n}: wanted between 0 and {n}")
    if n == 0:
        return 0.0, 1.0
    part, shrink = n_hits / n, 1 + z * z / n
    middle = (part + z * z / (2 * n)) / shrink
    half = z * math.sqrt(part * (1 - part) / n + z * z / (4 * n * n)) / shrink
    low = 0.0 if n_hits == 0 else middle - half
    return low, 1.0 if n_hits == n else middle + half


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
    hits = 2 * np.diagonal(cells, axis1=1, axis2=2)
    occurs = both > 0
    f1 = np.divide(hits, both, out=np.zeros(both.shape), where=occurs).sum(axis=1)
    low, high = np.quantile(f1 / occurs.sum(axis=1), [0.025, 0.975])
    return float(low), float(high)


def sign_test(n_first: int, n_second: int) -> float:
    """Two-sided exact p of McNemar's test: records that only the first, or only the second, got."""
    n, least = n_first + n_second, min(n_first, n_second)
    tail = sum(math.comb(n, k) for k in range(least + 1))
    # Whole numbers until the last step: 2 ** n does not fit a float for thousands of records.
    return min(1.0, float(2 * tail / 2**n)) if n < 1000 else _normal_sign_test(n, least)


def _normal_sign_test(n: int, least: int) -> float:
    distance = (n / 2 - least - 0.5) / math.sqrt(n / 4)
    return min(1.0, math.erfc(max(distance, 0.0) / math.sqrt(2)))
