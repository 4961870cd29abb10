"""Pins files as they are now, so that ``check`` tells when they become others.

Each is pinned in the nearest ``pins.sha256`` that lists it, at its folder or above, or else in one
beside it. Data that ship are pinned in one file, all of them and nothing else.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.common.settings import shipped_folder
from pipeline.contract import ContractError
from pipeline.manifests.pins import PINS_FILE, Pins, pin_of, pins_over, read_pins, write_pins
from pipeline.manifests.shipped import is_shipped, shipped_files


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """What became of one file's pin."""

    file: Path
    pins: Path
    """Where its pin is, or was."""
    deed: str
    """``pinned``, ``pinned anew``, ``unchanged``, or ``dropped`` where the file is gone."""


def command_that_locks(file: Path, *, is_gone: bool = False) -> str:
    """What a person types to have a file pinned as it is, or its pin dropped with it."""
    if is_shipped(file):
        return "dmft manifest lock --shipped"
    named = pins_over(file) if is_gone else file
    return f"dmft manifest lock {shlex.quote(str(named or file))}"


def files_of(asked: Path) -> tuple[Path, ...]:
    """The file that was asked for, or every file that the pins list which were asked for.

    Raises:
        ContractError: the pins are damaged, or list nothing.
    """
    if asked.name != PINS_FILE:
        return (asked,)
    listed = read_pins(asked)
    if not listed:
        raise ContractError(f"{asked} lists no file: name what to pin, 'dmft manifest lock FILE'")
    return tuple(asked.parent / name for name in listed)


def lock_files(files: Iterable[Path]) -> tuple[Locked, ...]:
    """Pin files, each where it was pinned before or else beside itself.

    Raises:
        ContractError: a file cannot be read, or pins are damaged or cannot be written.
    """
    places = {file: pins_over(file) or file.absolute().parent / PINS_FILE for file in files}
    done = list[Locked]()
    for path in dict.fromkeys(places.values()):
        pins = read_pins(path) if path.exists() else {}
        done += _lock(path, pins, [file for file, place in places.items() if place == path])
    return tuple(done)


def lock_shipped() -> tuple[Locked, ...]:
    """Pin every file of data that ships and nothing else, whatever is in the pins now.

    Raises:
        ContractError: a file cannot be read, or the pins cannot be written.
    """
    path = shipped_folder() / PINS_FILE
    try:
        pins = read_pins(path)
    except ContractError:  # none yet, or half merged
        pins = {}
    names = dict.fromkeys([*shipped_files(), *pins])
    return _lock(path, pins, [path.parent / name for name in names])


def shipped_to_check() -> tuple[Path, ...]:
    """Every file of data that ships, and every one that should: what their pins list.

    Raises:
        ContractError: the pins are damaged.
    """
    path = shipped_folder() / PINS_FILE
    names = {*shipped_files(), *(read_pins(path) if path.exists() else ())}
    return tuple(path.parent / name for name in sorted(names))


def _lock(path: Path, before: Pins, files: Sequence[Path]) -> tuple[Locked, ...]:
    """Write the pins of some files beside those of others; of a file that is gone, drop it."""
    pins, done = dict(before), []
    for file in files:
        name = file.absolute().relative_to(path.parent).as_posix()
        try:
            pins[name] = pin_of(file.read_bytes())
        except FileNotFoundError:
            pins.pop(name, None)
            done.append(Locked(file=file, pins=path, deed="dropped"))
            continue
        except OSError as error:
            raise ContractError(f"{file} cannot be read: {error.strerror or error}") from error
        if name not in before:
            deed = "pinned"
        else:
            deed = "unchanged" if before[name] == pins[name] else "pinned anew"
        done.append(Locked(file=file, pins=path, deed=deed))
    if pins != before or not path.exists():
        write_pins(path, pins)
    return tuple(done)
