"""A cache read where it lies in an object store: chunks of features are kept here as they are read.

A mirror is a folder of this machine that readers take for the cache. All that is small of it (its
description, labels, presence, lengths, checksums) is brought when it is opened; a chunk is brought
when it is read, held against its SHA-256 before it is there. Chunks that are here take a stated
room, of all mirrors together; what came first goes first. Nothing is written to the store.

A mirror is found again by the checksums of the cache: one that was encoded anew has another.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from dmft.data.memory import parse_size
from pipeline.common.checksums import Checksums
from pipeline.common.files import kept_here, replacing
from pipeline.common.publishing import fetch, read_listing
from pipeline.common.stores import open_store
from pipeline.contract import ConfigError, ContractError

log = logging.getLogger(__name__)

FOLDER_VARIABLE, SIZE_VARIABLE = "DMFT_CHUNKS", "DMFT_CHUNKS_SIZE"
DEFAULT_SIZE = "20GB"
CACHE, SOURCE = "cache.zarr", "dmft-mirror.json"
ATTEMPTS = 3
"""How often a chunk is asked for that arrives damaged."""
OnProgress = Callable[[int, int], None]


@dataclass(slots=True)
class Mirror:
    """A cache elsewhere, as far as it is here."""

    path: Path
    """The folder that readers take for the cache."""
    source: str
    """The cache, as a URL."""
    checksums: Checksums
    room: _Room

    def bring(self, key: str) -> None:
        """Have a chunk here.

        Raises:
            ContractError: what lies at the source is not what the cache's list says.
            StoreError: the store does not answer.
        """
        for _ in range(ATTEMPTS):
            content = open_store(self.source).read(key)
            digest = hashlib.sha256(content or b"").hexdigest()
            if content is not None and digest == self.checksums.sha256.get(key):
                break
        else:
            raise ContractError(
                f"{self.source}/{key} is missing or is not what the cache's list says: it was "
                "damaged, or encoded again since this began. 'dmft cache verify' on it tells"
            )
        self.room.keep(self.path / key, content)


@dataclass(slots=True)
class _Room:
    """What the chunks of all mirrors may take together, and what they take."""

    folder: Path
    limit: int
    _sizes: dict[Path, int] | None = None
    """Of the chunks that are here, the first that came first."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, place: Path, content: bytes) -> None:
        """Put a chunk in its place; where there is too little room, others are taken away."""
        n_bytes = len(content)
        with self._lock:
            if place.exists():  # another thread wanted it as well
                return
            if self._sizes is None or sum(self._sizes.values()) + n_bytes > self.limit:
                self._sizes = self._look()  # other processes bring and take away as well
            while self._sizes and sum(self._sizes.values()) + n_bytes > self.limit:
                path = next(iter(self._sizes))
                del self._sizes[path]
                path.unlink(missing_ok=True)
            place.parent.mkdir(parents=True, exist_ok=True)
            with replacing(place) as partial:
                partial.write_bytes(content)
            self._sizes[place] = n_bytes

    def _look(self) -> dict[Path, int]:
        found = []
        for path in self.folder.glob(f"*/{CACHE}/*/c/*/0/0"):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            found.append((status.st_mtime_ns, path, status.st_size))
        return {path: size for _, path, size in sorted(found)}


def is_elsewhere(location: str) -> bool:
    """Whether a location is a URL of no folder of this machine."""
    return "://" in location and not location.startswith("file://")


def mirror_of(url: str, on_progress: OnProgress = lambda done, total: None) -> Path:
    """The folder that stands for a cache elsewhere, brought up to date.

    Raises:
        ConfigError: the store cannot be opened, or no size is named by ``DMFT_CHUNKS_SIZE``.
        ContractError: no finished cache lies there, or its list is not to be believed.
    """
    url = url.rstrip("/")
    store, room = open_store(url), _room()
    listing = read_listing(store)
    if listing is None or listing.kind != "cache":
        raise ContractError(
            f"{url} is no finished cache: wanted one with its list of checksums, as 'dmft encode' "
            "or 'dmft publish' ends it"
        )
    folder = room.folder / hashlib.sha256(listing.content).hexdigest()[:32]
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / SOURCE) as partial:
        partial.write_text(json.dumps({"source": url}))
    done = fetch(
        store, folder / CACHE, later=listing.checksums.crc32c.keys(), on_progress=on_progress
    )
    if done.damaged:
        raise ContractError(
            f"{url}/{done.damaged[0]} is missing or is not what the cache's list says: 'dmft cache "
            f"verify {url} --full' names all that is damaged"
        )
    log.info("%s is read in place; its chunks are kept in %s", url, room.folder)
    return folder / CACHE


def find_mirror(path: Path, checksums: Checksums | None) -> Mirror | None:
    """The mirror that a folder is; None of a cache that lies here.

    Raises:
        ContractError: it is one whose checksums are not to be looked at.
    """
    note = path.resolve().parent / SOURCE
    if path.name != CACHE or not note.is_file():
        return None
    if checksums is None:
        raise ContractError(f"{path} stands for a cache elsewhere: it is not opened with --trust")
    source = str(json.loads(note.read_text())["source"])
    return Mirror(path.resolve(), source, checksums, _room())


def in_place_note(path: Path) -> str:
    """A line on where a mirror's chunks are kept."""
    note = json.loads((path.parent / SOURCE).read_text())
    room = _room()
    return (
        f"{note['source']} is read in place: chunks are kept in {room.folder}, at most "
        f"{room.limit / 1e9:g} GB ({SIZE_VARIABLE})"
    )


_rooms: dict[tuple[Path, int], _Room] = {}


def _room() -> _Room:
    """The room as the environment states it, one a process."""
    text = os.environ.get(SIZE_VARIABLE, DEFAULT_SIZE)
    try:
        limit = parse_size(text)
    except ConfigError as error:
        raise ConfigError(f"{SIZE_VARIABLE}: {error}") from error
    folder = kept_here(FOLDER_VARIABLE, "chunks")
    return _rooms.setdefault((folder, limit), _Room(folder, limit))
