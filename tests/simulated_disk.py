"""A folder in which a process can be ended at any write, and the power can go.

A *write* is what Python's audit events show under the folder: a file opened for writing, renamed
or removed, a folder made or removed; and a flush. When the power goes, everything that was flushed
by ``fsync`` stays: a file's bytes if the file was, a name in a folder if the folder was. Of
everything else any part may be lost, each name and each file for itself.
"""

from __future__ import annotations

import os
import random
import shutil
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.attack.kills import FOR_WRITING, WRITES

HALTED = "the process has ended"


class Ended(BaseException):
    """The process was ended: nothing that it does after this has any effect."""


class Disk:
    """Everything under one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._contents: dict[int, bytes] = {}
        """Of files that were flushed, by their numbers."""
        self._names: dict[int, dict[str, tuple[int, bool]]] = {}
        """Of folders that were flushed: name to the number of what has it, and if that is one."""
        self.settle()

    def settle(self) -> None:
        """Call everything that is there flushed."""
        self._contents.clear()
        self._names.clear()
        self._names[self.root.stat().st_ino] = _names(str(self.root))
        for entry in entries_under(self.root):
            if entry.is_dir():
                self._names[entry.inode()] = _names(entry.path)
            else:
                self._contents[entry.inode()] = _bytes_of(entry.path)

    def fsync(self, handle: int) -> None:
        """Stands for ``os.fsync``; before it, the process can be ended as before a write."""
        _count()
        about, path = os.fstat(handle), f"/proc/self/fd/{handle}"
        if stat.S_ISDIR(about.st_mode):
            self._names[about.st_ino] = _names(path)
        else:
            self._contents[about.st_ino] = _bytes_of(path)

    def has(self, path: Path) -> None:
        """Call a file that was changed here, and its name, flushed; or a name that is gone."""
        if path.is_file():
            self._contents[path.stat().st_ino] = path.read_bytes()
        self._names[path.parent.stat().st_ino] = _names(str(path.parent))

    def lose_power(self, seed: int) -> None:
        """Lose some of what was not flushed."""
        after = f"{self.root}.after"
        self._restore(self.root.stat().st_ino, str(self.root), after, random.Random(seed))
        shutil.rmtree(self.root)
        Path(after).rename(self.root)
        self.settle()

    def _restore(self, number: int, live: str | None, out: str, chance: random.Random) -> None:
        """Write what is left of a folder; ``live`` is where it lay, None where it was removed."""
        os.mkdir(out)  # noqa: PTH102 - here and below: a path costs more than what it is asked
        now = _names(live) if live is not None else {}
        before = self._names.get(number, {})
        for name in sorted(now.keys() | before.keys()):
            options = [now.get(name), before.get(name)]
            chosen = options[0] if options[0] == options[1] else chance.choice(options)
            if chosen is None:
                continue
            path = f"{live}/{name}" if live is not None and chosen == now.get(name) else None
            number_of_it, is_folder = chosen
            if is_folder:
                self._restore(number_of_it, path, f"{out}/{name}", chance)
                continue
            flushed = self._contents.get(number_of_it, b"")
            written = _bytes_of(path) if path is not None else flushed
            parts = (flushed, written, written[: len(written) // 2])
            with open(f"{out}/{name}", "wb") as file:  # noqa: PTH123
                file.write(flushed if flushed == written else chance.choice(parts))


def entries_under(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    """Every file and folder under one."""
    with os.scandir(folder) as entries:
        for entry in entries:
            yield entry
            if entry.is_dir():
                yield from entries_under(entry.path)


def files_of(folder: Path | str) -> dict[str, bytes]:
    """Every file under one, by its path."""
    return {e.path: _bytes_of(e.path) for e in entries_under(folder) if e.is_file()}


def _bytes_of(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read()


def _names(folder: str) -> dict[str, tuple[int, bool]]:
    with os.scandir(folder) as entries:
        return {entry.name: (entry.inode(), entry.is_dir()) for entry in entries}


class _Watch:
    """What the one audit hook of this process looks at; hooks cannot be taken out."""

    root = ""
    n_left = 0
    act: Callable[[], None] | None = None
    is_ended = False
    is_installed = False
    lock = threading.Lock()


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _Watch.root:
        return
    if event == "open":
        if not isinstance(arguments[2], int) or not arguments[2] & FOR_WRITING:
            return
    elif event not in WRITES and event != "shutil.rmtree":
        return
    if any(str(each).startswith(_Watch.root) for each in arguments[:2]):
        _count()


def _count() -> None:
    """Do what is to be done before the next write."""
    with _Watch.lock:
        if _Watch.is_ended:
            raise Ended(HALTED)
        _Watch.n_left -= 1
        act = _Watch.act if _Watch.n_left == 0 else None
    if act is not None:
        act()


def end() -> None:
    """End the process of :func:`watched` here."""
    _Watch.is_ended = True
    raise Ended(HALTED)


@contextmanager
def watched(disk: Disk, number: int = 0, act: Callable[[], None] | None = None) -> Iterator[None]:
    """Do something as a process of its own: before its numbered write, ``act`` is called.

    Raises:
        Ended: ``act`` was :func:`end`.
    """
    if not _Watch.is_installed:
        sys.addaudithook(_hook)
        _Watch.is_installed = True
    _Watch.n_left, _Watch.act, _Watch.is_ended = number, act, False
    _Watch.root = str(disk.root)
    try:
        with patch("os.fsync", disk.fsync):
            yield
    finally:
        _Watch.root = ""
