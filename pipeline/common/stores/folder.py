"""Objects as files of a folder of this machine.

An object is written beside its place, flushed to the disk and renamed over it, so that a kill or a
power cut leaves the old object or the new one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.common.files import PARTIAL, flush, make_folder, replacing
from pipeline.contract import ContractError

FILE = "file://"


@dataclass(frozen=True, slots=True)
class Folder:
    """Objects under a local folder."""

    location: str

    @property
    def path(self) -> Path:
        """The folder."""
        return Path(self.location)

    @property
    def _root(self) -> str:
        """The same as a text, which is what most costs a path."""
        return self.location.rstrip("/") if self.location else "."

    def read(self, key: str) -> bytes | None:
        """See :class:`~pipeline.common.stores.store.Store`."""
        try:
            with open(f"{self._root}/{key}", "rb") as file:  # noqa: PTH123 - see replacing
                return file.read()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def write(self, key: str, content: bytes) -> None:
        """See :class:`~pipeline.common.stores.store.Store`."""
        path = f"{self._root}/{key}"
        folder = path.rpartition("/")[0]
        if not os.path.isdir(folder):  # noqa: PTH112
            make_folder(Path(folder))
        with replacing(path) as partial, open(partial, "wb") as file:  # noqa: PTH123
            file.write(content)

    def create(self, key: str, content: bytes) -> bool:
        """See :class:`~pipeline.common.stores.store.Store`."""
        try:
            with (self.path / key).open("xb") as file:
                file.write(content)
        except FileExistsError:
            return False
        return True

    def version(self, key: str) -> str:
        """Nothing: whoever writes a folder holds its lock."""
        return ""

    def versions(self) -> dict[str, str]:
        """Nothing, for the same reason."""
        return {}

    def write_over(self, key: str, content: bytes, version: str) -> str | None:
        """See :class:`~pipeline.common.stores.store.Store`; what is there is not written again."""
        if self.read(key) != content:
            self.write(key, content)
        return ""

    def holds(self, key: str, content: bytes) -> bool:
        """See :class:`~pipeline.common.stores.store.Store`."""
        return self.read(key) == content

    def names(self, folder: str) -> list[str]:
        """See :class:`~pipeline.common.stores.store.Store`."""
        try:
            return os.listdir(f"{self._root}/{folder}")  # noqa: PTH208 - names are all we want
        except (FileNotFoundError, NotADirectoryError):
            return []

    def sizes(self, prefix: str) -> dict[str, int]:
        """See :class:`~pipeline.common.stores.store.Store`; leftovers of a kill are left out."""
        start = len(f"{self._root}/")
        sizes: dict[str, int] = {}
        for entry in _files(f"{self._root}/{prefix}"):
            if not entry.name.endswith(PARTIAL):
                with suppress(FileNotFoundError):  # what was replaced or removed meanwhile
                    sizes[entry.path[start:]] = entry.stat(follow_symlinks=False).st_size
        return sizes

    def delete(self, key: str) -> None:
        """See :class:`~pipeline.common.stores.store.Store`; a power cut brings nothing back."""
        path = self.path / key
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return
        flush(path.parent)

    def flush(self) -> None:
        """Make sure that the names in every folder are on the disk, and the folder's own.

        Also where nothing is left: of what was removed there, a power cut brings nothing back.
        """
        with suppress(PermissionError):
            flush(self.path.absolute().parent)
        for folder, _, _ in os.walk(self.path):
            flush(folder)

    def sweep(self) -> int:
        """Remove what a kill left half-written, and count it."""
        partials = [e.path for e in _files(f"{self._root}/") if e.name.endswith(PARTIAL)]
        for path in partials:
            Path(path).unlink(missing_ok=True)
        return len(partials)

    def zarr_store(self, *, read_only: bool) -> Any:
        """See :class:`~pipeline.common.stores.store.Store`."""
        from zarr.storage import LocalStore

        if self.path.exists() and not self.path.is_dir():
            raise ContractError(f"{self.location} is a file: wanted a cache's folder")
        return LocalStore(self.path, read_only=read_only)


def _files(folder: str) -> Iterator[os.DirEntry[str]]:
    """Every file under a folder; what links lead to is not looked into."""
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_dir():
                yield entry
            elif not entry.is_symlink():
                yield from _files(entry.path)
