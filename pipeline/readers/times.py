"""Time stamps as files write them to seconds, and rows to the order of their times."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import refuse
from pipeline.datasets.reading import TIME_UNITS
from pipeline.readers.limits import Limits
from pipeline.signals.clock import ClockError, mend_jump, spread_shared, steady_rates

MIXED = 1.5
"""Times by which the rates of two steady parts of one file may differ, where none is stated."""
_EPOCH = "2000-01-01"
_FRACTION = ".%f"
_FRACTIONAL = re.compile(r"(.*:[0-9]{2})(\.[0-9]{1,9})?", re.ASCII)
"""A time's whole seconds and their fraction."""


def is_number(time_format: str) -> bool:
    """Whether times are numbers, and not dates."""
    return time_format in TIME_UNITS


def seconds_of_dates(
    stamps: Sequence[str], time_format: str, path: str, where: Callable[[int], str]
) -> NDArray[np.float64]:
    """Seconds from an arbitrary day to each date; a fraction of a second may be left out.

    Args:
        stamps: T texts.
        time_format: ``iso8601``, or as strptime has it.
        path: The file, for errors.
        where: Place of a row, for errors.

    Shapes: returns (T,).

    Raises:
        RecordingError: a text that is no such date, by its place.
    """
    import pandas as pd

    asked = "ISO8601" if time_format == "iso8601" else time_format
    seconds_s = (
        _with_fractions(stamps, asked.removesuffix(_FRACTION))
        if asked.endswith(f":%S{_FRACTION}")
        else None
    )
    if seconds_s is not None:
        return seconds_s
    texts = pd.Series(list(stamps), dtype=object)
    if asked.endswith(_FRACTION):
        seconds = texts.str.rsplit(":", n=1).str[-1]  # a date may have points of its own
        texts = texts.where(seconds.str.contains(".", regex=False), texts + ".0")
    try:
        dates = pd.to_datetime(texts, format=asked, errors="coerce", utc=True)
    except (ValueError, TypeError) as error:
        raise refuse(path, f"has times that {time_format!r} does not read: {error}") from error
    if dates.isna().any():
        row = int(np.argmax(dates.isna()))
        raise refuse(
            path, f"{where(row)}: the time is {stamps[row]!r}, wanted {time_format}", "read"
        )
    since = dates.dt.tz_localize(None) - pd.Timestamp(_EPOCH)
    return seconds_of_ticks(since.astype("timedelta64[ns]").astype("int64").to_numpy())


def _with_fractions(stamps: Sequence[str], whole_format: str) -> NDArray[np.float64] | None:
    """Seconds to dates whose fraction is parted by a point; None where one is no such date.

    Many rows are of one second, so each second is parsed once.

    Shapes: returns (T,).
    """
    import pandas as pd

    parted = [_FRACTIONAL.fullmatch(stamp) for stamp in stamps]
    if None in parted:
        return None
    wholes = [match[1] for match in parted if match]
    different = list(dict.fromkeys(wholes))
    dates = pd.to_datetime(pd.Series(different), format=whole_format, errors="coerce", utc=True)
    if dates.isna().any():
        return None
    since = (dates.dt.tz_localize(None) - pd.Timestamp(_EPOCH)) // pd.Timedelta(seconds=1)
    seconds_of = dict(zip(different, since.tolist(), strict=True))
    seconds = np.array([seconds_of[whole] for whole in wholes], np.float64)
    return seconds + np.array([match[2] or "0" for match in parted if match], np.float64)


def seconds_of_ticks(ticks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Nanoseconds as seconds.

    Shapes: (T,) -> (T,).
    """
    whole, fraction = np.divmod(ticks, 1_000_000_000)  # apart: neither loses a bit
    seconds: NDArray[np.float64] = whole.astype(np.float64) + fraction / 1e9
    return seconds


def in_order_of_time(
    times_s: NDArray[np.float64], values: NDArray[np.float64], path: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows sorted by time, the first of those with the same one, once the clock has been mended.

    Shapes: times_s (T,), values (T, D) -> the same with as many rows or fewer.

    Raises:
        RecordingError: a clock that jumps more than once, or rows too far apart.
    """
    try:
        times_s = mend_jump(spread_shared(times_s, values))
    except ClockError as error:
        raise refuse(path, str(error)) from error
    times_s, first = np.unique(times_s, return_index=True)
    check_span(float(times_s[-1] - times_s[0]), path)
    return times_s, values[first]


def check_span(span_s: float, path: str) -> None:
    """Refuse rows that are resampled over more time than a recording may take.

    Raises:
        RecordingError: they are.
    """
    limit_s = Limits.of_environment().seconds
    if span_s > limit_s:
        raise refuse(
            path,
            f"spans {span_s:.0f} s from its first time stamp to its last: wanted at "
            f"most {limit_s:.0f} s (DMFT_MAX_SECONDS sets it)",
        )


def check_rate(
    times_s: NDArray[np.float64], rate_hz: float | None, path: str, *, may_change: bool = False
) -> None:
    """Refuse rows whose rate changes within the file, or is not what a description says.

    Args:
        times_s: Of the rows, rising.
        rate_hz: What the description says; None where it says nothing.
        path: The file, for errors.
        may_change: Whether the rate may change.

    Shapes: times_s (T,).

    Raises:
        RecordingError: two steady parts differ by more than a half, or the median step is more
            than a fifth off what is said, or that of a steady part.
    """
    if len(times_s) < 3:
        return
    found = 1 / float(np.median(np.diff(times_s)))
    if rate_hz is not None and not _is_near(found, rate_hz):
        raise refuse(
            path,
            f"has rows at {found:.4g} Hz by its times: wanted {rate_hz:g} Hz, as the description "
            "says; state the rate of these files, or leave rate_hz out where rates differ",
        )
    if may_change:
        return
    parts = sorted(steady_rates(times_s), key=lambda part: part[1])
    if len(parts) < 2:
        return
    slow, fast = parts[0], parts[-1]
    if rate_hz is None:
        is_one, wanted = fast[1] <= MIXED * slow[1], "one rate"
    else:
        is_one = _is_near(slow[1], rate_hz) and _is_near(fast[1], rate_hz)
        wanted = f"{rate_hz:g} Hz throughout"
    if not is_one:
        (before, its_hz), (after, others_hz) = sorted((slow, fast), key=lambda part: part[0].start)
        raise refuse(
            path,
            f"comes at {its_hz:.4g} Hz in rows {before.start + 1} to {before.stop} by its times, "
            f"and at {others_hz:.4g} Hz in rows {after.start + 1} to {after.stop}: wanted "
            f'{wanted}; cut the file where the rate changes, or say mixed_rates = "accept" where '
            "its times are to be believed",
        )


def _is_near(found_hz: float, wanted_hz: float) -> bool:
    return 0.8 * wanted_hz <= found_hz <= 1.25 * wanted_hz
