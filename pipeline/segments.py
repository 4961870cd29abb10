"""Windows, pooling and temporal alignment: the arithmetic of generalized encoding (paper 3.1).

A stream of T rows becomes S *segments* by a sliding window, each segment its average, and the S
averages become P *patches* that every record has alike. Rows and segments are placed by the
*fraction* of the record, never by nominal rates: row i of T is centred at (i + 1/2) / T. Between
the centres of its segments a stream is taken as piecewise linear, and patch p is that curve's mean
over [p/P, (p+1)/P]. One rule serves P < S (averaging) and P > S (interpolation), it keeps
constants and, inside the record, straight lines, and the patches tile the record.

Pure arithmetic: this module reads no file and knows no modality.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def window_starts(n_rows: int, window: int, stride: int) -> NDArray[np.int64]:
    """First row of each window; together the windows cover every row.

    A stream shorter than the window is one segment. Where the stride leaves rows at the end, one
    more window ends on the last row.

    Shapes: returns (S,).
    """
    if min(n_rows, window, stride) < 1:
        raise ValueError(
            f"n_rows {n_rows}, window {window}, stride {stride}: wanted each at least 1"
        )
    last = max(n_rows - window, 0)
    starts = np.arange(0, last + 1, stride, dtype=np.int64)
    return starts if starts[-1] == last else np.append(starts, last)


@lru_cache(maxsize=4096)
def alignment(n_rows: int, window: int, stride: int, n_patches: int) -> NDArray[np.float64]:
    """The linear map from T rows to P patches: sliding window, average, alignment.

    Every row of the map sums to one.

    Shapes: returns (P, T).

    Raises:
        ValueError: a count is below 1.
    """
    if n_patches < 1:
        raise ValueError(f"n_patches {n_patches}: wanted at least 1")
    starts = window_starts(n_rows, window, stride)
    width = min(window, n_rows)
    pool = np.zeros((len(starts), n_rows))
    for segment, start in enumerate(starts):
        pool[segment, start : start + width] = 1.0 / width
    centres = (starts + width / 2) / n_rows
    weights = _mean_of_interpolant(centres, n_patches) @ pool
    weights.setflags(write=False)
    return weights


def _mean_of_interpolant(centres: NDArray[np.float64], n_patches: int) -> NDArray[np.float64]:
    """Means over P equal bins of the curve through (centres, values), as a map of the values.

    The curve is flat before the first centre and after the last. Between neighbouring knots it is
    straight, so the trapezoid rule is exact.

    Shapes: centres (S,) in [0, 1]; returns (P, S).
    """
    edges = np.arange(n_patches + 1) / n_patches
    knots = np.union1d(edges, centres)
    at_knots = np.empty((len(knots), len(centres)))
    for segment in range(len(centres)):
        unit = np.zeros(len(centres))
        unit[segment] = 1.0
        at_knots[:, segment] = np.interp(knots, centres, unit)
    middles = (at_knots[1:] + at_knots[:-1]) / 2
    widths = np.diff(knots)
    bins = np.minimum((knots[:-1] * n_patches + 1e-9).astype(np.int64), n_patches - 1)
    mean = np.zeros((n_patches, len(centres)))
    np.add.at(mean, bins, middles * widths[:, None])
    normalised: NDArray[np.float64] = mean / mean.sum(axis=1, keepdims=True)
    return normalised


def to_patches(
    values: NDArray[np.float32], *, window: int, stride: int, n_patches: int
) -> NDArray[np.float32]:
    """Pool and align one stream.

    Sums are carried in double precision, so that the result does not depend on the machine's
    summation order beyond the last bit of a single.

    Shapes: values (T, D); returns (P, D).
    """
    weights = alignment(len(values), window, stride, n_patches)
    return (weights @ values.astype(np.float64)).astype(np.float32)
