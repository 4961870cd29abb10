"""Rows of JSON: a series or a skeleton, an entry of a list each.

``key`` says where they lie: names of an object and places of a list from 0, parted by points. The
first ``*`` stands for the frames, as in ``frames.*.bodies.0.joints``; of a skeleton a second one
may stand for the joints, as in ``*.people.0.*.position``. Who is not there in a frame, by ``null``
or a list that is too short, is a row without numbers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.common.words import first_of
from pipeline.contract import RecordingError, StreamRef
from pipeline.datasets.reading import TIME_UNITS, Reading, Source
from pipeline.readers.arrays import MAX_BYTES as MAX_ARRAY_BYTES
from pipeline.readers.delimited import Rows, places_of
from pipeline.readers.limits import Limits
from pipeline.readers.times import is_number, seconds_of_dates

MAX_BYTES = 128 << 20
MAX_CONTAINERS = 8_000_000
"""Lists and objects of a file: each takes memory, whatever little it holds."""


def parsed(content: bytes, ref: StreamRef) -> Any:
    """What a file of JSON says.

    Raises:
        RecordingError: it is none, or takes too much memory.
    """
    n_containers = content.count(b"[") + content.count(b"{")
    if len(content) > MAX_BYTES or n_containers > MAX_CONTAINERS:
        raise ref.refuse(
            f"holds {n_containers} lists and objects in {len(content)} bytes: wanted at most "
            f"{MAX_CONTAINERS} in {MAX_BYTES}"
        )
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ref.refuse(f"is not JSON: {error}") from error


def read_json(content: bytes, reading: Reading, source: Source, ref: StreamRef) -> Rows:
    """Rows of a series, or of a skeleton whose joints are laid side by side.

    Raises:
        RecordingError: no JSON, nothing where ``key`` says, text where numbers are wanted, more or
            fewer joints than are said; by the frame, counted from 1, and the joint or column.
    """
    document = parsed(content, ref)
    frames, within = _frames(document, source.key, ref)
    n_wanted = len(reading.joints) * reading.dimensions or len(source.columns)
    if len(frames) * n_wanted * 8 > MAX_ARRAY_BYTES:
        raise ref.refuse(f"holds {len(frames)} frames of {n_wanted} numbers: that is too much")
    rows: list[list[float]] = []
    times: list[Any] = []
    for place, frame in enumerate(frames):
        at = _Place(ref, f" in frame {place + 1}")
        if reading.kind == "skeleton":
            rows.append(_joints(frame, within, reading, source, at))
            continue
        found = at.within(frame, within)
        rows.append([at.number(at.column(found, c), f"column {c!r}") for c in source.columns])
        if source.time is not None:
            times.append(at.column(found, source.time))
    values = np.array(rows, np.float64).reshape(len(rows), n_wanted)
    if source.time_key:
        stamped, within = _frames(document, source.time_key, ref)
        ats = [_Place(ref, f" in frame {n + 1}") for n in range(len(stamped))]
        times = [at.within(frame, within) for at, frame in zip(ats, stamped, strict=True)]
        if len(times) != len(values):
            raise ref.refuse(f"has {len(times)} times for {len(values)} rows: wanted one a row")
    return _timed(values, times, source, ref) if source.is_timed else Rows(values=values)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a file something is looked at, to say where it is wrong."""

    ref: StreamRef
    where: str

    def refuse(self, reason: str, wanted: str) -> RecordingError:
        return self.ref.refuse(f"{reason}{self.where}: wanted {wanted}", "read")

    def within(self, value: Any, parts: Sequence[str]) -> Any:
        """What lies there; None for who is not there."""
        for part in parts:
            if value is None:
                return None
            if isinstance(value, dict):
                if part not in value:
                    known = first_of([repr(name)[:40] for name in value], 12) or "nothing"
                    raise self.refuse(f"has {known} and no {part!r}", "what 'key' names")
                value = value[part]
            elif isinstance(value, list) and part.isdecimal():
                value = value[int(part)] if int(part) < len(value) else None
            else:
                raise self.refuse(f"holds {_shown(value)}", f"something with {part!r} in it")
        return value

    def column(self, value: Any, column: str | int) -> Any:
        """One column of a row: by names parted by points, or of a list by its place from 1."""
        if isinstance(column, str):
            return self.within(value, column.split("."))
        if value is not None and (not isinstance(value, list) or column > len(value)):
            raise self.refuse(f"holds {_shown(value)}", f"a list with a number {column}")
        return None if value is None else value[column - 1]

    def number(self, value: Any, what: str) -> float:
        """A number; NaN for null."""
        if value is None:
            return math.nan
        if type(value) is float or (type(value) is int and abs(value) < 1 << 1000):
            return float(value)
        raise self.refuse(f"holds {_shown(value)} as {what}", "a number")


