"""A cache changed in place to what another list of its records says: ``drop`` and ``relabel``.

What is to become of it is written first, whole, in one object: the journal. Every step after that
can be done twice, so whoever holds the cache next finishes what a kill left: the same command, or
an encode.

Records that stay keep their rows, but for as many of the last as fill the rows that are free:
what is written does not grow with what is kept. A row is copied to its new place and committed
there before it is taken from the old one. Then the arrays are cut; what lay behind their end is
deleted, or written over with NaN where the last chunk holds it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cache.checksums import EDIT, unseal
from pipeline.cache.description import read_spec, write_records, write_spec
from pipeline.cache.edit.assemble import joined_environments
from pipeline.cache.ledger import ChunkLedger, Entry, ledger_key, read_ledger
from pipeline.cache.lock import owners_put
from pipeline.cache.objects import Objects, Put
from pipeline.cache.seal import finish
from pipeline.cache.writer import CacheStore
from pipeline.contract import (
    LEDGER_PREFIX,
    CacheSpec,
    CacheState,
    ContractError,
    ModalitySpec,
    Record,
    feature_array,
)
from pipeline.manifests import Manifest, parse_manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What a cache is to become: some of its records, as they are to be called."""

    manifest: Manifest
    """In the order of their rows."""
    provenance: Mapping[str, Any]

    def to_bytes(self) -> bytes:
        """The journal."""
        lines = list(self.manifest.lines())
        return json.dumps({"manifest": lines, "provenance": dict(self.provenance)}).encode()

    @classmethod
    def from_bytes(cls, content: bytes, *, where: str) -> Edit:
        """Read the journal.

        Raises:
            ContractError: it is damaged.
        """
        try:
            raw = json.loads(content)
            manifest, _ = parse_manifest("\n".join(raw["manifest"]).encode())
            provenance = dict(raw["provenance"])
        except (ValueError, KeyError, TypeError) as error:
            raise ContractError(f"{where} is damaged ({error})") from error
        if manifest is None:
            raise ContractError(f"{where} is damaged: it lists no records")
        return cls(manifest=manifest, provenance=provenance)


def with_gaps_filled(records: Sequence[Record], dropped: Set[str]) -> tuple[Record, ...]:
    """The records that stay: in their rows, the last of them in the rows that are free."""
    n_kept = sum(record.id not in dropped for record in records)
    last = [record for record in records[n_kept:] if record.id not in dropped]
    return tuple(last.pop() if record.id in dropped else record for record in records[:n_kept])


def rearrange(objects: Objects, edit: Edit, session: str) -> CacheSpec:
    """Make of a cache what an edit says; its holder calls this.

    Raises:
        ContractError: a row is not what was written.
    """
    put = owners_put(objects, session)
    put(EDIT, edit.to_bytes())
    return _finish(edit, _arrange(objects, edit, session, put), session)


def finish_interrupted(objects: Objects, session: str, *, seal: bool = True) -> bool:
    """Finish an edit that was killed, and say whether there was one.

    Args:
        objects: The cache.
        session: That holds it.
        seal: Also seal it; an encode does that itself at its end.

    Raises:
        ContractError: the journal is damaged, or a row is not what was written.
    """
    content = objects.read(EDIT)
    if content is None:
        return False
    edit = Edit.from_bytes(content, where=f"{objects.location}/{EDIT}")
    store = _arrange(objects, edit, session, owners_put(objects, session))
    if seal:
        _finish(edit, store, session)
    else:
        objects.delete(EDIT)
    return True


def _finish(edit: Edit, store: CacheStore, session: str) -> CacheSpec:
    spec = finish(store, edit.provenance, session)
    store.objects.delete(EDIT)
    return spec


def _arrange(objects: Objects, edit: Edit, session: str, put: Put) -> CacheStore:
    """Bring every row to its place; nothing is derived from it or sealed yet."""
    spec = read_spec(objects)
    assert spec is not None  # a journal is written into caches alone
    objects.sweep()
    building = replace(spec, state=CacheState.BUILDING, fingerprint="")
    write_spec(put, building)
    unseal(objects)
    store = CacheStore(objects, building, edit.manifest.records)
    for name in building.modalities:
        _fill(store, name, session)
    kept = edit.manifest
    write_records(put, replace(kept, fabricated=False))  # which stands in the provenance
    shorter = replace(
        building,
        classes=kept.classes,
        n_records=len(kept.records),
        provenance=dict(edit.provenance),
    )
    write_spec(put, shorter)
    store.spec = shorter
    store.ensure_arrays()
    for name in shorter.modalities:
        _cut(store, name, session)
    return store


