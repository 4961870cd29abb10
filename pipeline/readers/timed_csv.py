"""Rows of a CSV file without a header: a time stamp, then numbers.

The time is ``%Y%m%d_%H:%M:%S``, with or without a fraction of a second. Rows are sorted by time,
and of rows with the same time the first is kept. All rows are parsed at once, in arrays. Nothing
is skipped: a line that is not what it should be refuses the file, by its number.
"""

from __future__ import annotations

import datetime
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import RecordingError

MAX_BYTES = 256 << 20
"""Of one file; a published one has some 50 kB."""
MAX_SPAN_S = 3600.0
"""From the first row to the last; a stamp that is far off would ask for an endless grid."""

_STAMP = 17
"""Characters of a time stamp up to its seconds."""
_DIGITS = np.array([0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 12, 13, 15, 16])
_MARKS = {8: ord("_"), 11: ord(":"), 14: ord(":")}
_FRACTION = 9
"""Digits of a fraction at most."""
_EPOCH = datetime.date(2000, 1, 1).toordinal()


def read_rows(
    content: bytes, n_values: int, path: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Time stamps and values of every row, in the order of time; none of an empty file.

    In a file without a single fraction the rows of one second are spread evenly over it.

    Shapes: returns times_s (T,) in seconds of the recorder's clock, values (T, n_values).

    Raises:
        RecordingError: a line that is not a time and ``n_values`` finite numbers, by its number;
            more bytes than a recording has; rows more than an hour apart.
    """
    if len(content) > MAX_BYTES:
        _refuse(path, None, f"holds {len(content)} bytes: wanted at most {MAX_BYTES}")
    lines = content.replace(b"\r\n", b"\n").split(b"\n")
    numbers = [number for number, line in enumerate(lines, start=1) if line.strip()]
    if not numbers:
        return np.empty(0), np.empty((0, n_values))
    text = b"\n".join([lines[number - 1] for number in numbers])
    table = _Table(text, numbers, path)
    table.check_fields(n_values)
    times_s = table.times_s()
    values = table.values(n_values)
    order = np.argsort(times_s, kind="stable")
    times_s, values = times_s[order], values[order]
    first = np.concatenate([[True], np.diff(times_s) > 0])
    times_s, values = times_s[first], values[first]
    if times_s[-1] - times_s[0] > MAX_SPAN_S:
        _refuse(
            path, None, f"spans {times_s[-1] - times_s[0]:.0f} s from its first time stamp to its "
            f"last: wanted at most {MAX_SPAN_S:.0f} s",
        )  # fmt: skip
    return times_s, values


class _Table:
    """Lines that are not blank, as one array of bytes and where its lines and fields begin."""

    def __init__(self, text: bytes, numbers: list[int], path: str) -> None:
        self.text, self.numbers, self.path = text, numbers, path
        self.bytes = np.frombuffer(text, np.uint8)
        breaks = np.flatnonzero(self.bytes == ord("\n"))
        self.starts = np.concatenate([[0], breaks + 1])
        self.ends = np.concatenate([breaks, [len(text)]])
        self.commas = np.flatnonzero(self.bytes == ord(","))

    def check_fields(self, n_values: int) -> None:
        """Every line has a time and ``n_values`` fields after it."""
        self._first_comma = np.searchsorted(self.commas, self.starts)
        n_commas = np.searchsorted(self.commas, self.ends) - self._first_comma
        self._require(
            n_commas == n_values, f"wanted a time and {n_values} numbers, with commas between them"
        )

    def times_s(self) -> NDArray[np.float64]:
        """Seconds of each row, from an arbitrary day.

        Shapes: returns (T,).
        """
        wanted = "wanted a time such as 20181016_13:37:28.612000, and no header"
        widths = self.commas[self._first_comma] - self.starts
        longest = _STAMP + 1 + _FRACTION
        self._require((widths == _STAMP) | (widths > _STAMP + 1) & (widths <= longest), wanted)
        stamps = self.bytes[self.starts[:, None] + np.arange(_STAMP)]
        digits = stamps[:, _DIGITS] - ord("0")
        good = (digits < 10).all(axis=1)  # unsigned: what is below "0" is far above 9
        for at, mark in _MARKS.items():
            good &= stamps[:, at] == mark
        fractions, sound = self._fractions(widths)
        self._require(good & sound, wanted)
        number = digits.astype(np.int64)
        days = number[:, :8] @ 10 ** np.arange(7, -1, -1)
        hours, minutes, seconds = (number[:, at] * 10 + number[:, at + 1] for at in (8, 10, 12))
        self._require((hours < 24) & (minutes < 60) & (seconds < 60), wanted)
        times_s = self._midnights(days) + (hours * 60 + minutes) * 60 + seconds
        return times_s + fractions if (widths > _STAMP).any() else _spread(times_s)

    def values(self, n_values: int) -> NDArray[np.float64]:
        """The numbers after the time.

        Shapes: returns (T, n_values).
        """
        fields = self.text.replace(b"\n", b",").split(b",")
        del fields[:: n_values + 1]
        rows = len(self.numbers)
        try:
            flat = np.fromiter(map(float, fields), np.float64, rows * n_values)
        except ValueError:
            good = np.array([_is_number(field) for field in fields])
            self._require(good.reshape(rows, n_values).all(axis=1), "wanted numbers")
            raise  # cannot happen: some field was none
        values = flat.reshape(rows, n_values)
        limit = float(np.finfo(np.float32).max)
        self._require((np.abs(values) <= limit).all(axis=1), "wanted finite numbers")
        if self.text.count(b"_") != rows:  # Python reads 1_0 as 10
            lines = self.text.split(b"\n")
            plain = np.array([line.count(b"_") == 1 for line in lines])
            self._require(plain, "wanted numbers")
        return values

    def _fractions(
        self, widths: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Fractions of a second, 0 where there is none, and whether each is sound.

        Shapes: widths (T,) -> (T,), (T,).
        """
        n_digits = np.maximum(widths - _STAMP - 1, 0)
        there = np.arange(_FRACTION) < n_digits[:, None]
        at = self.starts[:, None] + _STAMP + 1 + np.arange(_FRACTION)
        digits = self.bytes[np.minimum(at, len(self.bytes) - 1)] - ord("0")
        digits = np.where(there, digits, 0)
        point = self.bytes[self.starts + np.minimum(_STAMP, widths)]
        sound = (digits < 10).all(axis=1) & ((widths == _STAMP) | (point == ord(".")))
        fractions = digits @ 10.0 ** -np.arange(1, _FRACTION + 1)
        return fractions, sound

    def _midnights(self, days: NDArray[np.int64]) -> NDArray[np.int64]:
        """Seconds up to the beginning of each day, given as YYYYMMDD.

        Shapes: days (T,) -> (T,).
        """
        different, which = np.unique(days, return_inverse=True)
        ordinals, known = np.zeros(len(different), np.int64), np.zeros(len(different), np.bool_)
        for index, day in enumerate(different.tolist()):
            try:
                date = datetime.date(day // 10000, day // 100 % 100, day % 100)
            except ValueError:
                continue
            ordinals[index], known[index] = date.toordinal() - _EPOCH, True
        self._require(known[which], "wanted a date")
        midnights: NDArray[np.int64] = ordinals[which] * 86400
        return midnights

    def _require(self, holds: Any, wanted: str) -> None:
        """Refuse the first line of which something does not hold."""
        good = np.asarray(holds, dtype=np.bool_)
        if not good.all():
            index = int(np.argmin(good))
            line = self.text[self.starts[index] : self.ends[index]].decode(errors="replace")
            shown = line if len(line) <= 80 else f"{line[:77]}..."
            _refuse(self.path, self.numbers[index], f"is {shown!r}: {wanted}")


def _spread(times_s: NDArray[np.int64]) -> NDArray[np.float64]:
    """Whole seconds to even parts of them, in the order of the rows of each second.

    Shapes: (T,) -> (T,).
    """
    _, which, counts = np.unique(times_s, return_inverse=True, return_counts=True)
    order = np.argsort(which, kind="stable")
    rank = np.empty(len(times_s))
    rank[order] = np.arange(len(times_s)) - np.repeat(np.cumsum(counts) - counts, counts)
    return times_s + rank / counts[which]


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _refuse(path: str, line: int | None, reason: str) -> NoReturn:
    where = path if line is None else f"{path}, line {line},"
    raise RecordingError(f"{where} {reason}", stage="check" if line is None else "read", path=path)
