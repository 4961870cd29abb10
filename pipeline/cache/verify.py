"""A cache against itself and its checksums, to the byte and the record.

Everything that is wrong is a :class:`Finding` that names the object and the records it hits;
nothing is repaired. ``dmft encode --check-stored`` encodes damaged rows again. What lies outside
the cache (raw files, the encoder) is compared by :mod:`pipeline.encode.recheck`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from pipeline.cache.checksums import SUMS, TRANSIENT, is_intact, read_sums
from pipeline.cache.description import RECORDS, SPEC, read_records
from pipeline.cache.ledger import Entry, ledger_key, read_ledger
from pipeline.cache.objects import Objects
from pipeline.cache.writer import CacheStore, chunk_bytes
from pipeline.contract import LEDGER_PREFIX, CacheState, ContractError, Presence

OnStep = Callable[[int, int], None]
"""Told of objects done and in all."""

MEND = "'dmft encode --check-stored' encodes it again"
EVERY_RECORD = ("(every record)",)
"""Where the records' own list is gone and nothing can name them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong."""

    kind: str
    """``state``, ``missing``, ``extra``, ``size``, ``changed``, ``damaged``, ``source``,
    ``recompute``."""
    where: str
    """The object of the cache, or the raw file."""
    message: str
    record_ids: tuple[str, ...] = ()
    """Records that are not to be trusted because of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a verification looked at and found."""

    store: CacheStore | None
    """None where the cache's description cannot be trusted."""
    entries: Mapping[str, Mapping[str, Entry]]
    """Modality to what its sound ledgers say of each record, by id."""
    n_objects: int
    n_bytes: int
    """Bytes read and compared."""
    findings: tuple[Finding, ...]

    @property
    def state(self) -> str:
        """The cache's state; ``unreadable`` where it cannot be told."""
        return str(self.store.spec.state) if self.store else "unreadable"

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Modality to how many records are present, absent and failed."""
        return count_states(self.entries)


def verify(location: str, *, full: bool = False, on_step: OnStep | None = None) -> Report:
    """Verify a cache.

    Always: its state, its ledgers, and that every object is there in its size. ``full`` also
    compares every byte with its checksum and every row with its digest.

    Args:
        location: The cache.
        full: Read every byte.
        on_step: Told of progress.

    Raises:
        ContractError: there is no cache, or too little of its description to go by.
    """
    cache = _open(Objects(location))
    n_objects = _check_objects(cache, full=full, on_step=on_step)
    if cache.store is not None:
        cache.findings += _states(cache.store, cache.entries)
    return Report(
        store=cache.store,
        entries=cache.entries,
        n_objects=n_objects,
        n_bytes=cache.n_bytes,
        findings=tuple(cache.findings),
    )


def count_states(entries: Mapping[str, Mapping[str, Entry]]) -> dict[str, dict[str, int]]:
    """Modality to how many records are present, absent and failed."""
    return {
        modality: {
            presence.name.lower(): sum(e.presence == presence for e in by_id.values())
            for presence in (Presence.PRESENT, Presence.ABSENT, Presence.FAILED)
        }
        for modality, by_id in entries.items()
    }


@dataclass(slots=True, kw_only=True)
class _Cache:
    """A cache as far as it can be believed, and what is wrong with the rest."""

    objects: Objects
    sums: dict[str, str]
    store: CacheStore | None = None
    """None where the cache's description cannot be trusted."""
    entries: dict[str, dict[str, Entry]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    n_bytes: int = 0

    def every_record(self) -> tuple[str, ...]:
        """Ids of every record, as far as they can be told."""
        try:
            records = self.store.records if self.store else read_records(self.objects)
        except ContractError:
            return EVERY_RECORD
        return tuple(record.id for record in records)

    def chunk_of(self, key: str) -> tuple[str, int] | None:
        """Modality and number of a chunk's object."""
        match = re.fullmatch(r"([a-z0-9_]+)/c/(\d+)/0/0", key)
        if match is None or self.store is None or match[1] not in self.store.spec.modalities:
            return None
        return match[1], int(match[2])

    def records_of(self, modality: str, chunk: int) -> tuple[str, ...]:
        """Ids of the records whose rows a chunk holds."""
        assert self.store is not None
        rows = self.store.rows_of(modality, chunk)
        return tuple(record.id for record in self.store.records[rows.start : rows.stop])

    def entries_of(self, modality: str, chunk: int) -> list[Entry]:
        """What sound ledgers say of a chunk's records."""
        by_id = self.entries[modality]
        return [by_id[i] for i in self.records_of(modality, chunk) if i in by_id]

    def unsound_rows(self, key: str, content: bytes | None) -> tuple[str, ...]:
        """Ids of a chunk's records whose rows are not what was written."""
        chunk = self.chunk_of(key)
        if chunk is None or self.store is None:
            return ()
        return tuple(self.store.unsound(*chunk, self.entries_of(*chunk), content))

    def lost_with(self, key: str, content: bytes | None) -> tuple[str, ...]:
        """Ids of the records that an object which is gone or changed takes with it."""
        if chunk := self.chunk_of(key):
            entries = self.entries_of(*chunk)
            present = tuple(e.record_id for e in entries if e.presence == Presence.PRESENT)
            return self.unsound_rows(key, content) or present or self.records_of(*chunk)
        ledger = re.fullmatch(rf"{re.escape(LEDGER_PREFIX)}/([a-z0-9_]+)/(\d+)\.json", key)
        if self.store is not None and ledger and ledger[1] in self.store.spec.modalities:
            return self.records_of(ledger[1], int(ledger[2]))
        return self.every_record()


def _open(objects: Objects) -> _Cache:
    """Read the descriptions, believing those that are what was written.

    Raises:
        ContractError: there is no cache, or it cannot be read and nothing says why.
    """
    problem: tuple[str, str] | None = None
    sums: dict[str, str] | None = None
    try:
        sums = read_sums(objects)
        if sums is None:
            problem = (
                "missing",
                (
                    "there is no list of checksums: the cache was never finished, or the list was "
                    "deleted. 'dmft encode' finishes it"
                ),
            )
    except ContractError:
        problem = "changed", f"the list of checksums is not what was written: {MEND}"
    cache = _Cache(objects=objects, sums=sums or {})
    trusted = all(is_intact(objects.read(key), cache.sums.get(key)) for key in (SPEC, RECORDS))
    if trusted or not cache.sums:
        cache.store = CacheStore.read(objects.location)
        for modality in cache.store.spec.modalities:
            cache.entries[modality] = _entries(cache, cache.store, modality)
    if problem is not None:
        kind, message = problem
        everyone = cache.every_record()
        cache.findings.insert(
            0, Finding(kind=kind, where=SUMS, message=message, record_ids=everyone)
        )
    return cache


def _entries(cache: _Cache, store: CacheStore, modality: str) -> dict[str, Entry]:
    """What the ledgers say, passing over those that cannot be read."""
    entries: dict[str, Entry] = {}
    for chunk in range(store.n_chunks(modality)):
        key = ledger_key(modality, chunk)
        if key in cache.sums and not is_intact(store.objects.read(key), cache.sums[key]):
            continue  # named when the objects are looked at
        try:
            ledger = read_ledger(store.objects, modality, chunk)
        except ContractError as error:
            ids = cache.records_of(modality, chunk)
            cache.findings.append(
                Finding(kind="damaged", where=key, message=str(error), record_ids=ids)
            )
            continue
        entries.update((entry.record_id, entry) for entry in (ledger.entries if ledger else ()))
    return entries


def _check_objects(cache: _Cache, *, full: bool, on_step: OnStep | None) -> int:
    """Every object that is there or should be, and their count."""
    sizes = {key: n for key, n in cache.objects.sizes().items() if key not in TRANSIENT}
    wanted = _wanted_sizes(cache)
    keys = sorted(sizes.keys() | cache.sums.keys() | wanted.keys())
    for done, key in enumerate(keys, start=1):
        finding = _check_object(cache, key, sizes.get(key), wanted.get(key), full=full)
        if finding is not None:
            cache.findings.append(finding)
        if on_step is not None:
            on_step(done, len(keys))
    return len(keys)


def _check_object(
    cache: _Cache, key: str, size: int | None, wanted: int | None, *, full: bool
) -> Finding | None:
    """What is wrong with one object: is it there, is it its size, is it its bytes."""
    finding = Finding(kind="missing", where=key, message=f"the object is gone: {MEND}")
    if size is None:
        return replace(finding, record_ids=cache.lost_with(key, None))
    if cache.sums and key not in cache.sums:
        return replace(finding, kind="extra", message="is not in the list of checksums")
    content = cache.objects.read(key) if full or key in (SPEC, RECORDS) else None
    cache.n_bytes += len(content or b"")
    if wanted is not None and size != wanted:
        return replace(
            finding,
            kind="size",
            message=f"holds {size} bytes, wanted {wanted}: {MEND}",
            record_ids=cache.lost_with(key, content or cache.objects.read(key)),
        )
    if content is None:
        return None
    # Also where the checksum is right: it was taken after the row was written.
    unsound = cache.unsound_rows(key, content)
    if not unsound and (not cache.sums or is_intact(content, cache.sums[key])):
        return None
    return replace(
        finding,
        kind="changed",
        message=f"its bytes are not what was written: {MEND}",
        record_ids=unsound or cache.lost_with(key, content),
    )


def _wanted_sizes(cache: _Cache) -> dict[str, int]:
    """Chunks that hold a record, and their bytes."""
    wanted = {}
    for modality, by_id in cache.entries.items():
        assert cache.store is not None
        spec = cache.store.spec.modalities[modality]
        for entry in by_id.values():
            if entry.presence == Presence.PRESENT:
                key = cache.store.chunk_key(modality, entry.row // spec.records_per_chunk)
                wanted[key] = chunk_bytes(spec)
    return wanted


def _states(store: CacheStore, entries: Mapping[str, Mapping[str, Entry]]) -> Iterator[Finding]:
    if store.spec.state != CacheState.COMPLETE:
        yield Finding(
            kind="state",
            where=SPEC,
            message=f"the cache is {store.spec.state}, not complete: run 'dmft encode' again",
        )
        return
    for modality, by_id in entries.items():
        missing = [record.id for record in store.records if record.id not in by_id]
        if missing:
            yield Finding(
                kind="state",
                where=modality,
                message=f"the cache is complete and {len(missing)} records have no ledger entry",
                record_ids=tuple(missing),
            )
