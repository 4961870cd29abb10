"""Archives as downloaded, read in place: ``.zip`` and ``.tar.gz``.

Each is a directory of relative paths in the raw tree and a way to open one of them; a member has
the path that it would have if the archive were extracted beside itself. Nothing is unpacked to
the disk. Members that lead out of the tree, and those that are no plain files, are refused.
"""

from __future__ import annotations

import io
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pipeline import contract
from pipeline.contract import RecordingError, leads_out
from pipeline.raw.seekable_gzip import SeekableGzip

MAX_NAME = 1000
"""Characters of a member's name."""
GZIP_AT_BEST = 1100
"""To so many times its size a gzip file can inflate, and a little less."""
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError)
"""What reading a damaged member raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Something in a raw tree that is not read."""

    path: str
    reason: str
    escapes: bool = False
    """Whether it leads out of the tree, by a link or by its name in an archive."""
    is_unread: bool = False
    """Whether recordings may lie there that could not be looked into."""


class ZipArchive:
    """A ``.zip``."""

    def __init__(self, path: Path, folder: str) -> None:
        """Read the directory of the archive of a folder.

        Raises:
            RecordingError: it is damaged, or holds one name twice.
        """
        try:
            self._file = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
            raise refuse(path.name, f"is not a whole zip archive: {error}") from error
        self.sizes: dict[str, int] = {}
        self.refused: list[Refusal] = []
        self._members: dict[str, zipfile.ZipInfo] = {}
        for member in self._file.infolist():
            if not member.filename or not member.is_dir():
                name = _enter(self.sizes, self.refused, path, folder, member.filename)
                if name is not None:
                    self.sizes[name], self._members[name] = member.file_size, member

    @contextmanager
    def open(self, path: str) -> Iterator[IO[bytes]]:
        """Open a member.

        Raises:
            RecordingError: it is packed or locked in a way that cannot be read.
        """
        name = Path(self._file.filename or "").name
        try:
            with self._file.open(self._members[path]) as file:
                yield file
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
            raise refuse(path, f"cannot be read out of {name}: {error}") from error


class TarGzArchive:
    """A ``.tar.gz``; it is walked through once, and then read in any order."""

    def __init__(self, path: Path, folder: str) -> None:
        """Walk through the archive of a folder.

        Raises:
            RecordingError: it is damaged, or holds one name twice.
        """
        self.sizes: dict[str, int] = {}
        self.refused: list[Refusal] = []
        self._starts: dict[str, int] = {}
        self._lock = threading.Lock()
        try:
            most = GZIP_AT_BEST * path.stat().st_size
            self._file = SeekableGzip(path.open("rb"))
            with tarfile.open(fileobj=self._file, mode="r|") as tar:  # type: ignore[call-overload]
                for member in tar:
                    tar.members = []  # or it keeps them all
                    if member.size > most:
                        raise tarfile.ReadError(
                            f"{member.name[:MAX_NAME]!r} declares {member.size} bytes, more than "
                            "the archive can hold"
                        )
                    if member.isdir():
                        continue
                    name = _enter(self.sizes, self.refused, path, folder, member.name)
                    if name is None:
                        continue
                    if member.isreg() and not member.issparse():
                        self.sizes[name], self._starts[name] = member.size, member.offset_data
                    else:
                        reason = f"no plain file in {path.name}"
                        self.refused.append(Refusal(path=name, reason=reason))
            while self._file.read(1 << 20):  # up to the checksum
                pass
        except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
            raise refuse(path.name, f"is not a whole tar.gz archive: {error}") from error

    @contextmanager
    def open(self, path: str) -> Iterator[IO[bytes]]:
        """Open a member."""
        yield io.BufferedReader(_Part(self._read_at, self._starts[path], self.sizes[path]))

    def _read_at(self, start: int, n_bytes: int) -> bytes:
        with self._lock:
            self._file.seek(start)
            return self._file.read(n_bytes)


class _Part(io.RawIOBase):
    """A stretch of something that is read by position."""

    def __init__(self, read_at: Callable[[int, int], bytes], start: int, n_bytes: int) -> None:
        self._read_at, self._at, self._end = read_at, start, start + n_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        content = self._read_at(self._at, min(len(view), self._end - self._at))
        view[: len(content)] = content
        self._at += len(content)
        return len(content)


Archive = ZipArchive | TarGzArchive
"""One archive's directory (``sizes``: path in the tree to declared bytes; ``refused``), and
``open`` for its members; may be used from several threads."""

ARCHIVES: Mapping[str, type[Archive]] = {
    ".zip": ZipArchive,
    ".tar.gz": TarGzArchive,
}
"""Ending to kind; where both are beside each other the first is read."""


def ending_of(name: str) -> str | None:
    """How an archive's name ends; None for a name that is none's."""
    return next((e for e in ARCHIVES if name.endswith(e) and len(name) > len(e)), None)


def refuse(path: str, reason: str) -> RecordingError:
    """A file of the tree that cannot be opened."""
    return contract.refuse(path, reason, stage="open")


def _enter(
    known: Mapping[str, int], refused: list[Refusal], archive: Path, folder: str, member: str
) -> str | None:
    """A member's path in the tree; None where its name leads out of it.

    Raises:
        RecordingError: the archive holds the name twice.
    """
    plain = member.removeprefix("./")
    name = plain if plain.startswith(f"{folder}/") else f"{folder}/{plain}"
    if leads_out(member) or len(member) > MAX_NAME:
        reason = f"its name in {archive.name} leads out of the tree"
        if not member or len(member) > MAX_NAME:
            reason = (
                f"its name in {archive.name} has {len(member)} characters: wanted 1 to {MAX_NAME}"
            )
        elif "\\" in member:
            reason = f"its name in {archive.name} has a backslash: wanted '/' between folders"
        refused.append(Refusal(path=name[:200], reason=reason, escapes=True, is_unread=True))
        return None
    if name in known:
        raise refuse(archive.name, f"holds {name} twice: wanted each file once")
    return name
