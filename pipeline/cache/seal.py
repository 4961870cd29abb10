"""The end of an encode: what readers see is derived from the ledgers, sealed and marked complete.

The order matters: presence, lengths, the record table and the files that accompany the arrays
while the cache says ``building``; then every stored row is read once more, held against its digest
and summed, so that no checksum ever vouches for damage; then ``complete`` and the consolidated
metadata in one write; then the list of checksums. A complete cache without the list gets it from
the next encode.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.cache.array_metadata import array_metadata, column_metadata, consolidated
from pipeline.cache.checksums import SUMS, is_sealed, is_transient
from pipeline.cache.chunk_content import column_content
from pipeline.cache.companions import companions, has_companions
from pipeline.cache.description import SPEC, write_spec
from pipeline.cache.ledger import Entry
from pipeline.cache.lock import owners_put
from pipeline.cache.objects import Put
from pipeline.cache.writer import CacheStore
from pipeline.common.checksums import CRC_BYTES, Checksums
from pipeline.contract import (
    SOURCE_DIGITS,
    CacheSpec,
    CacheState,
    ContractError,
    Presence,
    feature_array,
    length_array,
    presence_array,
    source_array,
)


def finish(store: CacheStore, provenance: Mapping[str, Any], session: str) -> CacheSpec:
    """Derive what readers see, mark the cache complete, and list every checksum.

    Args:
        store: Every chunk of it is committed.
        provenance: What it is to say of how it was made.
        session: That holds it.

    Raises:
        ContractError: a record is neither present, absent nor quarantined, a stored row is not
            what was written, or another session has taken the cache over.
    """
    put = owners_put(store.objects, session)
    digest = hashlib.sha256()
    table = _record_table(store)
    entries: dict[str, list[Entry]] = {}
    for name in sorted(store.spec.modalities):
        entries[name] = _all_entries(store, name)
        table[presence_array(name)] = np.array([e.presence for e in entries[name]], np.uint8)
        table[length_array(name)] = np.array(
            [e.length if e.presence == Presence.PRESENT else 0 for e in entries[name]], np.int32
        )
        sources = [" ".join(s.sha256[:SOURCE_DIGITS] for s in e.sources) for e in entries[name]]
        table[source_array(name)] = np.array(sources, dtype=object)
        for record, entry in zip(store.records, entries[name], strict=True):
            digest.update(f"{name} {record.id} {record.label} {entry.digest}\n".encode())
    for record in store.records:
        digest.update(f"{record.id} {sorted(record.attributes.items())}\n".encode())
    complete = replace(
        store.spec,
        state=CacheState.COMPLETE,
        provenance=dict(provenance),
        fingerprint=digest.hexdigest(),
    )
    arrays = _write_table(store, table, put)
    for key, content in companions(complete, store.records, entries).items():
        put(key, content)
    store.objects.sweep()
    checksums = _checksums(store, entries)
    root = write_spec(put, complete, consolidated(arrays))
    sha256 = {**checksums.sha256, SPEC: hashlib.sha256(root).hexdigest()}
    put(SUMS, replace(checksums, sha256=sha256).to_bytes())
    store.spec = complete
    return complete


def is_finished(store: CacheStore) -> bool:
    """Whether a cache is sealed and has all that :func:`finish` derives.

    One of an earlier version may lack its files' hashes or its companions, and gets them by being
    finished again.
    """
    if store.spec.state != CacheState.COMPLETE or not is_sealed(store.objects):
        return False
    arrays = [f"{source_array(name)}/zarr.json" for name in store.spec.modalities]
    return has_companions(store.objects) and all(map(store.objects.read, arrays))


def _all_entries(store: CacheStore, modality: str) -> list[Entry]:
    """A modality's entries in the order of the rows."""
    entries = store.entries(modality)
    missing = [record.id for record in store.records if record.id not in entries]
    if missing:
        raise ContractError(
            f"{store.objects.location}: {modality} has {len(missing)} records to do "
            f"({missing[0]}, ...): encode again with --modalities {modality}"
        )
    return [entries[record.id] for record in store.records]


def _record_table(store: CacheStore) -> dict[str, Any]:
    table: dict[str, Any] = {
        "record_id": np.array([record.id for record in store.records], dtype=object),
        "label": np.array([record.label for record in store.records], np.int32),
    }
    for column in store.spec.columns:
        values = [record.attributes.get(column, -1) for record in store.records]
        table[column] = np.array(values, np.int32)
    return table


def _write_table(store: CacheStore, table: Mapping[str, Any], put: Put) -> dict[str, bytes]:
    """Write the record table, a column an array; returns the metadata of every array there is."""
    arrays = {
        feature_array(name): array_metadata(spec, store.spec.n_records, store.spec.columns)
        for name, spec in store.spec.modalities.items()
    }
    for name, values in table.items():
        dtype = "str" if values.dtype == object else values.dtype.name
        arrays[name] = column_metadata(len(values), dtype)
        put(f"{name}/zarr.json", arrays[name])
        put(f"{name}/c/0", column_content(values))
    return arrays


def _checksums(store: CacheStore, entries: Mapping[str, list[Entry]]) -> Checksums:
    """Checksums of every object but the root, each chunk held against its ledger on the way.

    Raises:
        ContractError: a row is not what was written.
    """
    chunks = {
        store.chunk_key(name, chunk): (name, chunk)
        for name in entries
        for chunk in range(store.n_chunks(name))
    }
    sha256, crc32c = {}, {}
    keys = [key for key in store.objects.sizes() if not is_transient(key) and key != SPEC]
    store.objects.flush()
    for key in keys:
        content = store.objects.read(key)
        assert content is not None
        if key in chunks:
            name, chunk = chunks[key]
            rows = store.rows_of(name, chunk)
            damaged = store.unsound(name, chunk, entries[name][rows.start : rows.stop], content)
            if damaged:
                raise ContractError(
                    f"{store.objects.location}/{key}: record {damaged[0]} is not what was written. "
                    "Encode again with --check-stored"
                )
            crc32c[key] = content[-CRC_BYTES:]
        sha256[key] = hashlib.sha256(content).hexdigest()
    return Checksums(sha256=sha256, crc32c=crc32c)
