"""Records and the files behind them.

A *record* is one trial or clip: all its streams and one label. A *stream* is one source of a
*modality* (``skeleton`` has one; MMAct's ``inertial`` has four). Instances are valid once built.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType

from pipeline.contract.errors import ContractError, RecordingError, refuse

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_PATH_NAME = re.compile(r"[^./\\:\x00-\x1f\x7f-][^/\\:\x00-\x1f\x7f]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DRIVE = re.compile(r"[A-Za-z]:")


def check_modality_name(name: str) -> str:
    """Return ``name`` if it can name a modality, a stream or an attribute; else raise.

    Raises:
        ContractError: ``name`` is not lower-case letters, digits and underscores.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ContractError(
            f"{name!r} cannot be a name: wanted lower-case letters, digits and underscores, "
            "starting with a letter"
        )
    return name


def check_path_name(name: str, what: str) -> str:
    """Return ``name`` if it can be the name of one file or folder and nothing else; else raise.

    Whatever a file says and a path is made of passes here: folds, records, members of a list of
    checksums. A name must not lead elsewhere, hide, pass for an option, or outgrow a file system.

    Example:
        >>> check_path_name("subject-1", "fold")
        'subject-1'

    Raises:
        ContractError: it cannot; says ``what`` it names.
    """
    fits = isinstance(name, str) and _PATH_NAME.fullmatch(name) and len(name.encode()) <= 120
    if not fits or name != name.strip():
        shown = repr(name) if len(repr(name)) <= 80 else f"{name!r:.60}..."
        raise ContractError(
            f"{what} {shown} cannot be the name of a file: wanted 1 to 120 bytes without slashes, "
            "backslashes, colons and control characters, not beginning with '.' or '-'"
        )
    return name


def leads_out(path: object) -> bool:
    """Whether a path's name alone leads out of the tree that it is relative to.

    Example:
        >>> [leads_out(path) for path in ("Inertial/a1.mat", "a/../../b", "/etc/passwd", "C:x")]
        [False, True, True, True]
    """
    return (
        not isinstance(path, str)
        or not path
        or path.startswith("/")
        or "\\" in path
        or "\0" in path
        or ".." in path.split("/")
        or _DRIVE.match(path) is not None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRef:
    """One raw file: where it lies in the tree and what it must contain."""

    name: str
    """Which source of the modality this is; the modality's own name where it has one source."""
    path: str
    """Relative to the raw tree, with forward slashes; never leaves the tree."""
    n_bytes: int | None = None
    """Size; None where unknown until a user's ``manifest build`` fills it."""
    sha256: str | None = None
    """Content hash in lower-case hexadecimal; None where unknown."""
    n_frames: int | None = None
    """Frames or rows that the file is known to hold, where a list says so."""

    def __post_init__(self) -> None:
        check_modality_name(self.name)
        if leads_out(self.path):
            raise ContractError(
                f"path {self.path!r} leads out of the raw tree: wanted a relative path without '..'"
            )
        for what in ("n_bytes", "n_frames"):
            value = getattr(self, what)
            if value is not None and (type(value) is not int or value < 0):
                raise ContractError(f"{what} of {self.path!r} is {value!r}: wanted a whole number")
        if self.sha256 is not None and not (
            isinstance(self.sha256, str) and _SHA256.fullmatch(self.sha256)
        ):
            raise ContractError(
                f"sha256 of {self.path!r} is {self.sha256!r}: wanted 64 hexadecimal digits or null"
            )

    def refuse(self, reason: str, stage: str = "check") -> RecordingError:
        """The error of this file, to raise: its path, and what is wrong with it."""
        return refuse(self.path, reason, stage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One trial: its identity, its class, what protocols select by, and its files."""

    id: str
    """Unique within a manifest and stable across machines, such as ``a1_s1_t1``."""
    label: int
    """Index into the manifest's class names, from 0."""
    attributes: Mapping[str, int] = field(default_factory=dict)
    """Whole numbers that protocols select by: subject, trial, camera, session, ..."""
    streams: Mapping[str, tuple[StreamRef, ...]] = field(default_factory=dict)
    """Modality to its streams; a modality the record lacks is not a key."""

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not re.fullmatch(r"[A-Za-z0-9_.\-]+", self.id):
            raise ContractError(
                f"record id {self.id!r}: wanted letters, digits, '_', '-' and '.' only"
            )
        check_path_name(self.id, "record")
        if type(self.label) is not int or self.label < 0:
            raise ContractError(f"record {self.id}: label {self.label!r} is not a class index")
        for name, value in self.attributes.items():
            check_modality_name(name)
            if type(value) is not int:
                raise ContractError(
                    f"record {self.id}: attribute {name} is {value!r}: wanted a whole number"
                )
        for modality, streams in self.streams.items():
            check_modality_name(modality)
            names = [stream.name for stream in streams]
            if not names or len(set(names)) != len(names):
                raise ContractError(
                    f"record {self.id}: streams of {modality} are {names}: "
                    "wanted at least one, each with a name of its own"
                )
        object.__setattr__(self, "attributes", MappingProxyType(dict(self.attributes)))
        object.__setattr__(
            self, "streams", MappingProxyType({m: tuple(s) for m, s in self.streams.items()})
        )

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle through the constructor: a read-only mapping cannot be pickled as it is."""
        attributes, streams = dict(self.attributes), dict(self.streams)
        make = partial(Record, id=self.id, label=self.label, attributes=attributes, streams=streams)
        return make, ()
