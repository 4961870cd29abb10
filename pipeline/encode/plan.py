"""What an encode has to do: every record's key against the ledger, grouped into chunks.

A task is one chunk of one modality with the records in it that are not done under their present
key. Nothing here decodes; files are hashed only where the manifest does not know their hash.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from pipeline.cache.ledger import Entry, Failure, content_key
from pipeline.cache.writer import CacheStore, chunk_bytes
from pipeline.contract import Presence, Record, RecordingError
from pipeline.raw.tree import RawTree

MISSING = "0" * 64
"""Stands for the hash of a file that cannot be read, so that its return changes the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkTask:
    """Some records of one chunk of one modality, to be encoded and committed together."""

    modality: str
    chunk: int
    first_row: int
    members: tuple[Record, ...]
    """Every record of the chunk in the order of their rows, with this modality's streams alone."""
    keys: Mapping[str, str]
    """Content key of every member, by record id."""
    todo: frozenset[str]
    """Ids of the members to encode; the others are carried over where their bytes are sound."""
    quarantined: Mapping[str, Failure] = field(default_factory=dict)
    """Records known to crash a worker; they are recorded as failed and not touched."""

    @property
    def n_pending(self) -> int:
        """Members to encode that have the modality."""
        return sum(r.id in self.todo and self.modality in r.streams for r in self.members)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModalityPlan:
    """Counts of one modality's records before the encode."""

    n_done: int = 0
    n_absent: int = 0
    n_failed: int = 0
    """Quarantined by an earlier encode and not to be tried again now."""
    n_pending: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What there is to do, in order."""

    tasks: tuple[ChunkTask, ...]
    counts: Mapping[str, ModalityPlan]

    @property
    def n_pending(self) -> int:
        """Record-modalities to encode."""
        return sum(count.n_pending for count in self.counts.values())


def expected_keys(
    records: tuple[Record, ...],
    modality: str,
    *,
    encoding: Mapping[str, Any],
    version: int,
    weights_sha256: str | None,
    tree: RawTree,
    n_threads: int = 4,
) -> dict[str, str]:
    """Content key of every record's modality; absent ones have the key ``absent``."""
    unknown = list(
        dict.fromkeys(  # once, though the views of a trial share a file
            stream.path
            for record in records
            for stream in record.streams.get(modality, ())
            if stream.sha256 is None
        )
    )
    with ThreadPoolExecutor(n_threads) as pool:
        hashes = dict(zip(unknown, pool.map(_hash(tree), unknown), strict=True))
    return {
        record.id: content_key(
            record,
            modality,
            encoding=encoding,
            version=version,
            weights_sha256=weights_sha256,
            hashes=hashes,
        )
        if modality in record.streams
        else "absent"
        for record in records
    }


def _hash(tree: RawTree) -> Callable[[str], str]:
    def of(path: str) -> str:
        try:
            return tree.digest(path)[1]
        except RecordingError:
            return MISSING

    return of


def plan_modality(
    store: CacheStore,
    modality: str,
    keys: Mapping[str, str],
    *,
    tree: RawTree,
    retry_failed: bool = False,
    again: Set[str] = frozenset(),
) -> tuple[list[ChunkTask], ModalityPlan]:
    """Tasks and counts of one modality.

    A quarantined record is left alone unless its key has changed, the manifest now promises
    another count of frames, or its file could not be opened and another one is there now.

    Args:
        store: The cache.
        modality: Which.
        keys: Content key of every record, as :func:`expected_keys` gives them.
        tree: Where the raw files are.
        retry_failed: Try every quarantined record again.
        again: Records to encode again though nothing of theirs has changed.
    """
    entries = store.entries(modality)
    sizes = store.objects.sizes(modality)
    tasks: list[ChunkTask] = []
    done = absent = failed = pending = 0
    spec = store.spec.modalities[modality]
    for chunk in range(store.n_chunks(modality)):
        rows = store.rows_of(modality, chunk)
        here = [store.records[row] for row in rows]
        stored = sizes.get(store.chunk_key(modality, chunk), 0)
        whole = stored == chunk_bytes(spec)
        todo: set[str] = set()
        for record in here:
            entry = entries.get(record.id)
            if entry is None or entry.key != keys[record.id] or record.id in again:
                todo.add(record.id)
            elif entry.presence == Presence.ABSENT:
                absent += 1
            elif entry.presence == Presence.FAILED:
                if retry_failed or _may_fare_better(entry, record, tree, modality):
                    todo.add(record.id)
                else:
                    failed += 1
            elif whole and _has_promised_length(entry, record, modality):
                done += 1
            else:
                todo.add(record.id)
        if todo:
            task = ChunkTask(
                modality=modality,
                chunk=chunk,
                first_row=rows.start,
                members=tuple(_lean(record, modality) for record in here),
                keys={record.id: keys[record.id] for record in here},
                todo=frozenset(todo),
            )
            tasks.append(task)
            pending += task.n_pending
            absent += len(todo) - task.n_pending
    counts = ModalityPlan(n_done=done, n_absent=absent, n_failed=failed, n_pending=pending)
    return tasks, counts


def _has_promised_length(entry: Entry, record: Record, modality: str) -> bool:
    """Whether each file's count of frames is the record's length, or was promised then too."""
    then = {source.path: source.n_frames for source in entry.sources}
    return all(
        s.n_frames in (None, entry.length, then.get(s.path)) for s in record.streams[modality]
    )


def _may_fare_better(entry: Entry, record: Record, tree: RawTree, modality: str) -> bool:
    """Whether what a quarantined record failed by is another now."""
    seen = {source.path: source for source in entry.sources}
    streams = record.streams[modality]
    if any(s.path in seen and s.n_frames != seen[s.path].n_frames for s in streams):
        return True
    if entry.failure is None or entry.failure.stage != "open":
        return False
    try:
        found = {stream.path: tree.digest(stream.path)[1] for stream in streams}
    except RecordingError:
        return False
    return any(path not in seen or seen[path].sha256 != sha for path, sha in found.items())


def _lean(record: Record, modality: str) -> Record:
    """A record with what a task needs of it: tasks travel, and schedulers remember them."""
    streams = {name: refs for name, refs in record.streams.items() if name == modality}
    return Record(id=record.id, label=record.label, streams=streams)
