"""A few files of a described data set, read as its description says: what was understood.

Nothing is encoded and nothing but these files is read. A file that cannot be read becomes a line of
what is wrong; so does a number that contradicts the unit that is declared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import DmftError, StreamRef
from pipeline.datasets.description import Description, Modality
from pipeline.datasets.reading import TIME_UNITS
from pipeline.encoders.described import own_encodings
from pipeline.manifests.described import Listed
from pipeline.raw.tree import RawTree
from pipeline.readers.described import readable_as
from pipeline.signals.recording import Frames, Signal, Streams

N_ROWS = 3
"""First rows that are shown."""
MAX_POINTS = 400
"""Of a stream, for a picture."""
GRAVITY: Mapping[str, float] = {"g": 1.0, "m/s^2": 9.80665, "mg": 1000.0}
"""Unit to what an accelerometer at rest shows in it."""
_USUAL_HZ = (0.5, 5000.0)
"""Rows a second that sensors give."""
N_DRAWN = 6
"""Columns that a picture shows."""
_NEAR = (0.6, 1.6)
"""Times gravity between which the median magnitude lies of a person who moves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One stream of one file."""

    name: str
    path: str
    n_rows: int
    """Rows or frames."""
    seconds: float
    """From the first to the last."""
    rate_hz: float
    """By the median step; 0 of a single row."""
    shape: tuple[int, ...]
    """Of one row or frame."""
    columns: tuple[str, ...]
    least: tuple[float, ...]
    """Of each column, or of the frames as a whole."""
    most: tuple[float, ...]
    first: tuple[tuple[float, ...], ...] = ()
    """The first rows, each with its time before it."""
    points: tuple[tuple[float, ...], ...] = ()
    """Rows for a picture, each with its time before it."""


@dataclass(slots=True, kw_only=True)
class Look:
    """What was seen of one modality."""

    modality: str
    says: str
    """What the description says of it."""
    n_records: int
    streams: list[Stream] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def look(
    description: Description, listed: Sequence[Listed], raw: RawTree, n_files: int = 3
) -> list[Look]:
    """Read a few records of each modality, from the first to the last of those listed."""
    looks, grids = [], own_encodings(description)
    for name, modality in description.modalities.items():
        having = [each for each in listed if any(m == name for m, _ in each.paths)]
        seen = Look(modality=name, says=_says(modality), n_records=len(having))
        looks.append(seen)
        if not having:
            seen.warnings.append("no record has it")
            continue
        at = np.unique(np.linspace(0, len(having) - 1, n_files).astype(int))
        for each in (having[k] for k in at):
            files = {s: path for (m, s), (path, _) in each.paths.items() if m == name}
            try:
                opened = [(raw.read(p), StreamRef(name=s, path=p)) for s, p in files.items()]
                made = readable_as(modality.reading).read(opened)
                seen.streams += _streams(name, modality, made, files)
            except DmftError as error:
                path = getattr(error, "path", None)
                told = str(error)
                seen.warnings.append(told if not path or path in told else f"{path}: {told}")
            except Exception as error:
                seen.warnings.append(
                    f"{', '.join(files.values())}: {type(error).__name__}: {error}"
                )
        grid_hz = getattr(grids[name], "rate_hz", None) if modality.reading.is_timed else None
        chosen = "rate_hz" in modality.encoding
        seen.warnings += _doubts(modality, seen.streams, None if chosen else grid_hz)
    return looks


def _says(modality: Modality) -> str:
    sources = modality.reading.streams
    first = next(iter(sources.values()))
    parts = [modality.reading.kind, first.reader]
    if len(sources) > 1:
        parts.append(f"streams {', '.join(sources)}")
    if first.columns:
        parts.append("columns " + ", ".join(map(str, first.columns)))
    is_told = first.is_timed or first.rate_hz is None
    parts.append("times of its own" if is_told else f"{first.rate_hz:g} Hz")
    if first.reader == "video":
        parts[-1] = "times of the film"
    return "; ".join([*parts, *([f"in {first.unit}"] if first.unit else [])])


def _streams(
    name: str, modality: Modality, made: Signal | Streams | Frames, files: Mapping[str, str]
) -> list[Stream]:
    if isinstance(made, Frames):
        return [_film(made, name, next(iter(files.values())))]
    signals = made.signals if isinstance(made, Streams) else {next(iter(files)): made}
    found = []
    for stream, signal in signals.items():
        columns = modality.reading.column_names
        if isinstance(made, Streams):
            columns = modality.reading.streams[stream].column_names
        rows = signal.values.reshape(len(signal.values), -1)
        times_s = signal.times_s - signal.times_s[0]
        every = max(1, len(rows) // MAX_POINTS)
        found.append(
            Stream(
                name=stream,
                path=files[stream],
                n_rows=len(rows),
                seconds=float(times_s[-1]),
                rate_hz=_rate(times_s),
                shape=signal.values.shape[1:],
                columns=columns,
                least=tuple(map(float, rows.min(axis=0))),
                most=tuple(map(float, rows.max(axis=0))),
                first=_table(times_s[:N_ROWS], rows[:N_ROWS]),
                points=_table(times_s[::every], rows[::every, :N_DRAWN]),
            )
        )
    return found


def _film(made: Frames, name: str, path: str) -> Stream:
    least, most, shape, times = np.inf, -np.inf, (0,), []
    for block, times_s in made.blocks:
        least, most = min(least, float(block.min())), max(most, float(block.max()))
        shape = block.shape[1:]
        times.append(times_s)
    all_s = np.concatenate(times)
    return Stream(
        name=name,
        path=path,
        n_rows=made.n_frames,
        seconds=float(all_s[-1]),
        rate_hz=_rate(all_s),
        shape=shape,
        columns=(),
        least=(least,),
        most=(most,),
    )


def _rate(times_s: NDArray[np.float64]) -> float:
    return 1 / float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.0


def _table(times_s: NDArray[np.float64], rows: NDArray[Any]) -> tuple[tuple[float, ...], ...]:
    joined = np.column_stack([times_s, rows])
    return tuple(tuple(float(f"{number:.5g}") for number in row) for row in joined)


def _doubts(modality: Modality, streams: Sequence[Stream], grid_hz: float | None) -> list[str]:
    """What speaks against what is declared, without making it impossible.

    Args:
        modality: As it is described.
        streams: What was read of it.
        grid_hz: Rows a second on which times are laid, where nobody chose them.
    """
    doubts = []
    for name, source in modality.reading.streams.items():
        mine = [stream for stream in streams if stream.name == name]
        doubts += _doubts_of_gravity(name, source.unit, mine)
        rates = [stream.rate_hz for stream in mine if stream.rate_hz]
        if rates and max(rates) > 1.25 * min(rates):
            doubts.append(
                f"{name}: files come at {min(rates):.4g} to {max(rates):.4g} Hz; rows with times "
                "are resampled, evenly spaced ones are not"
            )
        if rates and source.is_timed:
            doubts += _doubts_of_times(name, source.time_format, float(np.median(rates)), grid_hz)
        for stream in mine:
            constant = [
                column
                for column, low, high in zip(
                    stream.columns, stream.least, stream.most, strict=False
                )
                if low == high and stream.n_rows > 1
            ]
            if constant:
                doubts.append(f"{stream.path}: {', '.join(constant)} never change")
            if stream.n_rows < 8:
                doubts.append(f"{stream.path} has {stream.n_rows} rows: few for a recording")
    return doubts


def _doubts_of_gravity(name: str, unit: str, streams: Sequence[Stream]) -> list[str]:
    """An acceleration whose median magnitude is gravity's in another unit than is declared.

    Those of its columns are taken whose names begin with ``acc``, else the first three.
    """
    if unit not in GRAVITY or not streams or len(streams[0].columns) < 3:
        return []
    named = [k for k, c in enumerate(streams[0].columns) if c.lower().startswith("acc")][:3]
    places = [1 + k for k in (named if len(named) == 3 and max(named) < N_DRAWN else range(3))]
    rows = np.array([row for stream in streams for row in stream.points])[:, places]
    found = float(np.median(np.linalg.norm(rows, axis=1)))
    near = [u for u, one in GRAVITY.items() if _NEAR[0] <= found / one <= _NEAR[1]]
    if unit in near:
        return []
    hint, way = "", "see 'factor'"
    if near:
        hint = f", as if in {near[0]}"
        way = f"say unit = {near[0]!r}, or factor = {GRAVITY[unit] / GRAVITY[near[0]]:.6g}"
    return [
        f"{name}: the median magnitude is {found:.3g}{hint}, and {unit} is declared, in which "
        f"gravity is {GRAVITY[unit]:.3g}: {way}"
    ]


def _doubts_of_times(
    name: str, time_format: str, rate_hz: float, grid_hz: float | None
) -> list[str]:
    """Times in another unit than is declared, and rows faster than the grid they are laid on."""
    if time_format in TIME_UNITS and not _USUAL_HZ[0] <= rate_hz <= _USUAL_HZ[1]:
        others = {
            unit: rate_hz * TIME_UNITS[time_format] / one
            for unit, one in TIME_UNITS.items()
            if unit != time_format
        }
        near = [
            f"{unit} make it {other:.4g} Hz"
            for unit, other in others.items()
            if _USUAL_HZ[0] <= other <= _USUAL_HZ[1]
        ]
        if near:
            return [
                f"{name}: rows come {rate_hz:.4g} times a second if times are {time_format}: "
                f"{', '.join(near)}; see 'time_format'"
            ]
    if grid_hz is not None and rate_hz > 1.25 * grid_hz:
        return [
            f"{name}: rows come at {rate_hz:.4g} Hz and are laid on a grid of {grid_hz:g} Hz, "
            f"which averages them: encoding = {{ rate_hz = {rate_hz:.4g} }} keeps them, and any "
            "rate_hz there says that it is meant"
        ]
    return []
