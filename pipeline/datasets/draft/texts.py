"""What a text file is by its first lines: separator, header, columns of numbers, times."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from statistics import median

from pipeline.datasets.reading import TIME_UNITS

USUAL_HZ, MAX_HZ = 125, 1000
"""Rows a second above which a grid of their own is proposed, and the most that one may have."""
N_LINES = 40
"""Lines that are looked at."""
_TIME = re.compile(r"(time|timestamp|date|datetime|epoch|ts?|ms|sec(onds?)?)(?![a-z]).*", re.I)
_DATES = (
    "%Y%m%d_%H:%M:%S.%f", "%Y/%m/%d %H:%M:%S.%f", "%d.%m.%Y %H:%M:%S.%f", "%d/%m/%Y %H:%M:%S.%f",
    "%m/%d/%Y %H:%M:%S.%f", "%d-%m-%Y %H:%M:%S.%f", "%m/%d/%Y %I:%M:%S.%f %p", "%H:%M:%S.%f",
)  # fmt: skip
"""Forms of dates that are tried, beside ISO 8601."""
_CLOCKS = ((1e17, "nanoseconds"), (1e14, "microseconds"), (1e11, "milliseconds"), (1e8, "seconds"))
"""Since 1970: numbers of at least so much are of that unit."""
_ENDS = {"ms": "milliseconds", "msec": "milliseconds", "millis": "milliseconds",
         "us": "microseconds", "ns": "nanoseconds", "s": "seconds", "sec": "seconds"}  # fmt: skip
_STEPS = ((1.0, "seconds"), (1e3, "milliseconds"), (1e6, "microseconds"))
"""A step from row to row below so much is probably of that unit: 1 to 1000 rows a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """How a text file looks by its beginning."""

    separator: str
    skip: int
    decimal: str
    header: tuple[str, ...]
    """Names of its columns; none where it has no header."""
    columns: tuple[tuple[str, ...], ...]
    """What stands in each, row after row."""

    def is_of_numbers(self, column: int) -> bool:
        """Whether nothing but numbers stands in a column, from 0."""
        cells = [cell for cell in self.columns[column] if cell]
        return bool(cells) and all(number_of(cell, self.decimal) is not None for cell in cells)


def lines_of_text(content: bytes) -> list[str]:
    """The lines of a description that say how a text file is read; guesses are marked.

    Example:
        >>> lines_of_text(b"ms;x;y\\n0;1;2\\n20;3;4\\n40;1;1\\n60;1;1\\n")[:3]
        ['separator = ";"', 'columns = ["x", "y"]', 'time = "ms"']
    """
    look = _look(content)
    rate_hz = 0.0
    time, time_format, note = _time(look)
    if time is not None and look.is_of_numbers(time) and (step := _step(look, time)):
        rate_hz = 1 / (step * TIME_UNITS[time_format])
        note = f"then rows come {rate_hz:.4g} times a second; {note}"
    places = [k for k in range(len(look.columns)) if k != time and look.is_of_numbers(k)]
    others = [k for k in places if time is not None and look.header and is_time(look.header[k])]
    places = [k for k in places if k not in others]
    shown = {"\t": "tab", " ": "space"}.get(look.separator, look.separator)
    lines = [f"separator = {_quoted(shown)}"]
    lines += [f"skip = {look.skip}  # ? lines before the table"] * bool(look.skip)
    lines += ['decimal = ","'] * (look.decimal == ",")
    named = bool(look.header) and len(set(look.header)) == len(look.header)
    if not look.header:
        lines.append("header = false")
    elif not named:  # by number, from under a header of which two columns have one name
        lines.append("# Two columns have one name, so they go by number.")
    if not named:
        names = ", ".join(_quoted(f"column_{k + 1}") for k in places)
        lines.append(f"names = [{names}]  # ? what they are")
    called = [_quoted(look.header[k]) if named else str(k + 1) for k in places]
    lines.append(f"columns = [{', '.join(called)}]")
    texts = [k for k in range(len(look.columns)) if k not in (*places, *others, time)]
    if texts and any(any(look.columns[k]) for k in texts):
        left = [look.header[k] if look.header else str(k + 1) for k in texts]
        lines.append(f"# left out, since texts stand in them: {_plain(', '.join(left))}")
    if others:
        shown = ", ".join(look.header[k] for k in others)
        lines.append(f"# left out, since they are times as well: {_plain(shown)}")
    if time is None:
        return [*lines, "rate_hz = 50  # ? rows a second: the file does not say it"]
    at = _quoted(look.header[time]) if named else str(time + 1)
    lines += [f"time = {at}", f"time_format = {_quoted(time_format)}  # ? {note}"]
    if USUAL_HZ < round(rate_hz) <= MAX_HZ:
        lines.append(f"encoding = {{ rate_hz = {round(rate_hz)} }}  # ? the grid they are laid on")
    return lines


def is_of_numbers(content: bytes) -> bool:
    """Whether a file, whatever its name ends in, begins with rows of numbers.

    >>> is_of_numbers(b"1 2 3\\n4 5 6\\n7 8 9\\n"), is_of_numbers(b"read me\\nfirst\\n2\\n")
    (True, False)
    """
    look = _look(b"" if b"\0" in content else content)
    columns = [column for n, column in enumerate(look.columns) if look.is_of_numbers(n)]
    return 2 * len(columns) > len(look.columns) and len(columns[0]) > 2


