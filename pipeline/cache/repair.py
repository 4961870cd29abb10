"""``dmft encode --check-stored``: discard what is stored and is not what was written.

Whatever is discarded is encoded again by the encode that follows. Everything is read once. Where
the list of checksums is sound it says what is damaged; where it is not, rows speak for themselves
by their digests and chunks by their CRC-32C. It may be interrupted: nothing that is found sound is
touched, and the next check finds what is left.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace

from pipeline.cache.checksums import SUMS, TRANSIENT, read_sums
from pipeline.cache.ledger import ChunkLedger, ledger_key, read_ledger
from pipeline.cache.objects import Objects
from pipeline.cache.writer import RECORDS, CacheStore, read_records, read_spec
from pipeline.contract import (
    LEDGER_PREFIX,
    CacheSpec,
    CacheState,
    ContractError,
    ModalitySpec,
    Presence,
    Record,
    feature_array,
    length_array,
    presence_array,
)
from pipeline.encode.options import Setup
from pipeline.manifests import Manifest


def repair(setup: Setup) -> int:
    """Discard what is damaged in the cache of ``setup``, and count the objects that were.

    Raises:
        ContractError: the order of the cache's records cannot be found again.
    """
    objects = Objects(setup.location)
    if not is_cache(objects):
        return 0  # nothing is touched, and the encode says what it finds
    wrong = _wrong(objects)
    n_found = _mend_records(objects, setup, wrong)
    store = _mend_root(objects, setup, wrong)
    for modality in store.spec.modalities:
        metadata = f"{feature_array(modality)}/zarr.json"
        if metadata in wrong:
            objects.delete(metadata)
    store.ensure_arrays()
    for modality in store.spec.modalities:
        for chunk in range(store.n_chunks(modality)):
            n_found += _mend_chunk(store, modality, chunk, wrong)
    n_found += sum(_is_made_by_finishing(key) for key in wrong)
    if n_found:
        # In this order: a list that is there speaks of the root as it is.
        objects.delete(SUMS)
        store.mark(replace(store.spec, state=CacheState.BUILDING))
    return n_found


def is_cache(objects: Objects) -> bool:
    """Whether a location holds a cache, however damaged: it has a ledger."""
    return any(key not in TRANSIENT for key in objects.sizes(LEDGER_PREFIX))


def _wrong(objects: Objects) -> set[str]:
    """Objects that are not what the list of checksums says; nothing where there is no list."""
    try:
        sums = read_sums(objects)
    except ContractError:
        return {SUMS}
    wrong = set()
    for key, digest in (sums or {}).items():
        content = objects.read(key)
        if content is None or hashlib.sha256(content).hexdigest() != digest:
            wrong.add(key)
    return wrong


def _is_made_by_finishing(key: str) -> bool:
    """Whether an object is no record's, and is made anew whenever an encode ends."""
    return key == SUMS or key.endswith("zarr.json") or re.fullmatch(r"[^/]+/c/\d+", key) is not None


def _mend_records(objects: Objects, setup: Setup, wrong: set[str]) -> int:
    """Find the order of the records again by what the ledgers say of their rows."""
    if RECORDS not in wrong:
        try:
            read_records(objects)
            return 0
        except ContractError:
            pass
    rows: dict[int, str] = {}
    for key in objects.sizes(LEDGER_PREFIX):
        modality, _, name = key.removeprefix(f"{LEDGER_PREFIX}/").partition("/")
        if key in wrong or not name.endswith(".json"):
            continue
        try:
            ledger = read_ledger(objects, modality, int(name.removesuffix(".json")))
        except (ContractError, ValueError):
            continue
        rows.update((entry.row, entry.record_id) for entry in (ledger.entries if ledger else ()))
    by_id = {record.id: record for record in setup.manifest.records}
    lost = [record_id for record_id in rows.values() if record_id not in by_id]
    if lost or sorted(rows) != list(range(len(rows))) or len(set(rows.values())) != len(rows):
        raise ContractError(
            f"{objects.location}/{RECORDS} is damaged and the order of the cache's {len(rows)} "
            "known records cannot be found again with this manifest: encode into another --out"
        )
    records = tuple(by_id[rows[row]] for row in sorted(rows))
    manifest = Manifest(
        dataset=setup.manifest.dataset, classes=setup.manifest.classes, records=records
    )
    objects.write(RECORDS, ("\n".join(manifest.lines()) + "\n").encode())
    return 1


def _mend_root(objects: Objects, setup: Setup, wrong: set[str]) -> CacheStore:
    """Write the cache's description anew where it is damaged: modalities not asked for go."""
    records = read_records(objects)
    try:
        spec = read_spec(objects)
    except ContractError:
        spec = None
    if spec is None or "zarr.json" in wrong or spec.n_records != len(records):
        spec = _described_anew(setup, records)
        ledgers = (key.split("/") for key in objects.sizes(LEDGER_PREFIX) if key.count("/") == 2)
        for name in {modality for _, modality, _ in ledgers}:
            if name not in spec.modalities or not _is_cut_as(objects, spec.modalities[name]):
                for left in (
                    f"{LEDGER_PREFIX}/{name}",
                    feature_array(name),
                    presence_array(name),
                    length_array(name),
                ):
                    objects.delete(left)
        store = CacheStore(objects, spec, records)
        store.mark(spec)
        return store
    return CacheStore(objects, spec, records)


def _is_cut_as(objects: Objects, spec: ModalitySpec) -> bool:
    """Whether an array's own metadata says the chunks that we would make of it."""
    content = objects.read(f"{feature_array(spec.name)}/zarr.json")
    chunk = [spec.records_per_chunk, spec.n_patches, spec.n_features]
    try:
        stored = json.loads(content or b"")
        found = stored["chunk_grid"]["configuration"]["chunk_shape"], stored["data_type"]
    except (ValueError, KeyError, TypeError):
        return False
    return found == (chunk, spec.dtype)


def _described_anew(setup: Setup, records: tuple[Record, ...]) -> CacheSpec:
    return CacheSpec(
        state=CacheState.BUILDING,
        dataset=setup.manifest.dataset,
        classes=setup.manifest.classes,
        columns=tuple(sorted({name for record in records for name in record.attributes})),
        n_records=len(records),
        modalities=setup.specs,
    )


def _mend_chunk(store: CacheStore, modality: str, chunk: int, wrong: set[str]) -> int:
    """Take back the records of a chunk that are not what was written; 1 if there are any."""
    key = ledger_key(modality, chunk)
    ledger: ChunkLedger | None = None
    try:
        ledger = read_ledger(store.objects, modality, chunk)
    except ContractError:
        wrong = wrong | {key}
    if key in wrong:
        store.objects.delete(key)
        return 1
    if ledger is None:
        return 0
    content = store.objects.read(store.chunk_key(modality, chunk))
    hit = set(store.unsound(modality, chunk, ledger.entries, content))
    present = {e.record_id for e in ledger.entries if e.presence == Presence.PRESENT}
    damaged = store.chunk_key(modality, chunk) in wrong or not store.is_whole(modality, chunk)
    if present and not hit and damaged:
        hit = present  # no row is hit, but the chunk cannot be read
    if hit:
        store.withdraw(modality, chunk, hit)
    return int(bool(hit))
