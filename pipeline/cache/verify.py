"""A cache against itself and its checksums, to the byte and the record.

Everything that is wrong is a :class:`Finding` that names the object and the records it hits;
nothing is repaired. ``dmft encode --check-stored`` encodes damaged rows again. What lies outside
the cache (raw files, the encoder) is compared by :mod:`pipeline.encode.recheck`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pipeline.cache.checksums import SUMS, is_intact, is_transient, read_sums
from pipeline.cache.description import RECORDS, SPEC, read_records
from pipeline.cache.ledger import Entry, ledger_key, read_ledger
from pipeline.cache.objects import Objects
from pipeline.cache.writer import CacheStore, chunk_bytes
from pipeline.contract import (
    COMPANIONS,
    LEDGER_PREFIX,
    CacheState,
    ContractError,
    Presence,
)

MEND = "'dmft encode --check-stored' encodes it again"
_CHUNK = r"([a-z0-9_]+)/c/(\d+)/0/0"
_LEDGER = rf"{re.escape(LEDGER_PREFIX)}/([a-z0-9_]+)/(\d+)\.json"
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


@dataclass(slots=True, kw_only=True)
class Report:
    """A cache as far as it can be believed, and what is wrong with the rest."""

    objects: Objects
    sums: Mapping[str, str]
    """Object to checksum, as the cache lists them; empty without a list that can be believed."""
    store: CacheStore | None = None
    """None where the cache's description cannot be trusted."""
    entries: dict[str, dict[str, Entry]] = field(default_factory=dict)
    """Modality to what its sound ledgers say of each record, by id."""
    n_objects: int = 0
    n_bytes: int = 0
    """Bytes read and compared."""
    findings: tuple[Finding, ...] = ()

    @property
    def state(self) -> str:
        """The cache's state; ``unreadable`` where it cannot be told."""
        return str(self.store.spec.state) if self.store else "unreadable"

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Modality to how many records are present, absent and failed."""
        return count_states(self.entries)

    def every_record(self) -> tuple[str, ...]:
        """Ids of every record, as far as they can be told."""
        try:
            records = self.store.records if self.store else read_records(self.objects)
        except ContractError:
            return EVERY_RECORD
        return tuple(record.id for record in records)

    def records_of(self, modality: str, chunk: int) -> tuple[str, ...]:
        """Ids of the records whose rows a chunk holds."""
        assert self.store is not None
        rows = self.store.rows_of(modality, chunk)
        return tuple(record.id for record in self.store.records[rows.start : rows.stop])

    def unsound_rows(self, key: str, content: bytes | None) -> tuple[str, ...]:
        """Ids of the records whose rows in a chunk's object are not what was written."""
        if self.store is None or (chunk := self._numbered(_CHUNK, key)) is None:
            return ()
        return tuple(self.store.unsound(*chunk, self._entries_of(*chunk), content))

    def lost_with(self, key: str, content: bytes | None) -> tuple[str, ...]:
        """Ids of the records that an object which is gone or changed takes with it."""
        if chunk := self._numbered(_CHUNK, key):
            entries = self._entries_of(*chunk)
            present = tuple(e.record_id for e in entries if e.presence == Presence.PRESENT)
            return self.unsound_rows(key, content) or present or self.records_of(*chunk)
        if chunk := self._numbered(_LEDGER, key):
            return self.records_of(*chunk)
        return () if key in COMPANIONS else self.every_record()

    def _numbered(self, pattern: str, key: str) -> tuple[str, int] | None:
        """Modality and number of the chunk that an object is of."""
        match = re.fullmatch(pattern, key)
        if match is None or self.store is None or match[1] not in self.store.spec.modalities:
            return None
        return match[1], int(match[2])

    def _entries_of(self, modality: str, chunk: int) -> list[Entry]:
        """What sound ledgers say of a chunk's records."""
        by_id = self.entries[modality]
        return [by_id[i] for i in self.records_of(modality, chunk) if i in by_id]


