"""Rows with times in, windows over them out: what continuous recordings are cut into.

Rows of several modalities come mixed and roughly in time. A window is given out as soon as every
modality that still speaks has passed its end, so memory holds one window and a stream may be
endless. A stream is one JSON object a line::

    {"modality": "inertial", "time_s": 12.34, "values": [0.1, -0.9, 0.2, 3.0, 0.5, -1.0]}

Refused, one by one and by their number: lines that are no such object, numbers that are not
finite, and rows that come after their window has gone. A time far from those around it is passed
over; where the next row agrees with it the clock was set, or nothing came for long, and windows
begin anew.
"""

from __future__ import annotations

import json
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmft.recognise.recordings import Recording
from pipeline.contract import ConfigError, RecordingError, StreamRef
from pipeline.readers.registry import readable
from pipeline.signals.recording import Frames, Signal, Streams
from pipeline.signals.resample import join

WINDOW_S, STEP_S = 3.5, 0.5
"""A window as long as the median recording of UTD-MHAD."""
LAG_S = 1.0
"""A modality that is this far behind the newest row is not waited for."""
COVERED = 0.5
"""Part of a window that a modality's rows must span to count as present."""
ROWS_LOOKED_AT = 20
"""First rows of each modality that say whether its times can be seconds."""
MAX_LINE_BYTES = 1 << 16
MAX_TIME_S = 1e11
"""Beyond this, neighbouring windows would begin at the same number."""
Noted = Mapping[str, Mapping[str, Any]]
"""Modality to how a description says that its files are read; empty where nothing is described."""
SLIDING = ("skeleton", "inertial")
"""Modalities that need no network."""
JOINED_HZ = 100.0
"""Rows a second on which time-stamped streams of one modality are joined."""

OnProblem = Callable[[str], None]
"""Told of each row that is passed over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of one modality."""

    modality: str
    time_s: float
    values: NDArray[np.float32]
    """As the modality's reader gives one row: (20, 3) for skeleton, (6,) for inertial."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A span of a stream and the rows in it."""

    start_s: float
    end_s: float
    rows: Mapping[str, NDArray[np.float32]]
    """Shapes: {m: (T, ...)}, in the order of their times; only modalities that are present."""


@dataclass(slots=True, kw_only=True)
class Slicer:
    """Cuts rows into windows while they come."""

    window_s: float = WINDOW_S
    step_s: float = STEP_S
    on_problem: OnProblem = lambda message: None
    _rows: dict[str, deque[Row]] = field(default_factory=dict)
    _newest: dict[str, float] = field(default_factory=dict)
    _origin: float | None = None
    _next: int = 0
    """Number of the next window; window k begins at origin + k * step."""
    _given: int = 0

    def __post_init__(self) -> None:
        if not 0.1 <= self.window_s <= 3600:
            raise ConfigError(f"window_s is {self.window_s}: wanted 0.1 to 3600 seconds")
        if not 0.01 <= self.step_s <= self.window_s:
            raise ConfigError(
                f"step_s is {self.step_s}: wanted 0.01 seconds to the window's {self.window_s}"
            )

    def windows(self, rows: Iterable[Row]) -> Iterator[Window]:
        """Give out each window when it is complete; at the end, what is left of the last."""
        for row in steady(rows, self.window_s, self.on_problem):
            if row is None:
                yield from self._end(self.window_s)
                continue
            self._take(row)
            # Up to when all modalities that still speak have spoken.
            heard = (t for t in self._newest.values() if t >= self._last_s - LAG_S)
            yield from self._ready(min(heard, default=-math.inf))
        yield from self._end(self.step_s / 2)

    def _end(self, beyond_s: float) -> Iterator[Window]:
        """Windows up to so far beyond the newest row; what is left is forgotten."""
        newest = self._last_s
        yield from self._ready(newest + beyond_s)
        if not self._given and self._origin is not None and newest > self._origin:
            whole = self._cut(self._origin, newest, last=True)
            if whole.rows:
                yield whole
        self._rows, self._newest = {}, {}
        self._origin, self._next, self._given = None, 0, 0

    def _take(self, row: Row) -> None:
        if self._origin is None:
            self._origin = row.time_s
        start = self._start(self._next)
        if row.time_s < start and (self._given or self._next):
            self.on_problem(
                f"{row.modality} at {row.time_s:.3f} s comes too late: the window from "
                f"{start:.3f} s has begun"
            )
            return
        self._rows.setdefault(row.modality, deque()).append(row)
        self._newest[row.modality] = max(self._newest.get(row.modality, -math.inf), row.time_s)

    def _start(self, number: int) -> float:
        assert self._origin is not None
        return self._origin + number * self.step_s

    @property
    def _last_s(self) -> float:
        return max(self._newest.values(), default=-math.inf)

    def _ready(self, heard: float) -> Iterator[Window]:
        while self._origin is not None and self._start(self._next) + self.window_s <= heard:
            start = self._start(self._next)
            window = self._cut(start, start + self.window_s)
            self._next += 1
            self._drop_before(self._start(self._next))
            if window.rows:
                self._given += 1
                yield window

    def _drop_before(self, start: float) -> None:
        for rows in self._rows.values():
            while rows and rows[0].time_s < start:
                rows.popleft()

    def _cut(self, start: float, end: float, *, last: bool = False) -> Window:
        found: dict[str, NDArray[np.float32]] = {}
        for modality, rows in self._rows.items():
            by_time = {r.time_s: r.values for r in rows if last or start <= r.time_s < end}
            times = sorted(by_time)
            if len(times) > 1 and times[-1] - times[0] >= COVERED * (end - start):
                found[modality] = np.stack([by_time[t] for t in times])
        return Window(start_s=start, end_s=end, rows=found)


