"""Objects behind any other URL that fsspec knows, such as ``memory://`` and ``sftp://``.

fsspec has no conditional put for most of them: who writes such a place alone is told apart by its
``create``, and what another writes meanwhile is not noticed before it is read.
"""

from __future__ import annotations

from typing import Any

from pipeline.contract import ConfigError


class Filesystem:
    """Objects under a URL that fsspec knows."""

    def __init__(self, location: str) -> None:
        """Open the place.

        Raises:
            ConfigError: fsspec does not know it, or lacks a package for it.
        """
        self.location = location
        try:
            import fsspec

            self._fs, root = fsspec.core.url_to_fs(location)
        except (ImportError, ValueError) as error:
            raise ConfigError(f"location {location!r} cannot be opened: {error}") from error
        self._root = root.rstrip("/")

    def read(self, key: str) -> bytes | None:
        """See :class:`~pipeline.common.stores.store.Store`."""
        try:
            content: bytes = self._fs.cat_file(f"{self._root}/{key}")
            return content
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def write(self, key: str, content: bytes) -> None:
        """See :class:`~pipeline.common.stores.store.Store`."""
        self._fs.pipe_file(f"{self._root}/{key}", content)

    def create(self, key: str, content: bytes) -> bool:
        """See :class:`~pipeline.common.stores.store.Store`."""
        try:
            self._fs.pipe_file(f"{self._root}/{key}", content, mode="create")
        except FileExistsError:
            return False
        return True

    def version(self, key: str) -> str:
        """Nothing: fsspec has no conditional put."""
        return ""

    def versions(self) -> dict[str, str]:
        """Nothing, for the same reason."""
        return {}

    def write_over(self, key: str, content: bytes, version: str) -> str | None:
        """See :class:`~pipeline.common.stores.store.Store`; it writes in any case."""
        self.write(key, content)
        return ""

    def holds(self, key: str, content: bytes) -> bool:
        """See :class:`~pipeline.common.stores.store.Store`."""
        return self.read(key) == content

    def names(self, folder: str) -> list[str]:
        """See :class:`~pipeline.common.stores.store.Store`."""
        try:
            found = self._fs.ls(f"{self._root}/{folder}", detail=False, refresh=True)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [name.rstrip("/").rpartition("/")[2] for name in found]

    def sizes(self, prefix: str) -> dict[str, int]:
        """See :class:`~pipeline.common.stores.store.Store`."""
        base = f"{self._root}/{prefix}".rstrip("/")
        if not self._fs.exists(base):
            return {}
        found = self._fs.find(base, detail=True)
        return {n[len(self._root) :].lstrip("/"): int(i["size"]) for n, i in found.items()}

    def delete(self, key: str) -> None:
        """See :class:`~pipeline.common.stores.store.Store`."""
        if self._fs.exists(f"{self._root}/{key}"):
            self._fs.rm(f"{self._root}/{key}", recursive=True)

    def zarr_store(self, *, read_only: bool) -> Any:
        """See :class:`~pipeline.common.stores.store.Store`."""
        from zarr.storage import FsspecStore

        return FsspecStore.from_url(self.location, read_only=read_only)
