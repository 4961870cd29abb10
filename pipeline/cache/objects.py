"""Named bytes in a folder or at a URL: whole objects, written at once or not at all.

Zarr's chunks, its metadata and the ledger are all such objects. On a local disk an object is
written beside its place, flushed to the disk and renamed over it, so that a kill or a power cut
leaves the old object or the new one; ``file://`` is such a folder too. Behind another URL
(``memory://``, ``s3://``, ...) fsspec does the same with the store's own atomic put.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.common.files import PARTIAL, flush, replacing
from pipeline.contract import ConfigError, ContractError

FILE = "file://"


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects under one location; cheap to copy between processes."""

    location: str
    """A local folder, or a URL that fsspec knows."""

    @property
    def is_local(self) -> bool:
        """Whether the location is a folder of this machine."""
        return "://" not in self.location or self.location.startswith(FILE)

    @property
    def path(self) -> Path:
        """The local folder."""
        assert self.is_local
        return Path(self.location.removeprefix(FILE))

    def _remote(self) -> tuple[Any, str]:
        import fsspec

        try:
            fs, root = fsspec.core.url_to_fs(self.location)
        except (ImportError, ValueError) as error:
            raise ConfigError(f"location {self.location!r} cannot be opened: {error}") from error
        return fs, root.rstrip("/")

    def read(self, key: str) -> bytes | None:
        """The object's bytes; None where there is none."""
        try:
            if self.is_local:
                return (self.path / key).read_bytes()
            fs, root = self._remote()
            content: bytes = fs.cat_file(f"{root}/{key}")
            return content
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def write(self, key: str, content: bytes) -> None:
        """Put an object in place, whole and durable."""
        if not self.is_local:
            fs, root = self._remote()
            fs.pipe_file(f"{root}/{key}", content)
            return
        path = self.path / key
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            partial.write_bytes(content)

    def create(self, key: str, content: bytes) -> bool:
        """Put an object where there is none; False where there is one. Of several, one can."""
        try:
            if self.is_local:
                with (self.path / key).open("xb") as file:
                    file.write(content)
            else:
                fs, root = self._remote()
                fs.pipe_file(f"{root}/{key}", content, mode="create")
        except FileExistsError:
            return False
        return True

    def names(self, folder: str) -> list[str]:
        """What lies in a folder, by name; nothing where there is no such folder."""
        try:
            if self.is_local:
                return os.listdir(self.path / folder)  # noqa: PTH208 - the names are all we want
            fs, root = self._remote()
            found = fs.ls(f"{root}/{folder}", detail=False, refresh=True)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [name.rstrip("/").rpartition("/")[2] for name in found]

    def flush(self, key: str) -> None:
        """Make sure that an object that another library wrote is on the disk."""
        if self.is_local:
            flush(self.path / key)
            flush((self.path / key).parent)

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Every object under a prefix and its bytes, sorted; leftovers of a kill left out."""
        sizes: dict[str, int] = {}
        if self.is_local:
            for folder, folders, files in os.walk(self.path / prefix, followlinks=False):
                folders.sort()
                for name in files:
                    path = Path(folder) / name
                    with suppress(FileNotFoundError):  # what was replaced or removed meanwhile
                        sizes[path.relative_to(self.path).as_posix()] = path.lstat().st_size
        else:
            fs, root = self._remote()
            base = f"{root}/{prefix}".rstrip("/")
            if fs.exists(base):
                for name, info in fs.find(base, detail=True).items():
                    sizes[name[len(root) :].lstrip("/")] = int(info["size"])
        return {key: sizes[key] for key in sorted(sizes) if not key.endswith(PARTIAL)}

    def delete(self, key: str) -> None:
        """Remove an object, or a folder of them; nothing happens where there is none."""
        if self.is_local:
            path = self.path / key
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            return
        fs, root = self._remote()
        if fs.exists(f"{root}/{key}"):
            fs.rm(f"{root}/{key}", recursive=True)

    def sweep(self) -> int:
        """Remove what a kill left half-written, and count it."""
        if not self.is_local:
            return 0
        partials = [path for path in self.path.rglob(f"*{PARTIAL}") if path.is_file()]
        for path in partials:
            path.unlink(missing_ok=True)
        return len(partials)

    def zarr_store(self, *, read_only: bool = False) -> Any:
        """The same location as a Zarr store."""
        from zarr.storage import FsspecStore, LocalStore

        if self.is_local:
            if self.path.exists() and not self.path.is_dir():
                raise ContractError(f"{self.location} is a file: wanted a cache's folder")
            return LocalStore(self.path, read_only=read_only)
        self._remote()
        return FsspecStore.from_url(self.location, read_only=read_only)
