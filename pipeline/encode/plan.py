"""What an encode has to do: every record's key against the ledger, grouped into chunks.

A task is one chunk of one modality with the records in it that are not done under their present
key. Nothing here decodes; files are hashed only where the manifest does not know their hash.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from pipeline.cache.ledger import Entry, Failure, content_key
from pipeline.cache.writer import CacheStore, chunk_bytes
from pipeline.contract import ModalitySpec, Presence, Record, RecordingError
from pipeline.encode.length_check import records_to_recheck
from pipeline.encoders.kinds import VERSION, WEIGHTS
from pipeline.raw.tree import RawTree

MISSING = "0" * 64
"""Stands for the hash of a file that cannot be read, so that its return changes the key."""
HASHING_THREADS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkTask:
    """Some records of one chunk of one modality, to be encoded and committed together."""

    modality: str
    chunk: int
    members: tuple[Record, ...]
    """Every record of the chunk in the order of their rows, with this modality's streams alone."""
    keys: Mapping[str, str]
    """Content key of every member, by record id."""
    todo: frozenset[str]
    """Ids of the members to encode; the others are carried over where their bytes are sound."""
    quarantined: Mapping[str, Failure] = field(default_factory=dict)
    """Records known to crash a worker; they are recorded as failed and not touched."""

    @property
    def pending(self) -> list[Record]:
        """Members to encode that have the modality."""
        return [r for r in self.members if r.id in self.todo and self.modality in r.streams]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModalityPlan:
    """Counts of one modality's records before the encode."""

    n_pending: int = 0
    n_done: int = 0
    n_absent: int = 0
    n_failed: int = 0
    """Quarantined by an earlier encode and not to be tried again now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What there is to do, in order."""

    tasks: tuple[ChunkTask, ...]
    counts: Mapping[str, ModalityPlan]

    @property
    def n_pending(self) -> int:
        """Record-modalities to encode."""
        return sum(count.n_pending for count in self.counts.values())


def make_plan(
    store: CacheStore, modalities: Sequence[str], tree: RawTree, *, retry_failed: bool = False
) -> Plan:
    """Tasks and counts of what a cache lacks.

    A quarantined record is left alone unless its key has changed, the manifest now promises
    another count of frames, its file could not be opened and another one is there now, or the
    stream that it disagreed with is another.

    Args:
        store: The cache, as it will be arranged.
        modalities: Those to encode.
        tree: Where the raw files are.
        retry_failed: Try every quarantined record again.
    """
    entries = {name: store.entries(name) for name in store.spec.modalities}
    specs = [store.spec.modalities[name] for name in modalities]
    keys = {spec.name: expected_keys(store.records, spec, tree) for spec in specs}
    todo = {
        name: _to_encode(store, name, entries[name], keys[name], tree, retry_failed)
        for name in modalities
    }
    again = records_to_recheck(store.spec, entries, todo)
    todo = {name: ids | again.get(name, set()) for name, ids in todo.items()}
    return Plan(
        tasks=tuple(
            task for name, ids in todo.items() for task in _tasks(store, name, keys[name], ids)
        ),
        counts={name: _counts(store, name, entries[name], ids) for name, ids in todo.items()},
    )


def expected_keys(records: Sequence[Record], spec: ModalitySpec, tree: RawTree) -> dict[str, str]:
    """Content key of every record's modality; absent ones have the key ``absent``."""

    def sha256(path: str) -> str:
        try:
            return tree.digest(path)[1]
        except RecordingError:
            return MISSING

    streams = (stream for record in records for stream in record.streams.get(spec.name, ()))
    # Once a file, though the views of a trial share it.
    unknown = dict.fromkeys(stream.path for stream in streams if stream.sha256 is None)
    with ThreadPoolExecutor(HASHING_THREADS) as pool:
        hashes = dict(zip(unknown, pool.map(sha256, unknown), strict=True))
    return {
        record.id: content_key(
            record,
            spec.name,
            encoding=spec.encoding,
            version=spec.encoding[VERSION],
            weights_sha256=spec.encoding.get(WEIGHTS),
            hashes=hashes,
        )
        if spec.name in record.streams
        else "absent"
        for record in records
    }


def _to_encode(
    store: CacheStore,
    modality: str,
    entries: Mapping[str, Entry],
    keys: Mapping[str, str],
    tree: RawTree,
    retry_failed: bool,
) -> set[str]:
    """Ids of the records that are not done under their present key."""
    spec = store.spec.modalities[modality]
    sizes, n_bytes = store.objects.sizes(modality), chunk_bytes(spec)

    def is_done(row: int, record: Record) -> bool:
        entry = entries.get(record.id)
        if entry is None or entry.key != keys[record.id]:
            return False
        if entry.presence == Presence.FAILED:
            return not (retry_failed or _may_fare_better(entry, record, tree, modality))
        if entry.presence == Presence.PRESENT:
            key = store.chunk_key(modality, row // spec.records_per_chunk)
            return sizes.get(key) == n_bytes and _has_promised_length(entry, record, modality)
        return True

    return {record.id for row, record in enumerate(store.records) if not is_done(row, record)}


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
        hashes = {stream.path: tree.digest(stream.path)[1] for stream in streams}
    except RecordingError:
        return False
    return any(path not in seen or seen[path].sha256 != sha for path, sha in hashes.items())


def _tasks(
    store: CacheStore, modality: str, keys: Mapping[str, str], todo: Set[str]
) -> Iterator[ChunkTask]:
    for chunk in range(store.n_chunks(modality)):
        rows = store.rows_of(modality, chunk)
        # With what a task needs of them: tasks travel, and schedulers remember them.
        members = tuple(
            Record(
                id=record.id,
                label=record.label,
                streams={name: s for name, s in record.streams.items() if name == modality},
            )
            for record in store.records[rows.start : rows.stop]
        )
        if ids := todo & {record.id for record in members}:
            yield ChunkTask(
                modality=modality,
                chunk=chunk,
                members=members,
                keys={record.id: keys[record.id] for record in members},
                todo=frozenset(ids),
            )


def _counts(
    store: CacheStore, modality: str, entries: Mapping[str, Entry], todo: Set[str]
) -> ModalityPlan:
    left = [entry.presence for record_id, entry in entries.items() if record_id not in todo]
    n_pending = sum(modality in r.streams for r in store.records if r.id in todo)
    return ModalityPlan(
        n_pending=n_pending,
        n_done=left.count(Presence.PRESENT),
        n_absent=left.count(Presence.ABSENT) + len(todo) - n_pending,
        n_failed=left.count(Presence.FAILED),
    )
