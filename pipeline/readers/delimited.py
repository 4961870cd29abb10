"""Delimited text to columns of numbers: CSV, TSV, and columns parted by white space.

All rows are parsed at once by ``pandas.read_csv``. What is no number refuses the file by its line,
its column and the text that stands there; the line is only looked for when something is wrong.
"""

from __future__ import annotations

import codecs
import io
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.common.words import first_of
from pipeline.contract import refuse
from pipeline.datasets.reading import TIME_UNITS, Source
from pipeline.readers.limits import Limits
from pipeline.readers.times import is_number, seconds_of_dates

MAX_COLUMNS = 4096
MAX_LINE_BYTES = 16 * MAX_COLUMNS
_SEPARATORS = {"space": r"\s+", "tab": "\t"}
_MISSING = ["", "nan", "NaN", "NAN", "NA", "null"]
_FIELDS = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What a file gives of one stream, in its order.

    Shapes: values (T, D), times_s (T,).
    """

    values: NDArray[np.float64]
    times_s: NDArray[np.float64] | None = None
    """By the recorder's clock; None where the file has none."""


def read_delimited(content: bytes, source: Source, path: str) -> Rows:
    """Columns of a text file; all but the time's where the source names none.

    Raises:
        RecordingError: not text in UTF-8, a column that is not there, a line of another length, a
            cell that is no number, more rows or columns than a recording has.
    """
    import pandas as pd

    text = _text(content, path)
    if not text.strip():
        return Rows(values=np.empty((0, len(source.columns))))
    how: dict[str, Any] = {
        "sep": _SEPARATORS.get(source.separator, source.separator),
        "skiprows": source.skip,
        "comment": source.comment or None,
        "decimal": source.decimal,
        "skipinitialspace": True,
        "header": None,
    }
    try:
        first = pd.read_csv(io.StringIO(text), nrows=1, dtype=str, na_filter=False, **how)
    except (ValueError, OverflowError) as error:
        if not isinstance(error, pd.errors.EmptyDataError):
            raise refuse(path, f"cannot be parsed: {error}", "read") from error
        return Rows(values=np.empty((0, len(source.columns))))
    header = [str(cell).strip() for cell in first.iloc[0]]
    if len(header) > MAX_COLUMNS:
        raise refuse(path, f"has {len(header)} columns: wanted at most {MAX_COLUMNS}")
    chosen, time = places_of(header, source, path)
    numbers = [*chosen, *([time] if time is not None and is_number(source.time_format) else [])]
    parse = {
        **how,
        "header": 0 if source.header else None,
        "names": range(len(header)),
        "dtype": {place: np.float64 if place in numbers else str for place in range(len(header))},
        "na_filter": False,
    }
    if source.missing == "skip":
        parse |= {"na_filter": True, "na_values": _MISSING, "keep_default_na": False}
    try:
        table = pd.read_csv(io.StringIO(text), **parse)
        if not isinstance(table.index, pd.RangeIndex):  # made of what no column has a name for
            n = len(header) + table.index.nlevels
            raise refuse(
                path,
                f"line {_line(text, source, 0)} has {n} columns: wanted {len(header)} as above it",
                "read",
            )
        wrong = not np.isfinite(found := table[numbers].to_numpy(np.float64)).all()
    except (ValueError, OverflowError) as error:
        raise _fault(text, source, parse, numbers, header, path, error) from error
    if wrong and source.missing == "skip":
        table = table[~np.isnan(found).any(axis=1)]
        wrong = not np.isfinite(table[numbers].to_numpy(np.float64)).all()
    small = text.lower()
    if wrong or "true" in small or "false" in small:  # of which pandas makes 1 and 0
        fault = _first_fault(text, source, parse, numbers, header, path)
        if wrong or fault is not None:
            raise fault or refuse(path, "cannot be parsed: a number is not finite", "read")
    times_s = None
    if time is not None and is_number(source.time_format):
        times_s = table[time].to_numpy(np.float64) * TIME_UNITS[source.time_format]
    elif time is not None:
        lines = table.index.to_numpy()
        times_s = seconds_of_dates(
            table[time].astype(str).str.strip().tolist(),
            source.time_format,
            path,
            lambda row: f"line {_line(text, source, int(lines[row]))}",
        )
    return Rows(values=table[chosen].to_numpy(np.float64), times_s=times_s)


