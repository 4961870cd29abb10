"""Manifests as files: JSON Lines, a header and then one record a line.

Reading is strict: unknown, missing and repeated keys are errors, and every problem is found in
one pass, with its line. Writing is atomic: a reader sees the old file or the new one.
"""

from __future__ import annotations

import codecs
import json
import os
from pathlib import Path
from typing import Any, NotRequired, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from pydantic_core import ErrorDetails
from typing_extensions import TypedDict

from pipeline.common.files import replacing
from pipeline.contract import ContractError, Record, StreamRef, leads_out
from pipeline.manifests.model import (
    MANIFEST_FORMAT,
    MANIFEST_VERSION,
    Manifest,
    Problem,
    ProblemKind,
    header_problems,
    record_problems,
    sharing,
)


def load_manifest(path: str | os.PathLike[str]) -> Manifest:
    """Read a manifest.

    Raises:
        ContractError: it cannot be read, or is not a manifest; names every problem by its line.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ContractError(f"{path} cannot be read: {error.strerror or error}") from error
    manifest, problems = parse_manifest(content)
    if manifest is None or problems:
        listed = "\n  ".join(f"{problem.where}: {problem.message}" for problem in problems)
        raise ContractError(
            f"{path} is not a sound manifest, {len(problems)} problems:\n  {listed}"
        )
    return manifest


def save_manifest(manifest: Manifest, path: str | os.PathLike[str]) -> None:
    """Write a manifest over ``path``, at once or not at all.

    Raises:
        ContractError: the folder cannot be written to.
    """
    try:
        with replacing(Path(path)) as partial, partial.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in manifest.lines())
    except OSError as error:
        raise ContractError(f"{path} cannot be written: {error.strerror or error}") from error


def parse_manifest(content: bytes) -> tuple[Manifest | None, list[Problem]]:
    """A manifest out of its file's bytes, or everything that is wrong with them.

    Example:
        >>> manifest, problems = parse_manifest(b"[]")
        >>> print(manifest, problems[0].where, problems[0].message[:16])
        None line 1 the header is []
    """
    problems: list[Problem] = []

    def report(number: int, text: str, kind: ProblemKind = ProblemKind.STRUCTURE) -> None:
        problems.append(Problem(kind, f"line {number}", text))

    first, *lines = content.removeprefix(codecs.BOM_UTF8).removesuffix(b"\n").split(b"\n")
    header, texts = _parse_header(first)
    for text in texts:
        report(1, text)
    records, numbers = list[Record](), list[int]()
    for number, line in enumerate(lines, start=2):
        record, faults = _parse_record(line)
        for kind, text in faults:
            report(number, text, kind)
        if record is not None:
            records.append(record)
            numbers.append(number)
    if header is None:
        return None, problems
    dataset, classes, n_records = header["dataset"], tuple(header["classes"]), header["n_records"]
    description = header.get("description")
    may_share = sharing(dataset, description)
    for index, kind, text in record_problems(classes, records, may_share):
        report(numbers[index], text, kind)
    if n_records != len(lines):
        follow = f"n_records is {n_records} and {len(lines)} record lines follow"
        report(1, f"{follow}: the file was cut short or edited")
    if problems:
        return None, problems
    made = Manifest(
        dataset=dataset,
        classes=classes,
        records=tuple(records),
        description=description,
        fabricated=header.get("fabricated", False),
    )
    return made, []


_STRICT = ConfigDict(extra="forbid", strict=True)


@with_config(_STRICT)
class _Header(TypedDict):
    """The first line."""

    format: str
    version: int
    dataset: str
    classes: list[str]
    n_records: int
    description: NotRequired[dict[str, Any]]
    fabricated: NotRequired[bool]


@with_config(_STRICT)
class _Stream(TypedDict):
    """One file of a record."""

    name: str
    path: str
    n_bytes: int | None
    sha256: str | None
    n_frames: int | None


@with_config(_STRICT)
class _Record(TypedDict):
    """Every other line."""

    id: str
    label: int
    attributes: dict[str, int]
    streams: dict[str, list[_Stream]]


_HEADER, _RECORD = TypeAdapter(_Header), TypeAdapter(_Record)


def _parse_header(line: bytes) -> tuple[_Header | None, list[str]]:
    header, texts = _parse_line(line, _HEADER, "the header", _Header)
    if header is None:
        return None, [*texts, f"wanted a header of format {MANIFEST_FORMAT!r}"]
    if (header["format"], header["version"]) != (MANIFEST_FORMAT, MANIFEST_VERSION):
        texts.append(
            f"is format {_brief(header['format'])} version {header['version']}: wanted "
            f"{MANIFEST_FORMAT!r} version {MANIFEST_VERSION}"
        )
    problems = header_problems(header["dataset"], header["classes"], header.get("description"))
    return header, [*texts, *problems]


def _parse_record(line: bytes) -> tuple[Record | None, list[tuple[ProblemKind, str]]]:
    entry, texts = _parse_line(line, _RECORD, "the record", _Record)
    faults = [(ProblemKind.STRUCTURE, text) for text in texts]
    if entry is None:
        return None, faults
    streams: dict[str, list[StreamRef]] = {modality: [] for modality in entry["streams"]}
    for modality, refs in entry["streams"].items():
        for ref in refs:
            try:
                streams[modality].append(StreamRef(**ref))
            except ContractError as error:
                escapes = leads_out(ref["path"])
                kind = ProblemKind.ESCAPING if escapes else ProblemKind.STRUCTURE
                faults.append((kind, str(error)))
    if faults:
        return None, faults
    try:
        by_modality = {modality: tuple(refs) for modality, refs in streams.items()}
        return Record(**{**entry, "streams": by_modality}), []  # type: ignore[arg-type]
    except ContractError as error:
        return None, [(ProblemKind.STRUCTURE, str(error))]


Line = TypeVar("Line", _Header, _Record)


def _parse_line(
    line: bytes, adapter: TypeAdapter[Line], what: str, kind: type[Line]
) -> tuple[Line | None, list[str]]:
    """The object of one line; None, and everything that is wrong with it."""
    try:
        parsed = json.loads(line.decode(), object_pairs_hook=_unique, parse_constant=_refuse)
        return adapter.validate_python(parsed), []
    except ValidationError as error:
        return None, [_reason(fault, what, kind) for fault in error.errors()]
    except (ValueError, RecursionError) as error:
        return None, [f"is not JSON: {error}"]


def _reason(fault: ErrorDetails, what: str, kind: type) -> str:
    """A fault in words, by its path within the line."""
    *parents, name = fault["loc"] or ("",)
    owner = ".".join(map(str, parents)) or what
    if fault["type"] == "extra_forbidden":
        return f"{owner} has the unknown key {name!r}"
    if fault["type"] == "missing":
        return f"{owner} lacks the key {name!r}"
    value = _brief(fault["input"])
    if not name:
        return f"{what} is {value}: wanted an object with {', '.join(kind.__annotations__)}"
    path = ".".join(map(str, fault["loc"]))
    return f"{path} is {value}: {fault['msg'].replace('Input should be', 'wanted')}"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the keys {sorted({n for n in names if names.count(n) > 1})} repeat")
    return table


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number of JSON")


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
