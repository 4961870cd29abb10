"""The end of an encode: what readers see is derived from the ledgers, sealed and marked complete.

The order matters: presence, lengths, the record table and the files that accompany the arrays
while the cache says ``building``; then every stored row is read once more, held against its digest
and summed, so that no checksum ever vouches for damage; then ``complete`` and the consolidated
metadata in one write; then the list of checksums. A complete cache without the list gets it from
the next encode.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.cache.checksums import is_sealed, is_transient, write_sums
from pipeline.cache.companions import companions, has_companions
from pipeline.cache.description import SPEC, write_spec
from pipeline.cache.ledger import Entry
from pipeline.cache.writer import CacheStore
from pipeline.common.checksums import CRC_BYTES, Checksums
from pipeline.contract import (
    LEDGER_PREFIX,
    SOURCE_DIGITS,
    CacheSpec,
    CacheState,
    ContractError,
    Presence,
    length_array,
    presence_array,
    source_array,
)


def finish(store: CacheStore, provenance: Mapping[str, Any]) -> CacheSpec:
    """Derive what readers see, mark the cache complete, and list every checksum.

    Raises:
        ContractError: a record is neither present, absent nor quarantined, or a stored row is not
            what was written.
    """
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
    _write_table(store, table)
    for key, content in companions(complete, store.records, entries).items():
        store.objects.write(key, content)
    store.objects.sweep()
    checksums = _checksums(store, entries)
    root = _consolidate(store, complete)
    sha256 = {**checksums.sha256, SPEC: hashlib.sha256(root).hexdigest()}
    write_sums(store.objects, replace(checksums, sha256=sha256))
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


def _write_table(store: CacheStore, table: Mapping[str, Any]) -> None:
    from zarr.codecs import Crc32cCodec

    group = store.group()
    for name, values in table.items():
        array = group.create_array(
            name,
            shape=values.shape,
            chunks=(max(len(values), 1),),
            dtype=str if values.dtype == object else values.dtype,
            filters=None,
            compressors=[Crc32cCodec()],
            dimension_names=("record",),
            overwrite=True,
            config={"write_empty_chunks": True},
        )
        array[:] = values


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
    # What Zarr wrote: a chunk and its ledger are on the disk since they were committed.
    store.objects.flush(k for k in keys if k not in chunks and not k.startswith(LEDGER_PREFIX))
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


def _consolidate(store: CacheStore, spec: CacheSpec) -> bytes:
    """Consolidated metadata and the state ``complete`` in one write of the root object."""
    import zarr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of the ledger's folder and of itself
        zarr.consolidate_metadata(store.objects.zarr_store())
    metadata = json.loads(store.objects.read(SPEC) or b"{}")
    return write_spec(store.objects, spec, metadata)