def steady(rows: Iterable[Row], gap_s: float, on_problem: OnProblem) -> Iterator[Row | None]:
    """Rows whose times go on from those before; None where they begin anew.

    Args:
        rows: As they come.
        gap_s: Further from the newest row nothing goes on.
        on_problem: Told of rows that stand alone, of a clock that goes back, and once of times that
            cannot be seconds.
    """
    first: dict[str, list[float]] = {}
    newest = -math.inf
    alone: Row | None = None

    def lone(row: Row) -> Iterator[Row]:
        if row.time_s < newest:
            yield row  # late, and perhaps too late: whoever cuts windows knows
            return
        on_problem(
            f"{row.modality} at {row.time_s:.3f} s is far from the rows around it, which are at "
            f"{newest:.3f} s: passed over"
        )

    for row in rows:
        times = first.setdefault(row.modality, [])
        if len(times) < ROWS_LOOKED_AT:
            times.append(row.time_s)
            step_s = float(np.median(np.diff(times))) if len(times) == ROWS_LOOKED_AT else 0.0
            if step_s > gap_s / 2:
                on_problem(
                    f"{row.modality} rows are {step_s:g} s apart: wanted time_s in seconds (are "
                    f"these milliseconds?); they fill no window of {gap_s:g} s"
                )
        if newest == -math.inf or abs(row.time_s - newest) <= gap_s:
            if alone is not None:
                yield from lone(alone)
            alone, newest = None, max(newest, row.time_s)
            yield row
        elif alone is None or abs(row.time_s - alone.time_s) > gap_s:
            if alone is not None:
                yield from lone(alone)
            alone = row
        else:
            if alone.time_s < newest:
                on_problem(
                    f"the clock went back from {newest:.3f} s to {alone.time_s:.3f} s: windows "
                    "begin anew"
                )
            newest = max(alone.time_s, row.time_s)
            yield from (None, alone, row)
            alone = None
    if alone is not None:
        yield from lone(alone)


def read_rows(
    lines: Iterable[bytes],
    *,
    dataset: str,
    modalities: Iterable[str],
    on_problem: OnProblem,
    noted: Noted = MappingProxyType({}),
) -> Iterator[Row]:
    """Rows of a stream; lines that are none are told of and passed over.

    Rows of modalities that can be streamed but that the model does not know are left out.
    """
    known = set(modalities)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = _parse(line, dataset, noted)
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
            shown = line[:60].decode(errors="replace").strip()
            reason = f"lacks {error}" if isinstance(error, KeyError) else str(error)
            on_problem(f"line {number} is no row ({reason}): {shown!r}")
            continue
        if row.modality in known:
            yield row


