"""What a ``dataset.toml`` says: which files a data set has, how they are read, what is in them.

It is parsed strictly: an unknown key, a wrong type and a contradiction are all named at once, by
their paths. It travels as the table that it is, in the header of a manifest and in a cache's
provenance; ``described`` reads it there. Nothing here opens a recording.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.common.settings import parse_part
from pipeline.contract import ConfigError, ContractError, check_modality_name
from pipeline.datasets.pattern import Pattern
from pipeline.datasets.reading import Kind, Reading, Source

_NAME = re.compile(r"[a-z][a-z0-9\-]*")
PLUGIN = "plugin"
"""Key under which a manifest keeps the package that brought its description."""
VALUES = "values"
"""Key under which a manifest keeps what the numbers of an attribute stand for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """Which joints say where a body is, how large and turned which way, by their names."""

    hips: tuple[str, ...]
    """Joints whose mean is the hip centre."""
    shoulders: tuple[str, ...]
    """Joints whose mean is the shoulder centre: the torso ends there."""
    left_shoulder: str
    """Joint that is turned to one side where the person faces the camera."""
    right_shoulder: str
    """Joint on the other side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a modality's table says beside how its files are read."""

    kind: Kind
    """``series``, ``skeleton``, ``depth`` or ``colour``."""
    pattern: str = ""
    """Of its files' paths; by default the data set's."""
    path: str = ""
    """Column of its paths in a table of trials; by default its own name."""
    shared: bool = False
    """Whether the records of one trial, its views, may list the same file."""
    joints: tuple[str, ...] = ()
    """Of a skeleton, in the order of the columns."""
    parents: Mapping[str, str] = field(default_factory=dict)
    """Of a skeleton, joint to the one that it hangs on; training then turns and stretches limbs."""
    dimensions: int = 3
    """Of a skeleton, numbers a joint: x, y and z, or 2 for joints in a picture."""
    body: Body | None = None
    """Of a skeleton, which of the joints are its hips and shoulders."""
    encoding: Mapping[str, Any] = field(default_factory=dict)
    """Defaults of the modality's section of ``dmft encode --config``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Modality:
    """One modality of a data set."""

    reading: Reading
    """How its files are read."""
    patterns: Mapping[str, str]
    """Stream to the pattern of its paths, empty where only a table can tell."""
    paths: Mapping[str, str]
    """Stream to the column of its paths in a table of trials."""
    shared: bool = False
    body: Body | None = None
    encoding: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Top:
    """What stands at the top of the file."""

    name: str
    """Of the data set: lower-case letters, digits and ``-``."""
    title: str = ""
    """For people."""
    label: str = "label"
    """The column, or the part of the pattern, that says what a record shows."""
    classes: tuple[str, ...] = ()
    """Names of the classes in the order of their labels; by default those found, sorted."""
    first_label: int = 0
    """The first class's number where labels are numbers."""
    rename: Mapping[str, str] = field(default_factory=dict)
    """What a label is called in the files to the name of its class."""
    pattern: str = ""
    """Of all files' paths, such as ``{label}/{subject}_{trial:d}_{modality}.csv``."""
    exclude: tuple[str, ...] = ()
    """Files to pass over, as ``*_old/*``."""
    attributes: tuple[str, ...] = ()
    """Columns to keep beside the label; by default all that are neither it nor paths."""
    record: str = "record"
    """Column of the records' names in a table; they are made of the paths where it is not there."""
    view: str = ""
    """The attribute by which the views of one trial differ, for modalities that are ``shared``."""
    equal_lengths: tuple[tuple[str, ...], ...] = ()
    """Pairs of modalities that always have as many rows or frames as each other, as
    ``[["depth", "skeleton"]]``; where a record's differ, both are set aside."""
    plugin: str = ""
    """Package and version that brought the description; ``dmft manifest build NAME`` adds it."""
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Attribute to what its numbers, from 0, stand for; a manifest adds it."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """A data set as its description has it."""

    top: Top
    modalities: Mapping[str, Modality]
    table: Mapping[str, Any]
    """As it was written."""

    @property
    def name(self) -> str:
        """Of the data set."""
        return self.top.name

    @cached_property
    def patterns(self) -> Mapping[tuple[str, str], Pattern]:
        """Modality and stream to the pattern of its paths, of those that have one.

        The data set's ``{modality}`` and ``{stream}`` are spelt out.
        """
        return self.patterns_with(self.label_texts)

    def patterns_with(self, labels: Sequence[str]) -> dict[tuple[str, str], Pattern]:
        """The same where labels may be written in some ways; of none, in any."""
        return {
            (name, stream): Pattern.of(
                text, {"modality": name, "stream": stream}, {"label": labels}
            )
            for name, modality in self.modalities.items()
            for stream, text in modality.patterns.items()
            if text
        }

    @property
    def label_texts(self) -> tuple[str, ...]:
        """How labels may be written, where the description says; else empty."""
        return (*self.top.classes, *self.top.rename) if self.top.classes else ()

    def why_passed_over(self, path: str) -> str:
        """Why a file is no recording whatever patterns say of its path; empty where it may be."""
        if any(fnmatchcase(path, glob) for glob in self.top.exclude):
            return "excluded by the description"
        if any(part.startswith(".") for part in path.split("/")):
            return "hidden, as what systems leave beside files"
        return ""

    def is_recording(self, path: str) -> bool:
        """Whether a pattern reads a path that is not passed over."""
        if self.why_passed_over(path):
            return False
        try:
            return any(p.find(path) is not None for p in self.patterns.values())
        except ContractError:  # read in two ways, but read
            return True

    def may_share(self, modality: str) -> bool:
        """Whether records may list the same file of a modality."""
        return modality in self.modalities and self.modalities[modality].shared


def load_description(path: str | Path) -> Description:
    """Read a ``dataset.toml``.

    Raises:
        ConfigError: it cannot be read, or says something wrong; every problem is named.
    """
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"description {path} cannot be read: {reason}") from error
    return parse_description(table, where=f"description {path}")


def described(table: Mapping[str, Any] | None) -> Description | None:
    """The description that a manifest or a cache carries; None where there is none.

    Raises:
        ConfigError: it says something wrong.
    """
    if not table:
        return None
    return parse_description(table, where="the description that travels with the data set")


def parse_description(table: Mapping[str, Any], *, where: str) -> Description:
    """Read a description's table.

    Example:
        >>> wrist = {"kind": "series", "reader": "delimited", "columns": ["x"], "rate_hz": 32}
        >>> parse_description({"name": "toys", "modality": {"wrist": wrist}}, where="it").name
        'toys'

    Raises:
        ConfigError: listing everything that is wrong, by its path.
    """
    problems: list[str] = []
    top = parse_part(Top, {k: v for k, v in table.items() if k != "modality"}, "", problems)
    given = table.get("modality")
    if not isinstance(given, Mapping) or not given:
        problems.append("modality is missing: wanted a table [modality.NAME] for each modality")
        given = {}
    modalities = {}
    for name, content in given.items():
        pattern = top.pattern if top else ""
        modality = _modality(str(name), content, pattern, len(given), problems)
        if modality is not None:
            modalities[str(name)] = modality
    if top is not None:
        problems += _contradictions(top, [str(name) for name in given])
    if problems:
        raise ConfigError(f"{where} has {len(problems)} problem(s):\n  " + "\n  ".join(problems))
    assert top is not None
    made = Description(top=top, modalities=modalities, table=table)
    try:
        _ = made.patterns
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    return made


def _modality(
    name: str, content: Any, pattern: str, n_modalities: int, problems: list[str]
) -> Modality | None:
    path = f"modality.{name}"
    try:
        check_modality_name(name)
    except ContractError as error:
        problems.append(f"{path}: {error}")
    if not isinstance(content, Mapping):
        problems.append(f"{path} is {content!r}: wanted a table")
        return None
    of_head = {entry.name for entry in dataclasses.fields(Head)}
    head = parse_part(Head, {k: v for k, v in content.items() if k in of_head}, path, problems)
    rest = {k: v for k, v in content.items() if k not in of_head and k != "streams"}
    tables = content.get("streams")
    if tables is not None and not (isinstance(tables, Mapping) and tables):
        problems.append(f"{path}.streams is {tables!r}: wanted a table [{path}.streams.NAME] each")
        return None
    sources: dict[str, Source] = {}
    patterns, paths = {}, {}
    for stream, over in (tables or {name: {}}).items():
        where = path if tables is None else f"{path}.streams.{stream}"
        if not isinstance(over, Mapping):
            problems.append(f"{where} is {over!r}: wanted a table")
            continue
        own = {k: over[k] for k in ("pattern", "path") if k in over}
        if wrong := [k for k, v in own.items() if not isinstance(v, str)]:
            problems.append(f"{where}.{wrong[0]} is {own[wrong[0]]!r}: wanted a text")
            continue
        merged = {**rest, **{k: v for k, v in over.items() if k not in own}}
        source = parse_part(Source, merged, where, problems)
        if source is None or head is None:
            continue
        sources[stream] = source
        patterns[stream] = own.get("pattern") or head.pattern or pattern
        usual = name if tables is None else f"{name}_{stream}"
        paths[stream] = own.get("path") or (head.path if tables is None else "") or usual
        text = patterns[stream]
        if text and tables is not None and "{stream}" not in text and "pattern" not in own:
            problems.append(f"{where} has no pattern: wanted one, or {{stream}} in {text!r}")
        if text == pattern and n_modalities > 1 and text and "{modality}" not in text:
            problems.append(f"{path} has no pattern: wanted one, or {{modality}} in {text!r}")
    if head is None or len(sources) < len(tables or [name]):
        return None
    try:
        reading = Reading(
            kind=head.kind,
            streams=sources,
            joints=head.joints,
            parents=head.parents,
            dimensions=head.dimensions,
        )
    except ConfigError as error:
        problems.append(f"{path}: {error}")
        return None
    if head.body is not None:
        named = {*head.body.hips, *head.body.shoulders}
        named |= {head.body.left_shoulder, head.body.right_shoulder}
        if unknown := sorted(named - set(head.joints)):
            problems.append(f"{path}.body names {unknown}: wanted joints of {list(head.joints)}")
        if not head.body.hips or not head.body.shoulders:
            problems.append(f"{path}.body has no hips or no shoulders: wanted one joint or more")
    return Modality(
        reading=reading,
        patterns=patterns,
        paths=paths,
        shared=head.shared,
        body=head.body,
        encoding=head.encoding,
    )


def _contradictions(top: Top, modalities: Sequence[str]) -> list[str]:
    problems = []
    for pair in top.equal_lengths:
        if len(set(pair)) != 2 or not set(pair) <= set(modalities):
            problems.append(f"equal_lengths has {list(pair)}: wanted two of {list(modalities)}")
    if not _NAME.fullmatch(top.name):
        problems.append(f"name is {top.name!r}: wanted lower-case letters, digits and '-'")
    if len(set(top.classes)) < len(top.classes) or "" in top.classes:
        problems.append(f"classes are {list(top.classes)}: wanted different names")
    for text, name in top.rename.items():
        if top.classes and name not in top.classes:
            problems.append(f"rename.{text} is {name!r}: wanted one of {list(top.classes)}")
    return problems
