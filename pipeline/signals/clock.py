"""Time stamps as recorders write them, mended where that is certain and refused where it is not.

A clock is set while it records (an hour back at the end of summer time), or stamps many rows
alike (whole or half seconds). One jump between two steady halves is taken back, and rows that
share a stamp are spread over the time until the next. Rows that merely stand in another order are
sorted. Anything else that no sampling rate explains is refused, with its time and its size.

Pure arithmetic: this module reads no file and knows no modality.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]

BACK_S, BACK_ROWS = 0.1, 5
"""A step back by more than both is a clock that was set, unless rows stand out of order."""
AHEAD_S, AHEAD_ROWS = 10.0, 50
"""A step forward by more than both is one too; a sensor that paused for less is believed."""
COARSE = 0.1
"""Where more than this part of the rows have the stamp of the row before, stamps are coarse."""


OVERLAID = 0.05
"""More such short steps than before, as a part of all, are rows of two times on one another."""


UNEVEN = 0.5
"""A step that differs by more than this part of the usual one makes rows uneven."""

PARTS, PART_ROWS = 8, 16
"""A recording's rate is looked at in so many parts, or in fewer of so many steps."""
STEADY, NEAR = 0.8, 0.25
"""A part is steady where at least this part of its steps differs from the median by less than
that part of it; of rows that come when something happens, no part is."""


class ClockError(ValueError):
    """Time stamps that are not to be understood."""


def spread_shared(times_s: Times, values: NDArray[np.float64]) -> Times:
    """Rows of coarse stamps, spread evenly from their stamp to the next, in the file's order.

    Nothing is changed where few rows share a stamp, or where rows are written twice.

    Shapes: times_s (T,), values (T, D) -> the same.

    Example:
        >>> stamps, rows = np.array([0.0, 0.0, 0.5, 0.5]), np.arange(4.0)[:, None]
        >>> spread_shared(stamps, rows).tolist()
        [0.0, 0.25, 0.5, 0.75]
    """
    again = np.diff(times_s, prepend=np.nan) == 0
    same = again & (values == np.roll(values, 1, axis=0)).all(axis=1)
    stamps, at, counts = np.unique(times_s, return_inverse=True, return_counts=True)
    written_twice = counts.max(initial=0) <= 2 and (same == again).all()
    if again.mean() <= COARSE or written_twice:
        return times_s
    usual = float(np.median(np.diff(stamps))) if len(stamps) > 1 else 1.0
    width = np.minimum(np.diff(stamps, append=stamps[-1] + usual), usual)
    order = np.argsort(at, kind="stable")
    rank = np.empty(len(at))
    rank[order] = np.arange(len(at)) - np.repeat(np.cumsum(counts) - counts, counts)
    return times_s + rank / counts[at] * width[at]


def mend_jump(times_s: Times) -> Times:
    """Times in the file's order, one jump of the clock taken back.

    Shapes: (T,) -> (T,), not sorted where rows stand out of order.

    Raises:
        ClockError: several jumps, or one in rows that are out of order as well.
    """
    steps = np.diff(times_s)
    if not len(steps):
        return times_s
    usual = float(np.median(np.abs(steps)))
    ahead = max(AHEAD_S, AHEAD_ROWS * usual)
    jumps = np.flatnonzero((steps < -max(BACK_S, BACK_ROWS * usual)) | (steps > ahead))
    gaps = np.diff(np.sort(times_s))
    # Sorting mends rows out of order; of a clock that was set it makes a gap, or lays what came
    # before and after over each other, row between row.
    overlaid = _short(gaps, usual) > _short(np.abs(steps), usual) + OVERLAID
    if not len(jumps) or ((gaps <= ahead).all() and not overlaid):
        return times_s
    size, cut = float(steps[jumps[0]]), int(jumps[0]) + 1
    if len(jumps) == 1 and (np.delete(steps, jumps) >= 0).all():
        return np.concatenate([times_s[:cut], times_s[cut:] - size + usual])
    raise ClockError(
        f"has a clock that jumps {len(jumps)} times, the first by {size:+.1f} s after row {cut}: "
        "wanted steady time stamps, or one jump between two steady halves"
    )


def _short(steps: Times, usual: float) -> float:
    """Part of the steps that are far below the usual one."""
    return float((steps < 0.45 * usual).mean())


def steady_rates(times_s: Times) -> list[tuple[range, float]]:
    """Rows and the rate, in Hz, of each stretch of a recording in which rows come steadily.

    Shapes: times_s (T,), rising.

    Example:
        >>> changing = np.append(np.arange(20) * 0.02, 0.4 + np.arange(20) * 0.01)
        >>> [(rows.start, rows.stop, round(hz)) for rows, hz in steady_rates(changing)]
        [(0, 21, 50), (20, 40, 100)]
    """
    steps = np.diff(times_s)
    found: list[tuple[range, float]] = []
    first = 0
    for part in np.array_split(steps, max(1, min(PARTS, len(steps) // PART_ROWS))):
        usual = float(np.median(part)) if len(part) else 0.0
        if usual > 0 and (np.abs(part - usual) <= NEAR * usual).mean() >= STEADY:
            rows, rate_hz = range(first, first + len(part) + 1), 1 / usual
            if found and found[-1][0].stop == first + 1 and _is_like(found[-1][1], rate_hz):
                before, rate_hz = found.pop()
                rows = range(before.start, rows.stop)
            found.append((rows, rate_hz))
        first += len(part)
    return found


def _is_like(one_hz: float, other_hz: float) -> bool:
    return abs(one_hz - other_hz) <= NEAR * min(one_hz, other_hz)


def is_coarse(times_s: Times) -> bool:
    """Whether so many rows share a stamp that stamps do not tell how far apart rows are.

    Shapes: times_s (T,).
    """
    return len(np.unique(times_s)) < (1 - COARSE) * len(times_s)


def rows_by_clock(times_s: Times) -> NDArray[np.intp] | None:
    """The row that is shown at each step of an even clock; None where rows are even themselves.

    A frame is shown until the next one comes. The clock ticks at the usual distance of the rows.

    Shapes: times_s (T,), rising -> (T',).

    Example:
        >>> rows_by_clock(np.array([0.0, 0.1, 0.2, 0.5])).tolist()
        [0, 1, 2, 2, 2, 3]
    """
    steps = np.diff(times_s)
    if not len(steps):
        return None
    usual = float(np.median(steps))
    if np.abs(steps - usual).max() <= UNEVEN * usual:
        return None
    n = round((times_s[-1] - times_s[0]) / usual) + 1
    ticks = times_s[0] + (np.arange(n) + 0.5) * usual
    rows: NDArray[np.intp] = np.searchsorted(times_s, ticks, side="right") - 1
    return rows