def _frames(document: Any, key: str, ref: StreamRef) -> tuple[list[Any], list[str]]:
    """Frames, and where in each of them something lies."""
    parts = [part for part in key.split(".") if part]
    before = parts.index("*") if "*" in parts else len(parts)
    at = _Place(ref, f" at {'.'.join(parts[:before])!r}" if before else "")
    frames = at.within(document, parts[:before])
    most = Limits.of_environment().rows
    if not isinstance(frames, list):
        raise at.refuse(f"holds {_shown(frames)}", "a list of frames; say with 'key' where it is")
    if len(frames) > most:
        raise at.refuse(f"holds {len(frames)} frames", f"at most {most} (DMFT_MAX_ROWS sets it)")
    return frames, parts[before + 1 :]


def _joints(
    frame: Any, within: list[str], reading: Reading, source: Source, at: _Place
) -> list[float]:
    """A row of joints' numbers; the places of ``columns`` where they are chosen."""
    cut = within.index("*") if "*" in within else len(within)
    found = at.within(frame, within[:cut])
    n_wanted = len(reading.joints) * reading.dimensions
    if found is None:
        return [math.nan] * n_wanted
    if isinstance(found, dict):
        found = [at.within(found, [joint]) for joint in reading.joints]
    if not isinstance(found, list):
        raise at.refuse(f"holds {_shown(found)}", "joints: a list, or an object by their names")
    is_flat = cut == len(within) and not any(isinstance(joint, list | dict) for joint in found)
    if not is_flat and len(found) != len(reading.joints) and not source.columns:
        raise at.refuse(f"holds {len(found)} joints", f"the {len(reading.joints)} of 'joints'")
    row: list[float] = []
    for place, joint in enumerate(found):
        if is_flat:
            row.append(at.number(joint, f"number {place + 1}"))
            continue
        name = reading.joints[place] if place < len(reading.joints) else str(place + 1)
        row += _point(at.within(joint, within[cut + 1 :]), name, reading.dimensions, source, at)
    if source.columns:
        chosen, _ = places_of([str(n + 1) for n in range(len(row))], source, at.ref.path + at.where)
        return [row[place] for place in chosen]
    if len(row) != n_wanted:
        raise at.refuse(f"holds {len(row)} numbers", f"{n_wanted}, or 'columns' that choose them")
    return row


def _point(joint: Any, name: str, dimensions: int, source: Source, at: _Place) -> list[float]:
    if joint is None:
        return [math.nan] * dimensions
    if isinstance(joint, dict):
        spelt = {str(axis).lower(): number for axis, number in joint.items()}
        joint = [at.within(spelt, [axis]) for axis in "xyz"[:dimensions]]
    if not isinstance(joint, list) or (len(joint) != dimensions and not source.columns):
        raise at.refuse(
            f"holds {_shown(joint)} of the joint {name!r}",
            f"{dimensions} numbers, or 'columns' that choose among all of them",
        )
    return [at.number(number, f"joint {name!r}") for number in joint]


def _timed(values: NDArray[np.float64], times: list[Any], source: Source, ref: StreamRef) -> Rows:
    """Rows with their times; where rows may be missing, a missing time is one of them."""
    if source.missing == "skip":
        kept = [place for place, time in enumerate(times) if time is not None]
        values, times = values[kept], [times[place] for place in kept]
    if is_number(source.time_format):
        ats = [_Place(ref, f" in frame {n + 1}") for n in range(len(times))]
        numbers = [at.number(time, "its time") for at, time in zip(ats, times, strict=True)]
        times_s = np.array(numbers, np.float64) * TIME_UNITS[source.time_format]
        if not np.isfinite(times_s).all():
            frame = int(np.argmin(np.isfinite(times_s))) + 1
            raise ref.refuse(f"has no finite time in frame {frame}: wanted one", "read")
        return Rows(values=values, times_s=times_s)
    texts = [time if isinstance(time, str) else repr(time) for time in times]
    times_s = seconds_of_dates(texts, source.time_format, ref.path, lambda row: f"frame {row + 1}")
    return Rows(values=values, times_s=times_s)


def _shown(value: Any) -> str:
    if isinstance(value, list | dict):
        many = f" of {len(value)}"
        return ("a list" if isinstance(value, list) else "an object") + many
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
