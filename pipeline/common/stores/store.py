"""What every place for objects can do, and which kind of place a location is."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import Any, Protocol

from pipeline.common.stores.folder import FILE, Folder
from pipeline.contract import ConfigError

BUCKETS = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl")
"""Kinds of URL of object stores that can be written."""
HUB = re.compile(r"hf://(?P<kind>datasets/)?(?P<name>[^/@]+/[^/@]+)(@(?P<at>[^/]+))?(?P<rest>/.*)?")
"""Addresses of Hugging Face's hub, as its own library has them."""
WEB = ("http", "https")
"""Kinds of URL that can be read, object by object, and not listed."""

Version = str
"""What an object was when it was looked at; empty where there was none, or where nothing tells."""


class Store(Protocol):
    """Objects under one location, by their names with ``/`` between the parts."""

    @property
    def location(self) -> str:
        """The folder or the URL."""

    def read(self, key: str) -> bytes | None:
        """All bytes of an object; None where there is none."""

    def write(self, key: str, content: bytes) -> None:
        """Put an object in place, whole and durable, over whatever is there."""

    def create(self, key: str, content: bytes) -> bool:
        """Put an object where there is none; False where there is one. Of several, one can.

        ``content`` must name its writer, by which a put is known again whose answer got lost.
        """

    def version(self, key: str) -> Version:
        """What an object is now, for :meth:`write_over`."""

    def versions(self) -> dict[str, Version]:
        """The same of every object; nothing of a place that has no versions."""

    def write_over(self, key: str, content: bytes, version: Version) -> Version | None:
        """Put an object in place of what it was at ``version``; None where it has changed since.

        A folder's is held by a lock that goes with its process, so it writes in any case.
        """

    def holds(self, key: str, content: bytes) -> bool:
        """Whether an object has these bytes."""

    def names(self, folder: str) -> list[str]:
        """What lies in a folder, by name; nothing where there is no such folder."""

    def sizes(self, prefix: str) -> dict[str, int]:
        """Every object under a prefix and its bytes."""

    def delete(self, key: str) -> None:
        """Remove an object, or a folder of them; nothing happens where there is none."""

    def zarr_store(self, *, read_only: bool) -> Any:
        """The same place as a Zarr store."""


def served_at(location: str) -> str:
    """Where a location is read from: of Hugging Face's hub its web address, else itself.

    >>> served_at("hf://me/walks")
    'https://huggingface.co/me/walks/resolve/main'
    >>> served_at("hf://datasets/me/walks@v1/raw.zarr")
    'https://huggingface.co/datasets/me/walks/resolve/v1/raw.zarr'
    """
    found = HUB.fullmatch(location)
    if found is None:
        return location
    kind, name, rest = found["kind"] or "", found["name"], (found["rest"] or "").rstrip("/")
    return f"{hub_address()}/{kind}{name}/resolve/{found['at'] or 'main'}{rest}"


def hub_address() -> str:
    """Where the hub is, as its own library has it: elsewhere for mirrors, and for tests."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"


def open_store(location: str) -> Store:
    """The objects at a location: a folder, or a URL.

    Raises:
        ConfigError: it cannot be opened.
    """
    scheme, separator, _ = location.partition("://")
    if not separator or location.startswith(FILE):
        return Folder(location.removeprefix(FILE))
    if scheme == "hf":
        raise ConfigError(
            f"{location}: Hugging Face's hub keeps what is finished: bring a cache or a run there "
            "with 'dmft publish', and back with 'dmft fetch'"
        )
    return _remote(location, os.getpid())


@lru_cache(maxsize=16)
def _remote(location: str, _pid: int) -> Store:
    """One client a place and process: it holds the connections."""
    if location.partition("://")[0] in (*BUCKETS, *WEB):
        from pipeline.common.stores.bucket import Bucket

        return Bucket(location)
    from pipeline.common.stores.filesystem import Filesystem

    return Filesystem(location)
