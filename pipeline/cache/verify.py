"""A cache against itself and its checksums, to the byte and the record.

Everything that is wrong is a :class:`Finding` that names the object and the records it hits;
nothing is repaired. ``dmft encode --check-stored`` encodes damaged rows again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from pipeline.cache.checksums import SUMS, TRANSIENT, read_sums
from pipeline.cache.ledger import Entry, ledger_key, read_ledger
from pipeline.cache.objects import Objects
from pipeline.cache.writer import RECORDS, CacheStore, chunk_bytes, read_records
from pipeline.contract import (
    LEDGER_PREFIX,
    CacheState,
    ConfigError,
    ContractError,
    Presence,
)
from pipeline.encode.recheck import Finding, check_by_encoding, check_sources
from pipeline.raw.tree import RawTree

OnStep = Callable[[int, int], None]
"""Told of objects done and in all."""

MEND = "'dmft encode --check-stored' encodes it again"
EVERY_RECORD = ("(every record)",)
"""Where the records' own list is gone and nothing can name them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a verification looked at and found."""

    state: str
    counts: Mapping[str, Mapping[str, int]]
    n_objects: int
    n_bytes: int
    """Bytes read and compared."""
    n_sources: int
    n_recomputed: int
    findings: tuple[Finding, ...]


@dataclass(slots=True, kw_only=True)
class _Look:
    """What one pass over the objects saw."""

    objects: Objects
    store: CacheStore | None
    """None where the cache's description cannot be trusted."""
    entries: dict[str, dict[str, Entry]]
    sums: dict[str, str]
    findings: list[Finding]
    n_objects: int = 0
    n_bytes: int = 0

    def everyone(self) -> tuple[str, ...]:
        """Ids of every record, as far as they can be told."""
        if self.store is not None:
            return tuple(record.id for record in self.store.records)
        try:
            return tuple(record.id for record in read_records(self.objects))
        except ContractError:
            return EVERY_RECORD


def verify(
    location: str,
    *,
    full: bool = False,
    source: str | None = None,
    recompute: int = 0,
    weights: str | None = None,
    seed: int = 0,
    on_step: OnStep | None = None,
) -> Report:
    """Verify a cache.

    Always: its state, its ledgers, and that every object is there in its size. ``full`` also
    compares every byte with its checksum and every row with its digest.

    Args:
        location: The cache.
        full: Read every byte.
        source: A raw tree whose files are hashed and compared with what was encoded.
        recompute: Records to encode again and compare, chosen by ``seed``; wants ``source``.
        weights: For recomputing colour and depth, the weights that were used.
        seed: Chooses the records to encode again.
        on_step: Told of progress.

    Raises:
        ContractError: there is no cache, or too little of its description to go by.
        ConfigError: ``recompute`` without ``source``.
    """
    if recompute and source is None:
        raise ConfigError("--recompute encodes raw files again: give their tree with --source RAW")
    look = _open(Objects(location))
    _look_at_objects(look, full=full, on_step=on_step)
    n_sources = 0
    if look.store is None:
        recompute = 0
    else:
        look.findings += _states(look.store, look.entries)
        if source is not None:
            tree = RawTree(source)
            n_sources, drift = check_sources(tree, look.entries)
            look.findings += drift
            if recompute:
                recompute, differences = check_by_encoding(
                    look.store, tree, look.entries, recompute, weights, seed
                )
                look.findings += differences
    return Report(
        state=str(look.store.spec.state) if look.store else "unreadable",
        counts=count_states(look.entries),
        n_objects=look.n_objects,
        n_bytes=look.n_bytes,
        n_sources=n_sources,
        n_recomputed=recompute,
        findings=tuple(look.findings),
    )


def count_states(entries: Mapping[str, Mapping[str, Entry]]) -> dict[str, dict[str, int]]:
    """Modality to how many records are present, absent and failed."""
    return {
        modality: {
            presence.name.lower(): sum(e.presence == presence for e in of.values())
            for presence in (Presence.PRESENT, Presence.ABSENT, Presence.FAILED)
        }
        for modality, of in entries.items()
    }


def _open(objects: Objects) -> _Look:
    """Read the descriptions, believing those that are what was written.

    Raises:
        ContractError: there is no cache, or it cannot be read and nothing says why.
    """
    look = _Look(objects=objects, store=None, entries={}, sums={}, findings=[])
    try:
        sums = read_sums(objects)
        if sums is None:
            look.findings.append(
                Finding(
                    kind="missing",
                    where=SUMS,
                    message="there is no list of checksums: the cache was never finished, or the "
                    "list was deleted. 'dmft encode' finishes it",
                )
            )
        look.sums = sums or {}
    except ContractError:
        message = f"the list of checksums is not what was written: {MEND}"
        look.findings.append(Finding(kind="changed", where=SUMS, message=message))
    trusted = all(_is_as_listed(look, key) for key in ("zarr.json", RECORDS))
    if trusted or not look.sums:
        look.store = CacheStore.read(objects.location)
        for modality in look.store.spec.modalities:
            look.entries[modality] = _entries(look, look.store, modality)
    everyone = look.everyone()
    look.findings = [
        found if found.where != SUMS else replace(found, record_ids=everyone)
        for found in look.findings
    ]
    return look


def _is_as_listed(look: _Look, key: str) -> bool:
    content = look.objects.read(key)
    listed = look.sums.get(key)
    return content is not None and hashlib.sha256(content).hexdigest() == listed


