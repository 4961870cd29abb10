"""How the files of one modality are read: the part of a description that decides numbers.

A cache notes it beside the modality's encoding, without what has its default, so that raw files
are read the same way later and a record is encoded again when it changes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from pipeline.common.settings import parse_table, to_table
from pipeline.contract import ConfigError, ContractError, check_modality_name
from pipeline.datasets.checks import Check

Kind = Literal["series", "skeleton", "depth", "colour"]
TABLES = ("delimited", "parquet", "json", "bvh")
ARRAYS = ("npy", "npz", "mat", "hdf5")
FRAMES = ("video", "images")
_ROWS = (
    "factor", "offset", "unit", "range", "axes", "missing", "unwrap", "names", "checks", "length",
    "leading_zeros", "mixed_rates",
)  # fmt: skip
_OPTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "delimited": (
            "columns", "separator", "header", "skip", "comment", "decimal", "time", "time_format",
            "rate_hz", *_ROWS,
        ),
        "parquet": ("columns", "time", "time_format", "rate_hz", *_ROWS),
        "npy": ("columns", "order", "size", "time", "time_format", "rate_hz", *_ROWS),
        **dict.fromkeys(
            ("npz", "mat", "hdf5"),
            (
                "columns", "key", "order", "size", "time", "time_format", "time_key", "rate_hz",
                *_ROWS,
            ),
        ),
        "json": ("columns", "key", "time", "time_format", "time_key", "rate_hz", *_ROWS),
        "bvh": ("rate_hz", *_ROWS),
        "video": (),
        "images": ("rate_hz", "factor", "range"),
    }
)  # fmt: skip
"""Reader to the options that mean something to it."""
BUILT_IN = tuple(_OPTIONS)
"""Readers that are no plug-ins."""
ORDERS: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        "series": ("time", "column"),
        "skeleton": ("time", "joint", "axis"),
        "depth": ("time", "row", "column"),
        "colour": ("time", "row", "column", "channel"),
    }
)
"""Kind to the axes of its array, in the order that is usual."""
TIME_UNITS: Mapping[str, float] = MappingProxyType(
    {"seconds": 1.0, "milliseconds": 1e-3, "microseconds": 1e-6, "nanoseconds": 1e-9}
)
"""Numbers of time to seconds; any other ``time_format`` is one of dates, as strptime has it."""
_TELL_RATES = ("video", "bvh")
"""Readers of files that say themselves when their frames are."""
READING_VERSION = 1
"""Raised when the numbers that readers give change; records are then encoded again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """How the file of one stream is read."""

    reader: str
    """``delimited``, ``parquet``, ``npy``, ``npz``, ``mat``, ``hdf5``, ``json``, ``bvh``,
    ``video``, ``images``, or the name of a plug-in."""
    columns: tuple[str | int, ...] = ()
    """Those to take, by the header's names or by numbers from 1; of a skeleton none for all."""
    names: tuple[str, ...] = ()
    """What the columns are called in the cache; by default as in the file."""
    separator: str = ","
    """Between columns: one character, ``tab``, or ``space`` for any white space."""
    header: bool = True
    """Whether the first row names the columns."""
    skip: int = 0
    """Lines to pass over before the header or the first row."""
    comment: str = ""
    """A character after which the rest of a line is no data."""
    decimal: Literal[".", ","] = "."
    """Between a number's whole and its fraction."""
    time: str | int | None = None
    """The column of times, by name or number; without it rows are evenly spaced."""
    time_key: str = ""
    """Array of times, one a row, beside the array that ``key`` names."""
    time_format: str = "seconds"
    """``seconds``, ``milliseconds``, ``microseconds`` or ``nanoseconds`` of any clock, ``iso8601``,
    or a date's format such as ``%Y-%m-%d %H:%M:%S.%f``."""
    rate_hz: float | None = None
    """Rows or frames a second; where there are times too, what they are held against."""
    key: str = ""
    """Name of the array in a file of several; of HDF5 a path such as ``left/acc``; of
    JSON one such as ``frames.*.joints``, where ``*`` stands for the frames."""
    order: tuple[str, ...] = ()
    """What the axes of the array are, such as ``["joint", "axis", "time"]``."""
    factor: float | tuple[float, ...] = 1.0
    """Numbers are multiplied by it, all or column by column; of depth, to millimetres."""
    offset: float | tuple[float, ...] = 0.0
    """Then added."""
    unit: str = ""
    """What the numbers are in then, such as ``m/s^2``."""
    range: tuple[float, ...] = ()
    """Least and largest number that there can be then; a file with another one is refused."""
    size: tuple[int, ...] = ()
    """How long the axes of an array are but that of time, in the order that is usual."""
    length: tuple[int, ...] = ()
    """Fewest and most rows or frames that a recording has; another one is refused."""
    leading_zeros: Literal["keep", "refuse"] = "keep"
    """What becomes of a recording that begins with zeros alone, as of a sensor not yet on."""
    checks: tuple[Check, ...] = ()
    """What holds for some of the columns; a file for which it does not is refused."""
    axes: tuple[str, ...] = ()
    """For each column the one, with ``-`` for its opposite, that a sensor worn otherwise has there:
    ``["-y", "x", "z"]``."""
    missing: Literal["refuse", "skip"] = "refuse"
    """What becomes of a row with an empty cell or NaN."""
    mixed_rates: Literal["refuse", "accept"] = "refuse"
    """What becomes of a file whose rows come steadily at one rate and then at another, by their
    times: of a series they are resampled where it is accepted."""
    unwrap: bool = False
    """Whether angles in radians go on past a full turn instead of jumping."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What a plug-in is told."""

    def __post_init__(self) -> None:
        known = _OPTIONS.get(self.reader, ("options", "columns", "rate_hz", *_ROWS))
        for entry in dataclasses.fields(self):
            given = getattr(self, entry.name)
            if entry.name not in ("reader", *known) and given != _default(entry):
                wanted = ", ".join(known) or "no option"
                if self.reader not in _OPTIONS:
                    wanted = f"a reader of {', '.join(_OPTIONS)}, or a plug-in with its 'options'"
                raise ConfigError(f"{entry.name} means nothing to {self.reader!r}: wanted {wanted}")
        if self.rate_hz is not None and not 0 < self.rate_hz <= 100_000:
            raise ConfigError(f"rate_hz is {self.rate_hz}: wanted more than 0 and at most 100000")
        self._check_table()
        low_high = self.range
        if low_high and not (len(low_high) == 2 and low_high[0] < low_high[1]):
            raise ConfigError(f"range is {list(low_high)}: wanted the least and the largest number")
        if self.length and not (len(self.length) == 2 and 1 <= self.length[0] <= self.length[1]):
            raise ConfigError(f"length is {list(self.length)}: wanted the fewest and the most rows")
        if self.size and min(self.size) < 1:
            raise ConfigError(f"size is {list(self.size)}: wanted lengths of axes, from 1")
        for check in self.checks:
            if unknown := sorted(set(check.columns) - set(self.column_names)):
                raise ConfigError(
                    f"checks name the columns {unknown}: wanted some of {list(self.column_names)}"
                )
        for what in ("factor", "offset"):
            numbers = getattr(self, what)
            numbers = numbers if isinstance(numbers, tuple) else (numbers,)
            if not all(map(math.isfinite, numbers)) or (what == "factor" and 0 in numbers):
                raise ConfigError(f"{what} is {list(numbers)}: wanted finite numbers, no factor 0")
        for what, given in (("names", self.names), ("axes", self.axes)):
            if given and len(given) != len(self.columns):
                raise ConfigError(f"{what} has {len(given)} entries: wanted {len(self.columns)}")
        if self.axes and {axis.removeprefix("-") for axis in self.axes} != set(self.column_names):
            raise ConfigError(f"axes are {list(self.axes)}: wanted each of {self.column_names}")
        if len(set(self.order)) < len(self.order):
            raise ConfigError(f"order is {list(self.order)}: wanted each axis once")

    def _check_table(self) -> None:
        if len(self.separator) != 1 and self.separator not in ("space", "tab"):
            raise ConfigError(
                f"separator is {self.separator!r}: wanted one character, 'space' or 'tab'"
            )
        if self.separator in ('"', "\n", "\r", self.decimal):
            raise ConfigError(f"separator is {self.separator!r}: it cannot part columns")
        if len(self.comment) > 1:
            raise ConfigError(f"comment is {self.comment!r}: wanted one character")
        if self.skip < 0:
            raise ConfigError(f"skip is {self.skip}: wanted 0 or more lines")
        places = [*self.columns, *([] if self.time is None else [self.time])]
        if len(set(places)) < len(places):
            raise ConfigError(f"columns and time are {places}: wanted each column once")
        for place in places:
            if isinstance(place, int) and place < 1:
                raise ConfigError(f"column {place}: columns are counted from 1")
            named = isinstance(place, str)
            if named and (
                self.reader in ARRAYS or (self.reader == "delimited" and not self.header)
            ):
                raise ConfigError(
                    f"column {place!r}: {'an array' if self.header else 'a file without a header'} "
                    "has no names; wanted numbers from 1, and their names in 'names'"
                )
        if self.mixed_rates == "accept" and not self.is_timed and self.reader in _OPTIONS:
            raise ConfigError("mixed_rates: wanted a time beside it; without one all rows are even")
        if self.time is not None and self.time_key:
            raise ConfigError("time and time_key: wanted at most one of them")

    @property
    def is_timed(self) -> bool:
        """Whether its rows have times of their own."""
        return self.time is not None or bool(self.time_key)

    @property
    def column_names(self) -> tuple[str, ...]:
        """What the columns are called."""
        return self.names or tuple(
            column if isinstance(column, str) else f"column_{column}" for column in self.columns
        )

    def order_of(self, kind: Kind) -> tuple[str, ...]:
        """What the axes of its array are."""
        return self.order or ORDERS[kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How the files of one modality are read."""

    kind: Kind
    """What it is, and so how it is encoded."""
    streams: Mapping[str, Source]
    """Stream to its file; a stream of the modality's own name where there is one."""
    joints: tuple[str, ...] = ()
    """Of a skeleton, in the order of the columns."""
    parents: Mapping[str, str] = field(default_factory=dict)
    """Joint to the one that it hangs on; a joint without one is a root."""
    dimensions: int = 3
    """Numbers a joint: x, y and z, or x and y alone, as of joints in a picture; z is then 0."""
    version: int = READING_VERSION

    def __post_init__(self) -> None:
        if self.version != READING_VERSION:
            raise ConfigError(
                f"it was read by readers of version {self.version}: this software has version "
                f"{READING_VERSION}; encode again, or install the version that it was made with"
            )
        if not self.streams:
            raise ConfigError("streams is empty: wanted at least one")
        for name, source in self.streams.items():
            try:
                check_modality_name(name)
            except ContractError as error:
                raise ConfigError(f"stream {error}") from error
            self._check_stream(name, source)
        if self.kind != "series" and len(self.streams) > 1:
            raise ConfigError(f"a {self.kind} has {len(self.streams)} streams: wanted one")
        if (self.kind == "skeleton") != bool(self.joints):
            raise ConfigError(f"joints of a {self.kind}: wanted names of a skeleton's joints")
        if self.dimensions not in (2, 3):
            raise ConfigError(f"dimensions is {self.dimensions}: wanted 2 or 3")
        for child, parent in self.parents.items():
            if not {child, parent} <= set(self.joints):
                raise ConfigError(
                    f"parents: {child} on {parent}: wanted two of {list(self.joints)}"
                )
            seen, at = {child}, parent
            while at in self.parents:
                if at in seen:
                    raise ConfigError(f"parents: {child} hangs on itself")
                seen.add(at)
                at = self.parents[at]
        if len(set(self.joints)) < len(self.joints):
            raise ConfigError(f"joints are {list(self.joints)}: wanted each name once")
        if len(self.streams) > 1 and not all(
            s.is_timed or s.rate_hz for s in self.streams.values()
        ):
            raise ConfigError("several streams are joined by time: give each a time or a rate_hz")

    def _check_stream(self, name: str, source: Source) -> None:
        is_framed = self.kind in ("depth", "colour")
        if source.reader in (FRAMES if not is_framed else TABLES) or (
            source.reader == "video" and self.kind == "depth"
        ):
            raise ConfigError(f"reader {source.reader!r} gives no {self.kind}")
        if source.reader == "bvh" and (self.kind, self.dimensions) != ("skeleton", 3):
            raise ConfigError(f"reader 'bvh' gives no {self.kind} of {self.dimensions} dimensions")
        if source.reader == "json":
            self._check_json(source)
        if self.kind == "series" and not source.columns:
            raise ConfigError(f"{name} has no columns: wanted those to take, by name or number")
        if is_framed and source.columns:
            raise ConfigError(f"columns mean nothing to a {self.kind}")
        if not source.is_timed and source.rate_hz is None and source.reader not in _TELL_RATES:
            raise ConfigError(f"{name} has neither a time nor a rate_hz: wanted one of them")
        axes = set(ORDERS[self.kind])
        allowed = [axes, {"time", "column"}] if self.kind == "skeleton" else [axes]
        if source.order and set(source.order) not in allowed:
            raise ConfigError(f"order is {list(source.order)}: wanted {list(ORDERS[self.kind])}")
        wanted = self.dimensions * len(self.joints)
        if self.kind == "skeleton" and source.columns and len(source.columns) != wanted:
            raise ConfigError(
                f"{len(source.columns)} columns for {len(self.joints)} joints: wanted {wanted}, "
                f"{'x, y and z' if self.dimensions == 3 else 'x and y'} of each"
            )

    def _check_json(self, source: Source) -> None:
        is_skeleton = self.kind == "skeleton"
        for what, most in (("key", 1 + is_skeleton), ("time_key", 1)):
            path = getattr(source, what)
            if path.split(".").count("*") > most:
                raise ConfigError(f"{what} is {path!r}: wanted at most {most} '*'")
        named = [c for c in (*source.columns, source.time) if isinstance(c, str)]
        if is_skeleton and (named or source.time is not None):
            raise ConfigError(
                "columns and time of a skeleton in JSON: wanted numbers from 1, and a time_key"
            )

    @property
    def is_timed(self) -> bool:
        """Whether its streams are joined on one grid by their times."""
        several = len(self.streams) > 1
        return self.kind == "series" and (several or any(s.is_timed for s in self.streams.values()))

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns of a patch; none of frames."""
        if self.kind == "skeleton":
            return tuple(f"{joint}_{axis}" for joint in self.joints for axis in "xyz")
        if self.kind != "series":
            return ()
        if len(self.streams) == 1:
            return next(iter(self.streams.values())).column_names
        named = [f"{n}_{column}" for n, s in self.streams.items() for column in s.column_names]
        return (*named, *(f"has_{name}" for name in self.streams))

    def to_note(self) -> dict[str, Any]:
        """As a cache notes it: what has its default is left out."""
        return {
            "kind": self.kind,
            "version": self.version,
            "streams": {name: _sparse(source) for name, source in self.streams.items()},
            **({"joints": list(self.joints)} if self.joints else {}),
            **({"parents": dict(self.parents)} if self.parents else {}),
            **({"dimensions": self.dimensions} if self.dimensions != 3 else {}),
        }

    @classmethod
    def of_note(cls, note: Mapping[str, Any]) -> Reading:
        """As a cache noted it.

        Example:
            >>> source = Source(reader="npy", columns=(1, 2), rate_hz=50.0)
            >>> reading = Reading(kind="series", streams={"acc": source})
            >>> Reading.of_note(reading.to_note()) == reading
            True

        Raises:
            ConfigError: it is no reading, or one by readers of another version.
        """
        return parse_table(cls, note, where="how the cache says that its files were read")


def is_plugin(reader: str) -> bool:
    """Whether a reader is none of those built in."""
    return reader not in BUILT_IN


def _default(entry: dataclasses.Field[Any]) -> Any:
    if entry.default_factory is not dataclasses.MISSING:
        return entry.default_factory()
    return entry.default


def _sparse(source: Source) -> dict[str, Any]:
    table = to_table(source)
    plain = {entry.name: _default(entry) for entry in dataclasses.fields(source)}
    return {name: table[name] for name in table if getattr(source, name) != plain[name]}
