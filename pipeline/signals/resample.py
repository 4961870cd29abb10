"""Streams on clocks of their own to rows on one grid: interpolation on time stamps.

Devices sample at other rates than they promise, and now and then by another clock. Streams whose
clocks overlap are laid on one clock, from the first row of any of them to the last. A stream that
does not overlap with them (its device's clock was set otherwise) is laid over the same span by
the fraction of the record: its first row at the start, its last at the end. Between rows a stream
is straight; before its first and after its last row it holds that row.

Pure arithmetic: this module reads no file and knows no modality.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pipeline.signals.recording import Signal, Streams

MIN_OVERLAP = 0.5
"""Two streams have one clock if they overlap by this part of the shorter one, or by more."""

Span = tuple[float, float]
"""First and last second."""


def join(streams: Streams, rate_hz: float) -> Signal:
    """Rows of all streams side by side, on a grid of ``rate_hz`` from the first row on.

    The columns of a stream that is missing are zero. Where a record may have several streams, a
    column for each follows that is 1 where the stream is there and 0 where it is missing.

    Shapes: streams of (T_i, D_i) -> values (T, sum of D_i, and M more for M > 1 streams).
    """
    spans = {
        name: (float(signal.times_s[0]), float(signal.times_s[-1]))
        for name, signal in streams.signals.items()
    }
    on_clock = common_clock(spans)
    start = min(spans[name][0] for name in on_clock)
    end = max(spans[name][1] for name in on_clock)
    n_rows = int((end - start) * rate_hz + 1e-3) + 1  # the last row counts, but for rounding
    grid = start + np.arange(n_rows) / rate_hz
    columns = []
    for name, width in streams.widths.items():
        if name not in streams.signals:
            columns.append(np.zeros((n_rows, width)))
            continue
        times_s = streams.signals[name].times_s
        if name not in on_clock:
            first, last = spans[name]
            share = (times_s - first) / (last - first) if last > first else times_s - first
            times_s = start + share * (end - start)
        values = streams.signals[name].values.T
        columns.append(np.stack([np.interp(grid, times_s, column) for column in values], axis=1))
    if len(streams.widths) > 1:
        is_present = np.array([float(name in streams.signals) for name in streams.widths])
        columns.append(np.broadcast_to(is_present, (n_rows, len(is_present))))
    values = np.ascontiguousarray(np.concatenate(columns, axis=1), dtype=np.float32)
    return Signal(values=values, times_s=grid - start)


def common_clock(spans: Mapping[str, Span]) -> list[str]:
    """The streams of the largest group that overlaps with one of its members; the first if tied."""
    groups = [[other for other in spans if _overlap(spans[one], spans[other])] for one in spans]
    return max(groups, key=len)


def _overlap(one: Span, other: Span) -> bool:
    shared = min(one[1], other[1]) - max(one[0], other[0])
    shorter = min(one[1] - one[0], other[1] - other[0])
    return shared >= MIN_OVERLAP * shorter and shared >= 0