def _entries(look: _Look, store: CacheStore, modality: str) -> dict[str, Entry]:
    """What the ledgers say, passing over those that cannot be read."""
    found: dict[str, Entry] = {}
    for chunk in range(store.n_chunks(modality)):
        key = ledger_key(modality, chunk)
        if key in look.sums and not _is_as_listed(look, key):
            continue  # named when the objects are looked at
        try:
            ledger = read_ledger(store.objects, modality, chunk)
        except ContractError as error:
            here = tuple(store.records[row].id for row in store.rows_of(modality, chunk))
            look.findings.append(
                Finding(kind="damaged", where=key, message=str(error), record_ids=here)
            )
            continue
        found.update((entry.record_id, entry) for entry in (ledger.entries if ledger else ()))
    return found


def _look_at_objects(look: _Look, *, full: bool, on_step: OnStep | None) -> None:
    """Every object that is there or should be: is it there, is it its size, is it its bytes."""
    sizes = {key: n for key, n in look.objects.sizes().items() if key not in TRANSIENT}
    wanted = _wanted_sizes(look)
    keys = sorted(sizes.keys() | look.sums.keys() | wanted.keys())
    look.n_objects = len(keys)
    for index, key in enumerate(keys):
        found = _look_at(look, key, sizes.get(key), wanted.get(key), full=full)
        if found is not None:
            look.findings.append(found)
        if on_step is not None:
            on_step(index + 1, len(keys))


def _look_at(
    look: _Look, key: str, size: int | None, wanted: int | None, *, full: bool
) -> Finding | None:
    if size is None:
        return Finding(
            kind="missing",
            where=key,
            message=f"the object is gone: {MEND}",
            record_ids=_hit(look, key, None),
        )
    if look.sums and key not in look.sums:
        return Finding(kind="extra", where=key, message="is not in the list of checksums")
    content = look.objects.read(key) if full or key in ("zarr.json", RECORDS) else None
    look.n_bytes += len(content or b"")
    if wanted is not None and size != wanted:
        return Finding(
            kind="size",
            where=key,
            message=f"holds {size} bytes, wanted {wanted}: {MEND}",
            record_ids=_hit(look, key, content or look.objects.read(key)),
        )
    if content is None:
        return None
    changed = bool(look.sums) and hashlib.sha256(content).hexdigest() != look.sums[key]
    # Also where the checksum is right: it was taken after the row was written.
    rows = _hit_rows(look, key, content)
    if not changed and not rows:
        return None
    return Finding(
        kind="changed",
        where=key,
        message=f"its bytes are not what was written: {MEND}",
        record_ids=rows or _hit(look, key, content),
    )


def _chunk_of(look: _Look, key: str) -> tuple[str, int] | None:
    """Modality and number of a chunk's object."""
    match = re.fullmatch(r"([a-z0-9_]+)/c/(\d+)/0/0", key)
    if match is None or look.store is None or match[1] not in look.store.spec.modalities:
        return None
    return match[1], int(match[2])


def _wanted_sizes(look: _Look) -> dict[str, int]:
    """Chunks that hold a record, and their bytes."""
    wanted = {}
    store = look.store
    for modality, of in look.entries.items():
        assert store is not None
        for entry in of.values():
            if entry.presence == Presence.PRESENT:
                spec = store.spec.modalities[modality]
                key = store.chunk_key(modality, entry.row // spec.records_per_chunk)
                wanted[key] = chunk_bytes(spec)
    return wanted


def _hit(look: _Look, key: str, content: bytes | None) -> tuple[str, ...]:
    """Which records an object that is gone or changed takes with it."""
    store, at = look.store, _chunk_of(look, key)
    ledger = re.fullmatch(rf"{re.escape(LEDGER_PREFIX)}/([a-z0-9_]+)/(\d+)\.json", key)
    if store is not None and at is not None:
        entries = _entries_of(look, store, *at)
        present = tuple(e.record_id for e in entries if e.presence == Presence.PRESENT)
        everyone_here = tuple(store.records[row].id for row in store.rows_of(*at))
        return _hit_rows(look, key, content or b"") or present or everyone_here
    if store is not None and ledger is not None and ledger[1] in store.spec.modalities:
        return tuple(store.records[row].id for row in store.rows_of(ledger[1], int(ledger[2])))
    return look.everyone()


def _hit_rows(look: _Look, key: str, content: bytes) -> tuple[str, ...]:
    """Records of a chunk whose rows are not what was written."""
    at = _chunk_of(look, key)
    if at is None or look.store is None:
        return ()
    return tuple(look.store.unsound(*at, _entries_of(look, look.store, *at), content))


def _entries_of(look: _Look, store: CacheStore, modality: str, chunk: int) -> list[Entry]:
    ids = [store.records[r].id for r in store.rows_of(modality, chunk) if r < len(store.records)]
    return [look.entries[modality][i] for i in ids if i in look.entries[modality]]


def _states(store: CacheStore, entries: Mapping[str, Mapping[str, Entry]]) -> Iterator[Finding]:
    if store.spec.state != CacheState.COMPLETE:
        yield Finding(
            kind="state",
            where="zarr.json",
            message=f"the cache is {store.spec.state}, not complete: run 'dmft encode' again",
        )
        return
    for modality, of in entries.items():
        missing = [record.id for record in store.records if record.id not in of]
        if missing:
            yield Finding(
                kind="state",
                where=modality,
                message=f"the cache is complete and {len(missing)} records have no ledger entry",
                record_ids=tuple(missing),
            )
