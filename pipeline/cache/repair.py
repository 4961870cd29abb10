"""``dmft encode --check-stored``: discard what is stored and is not what was written.

Whatever is discarded is encoded again by the encode that follows. Everything is read once. Where
the list of checksums is sound it says what is damaged; where it is not, rows speak for themselves
by their digests and chunks by their CRC-32C. It may be interrupted: nothing that is found sound is
touched, and the next check finds what is left.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace

from pipeline.cache.checksums import SUMS, damaged_objects, is_transient
from pipeline.cache.description import (
    RECORDS,
    SPEC,
    building_spec,
    delete_modality,
    read_records,
    read_spec,
    write_records,
    write_spec,
)
from pipeline.cache.ledger import ledger_key, read_ledger
from pipeline.cache.objects import Objects
from pipeline.cache.writer import CacheStore
from pipeline.contract import (
    COMPANIONS,
    LEDGER_PREFIX,
    CacheState,
    ContractError,
    ModalitySpec,
    Presence,
    feature_array,
)
from pipeline.manifests import Manifest


def repair(location: str, manifest: Manifest, modalities: Mapping[str, ModalitySpec]) -> int:
    """Discard what is damaged in a cache, and count the objects that were.

    Args:
        location: The cache.
        manifest: Its records, for a cache that can no longer say them itself.
        modalities: What is wanted of it, for a cache that can no longer say what it has.

    Raises:
        ContractError: the order of the cache's records cannot be found again.
    """
    objects = Objects(location)
    if not is_cache(objects):
        return 0  # nothing is touched, and the encode says what it finds
    damaged = damaged_objects(objects)
    n_damaged = _repair_records(objects, manifest, damaged)
    store = _repair_spec(objects, manifest, modalities, damaged)
    store.ensure_arrays()
    for modality in store.spec.modalities:
        for chunk in range(store.n_chunks(modality)):
            n_damaged += _repair_chunk(store, modality, chunk, damaged)
    n_damaged += sum(_is_made_by_finishing(key) for key in damaged)
    if n_damaged:
        # In this order: a list that is there speaks of the root as it is.
        objects.delete(SUMS)
        write_spec(objects.write, replace(store.spec, state=CacheState.BUILDING))
    return n_damaged


def is_cache(objects: Objects) -> bool:
    """Whether a location holds a cache, however damaged: it has a ledger or says that it is one."""
    if not all(map(is_transient, objects.sizes(LEDGER_PREFIX))):
        return True
    try:
        return read_spec(objects) is not None
    except ContractError:
        return False


def _is_made_by_finishing(key: str) -> bool:
    """Whether an object is no record's, and is made anew whenever an encode ends."""
    is_table = re.fullmatch(r"[^/]+/c/\d+", key) is not None
    return key == SUMS or key in COMPANIONS or key.endswith("zarr.json") or is_table


def _repair_records(objects: Objects, manifest: Manifest, damaged: set[str]) -> int:
    """Find the order of the records again by what the ledgers say of their rows."""
    if RECORDS not in damaged:
        try:
            read_records(objects)
            return 0
        except ContractError:
            pass
    rows: dict[int, str] = {}
    for key in objects.sizes(LEDGER_PREFIX):
        modality, _, name = key.removeprefix(f"{LEDGER_PREFIX}/").partition("/")
        if key in damaged or not name.endswith(".json"):
            continue
        try:
            ledger = read_ledger(objects, modality, int(name.removesuffix(".json")))
        except (ContractError, ValueError):
            continue
        rows.update((entry.row, entry.record_id) for entry in (ledger.entries if ledger else ()))
    by_id = {record.id: record for record in manifest.records}
    lost = [record_id for record_id in rows.values() if record_id not in by_id]
    if lost or sorted(rows) != list(range(len(rows))) or len(set(rows.values())) != len(rows):
        raise ContractError(
            f"{objects.location}/{RECORDS} is damaged and the order of the cache's {len(rows)} "
            "known records cannot be found again with this manifest: encode into another --out"
        )
    records = tuple(by_id[rows[row]] for row in sorted(rows))
    write_records(objects.write, replace(manifest, records=records))
    return 1


def _repair_spec(
    objects: Objects,
    manifest: Manifest,
    modalities: Mapping[str, ModalitySpec],
    damaged: set[str],
) -> CacheStore:
    """Write the cache's description anew where it is damaged: modalities not asked for go."""
    records = read_records(objects)
    try:
        spec = read_spec(objects)
    except ContractError:
        spec = None
    if spec is None or SPEC in damaged or spec.n_records != len(records):
        spec = building_spec(manifest, records, modalities)
        ledgers = (key.split("/") for key in objects.sizes(LEDGER_PREFIX) if key.count("/") == 2)
        for name in {modality for _, modality, _ in ledgers}:
            if name not in modalities or not _has_chunks_of(objects, modalities[name]):
                delete_modality(objects, name)
        write_spec(objects.write, spec)
    return CacheStore(objects, spec, records)


def _has_chunks_of(objects: Objects, spec: ModalitySpec) -> bool:
    """Whether an array's own metadata says the chunks that we would make of it."""
    content = objects.read(f"{feature_array(spec.name)}/zarr.json")
    chunk_shape = [spec.records_per_chunk, spec.n_patches, spec.n_features]
    try:
        stored = json.loads(content or b"")
        grid, dtype = stored["chunk_grid"]["configuration"], stored["data_type"]
        return bool(grid["chunk_shape"] == chunk_shape and dtype == spec.dtype)
    except (ValueError, KeyError, TypeError):
        return False


def _repair_chunk(store: CacheStore, modality: str, chunk: int, damaged: set[str]) -> int:
    """Take back the records of a chunk that are not what was written; 1 if there are any."""
    key, chunk_key = ledger_key(modality, chunk), store.chunk_key(modality, chunk)
    try:
        ledger = read_ledger(store.objects, modality, chunk)
        is_sound = key not in damaged
    except ContractError:
        is_sound = False
    if not is_sound:
        store.objects.delete(key)
        return 1
    if ledger is None:
        return 0
    lost = set(store.unsound(modality, chunk, ledger.entries, store.objects.read(chunk_key)))
    if not lost and (chunk_key in damaged or not store.is_whole(modality, chunk)):
        # Each row is what it was, but the chunk cannot be read: all of it is encoded again.
        lost = {e.record_id for e in ledger.entries if e.presence == Presence.PRESENT}
    if lost:
        store.withdraw(modality, chunk, lost)
    return int(bool(lost))