def _parse(line: bytes, dataset: str, noted: Noted) -> Row:
    if len(line) > MAX_LINE_BYTES:
        raise ValueError(f"longer than {MAX_LINE_BYTES} bytes")
    content = json.loads(line)
    if not isinstance(content, dict):
        raise ValueError("not an object")
    modality, time_s = content["modality"], content["time_s"]
    known = tuple(noted) or SLIDING
    if modality not in known:
        raise ValueError(f"modality {modality!r}, wanted one of {', '.join(known)}")
    if isinstance(time_s, bool) or not abs(time_s) <= MAX_TIME_S:
        raise ValueError(f"time_s {time_s!r}, wanted seconds")
    values = np.array(content["values"], dtype=np.float32).reshape(-1)
    columns = readable(dataset, modality, noted.get(modality)).columns
    if not columns:
        raise ValueError(f"{modality} is frames, which do not come in rows")
    wanted = len(columns)
    if len(values) != wanted:
        raise ValueError(f"{len(values)} values, wanted {wanted}")
    if not np.isfinite(values).all():
        raise ValueError("a value is not finite")
    kind = noted.get(modality, {}).get("kind", modality)
    shaped = values.reshape(-1, 3) if kind == "skeleton" else values
    return Row(modality=modality, time_s=float(time_s), values=shaped)


def read_lines(path: Path, *, follow: bool, idle_s: float, poll_s: float = 0.1) -> Iterator[bytes]:
    """Lines of a file; with ``follow`` also those that are appended, until none came for a while.

    Raises:
        RecordingError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            rest, quiet_since = b"", time.monotonic()
            while True:
                found = file.readline(MAX_LINE_BYTES + 1)
                if found:
                    rest, quiet_since = rest + found, time.monotonic()
                if rest.endswith(b"\n") or len(rest) > MAX_LINE_BYTES:
                    yield rest
                    rest = b""
                elif not found:
                    if not follow or time.monotonic() - quiet_since >= idle_s:
                        break
                    time.sleep(poll_s)
            if rest:
                yield rest
    except OSError as error:
        raise RecordingError(
            f"{path} cannot be read: {error.strerror or error}", stage="open", path=str(path)
        ) from error


def rows_of(
    recording: Recording,
    *,
    dataset: str,
    on_problem: OnProblem,
    noted: Noted = MappingProxyType({}),
) -> list[Row]:
    """Rows of a recording's files, on one clock.

    The files are taken to begin and end together, and to last as long as the longest says by its
    nominal rate: true rates are at most nominal ones, and modalities are aligned by fraction.
    """
    signals: dict[str, Signal] = {}
    for modality, files in recording.files.items():
        shown = ", ".join(file.shown for file in files)
        source = readable(dataset, modality, noted.get(modality))
        if modality not in (tuple(noted) or SLIDING) or source.gives is Frames:
            on_problem(f"{shown}: {modality} is not read with --sliding")
            continue
        try:
            found = source.read(
                [(f.tree.read(f.path), StreamRef(name=f.stream, path=f.path)) for f in files]
            )
        except RecordingError as error:
            on_problem(f"{shown}: {error}")
            continue
        assert not isinstance(found, Frames)
        signals[modality] = join(found, JOINED_HZ) if isinstance(found, Streams) else found
    # From the beginning of the first row to the end of the last.
    lengths = {m: (float(s.times_s[-1]), len(s.times_s)) for m, s in signals.items()}
    duration = max((last * n / (n - 1) for last, n in lengths.values() if n > 1), default=0.0)
    rows = [
        Row(modality=m, time_s=float((i + 0.5) / len(s.values) * duration), values=s.values[i])
        for m, s in signals.items()
        for i in range(len(s.values))
    ]
    return sorted(rows, key=lambda row: row.time_s)
