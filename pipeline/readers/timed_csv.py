"""Rows of a CSV file without a header: a time stamp, then numbers.

The time is ``%Y%m%d_%H:%M:%S``, with or without a fraction of a second. Rows are sorted by time,
and of rows with the same time the first is kept, once the clock has been looked at
(:mod:`pipeline.signals.clock`). Nothing is skipped: a line that is not what it
should be refuses the file, by its number. All rows are parsed at once by ``pandas.read_csv``; the
line is only looked for when something is wrong.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import RecordingError
from pipeline.readers.limits import Limits
from pipeline.readers.times import in_order_of_time

MAX_LINE_BYTES = 256
"""On average; a published line has some 60."""
_TIME = re.compile(r"\d{8}_([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?", re.ASCII)
_STAMP = 17
"""Characters of a time stamp up to its seconds."""
_EPOCH = datetime(2000, 1, 1)
_MAX_VALUE = float(np.finfo(np.float32).max)
_TO_SPACE = bytes.maketrans(b"\r\t\v\f", b"    ")
_CHARACTERS = b"0123456789_:.,+-eE \n"
"""All that a file is written in; pandas alone would also read ``true`` as 1."""


def read_rows(
    content: bytes, n_values: int, path: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Time stamps and values of every row, in the order of time; none of an empty file.

    Rows that share a coarse stamp, as whole seconds are, are spread evenly over it.

    Shapes: returns times_s (T,) in seconds of the recorder's clock, values (T, n_values).

    Example:
        >>> lines = b"20181016_13:37:28.50,1,2\\n20181016_13:37:28.25,3,4\\n"
        >>> times_s, values = read_rows(lines, 2, "gyro.csv")
        >>> (times_s - times_s[0]).tolist(), values.tolist()
        ([0.0, 0.25], [[3.0, 4.0], [1.0, 2.0]])

    Raises:
        RecordingError: a line that is not a time and ``n_values`` finite numbers, by its number;
            more bytes than a recording has; rows too far apart; a clock that jumps
            more than once.
    """
    limits = Limits.of_environment()
    n_lines = content.count(b"\n") + 1
    if n_lines > limits.rows or len(content) > MAX_LINE_BYTES * limits.rows:
        _refuse(
            path,
            None,
            f"holds {n_lines} lines in {len(content)} bytes: wanted at most {limits.rows} lines "
            f"of {MAX_LINE_BYTES} bytes (DMFT_MAX_ROWS sets it)",
        )
    text = content.removeprefix(codecs.BOM_UTF8).translate(_TO_SPACE)
    if not text.strip():
        return np.empty(0), np.empty((0, n_values))
    try:
        times_s, values = _parse(text, n_values)
    except ValueError as error:
        for number, line in enumerate(text.split(b"\n"), start=1):
            if line.strip() and (wanted := _what_is_wrong(line, n_values)):
                shown = line.decode(errors="replace").strip(" ")
                shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
                _refuse(path, number, f"is {shown!r}: {wanted}")
        raise AssertionError(f"{path}: {error}, and no line is wrong") from error
    return in_order_of_time(times_s, values, path)


def _parse(text: bytes, n_values: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Time and values of every row, in the file's order.

    Raises:
        ValueError: some line is not what it should be.
    """
    import pandas as pd

    if text.translate(None, _CHARACTERS):
        raise ValueError("a character that no row is written in")
    columns: dict[int, Any] = {0: object, **dict.fromkeys(range(1, n_values + 1), np.float64)}
    table = pd.read_csv(
        io.BytesIO(text),
        header=None,
        names=list(columns),
        dtype=columns,
        na_filter=False,
        quoting=csv.QUOTE_NONE,
        lineterminator="\n",
    )
    values = table.iloc[:, 1:].to_numpy()
    if text.count(b",") != values.size or not (np.abs(values) <= _MAX_VALUE).all():
        raise ValueError("a line of another length, or a number that is not finite")
    stamps: list[str] = table[0].tolist()
    if not all(map(_TIME.fullmatch, stamps)):
        raise ValueError("a time stamp of another form")
    times_s = np.array([_whole_seconds(stamp[:_STAMP]) for stamp in stamps], np.float64)
    return times_s + np.array([stamp[_STAMP:] or "0" for stamp in stamps], np.float64), values


@lru_cache(maxsize=4096)  # a file spans an hour at most, and many rows are of one second
def _whole_seconds(stamp: str) -> int:
    """Seconds from an arbitrary day to a stamp without a fraction.

    Raises:
        ValueError: there is no such day.
    """
    since = datetime.fromisoformat(stamp) - _EPOCH
    return since.days * 86400 + since.seconds


def _what_is_wrong(line: bytes, n_values: int) -> str | None:
    """What a line should have been; None where nothing is wrong with it."""
    stamp, *fields = line.split(b",")
    if len(fields) != n_values:
        return f"wanted a time and {n_values} numbers, with commas between them"
    time = stamp.decode(errors="replace")
    if not _TIME.fullmatch(time):
        return "wanted a time such as 20181016_13:37:28.612000, and no header"
    try:
        _whole_seconds(time[:_STAMP])
    except ValueError:
        return "wanted a date"
    try:
        numbers = [float(field) for field in fields]
    except ValueError:
        return "wanted numbers"
    if not all(abs(number) <= _MAX_VALUE for number in numbers):
        return "wanted finite numbers"
    return "wanted numbers" if b"_" in b"".join(fields) else None  # Python reads 1_0 as 10


def _refuse(path: str, line: int | None, reason: str) -> NoReturn:
    where = path if line is None else f"{path}, line {line},"
    raise RecordingError(f"{where} {reason}", stage="check" if line is None else "read", path=path)
