"""A cache's objects, wherever it lies: whole objects, written at once or not at all.

Zarr's chunks, its metadata and the ledger are all such objects. Where they lie is one of
:mod:`pipeline.common.stores`: a folder (``file://`` is one too), an object store such as
``s3://``, or another place that fsspec knows, such as ``memory://``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.common.stores import FILE, Folder, Store, Version, open_store

__all__ = ["FILE", "Objects", "Put"]

Put = Callable[[str, bytes], object]
"""Puts an object of a name in place: :meth:`Objects.write`, or under its owner's condition
(:func:`pipeline.cache.lock.owners_put`)."""


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects under one location; cheap to copy between processes."""

    location: str
    """A local folder, or a URL."""

    @property
    def is_local(self) -> bool:
        """Whether the location is a folder of this machine."""
        return "://" not in self.location or self.location.startswith(FILE)

    @property
    def path(self) -> Path:
        """The local folder."""
        return self._folder.path

    @property
    def _store(self) -> Store:
        return open_store(self.location)

    @property
    def _folder(self) -> Folder:
        store = self._store
        assert isinstance(store, Folder)
        return store

    def read(self, key: str) -> bytes | None:
        """The object's bytes; None where there is none."""
        return self._store.read(key)

    def write(self, key: str, content: bytes) -> None:
        """Put an object in place, whole and durable."""
        self._store.write(key, content)

    def create(self, key: str, content: bytes) -> bool:
        """Put an object where there is none; False where there is one. Of several, one can.

        ``content`` must name its writer, by which a put is known again whose answer got lost.
        """
        return self._store.create(key, content)

    def version(self, key: str) -> Version:
        """What an object is now, for :meth:`write_over`."""
        return self._store.version(key)

    def versions(self) -> dict[str, Version]:
        """What every object is now; nothing of a place that has no versions."""
        return self._store.versions()

    def write_over(self, key: str, content: bytes, version: Version) -> Version | None:
        """Put an object in place of what it was at ``version``; None where it has changed since."""
        return self._store.write_over(key, content, version)

    def names(self, folder: str) -> list[str]:
        """What lies in a folder, by name; nothing where there is no such folder."""
        return self._store.names(folder)

    def flush(self) -> None:
        """Make sure that the names of objects are on the disk; their bytes are since they were put.

        Whoever put one, or removed one, may have been killed before its name was.
        """
        if self.is_local:
            self._folder.flush()

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Every object under a prefix and its bytes, sorted; leftovers of a kill left out."""
        sizes = self._store.sizes(prefix)
        return {key: sizes[key] for key in sorted(sizes)}

    def delete(self, key: str) -> None:
        """Remove an object, or a folder of them; nothing happens where there is none."""
        self._store.delete(key)

    def sweep(self) -> int:
        """Remove what a kill left half-written, and count it."""
        return self._folder.sweep() if self.is_local else 0

    def zarr_store(self, *, read_only: bool = False) -> Any:
        """The same location as a Zarr store."""
        return self._store.zarr_store(read_only=read_only)