def _fill(store: CacheStore, name: str, session: str) -> None:
    """Commit every row that is another record's than it is to be; those behind stay as they are.

    The chunk that the rows to come end in is the last: rows are taken from it.
    """
    spec, wanted = store.spec.modalities[name], store.records
    where = {
        entry.record_id: chunk
        for chunk in range(store.n_chunks(name))
        if (ledger := read_ledger(store.objects, name, chunk)) is not None
        for entry in ledger.entries
    }
    staying = {record.id for record in wanted}
    for chunk in range(-(-len(wanted) // spec.records_per_chunk)):
        ledger = read_ledger(store.objects, name, chunk)
        rows = store.rows_of(name, chunk)
        own = {entry.row: entry for entry in (ledger.entries if ledger else ())}
        ids = {row: wanted[row].id for row in rows if row < len(wanted)}
        strange = [row for row, each in ids.items() if row not in own or own[row].record_id != each]
        if not strange:
            continue
        kept, block = store.sound_rows(name, chunk)
        entries = {i: e for i, e in kept.items() if i in staying}
        ledgers = [ledger] if ledger else []
        for row in (row for row in rows if row in own and own[row].record_id not in staying):
            block[row - rows.start] = np.nan
        for row in strange:
            found = _found(store, name, where.get(ids[row]), ids[row])
            block[row - rows.start] = np.nan
            entries.pop(ids[row], None)
            if found is not None:
                ledgers.append(found[0])
                entries[ids[row]] = replace(found[1], row=row)
                block[row - rows.start] = found[2]
        environment = joined_environments(ledgers)
        store.commit(name, chunk, block, entries.values(), environment=environment, session=session)


def _found(
    store: CacheStore, name: str, chunk: int | None, record_id: str
) -> tuple[ChunkLedger, Entry, NDArray[Any]] | None:
    """A record's row where it lies now; None where nothing sound is."""
    ledger = None if chunk is None else read_ledger(store.objects, name, chunk)
    if ledger is None or chunk is None:
        return None
    kept, block = store.sound_rows(name, chunk)
    entry = kept.get(record_id)
    if entry is None:
        return None
    return ledger, entry, block[entry.row - store.rows_of(name, chunk).start]


def _cut(store: CacheStore, name: str, session: str) -> None:
    """Remove what lies behind the last row: ledgers, chunks, and the end of the last chunk."""
    n_chunks, spec = store.n_chunks(name), store.spec.modalities[name]
    for listed in store.objects.names(f"{LEDGER_PREFIX}/{name}"):
        number = listed.removesuffix(".json")
        if number.isdecimal() and int(number) >= n_chunks:
            store.objects.delete(ledger_key(name, int(number)))
    for listed in store.objects.names(f"{feature_array(name)}/c"):
        if listed.isdecimal() and int(listed) >= n_chunks:
            store.objects.delete(f"{feature_array(name)}/c/{listed}")
    last = n_chunks - 1
    ledger, rows = read_ledger(store.objects, name, last), store.rows_of(name, last)
    if ledger is None:
        return
    inside = [entry for entry in ledger.entries if entry.row in rows]
    content = store.objects.read(store.chunk_key(name, last))
    if len(inside) == len(ledger.entries) and _is_empty_behind(spec, len(rows), content):
        return
    kept, block = store.sound_rows(name, last)
    entries = [kept[entry.record_id] for entry in inside if entry.record_id in kept]
    store.commit(name, last, block, entries, environment=ledger.environment, session=session)


def _is_empty_behind(spec: ModalitySpec, n_rows: int, content: bytes | None) -> bool:
    """Whether the rows of a chunk behind the last are NaN, as an encode leaves them."""
    if content is None:
        return True
    n_free = spec.records_per_chunk - n_rows
    free = np.full(n_free * spec.n_patches * spec.n_features, np.nan, np.dtype(spec.dtype))
    start = n_rows * spec.row_bytes
    return content[start : start + n_free * spec.row_bytes] == free.tobytes()
