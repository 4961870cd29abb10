"""The tree of raw recordings: extracted folders, or the archives as downloaded.

A path such as ``Inertial/a1_s1_t1_inertial.mat`` is a file of the tree or, where the folder
``Inertial`` is absent, a member of ``Inertial.zip`` or ``Inertial.tar.gz`` at the tree's root.
Where both are there the folder is read and the archive is not. Nothing outside the tree is ever
opened, nothing larger than the limit is ever read, and nothing is written.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from pipeline.contract import RecordingError, leads_out
from pipeline.raw.archives import ARCHIVES, DAMAGE, Archive, Refusal, ending_of, refuse

DEFAULT_MAX_BYTES = 4 << 30
FABRICATED = "FABRICATED"
"""A file of this name at the top of a tree says that its recordings are of nobody."""
_STEP = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What lies in a raw tree."""

    paths: tuple[str, ...]
    """Every file that can be read, relative, with forward slashes, sorted."""
    refused: tuple[Refusal, ...]
    """What lies there and is not read, sorted by path: links out of the tree, an archive beside
    its own folder, members with names that lead out of the tree."""


class RawTree:
    """Reads raw files by their relative path, from folders or from archives.

    May be used from several threads, and pickled: only the root and the limit travel.
    """

    def __init__(self, root: str | os.PathLike[str], *, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        """Look at the tree at ``root``; a file of more than ``max_bytes`` is refused.

        Raises:
            RecordingError: ``root`` is not a folder.
        """
        self.root = Path(root)
        self.max_bytes = max_bytes
        if not self.root.is_dir():
            raise RecordingError(
                f"{self.root} is not a folder: wanted the folder that holds the raw recordings "
                "or their archives",
                stage="open",
                path=str(self.root),
            )
        self._real_root = self.root.resolve()
        self._prefix = f"{str(self._real_root).rstrip('/')}/"
        self._archives: dict[tuple[int, str], Archive] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle as root and limit; open archives stay behind."""
        return partial(RawTree, str(self.root), max_bytes=self.max_bytes), ()

    def __repr__(self) -> str:
        """Root and limit, as they were given."""
        return f"RawTree({str(self.root)!r}, max_bytes={self.max_bytes})"

    def read(self, path: str) -> bytes:
        """All bytes of one file.

        Raises:
            RecordingError: as :meth:`open`; or it holds fewer or more bytes than it declares.
        """
        with self.open(path) as (file, n_bytes):
            content = _checked_read(file, n_bytes + 1, path)
        if len(content) != n_bytes:
            raise refuse(path, f"holds {len(content)} bytes where {n_bytes} are declared")
        return content

    def digest(self, path: str) -> tuple[int, str]:
        """Size in bytes and SHA-256 of one file, in constant memory.

        Raises:
            RecordingError: as :meth:`read`.
        """
        n_read, digest = 0, hashlib.sha256()
        with self.open(path) as (file, n_bytes):
            while block := _checked_read(file, _STEP, path):
                digest.update(block)
                n_read += len(block)
        if n_read != n_bytes:
            raise refuse(path, f"holds {n_read} bytes where {n_bytes} are declared")
        return n_read, digest.hexdigest()

    def size(self, path: str) -> int:
        """Size in bytes, without reading the file.

        Raises:
            RecordingError: as :meth:`open`.
        """
        with self.open(path) as (_, n_bytes):
            return n_bytes

    @contextmanager
    def open(self, path: str) -> Iterator[tuple[IO[bytes], int]]:
        """Open one file; gives the file and the size that it declares.

        Raises:
            RecordingError: (stage ``open``) the path leads out of the tree, by its name or by a
                link; no such file; not a plain file; too large; a damaged archive.
        """
        if leads_out(path):
            raise refuse(path, "leads out of the raw tree: wanted a relative path without '..'")
        try:
            real = self._followed(path)
            if not f"{real}/".startswith(self._prefix):
                raise refuse(
                    path, f"is a link out of the raw tree, to {real}: put the file into the tree"
                )
            try:
                status = os.stat(real)  # noqa: PTH116
            except (FileNotFoundError, NotADirectoryError):
                with self._open_member(path) as opened:
                    yield opened
                return
            if not stat.S_ISREG(status.st_mode):
                raise refuse(path, "is not a plain file")
            self._check_size(path, status.st_size)
            with open(real, "rb") as file:  # noqa: PTH123
                yield file, status.st_size
        except (OSError, RuntimeError) as error:  # a loop of links is either, by Python's version
            reason = getattr(error, "strerror", None) or error
            raise refuse(path, f"cannot be opened: {reason}") from error

    def _followed(self, path: str) -> str:
        """Where a path really leads, by links too.

        Texts, and links looked for below the root alone: this is much of what a small file takes.
        """
        real = self._prefix.rstrip("/")
        for part in path.split("/"):
            real = f"{real}/{part}"
            if os.path.islink(real):  # noqa: PTH114
                return os.path.realpath(f"{self._prefix}{path}")
        return real

    @property
    def is_fabricated(self) -> bool:
        """Whether the tree says that its recordings are fabricated."""
        return (self._real_root / FABRICATED).is_file()

    def survey(self) -> Survey:
        """Everything in the tree, read or refused; opens archives' directories, reads no file.

        Raises:
            RecordingError: an archive is damaged, or holds one name twice.
        """
        paths: list[str] = []
        refused: list[Refusal] = []

        def unread(error: OSError) -> None:
            path = os.path.relpath(error.filename, self._real_root)
            reason = f"cannot be looked into: {error.strerror}"
            refused.append(Refusal(path=path, reason=reason, is_unread=True))

        for folder, folders, files in os.walk(self._real_root, onerror=unread, followlinks=False):
            parent = Path(folder)
            for name in files + [f for f in folders if (parent / f).is_symlink()]:
                path = (parent / name).relative_to(self._real_root).as_posix()
                if path == FABRICATED:
                    continue
                if refusal := self._why_not(parent / name, path):
                    refused.append(refusal)
                elif parent == self._real_root and (ending := ending_of(name)):
                    top = name.removesuffix(ending)
                    is_folder = (parent / top).exists()
                    read = f"the folder {top}" if is_folder else self._archive_of(top)
                    if read != name:
                        reason = f"not read while {read} is beside it"
                        refused.append(Refusal(path=path, reason=reason))
                        continue
                    archive = self._archive(name)
                    paths.extend(archive.sizes)
                    refused.extend(archive.refused)
                else:
                    paths.append(path)
        return Survey(
            paths=tuple(sorted(paths)), refused=tuple(sorted(refused, key=lambda r: r.path))
        )

    def walk(self) -> list[str]:
        """Relative paths of every file that can be read, sorted.

        Raises:
            RecordingError: as :meth:`survey`.
        """
        return list(self.survey().paths)

    def _why_not(self, file: Path, path: str) -> Refusal | None:
        try:
            real = file.resolve()
        except (OSError, RuntimeError) as error:
            return Refusal(path=path, reason=f"cannot be followed: {error}")
        if not real.is_relative_to(self._real_root):
            return Refusal(path=path, reason=f"a link out of the tree, to {real}", escapes=True)
        if file.is_symlink() and real.is_dir():
            return Refusal(path=path, reason="a link to a folder of the same tree")
        return None if real.is_file() else Refusal(path=path, reason="not a plain file")

    def _check_size(self, path: str, n_bytes: int) -> None:
        if n_bytes > self.max_bytes:
            raise refuse(path, f"declares {n_bytes} bytes: the limit is {self.max_bytes}")

    def _archive_of(self, top: str) -> str | None:
        """Name of the archive that stands for a folder."""
        names = (f"{top}{ending}" for ending in ARCHIVES)
        return next((name for name in names if (self._real_root / name).is_file()), None)

    def _archive(self, name: str) -> Archive:
        key = (os.getpid(), name)  # a forked process must not share an open file's position
        with self._lock:
            if key not in self._archives:
                if not (self._real_root / name).resolve().is_relative_to(self._real_root):
                    raise refuse(name, "is a link out of the raw tree: put the file into the tree")
                ending = ending_of(name) or ""
                kind = ARCHIVES[ending]
                self._archives[key] = kind(self._real_root / name, name.removesuffix(ending))
            return self._archives[key]

    @contextmanager
    def _open_member(self, path: str) -> Iterator[tuple[IO[bytes], int]]:
        top = PurePosixPath(path).parts[0]
        name = self._archive_of(top)
        if name is None:
            wanted = " or ".join(f"{top}{ending}" for ending in ARCHIVES)
            raise refuse(path, f"no such file in {self.root}, and no archive {wanted} there")
        if (self._real_root / top).exists():
            raise refuse(
                path,
                f"no such file in the folder {top}; {name} beside it is not read while that "
                "folder is there",
            )
        archive = self._archive(name)
        n_bytes = archive.sizes.get(path)
        if n_bytes is None:
            raise refuse(path, f"no such file in {name}, and no folder {top} in {self.root}")
        self._check_size(path, n_bytes)
        with archive.open(path) as file:
            yield file, n_bytes


def _checked_read(file: IO[bytes], n_bytes: int, path: str) -> bytes:
    try:
        return file.read(n_bytes)
    except DAMAGE as error:
        raise refuse(path, f"is damaged in its archive: {error}") from error
    except (OSError, ValueError, MemoryError) as error:
        raise refuse(path, f"cannot be read: {type(error).__name__}: {error}") from error