def places_of(header: list[str], source: Source, path: str) -> tuple[list[int], int | None]:
    """Places from 0 of the columns to take, all but the time's where none is named, and of the
    time.

    Raises:
        RecordingError: one is not there, or twice.
    """
    time = None if source.time is None else _place_of(source.time, header, path)
    chosen = [_place_of(column, header, path) for column in source.columns]
    return chosen or [place for place in range(len(header)) if place != time], time


def _place_of(column: str | int, header: list[str], path: str) -> int:
    """Place of a column from 0, by its name or its number from 1.

    Raises:
        RecordingError: it is not there, or twice.
    """
    shown = first_of([repr(name)[:40] for name in header], 12)
    if isinstance(column, int):
        if column > len(header):
            raise refuse(path, f"has {len(header)} columns, {shown}: wanted a column {column}")
        return column - 1
    n = header.count(column)
    if n != 1:
        many = f"has the column {column!r} {n} times" if n else f"has no column {column!r}"
        raise refuse(path, f"{many}: its columns are {shown}")
    return header.index(column)


def _text(content: bytes, path: str) -> str:
    limits = Limits.of_environment()
    n_lines = content.count(b"\n") + 1
    if n_lines > limits.rows or len(content) > 1 << 30:
        raise refuse(
            path,
            f"holds {n_lines} lines in {len(content)} bytes: wanted at most {limits.rows} lines "
            "(DMFT_MAX_ROWS sets it) and 1 GiB",
        )
    if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise refuse(path, "is text in UTF-16: save it in UTF-8", "open")
    if content.find(b"\n", 0, MAX_LINE_BYTES) < 0 and len(content) > MAX_LINE_BYTES:
        raise refuse(path, f"begins with a line of more than {MAX_LINE_BYTES} bytes: is it text?")
    if b"\0" in content:
        raise refuse(path, f"holds a zero byte at {content.index(0)}: wanted text", "open")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = content[error.start : error.start + 1]
        raise refuse(
            path, f"holds {byte!r} at byte {error.start}: wanted text in UTF-8", "open"
        ) from error


def _fault(
    text: str,
    source: Source,
    parse: dict[str, Any],
    numbers: list[int],
    header: list[str],
    path: str,
    error: Exception,
) -> Exception:
    """The first cell that is no number, or line of another length, as the error of this file."""
    if match := _FIELDS.search(str(error)):
        return refuse(
            path, f"line {match[2]} has {match[3]} columns: wanted {match[1]} as above it", "read"
        )
    fault = _first_fault(text, source, parse, numbers, header, path)
    return fault or refuse(path, f"cannot be parsed: {error}", "read")


def _first_fault(
    text: str,
    source: Source,
    parse: dict[str, Any],
    numbers: list[int],
    header: list[str],
    path: str,
) -> Exception | None:
    """The first cell that is no number; None where all are."""
    import pandas as pd

    try:
        cells = pd.read_csv(io.StringIO(text), **{**parse, "dtype": str, "na_filter": False})
    except (ValueError, OverflowError) as again:
        return refuse(path, f"cannot be parsed: {again}", "read")
    may_lack = _MISSING if source.missing == "skip" else []
    for row in range(len(cells)):
        for place in numbers:
            cell = str(cells.iat[row, place]).strip()
            if cell in may_lack or _is_number(cell, source.decimal):
                continue
            name = repr(header[place]) if source.header else str(place + 1)
            shown = cell if len(cell) <= 40 else f"{cell[:37]}..."
            return refuse(
                path,
                f"line {_line(text, source, row)}, column {name}: {shown!r} is no finite number",
                "read",
            )
    return None


def _is_number(cell: str, decimal: str) -> bool:
    try:
        number = float(cell.replace(decimal, ".") if decimal != "." else cell)
    except ValueError:
        return False
    return "_" not in cell and bool(np.isfinite(number))


def _line(text: str, source: Source, row: int) -> int:
    """Number in the file of a row of data, both blank lines and comments counted; from 1."""
    n_seen = -1 - source.header
    for number, line in enumerate(text.splitlines()[source.skip :], start=source.skip + 1):
        kept = line.split(source.comment, 1)[0] if source.comment else line
        n_seen += bool(kept.strip())
        if n_seen == row:
            return number
    return source.skip + source.header + row + 1