def codes_of_text(content: bytes) -> str:
    """A remark where all numbers but the time are whole, as a converter's are; else nothing."""
    look = _look(content)
    time, _, _ = _time(look)
    numbers = [
        number_of(cell, look.decimal) or 0.0
        for k in range(len(look.columns))
        if k != time and look.is_of_numbers(k)
        for cell in look.columns[k]
    ]
    if len(numbers) < 6 or any(number % 1 for number in numbers) or len(set(numbers)) < 3:
        return ""
    return (
        f"# ? whole numbers, here {min(numbers):g} to {max(numbers):g}: if they are a sensor's "
        "codes,\n# factor and offset make its unit of them: number * factor + offset"
    )


def is_time(name: str) -> bool:
    """Whether a column or an array of that name is probably a time.

    >>> is_time("timestamp_ms"), is_time("seconds_elapsed"), is_time("torso")
    (True, True, False)
    """
    return _TIME.fullmatch(name.strip()) is not None


def number_of(cell: str, decimal: str = ".") -> float | None:
    """The number that a cell is; None for any other text."""
    try:
        return float(cell.replace(decimal, "."))
    except ValueError:
        return None


def _look(content: bytes) -> _Look:
    text = content.decode("utf-8-sig", "replace").splitlines()
    text = text if content.endswith(b"\n") else text[:-1]  # the last line may be cut
    numbers = [at for at, line in enumerate(text) if line.strip()]
    lines = [text[at] for at in numbers]
    lines = lines[:N_LINES] or ["0"]
    counts = {separator: [len(_cells(line, separator)) for line in lines] for separator in ",;\t "}
    # Lines at the end have one length in a table; what comes before it may be anything.
    steady = {s: n[-1] for s, n in counts.items() if n[-1] > 1 and n[-1] == n[len(n) // 2]}
    separator = max(steady, key=lambda s: (steady[s], s != " "), default=",")
    n_cells = counts[separator]
    skip = max((k + 1 for k, n in enumerate(n_cells) if n != n_cells[-1]), default=0)
    skip = skip if skip <= len(lines) // 2 else 0
    rows = [_cells(line, separator) for line in lines[skip:]]
    skip = numbers[skip] if skip else 0  # blank lines count in the file, before the table's first
    body = [cell for row in rows[1:] or rows for cell in row]
    commas = sum(re.fullmatch(r"[+-]?\d+,\d+", cell) is not None for cell in body)
    decimal = "," if separator != "," and commas > sum("." in cell for cell in body) else "."
    n_first, n_last = (
        sum(number_of(cell, decimal) is not None for cell in row) for row in (rows[0], rows[-1])
    )
    header = tuple(rows[0]) if n_first < len(rows[0]) and n_last > n_first else ()
    rows = rows[bool(header) :]
    width = len(rows[-1]) if rows else 0
    whole = [row for row in rows if len(row) == width]
    columns = tuple(zip(*whole, strict=True))
    return _Look(separator=separator, skip=skip, decimal=decimal, header=header, columns=columns)


def _cells(line: str, separator: str) -> list[str]:
    if separator == " ":
        return line.split()
    return [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [""])]


def _time(look: _Look) -> tuple[int | None, str, str]:
    """Column from 0 that is probably a time, its format, and what speaks for it."""
    named = [k for k, name in enumerate(look.header) if is_time(name)]
    for k in [*named, *(k for k in range(len(look.columns)) if k not in named)]:
        cells = [cell for cell in look.columns[k] if cell]
        if len(cells) > 1 and not look.is_of_numbers(k) and (form := _date_form(cells)):
            return k, form, f"as {_plain(cells[0])}"
        if k in named and cells and look.is_of_numbers(k):
            return k, *_unit(look, k)
    first = [number_of(cell, look.decimal) for cell in look.columns[0]] if look.columns else []
    stamps = [stamp for stamp in first if stamp is not None]
    rising = all(b > a for a, b in pairwise(stamps))
    if rising and len(look.columns) > 1 and len(stamps) > 3 and len(stamps) == len(first):
        return 0, *_unit(look, 0)
    return None, "", ""


def _unit(look: _Look, column: int) -> tuple[str, str]:
    stamps = [number_of(cell, look.decimal) or 0.0 for cell in look.columns[column]]
    name = look.header[column] if look.header else ""
    ending = re.split(r"[^a-z]+", name.lower().rstrip(")] "))[-1]
    step = _step(look, column)
    by_step = next((unit for least, unit in _STEPS if step < least), "nanoseconds")
    by_clock = next((unit for least, unit in _CLOCKS if abs(stamps[0]) >= least), by_step)
    unit = _ENDS.get(ending, by_clock)
    others = ", ".join(other for other in TIME_UNITS if other != unit)
    return unit, f"or {others}"


def _step(look: _Look, column: int) -> float:
    """From row to row, in the median; 0 where there is none."""
    stamps = [number_of(cell, look.decimal) or 0.0 for cell in look.columns[column]]
    steps = [b - a for a, b in pairwise(stamps) if b > a]
    return median(steps) if steps else 0.0


def _date_form(cells: list[str]) -> str:
    """``iso8601``, or the format that reads all of them; empty where none does."""
    if all(map(_is_iso, cells)):
        return "iso8601"
    for form in _DATES:
        if all(
            _is_date(cell if "." in cell.rsplit(":", 1)[-1] else f"{cell}.0", form)
            for cell in cells
        ):
            return form
        plain = form.replace(".%f", "")
        if all(_is_date(cell, plain) for cell in cells):
            return plain
    return ""


def _is_iso(cell: str) -> bool:
    try:
        datetime.fromisoformat(cell)
    except ValueError:
        return False
    return "-" in cell


def _is_date(cell: str, form: str) -> bool:
    try:
        datetime.strptime(cell, form)
    except ValueError:
        return False
    return True


def _plain(text: str) -> str:
    """A text that cannot end the comment that it stands in."""
    return "".join(c if c.isprintable() else "?" for c in text)[:200]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
