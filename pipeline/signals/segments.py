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

from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def window_starts(n_rows: int, window: int, stride: int) -> NDArray[np.int64]:
    """First row of each window; together the windows cover every row.

    A stream shorter than the window is one segment. Where the stride leaves rows at the end, one
    more window ends on the last row.

    Shapes: returns (S,).

    Raises:
        ValueError: a count is below 1, or the stride leaves rows between windows.
    """
    if min(n_rows, window, stride) < 1:
        raise ValueError(
            f"n_rows {n_rows}, window {window}, stride {stride}: wanted each at least 1"
        )
    if stride > window:
        raise ValueError(
            f"stride {stride} is longer than window {window}: rows between windows would not count"
        )
    last = max(n_rows - window, 0)
    starts = np.arange(0, last + 1, stride, dtype=np.int64)
    return starts if starts[-1] == last else np.append(starts, last)


def alignment(n_rows: int, window: int, stride: int, n_patches: int) -> NDArray[np.float64]:
    """The linear map from T rows to P patches: sliding window, average, alignment.

    Every row of the map sums to one.

    Shapes: returns (P, T).

    Raises:
        ValueError: a count is below 1, or the stride exceeds the window.
    """
    weights = np.zeros((n_patches, n_rows))
    for patches, rows, bands in _alike(n_rows, window, stride, n_patches):
        weights[patches[:, None], rows] = bands
    return weights


GATHERED_NUMBERS = 1 << 20
"""Patches are made together as long as they draw on no more numbers than this."""


@lru_cache(maxsize=256)
def _alike(
    n_rows: int, window: int, stride: int, n_patches: int
) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]], ...]:
    """The parts of the map that are not zero, of patches that draw on as many rows as each other.

    Memory and time follow T and P, not T * T. Of each group: the patches' places, the rows that
    they draw on, those rows' weights.

    Shapes: of each group (N,), (N, L), (N, L).
    """
    if n_patches < 1:
        raise ValueError(f"n_patches {n_patches}: wanted at least 1")
    starts = window_starts(n_rows, window, stride)
    width = min(window, n_rows)
    of_segments = _mean_of_interpolant((starts + width / 2) / n_rows, n_patches)
    patches, used = np.nonzero(of_segments)
    ends = np.append(np.flatnonzero(np.diff(patches)), len(patches) - 1)
    first = starts[used[np.append(0, ends[:-1] + 1)]]
    lengths = starts[used[ends]] + width - first
    # A segment's share is a step up where its window begins and a step down where it ends.
    steps = np.zeros((n_patches, int(lengths.max()) + 1))
    shares, at = of_segments[patches, used], starts[used] - first[patches]
    steps[patches, at] += shares
    steps[patches, at + width] -= shares
    weights = np.cumsum(steps, axis=1) / width
    groups = []
    for length in np.unique(lengths):
        own = np.flatnonzero(lengths == length)
        rows = first[own, None] + np.arange(length)
        groups.append((own, rows, np.ascontiguousarray(weights[own, :length])))
    return tuple(groups)


def _mean_of_interpolant(centres: NDArray[np.float64], n_patches: int) -> NDArray[np.float64]:
    """Means over P equal bins of the curve through (centres, values), as a map of the values.

    The curve is flat before the first centre and after the last. Between neighbouring knots it is
    straight, so its mean there is its value half-way.

    Shapes: centres (S,) in [0, 1], rising; returns (P, S).
    """
    edges = np.arange(n_patches + 1) / n_patches
    knots = np.union1d(edges, centres)
    halfway, widths = (knots[1:] + knots[:-1]) / 2, np.diff(knots)
    bins = np.minimum((halfway * n_patches).astype(np.int64), n_patches - 1)
    after = np.searchsorted(centres, halfway)
    left, right = np.maximum(after - 1, 0), np.minimum(after, len(centres) - 1)
    span = centres[right] - centres[left]
    share = np.divide(halfway - centres[left], span, out=np.zeros_like(span), where=span > 0)
    mean = np.zeros((n_patches, len(centres)))
    np.add.at(mean, (bins, left), widths * (1 - share))
    np.add.at(mean, (bins, right), widths * share)
    normalised: NDArray[np.float64] = mean / mean.sum(axis=1, keepdims=True)
    return normalised


def averaged_frames(
    blocks: Iterable[NDArray[np.uint8]], *, window: int, stride: int
) -> Iterator[NDArray[np.uint8]]:
    """The average picture of each window of a film, by the windows of :func:`window_starts`.

    No more than a window and a block of frames are held.

    Shapes: blocks (n, H, W) or (n, H, W, 3); yields the same, S in all.
    """
    held: NDArray[np.uint8] | None = None
    first, start = 0, 0  # of the film: the first frame that is held, where the next window begins
    last_end = 0
    for block in blocks:
        held = block if held is None else np.concatenate([held, block])
        means = []
        while start + window <= first + len(held):
            means.append(_mean_frame(held[start - first : start - first + window]))
            last_end, start = start + window, start + stride
        kept = max(min(start, first + len(held) - window), first)
        held, first = held[kept - first :], kept
        if means:
            yield np.stack(means)
    if held is not None and last_end < first + len(held):
        yield _mean_frame(held[-window:])[None]


def _mean_frame(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    mean: NDArray[np.uint8] = np.rint(frames.mean(axis=0)).astype(np.uint8)
    return mean


def median(numbers: NDArray[np.float64]) -> float:
    """The median of some numbers; ``numpy.median`` gives the same and takes short ones far longer.

    Shapes: (N,), none of them NaN.

    Example:
        >>> median(np.array([4.0, 1.0, 2.0, 8.0]))
        3.0
    """
    half, is_odd = divmod(len(numbers), 2)
    middle = np.partition(numbers, half if is_odd else (half - 1, half))
    return float(middle[half] if is_odd else (middle[half - 1] + middle[half]) / 2)


def to_patches(
    values: NDArray[np.float32], *, window: int, stride: int, n_patches: int
) -> NDArray[np.float32]:
    """Pool and align one stream.

    Sums are carried in double precision, in one order whatever the number of threads: the bits of
    the result depend neither on how many workers there are nor on a linear-algebra library.

    Shapes: values (T, D); returns (P, D).

    Raises:
        ValueError: as :func:`alignment`.
    """
    wide = values.astype(np.float64)
    pooled = np.empty((n_patches, values.shape[1]), np.float32)
    for patches, rows, weights in _alike(len(values), window, stride, n_patches):
        n_each = max(1, GATHERED_NUMBERS // (rows.shape[1] * values.shape[1]))
        for some in (slice(i, i + n_each) for i in range(0, len(patches), n_each)):
            pooled[patches[some]] = np.einsum("pt,ptd->pd", weights[some], wide.take(rows[some], 0))
    return pooled
