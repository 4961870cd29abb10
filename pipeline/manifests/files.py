"""Manifests as files: JSON Lines, a header and then one record a line.

Reading is strict: unknown, missing and repeated keys are errors, and every problem is found in
one pass, with its line. Writing is atomic: a reader sees the old file or the new one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.contract import ContractError, Record, StreamRef
from pipeline.manifests.model import (
    MANIFEST_FORMAT,
    MANIFEST_VERSION,
    Manifest,
    header_problems,
    record_problems,
)
from pipeline.manifests.problems import Problem, ProblemKind
from pipeline.raw.archives import leads_out

_HEADER_KEYS = ("format", "version", "dataset", "classes", "n_records")
_RECORD_KEYS = ("id", "label", "attributes", "streams")
_STREAM_KEYS = ("name", "path", "n_bytes", "sha256", "n_frames")


def load_manifest(path: str | os.PathLike[str]) -> Manifest:
    """Read a manifest.

    Raises:
        ContractError: it cannot be read, or is not a manifest; names every problem by its line.
    """
    manifest, problems = parse_manifest(_read(path))
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
    target = Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        try:
            with partial.open("x", encoding="utf-8", newline="\n") as file:
                file.writelines(f"{line}\n" for line in manifest.lines())
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise ContractError(f"{path} cannot be written: {error.strerror or error}") from error


def parse_manifest(content: bytes) -> tuple[Manifest | None, list[Problem]]:
    """A manifest out of its file's bytes, or everything that is wrong with them."""
    problems: list[Problem] = []
    lines = content.split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    header = _Line(1, lines[0] if lines else b"", problems)
    dataset, classes, n_records = _parse_header(header)
    records: list[Record] = []
    numbers: list[int] = []
    for number, line in enumerate(lines[1:], start=2):
        record = _parse_record(_Line(number, line, problems))
        if record is not None:
            records.append(record)
            numbers.append(number)
    if classes is not None:
        for index, kind, text in record_problems(dataset or "", classes, records):
            problems.append(Problem(kind=kind, where=f"line {numbers[index]}", message=text))
    if n_records is not None and n_records != max(0, len(lines) - 1):
        header.problem(
            f"n_records is {n_records!r} and {len(lines) - 1} record lines follow: the file was "
            "cut short or edited"
        )
    if problems or dataset is None or classes is None:
        return None, problems
    return Manifest(dataset=dataset, classes=classes, records=tuple(records)), []


class _Line:
    """One line being read: collects its problems instead of raising the first."""

    def __init__(self, number: int, text: bytes, problems: list[Problem]) -> None:
        self.number = number
        self.text = text
        self._problems = problems

    def problem(self, message: str, kind: ProblemKind = ProblemKind.STRUCTURE) -> None:
        self._problems.append(Problem(kind=kind, where=f"line {self.number}", message=message))

    def json(self) -> Any:
        try:
            return json.loads(self.text.decode(), object_pairs_hook=_unique, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            self.problem(f"is not JSON: {error}")
            return None

    def take(self, found: Any, keys: Sequence[str], what: str) -> bool:
        """Whether ``found`` is an object of exactly these keys; says what is wrong if not."""
        if not isinstance(found, dict):
            self.problem(f"{what} is {_brief(found)}: wanted an object with {', '.join(keys)}")
            return False
        for key in found.keys() - set(keys):
            self.problem(f"{what} has the unknown key {key!r}: wanted {', '.join(keys)}")
        for key in [key for key in keys if key not in found]:
            self.problem(f"{what} lacks the key {key!r}")
        return found.keys() == set(keys)


def _parse_header(line: _Line) -> tuple[str | None, tuple[str, ...] | None, int | None]:
    found = line.json()
    if found is None or not line.take(found, _HEADER_KEYS, "the header"):
        if found is None:
            line.problem(f"wanted a header of format {MANIFEST_FORMAT!r}")
        return None, None, None
    if (found["format"], found["version"]) != (MANIFEST_FORMAT, MANIFEST_VERSION):
        line.problem(
            f"is format {_brief(found['format'])} version {_brief(found['version'])}: wanted "
            f"{MANIFEST_FORMAT!r} version {MANIFEST_VERSION}"
        )
    dataset, classes, n_records = found["dataset"], found["classes"], found["n_records"]
    if not isinstance(dataset, str) or not (
        isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    ):
        line.problem(
            f"dataset is {_brief(dataset)} and classes are {_brief(classes)}: wanted a name and a "
            "list of names"
        )
        return None, None, None
    for text in header_problems(dataset, classes):
        line.problem(text)
    if type(n_records) is not int:
        line.problem(f"n_records is {_brief(n_records)}: wanted the number of record lines")
        n_records = None
    return dataset, tuple(classes), n_records


def _parse_record(line: _Line) -> Record | None:
    found = line.json()
    if found is None or not line.take(found, _RECORD_KEYS, "the record"):
        return None
    attributes, modalities = found["attributes"], found["streams"]
    if not isinstance(attributes, dict) or not isinstance(modalities, dict):
        line.problem(
            f"attributes are {_brief(attributes)} and streams are {_brief(modalities)}: wanted "
            "two objects"
        )
        return None
    streams: dict[str, tuple[StreamRef, ...]] = {}
    sound = True
    for modality, refs in modalities.items():
        if not isinstance(refs, list):
            line.problem(f"streams of {modality} are {_brief(refs)}: wanted a list")
            sound = False
            continue
        parsed = [_parse_stream(line, ref, modality) for ref in refs]
        sound = sound and None not in parsed
        streams[modality] = tuple(ref for ref in parsed if ref is not None)
    if not sound:
        return None
    try:
        return Record(id=found["id"], label=found["label"], attributes=attributes, streams=streams)
    except ContractError as error:
        line.problem(str(error))
        return None


def _parse_stream(line: _Line, found: Any, modality: str) -> StreamRef | None:
    if not line.take(found, _STREAM_KEYS, f"a stream of {modality}"):
        return None
    path = found["path"]
    if isinstance(path, str) and leads_out(path):
        line.problem(
            f"path {path!r} leads out of the raw tree: wanted a relative path without '..'",
            ProblemKind.ESCAPING,
        )
        return None
    try:
        return StreamRef(**found)
    except ContractError as error:
        line.problem(str(error))
        return None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the keys {sorted({n for n in names if names.count(n) > 1})} repeat")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number of JSON")


def _brief(found: Any) -> str:
    text = repr(found)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _read(path: str | os.PathLike[str]) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ContractError(f"{path} cannot be read: {error.strerror or error}") from error