def verify(location: str, *, full: bool = False) -> Report:
    """Verify a cache.

    Always: its state, its ledgers, and that every object is there in its size. ``full`` also
    compares every byte with its checksum and every row with its digest.

    Args:
        location: The cache.
        full: Read every byte.

    Raises:
        ContractError: there is no cache, or too little of its description to go by.
    """
    report = _open(Objects(location))
    sizes = {key: n for key, n in report.objects.sizes().items() if not is_transient(key)}
    wanted = _wanted_sizes(report)
    keys = sorted(sizes.keys() | report.sums.keys() | wanted.keys())
    report.n_objects = len(keys)
    for key in keys:
        report.findings += _check_object(report, key, sizes.get(key), wanted.get(key), full=full)
    if report.store is not None:
        report.findings += tuple(_states(report.store, report.entries))
    return report


def count_states(entries: Mapping[str, Mapping[str, Entry]]) -> dict[str, dict[str, int]]:
    """Modality to how many records are present, absent and failed."""
    return {
        modality: {
            presence.name.lower(): sum(e.presence == presence for e in by_id.values())
            for presence in (Presence.PRESENT, Presence.ABSENT, Presence.FAILED)
        }
        for modality, by_id in entries.items()
    }


def _open(objects: Objects) -> Report:
    """Read the descriptions, believing those that are what was written."""
    try:
        sums = read_sums(objects)
        kind = "missing"
        message = (
            "there is no list of checksums: the cache was never finished, or the list was deleted. "
            "'dmft encode' finishes it"
        )
    except ContractError:
        sums, kind = None, "changed"
        message = f"the list of checksums is not what was written: {MEND}"
    report = Report(objects=objects, sums=sums or {})
    trusted = all(is_intact(objects.read(key), report.sums.get(key)) for key in (SPEC, RECORDS))
    if trusted or not report.sums:
        report.store = CacheStore.read(objects.location)
    if sums is None:
        ids = report.every_record()
        report.findings += (Finding(kind=kind, where=SUMS, message=message, record_ids=ids),)
    if report.store is not None:
        for modality in report.store.spec.modalities:
            report.entries[modality] = _entries(report, report.store, modality)
    return report


def _entries(report: Report, store: CacheStore, modality: str) -> dict[str, Entry]:
    """What the ledgers say, passing over those that cannot be read."""
    entries: dict[str, Entry] = {}
    for chunk in range(store.n_chunks(modality)):
        key = ledger_key(modality, chunk)
        if key in report.sums and not is_intact(store.objects.read(key), report.sums[key]):
            continue  # named when the objects are looked at
        try:
            ledger = read_ledger(store.objects, modality, chunk)
        except ContractError as error:
            ids = report.records_of(modality, chunk)
            finding = Finding(kind="damaged", where=key, message=str(error), record_ids=ids)
            report.findings += (finding,)
            continue
        entries.update((entry.record_id, entry) for entry in (ledger.entries if ledger else ()))
    return entries


def _check_object(
    report: Report, key: str, size: int | None, wanted: int | None, *, full: bool
) -> tuple[Finding, ...]:
    """What is wrong with one object: is it there, is it its size, is it its bytes."""

    def finding(kind: str, message: str, ids: tuple[str, ...] = ()) -> tuple[Finding, ...]:
        return (Finding(kind=kind, where=key, message=message, record_ids=ids),)

    mend = MEND.replace("encodes", "writes") if key in COMPANIONS else MEND
    if size is None:
        return finding("missing", f"the object is gone: {mend}", report.lost_with(key, None))
    if report.sums and key not in report.sums:
        return finding("extra", "is not in the list of checksums")
    content = report.objects.read(key) if full or key in (SPEC, RECORDS) else None
    report.n_bytes += len(content or b"")
    if wanted is not None and size != wanted:
        ids = report.lost_with(key, content or report.objects.read(key))
        return finding("size", f"holds {size} bytes, wanted {wanted}: {MEND}", ids)
    if content is None:
        return ()
    # Also where the checksum is right: it was taken after the row was written.
    ids = report.unsound_rows(key, content)
    if not ids and (not report.sums or is_intact(content, report.sums[key])):
        return ()
    ids = ids or report.lost_with(key, content)
    return finding("changed", f"its bytes are not what was written: {mend}", ids)


def _wanted_sizes(report: Report) -> dict[str, int]:
    """Chunks that hold a record, and their bytes."""
    wanted = {}
    for modality, by_id in report.entries.items():
        assert report.store is not None
        spec = report.store.spec.modalities[modality]
        for entry in by_id.values():
            if entry.presence == Presence.PRESENT:
                key = report.store.chunk_key(modality, entry.row // spec.records_per_chunk)
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
