"""One file held against everything that is known of it: its format, its pins, a tree, a twin.

A manifest is read and checked; a list of clips is read as the manifest that it stands for. Any
other file of data (a protocol, a configuration) is held against its pins alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.contract import ContractError
from pipeline.manifests.build import Progress
from pipeline.manifests.check import check, compare
from pipeline.manifests.files import parse_manifest
from pipeline.manifests.lock import command_that_locks
from pipeline.manifests.model import Manifest, Problem, ProblemKind
from pipeline.manifests.pins import PINS_FILE, Pin, pin_problems, pins_over, read_pins
from pipeline.manifests.shipped import CLIPS, is_shipped, manifest_of_clips
from pipeline.raw.tree import RawTree

PLAIN = (".csv", ".toml")
"""How the names of data end that are no manifests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """What was found of one file."""

    file: Path
    problems: tuple[Problem, ...]
    manifest: Manifest | None = None
    """What it lists; None of a file that lists nothing, or cannot be read."""
    is_pinned: bool = False
    """Whether pins say what it should be."""


def check_file(
    file: Path,
    *,
    raw: RawTree | None = None,
    other: Manifest | None = None,
    progress: Progress | None = None,
    jobs: int | None = None,
    needs_pin: bool = False,
) -> FileReport:
    """Find everything that is wrong with one file.

    Args:
        file: A manifest, a list of clips, or any other file that is pinned.
        raw: The tree that it should be about; None to leave recordings alone.
        other: A manifest that must agree with it.
        progress: Called as files of the tree are done.
        jobs: Threads that hash; None for as many as the machine has processors.
        needs_pin: A file that no pins list is a problem. One that ships always needs them.

    Raises:
        ContractError: the pins are damaged.
        RecordingError: an archive of the tree is damaged.
    """
    pin = _pin(file)
    try:
        content = file.read_bytes()
    except OSError as error:
        text = f"{file} is pinned and cannot be read ({error.strerror or error}): restore it, or "
        text += f"run: {command_that_locks(file, is_gone=True)}"
        missing = Problem(ProblemKind.MISSING, "line 1", text)
        return FileReport(file=file, problems=(missing,), is_pinned=pin is not None)
    problems: list[Problem] = []
    if pin is not None:
        problems += pin_problems(content, pin, command_that_locks(file))
    elif needs_pin or is_shipped(file):
        text = f"no {PINS_FILE} lists {file}: to pin it, run: {command_that_locks(file)}"
        problems.append(Problem(ProblemKind.PINNED, "line 1", text))
    manifest, faults = _read(file, content)
    problems += faults
    if manifest is not None:
        problems += check(manifest, raw, progress=progress, jobs=jobs)
        if other is not None:
            problems += compare(manifest, other)
    found = tuple(problems)
    return FileReport(file=file, problems=found, manifest=manifest, is_pinned=pin is not None)


def _pin(file: Path) -> Pin | None:
    """What pins at the file's folder or above it say of the file."""
    pins = pins_over(file)
    if pins is None:
        return None
    return read_pins(pins)[file.absolute().relative_to(pins.parent).as_posix()]


def _read(file: Path, content: bytes) -> tuple[Manifest | None, list[Problem]]:
    """What a file lists, and everything that is wrong with how it is written."""
    if file.name.endswith(CLIPS):
        try:
            return manifest_of_clips(file.name.removesuffix(CLIPS), content.decode()), []
        except (ContractError, UnicodeDecodeError) as error:
            return None, [Problem(ProblemKind.STRUCTURE, "line 1", str(error))]
    return (None, []) if file.suffix in PLAIN else parse_manifest(content)
