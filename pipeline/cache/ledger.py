"""The ledger: for each stored chunk of a modality, what became of each of its records.

One small JSON object a chunk, written after the chunk's bytes are on the disk and have been read
back. It is the only authority on what is done: an encode goes on from it, ``cache verify`` checks
against it, and the presence arrays that readers see are derived from it at the end.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.cache.objects import Objects
from pipeline.contract import LEDGER_PREFIX, ContractError, Presence, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One raw file as it was when it was read."""

    path: str
    n_bytes: int
    sha256: str
    n_frames: int | None = None
    """Rows or frames that the manifest promised then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a stream of a record was quarantined."""

    stage: str
    """``open``, ``read``, ``check``, ``encode``, ``agree`` or ``crash``."""
    type: str
    """The error's class."""
    message: str
    path: str | None = None
    """The file, relative to the raw tree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One record's modality."""

    record_id: str
    row: int
    presence: Presence
    key: str
    """What the row was made from (:func:`content_key`); an entry under another key is stale."""
    digest: str = ""
    """SHA-256 of the row's stored bytes."""
    length: int = 0
    """T: raw rows or frames; known of a failed record only where its length is what failed."""
    sources: tuple[Source, ...] = ()
    failure: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkLedger:
    """What became of the records of one chunk."""

    modality: str
    chunk: int
    entries: tuple[Entry, ...]
    environment: Mapping[str, Any] = field(default_factory=dict)
    """Device, arithmetic and versions of the worker that last wrote the chunk."""

    def to_bytes(self) -> bytes:
        """As it is stored."""
        entries = [
            {
                **_shallow(entry),
                "sources": [_shallow(source) for source in entry.sources],
                "failure": entry.failure and _shallow(entry.failure),
            }
            for entry in self.entries
        ]
        content = {**_shallow(self), "entries": entries}
        return json.dumps(content, indent=1, sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, content: bytes, *, where: str) -> ChunkLedger:
        """Read a stored ledger.

        Raises:
            ContractError: the object is damaged.
        """
        try:
            raw = json.loads(content)
            entries = tuple(
                Entry(
                    record_id=entry["record_id"],
                    row=entry["row"],
                    presence=Presence(entry["presence"]),
                    key=entry["key"],
                    digest=entry["digest"],
                    length=entry["length"],
                    sources=tuple(Source(**source) for source in entry["sources"]),
                    failure=Failure(**entry["failure"]) if entry["failure"] else None,
                )
                for entry in raw["entries"]
            )
            return cls(
                modality=raw["modality"],
                chunk=raw["chunk"],
                entries=entries,
                environment=raw["environment"],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ContractError(
                f"{where} is damaged ({type(error).__name__}: {error}): "
                "'dmft encode --check-stored' encodes its records again"
            ) from error


def _shallow(instance: Entry | Source | Failure | ChunkLedger) -> dict[str, Any]:
    """A dataclass as a table of its own fields; ``asdict`` copies all that is in them too."""
    return {name: getattr(instance, name) for name in instance.__slots__}


def ledger_key(modality: str, chunk: int) -> str:
    """Where a chunk's ledger lies."""
    return f"{LEDGER_PREFIX}/{modality}/{chunk}.json"


def write_ledger(objects: Objects, ledger: ChunkLedger) -> None:
    """Commit a chunk: from here on its records are done."""
    objects.write(ledger_key(ledger.modality, ledger.chunk), ledger.to_bytes())


def read_ledger(objects: Objects, modality: str, chunk: int) -> ChunkLedger | None:
    """A chunk's ledger; None where the chunk was never committed."""
    key = ledger_key(modality, chunk)
    content = objects.read(key)
    if content is None:
        return None
    return ChunkLedger.from_bytes(content, where=f"{objects.location}/{key}")


def content_key(
    record: Record,
    modality: str,
    *,
    encoding: Mapping[str, Any],
    version: int,
    weights_sha256: str | None,
    hashes: Mapping[str, str],
) -> str:
    """What a row is made from, as one hash: bytes, configuration, weights, encoder version.

    Paths, clocks, machines and worker counts are not in it: moving a raw tree changes no key. Nor
    are counts of frames, which a manifest may learn later; the plan holds them against what was
    found.

    Args:
        record: Whose streams count, in their order.
        modality: Which of its modalities.
        encoding: The modality's resolved configuration.
        version: The encoder's version.
        weights_sha256: The network's weights; None for modalities without a network.
        hashes: Stream path to content hash, for streams whose hash the manifest does not know.
    """
    streams = [
        [stream.name, stream.sha256 or hashes[stream.path]] for stream in record.streams[modality]
    ]
    content = {
        "modality": modality,
        "streams": streams,
        "encoding": dict(encoding),
        "version": version,
        "weights": weights_sha256,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
