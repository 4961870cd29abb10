"""``pins.sha256``: the digests of data files that lie beside or below it, and of nothing else.

The format is ``sha256sum``'s, so ``sha256sum --check pins.sha256`` reads it too. Comments say in
few bytes which line of a file is another: lines are laid out in a square, row by row, and every
row and every column of it has a CRC-32. One changed line is where a row and a column differ.

It says that data changed, never whether the change is right: whoever means it locks anew.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.common.files import replacing
from pipeline.contract import ContractError
from pipeline.manifests.model import Problem, ProblemKind

PINS_FILE = "pins.sha256"
_HEAD = "# Made by 'dmft manifest lock': what 'dmft manifest check' holds these files against.\n"
_SUMS = re.compile(r"# lines (\d+) ((?:[0-9a-f]{8})*)  (.+)")
_DIGEST = re.compile(r"([0-9a-f]{64})  (.+)")
_LINE_END = b"\n"
_SUM_DIGITS = 8
_MOST_LINES = 5
"""Changed lines of one file that are named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """What one file was when it was locked."""

    sha256: str
    """Of its bytes, in hexadecimal digits."""
    n_lines: int = 0
    """Pieces between its line ends."""
    line_sums: tuple[str, ...] = ()
    """CRC-32 of each row and then of each column of its lines, laid out in a square; empty where
    the pins were written by ``sha256sum``, which has none."""


Pins = Mapping[str, Pin]
"""File, by its path from the folder of the pins, to its pin."""


def pin_of(content: bytes) -> Pin:
    """The pin of a file's bytes.

    Example:
        >>> pin_of(b"one\\ntwo").line_sums
        ('0288c675', '7a6c86f1', '11ca8a66')
    """
    lines = content.split(_LINE_END)
    side = _side(len(lines))
    rows = [lines[start : start + side] for start in range(0, len(lines), side)]
    columns = [lines[start::side] for start in range(side)]
    sums = tuple(f"{zlib.crc32(_LINE_END.join(part)):08x}" for part in (*rows, *columns))
    digest = hashlib.sha256(content).hexdigest()
    return Pin(sha256=digest, n_lines=len(lines), line_sums=sums)


def pins_over(file: Path) -> Path | None:
    """The nearest pins, at a file's folder or above it, that list the file; None without any."""
    file = file.absolute()
    for folder in file.parents:
        path = folder / PINS_FILE
        if path.is_file() and file.relative_to(folder).as_posix() in read_pins(path):
            return path
    return None


def read_pins(path: Path) -> Pins:
    """Read a file of pins.

    Raises:
        ContractError: it cannot be read, or a line of it is no pin; names the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(f"{path} cannot be read: {error}") from error
    digests, sums = dict[str, str](), dict[str, tuple[int, tuple[str, ...]]]()
    for number, line in enumerate(text.splitlines(), start=1):
        if found := _SUMS.fullmatch(line):
            n_lines, joined, name = int(found[1]), found[2], found[3]
            parts = range(0, len(joined), _SUM_DIGITS)
            sums[name] = n_lines, tuple(joined[at : at + _SUM_DIGITS] for at in parts)
        elif found := _DIGEST.fullmatch(line):
            if found[2] in digests:
                raise ContractError(f"{path}, line {number}: {found[2]} is there twice")
            digests[found[2]] = found[1]
        elif line and not line.startswith("#"):
            raise ContractError(
                f"{path}, line {number} is {line[:60]!r}: wanted a SHA-256, two spaces and a file. "
                "After a merge choose either side and run 'dmft manifest lock' again"
            )
    pins = dict[str, Pin]()
    for name, digest in digests.items():
        n_lines, line_sums = sums.get(name, (0, ()))
        pins[name] = Pin(sha256=digest, n_lines=n_lines, line_sums=line_sums)
    return pins


def write_pins(path: Path, pins: Pins) -> None:
    """Write pins over a file, at once or not at all; equal pins, equal bytes.

    Raises:
        ContractError: the folder cannot be written to.
    """
    lines = [_HEAD]
    for name, pin in sorted(pins.items()):
        if pin.line_sums:
            lines.append(f"# lines {pin.n_lines} {''.join(pin.line_sums)}  {name}\n")
        lines.append(f"{pin.sha256}  {name}\n")
    try:
        with replacing(path) as partial:
            partial.write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise ContractError(f"{path} cannot be written: {error.strerror or error}") from error


def pin_problems(content: bytes, pin: Pin, remedy: str) -> Iterator[Problem]:
    """What a file that was pinned is otherwise: its changed lines, then its digest.

    Args:
        content: Its bytes now.
        pin: What it was.
        remedy: The command that locks it as it is.
    """
    now = pin_of(content)
    if now.sha256 == pin.sha256:
        return
    lines = content.split(_LINE_END)
    suspects, is_sure = _suspects(now, pin)
    for number in suspects[:_MOST_LINES] if is_sure else ():
        text = f"{_in_words(lines[number - 1])} is not what was pinned"
        yield Problem(ProblemKind.PINNED, f"line {number}", text)
    more = ""
    if pin.line_sums and now.n_lines != pin.n_lines:
        more = f", {now.n_lines} lines where {pin.n_lines} were pinned"
    elif len(suspects) > _MOST_LINES or not is_sure:
        more = f", with changed lines between {suspects[0]} and {suspects[-1]}"
    where = f"line {suspects[0] if suspects else 1}"
    found = f"the file has SHA-256 {now.sha256}{more}: wanted {pin.sha256}"
    yield Problem(ProblemKind.PINNED, where, f"{found}. If the change is meant, run: {remedy}")


def _suspects(now: Pin, pin: Pin) -> tuple[list[int], bool]:
    """Numbers of the lines that can be others, and whether each of them surely is.

    Where several rows and several columns differ, not every line that is in both must.
    """
    side = _side(pin.n_lines)
    if now.n_lines != pin.n_lines or len(now.line_sums) != len(pin.line_sums):
        return [], True
    n_rows = len(pin.line_sums) - side
    pairs = zip(now.line_sums, pin.line_sums, strict=True)
    differing = [index for index, (a, b) in enumerate(pairs) if a != b]
    rows = [index for index in differing if index < n_rows]
    columns = [index - n_rows for index in differing if index >= n_rows]
    places = (row * side + column for row in rows for column in columns)
    return [place + 1 for place in places if place < pin.n_lines], 1 in (len(rows), len(columns))


def _side(n_lines: int) -> int:
    """Lines in a row of the square."""
    return max(1, math.isqrt(n_lines - 1) + 1) if n_lines else 1


def _in_words(line: bytes) -> str:
    """A line for a message: a record by its id, anything else by its text."""
    text = line.decode(errors="replace").strip()
    try:
        return f"record {json.loads(text)['id']}"
    except (ValueError, TypeError, KeyError, RecursionError):
        return repr(text if len(text) <= 60 else f"{text[:57]}...")
