"""The only writer of caches: create, write a chunk, go on, finish.

Order of a chunk's life: its bytes go to the store, are flushed to the disk, read back and compared
with their digests; only then is its ledger written, and from then on its records are done. Order
of a cache's life: ``building`` from the first change on, then every chunk, then what is derived
from the ledgers (presence, lengths, record table), then ``complete`` and the consolidated
metadata in one write, then the list of checksums. A kill at any instant leaves a cache that says
``building`` and loses no committed chunk.

Chunks hold raw little-endian rows and a CRC-32C, whole records each, so a reader notices damage
and a verifier can say which record it hit.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import (
    CACHE_ATTRIBUTE,
    LEDGER_PREFIX,
    CacheSpec,
    CacheState,
    ConfigError,
    ContractError,
    ModalitySpec,
    Presence,
    Record,
    feature_array,
    length_array,
    presence_array,
)
from pipeline.ledger import ChunkLedger, Entry, ledger_key, read_ledger, write_ledger
from pipeline.manifests import Manifest, parse_manifest
from pipeline.objects import Objects

SUMS = "SHA256SUMS"
"""Checksums of every object of a complete cache, in ``sha256sum``'s format."""
RECORDS = f"{LEDGER_PREFIX}/manifest.jsonl"
"""A manifest of the records in the order of their rows."""
SESSION = f"{LEDGER_PREFIX}/session"
"""Which encode owns the cache; a worker of an older one does not write."""
PROGRESS = f"{LEDGER_PREFIX}/progress.json"
"""How far a running encode is; gone when it ends."""
LOCK = f"{LEDGER_PREFIX}/lock"
TRANSIENT = frozenset({SUMS, SESSION, PROGRESS, LOCK})

CHUNK_BYTES = 4 << 20
MAX_CHUNK_RECORDS = 128


def records_per_chunk(row_bytes: int) -> int:
    """Records in a chunk: about 4 MiB, where reading is fastest and a lost batch is small."""
    return max(1, min(MAX_CHUNK_RECORDS, CHUNK_BYTES // row_bytes))


def digest_rows(rows: NDArray[Any]) -> list[str]:
    """SHA-256 of each row's bytes as stored."""
    little = np.ascontiguousarray(rows, dtype=rows.dtype.newbyteorder("<"))
    return [hashlib.sha256(row.tobytes()).hexdigest() for row in little]


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Something stored that is not what was written."""

    key: str
    """The object."""
    problem: str
    record_ids: tuple[str, ...] = ()
    modality: str | None = None


@dataclass(slots=True)
class CacheStore:
    """A cache that is being written."""

    objects: Objects
    spec: CacheSpec
    records: tuple[Record, ...]
    """In the order of their rows."""

    # -- opening ---------------------------------------------------------------------------------

    @classmethod
    def read(cls, location: str) -> CacheStore:
        """Open what is there, in any state, changing nothing.

        Raises:
            ContractError: there is no cache, or its description is damaged.
        """
        objects = Objects(location)
        spec = read_spec(objects)
        if spec is None:
            raise ContractError(f"{location}: no cache there. Make one with 'dmft encode'.")
        return cls(objects, spec, read_records(objects))

    @classmethod
    def prepare(
        cls,
        location: str,
        *,
        dataset: str,
        classes: tuple[str, ...],
        records: Sequence[Record],
        modalities: Mapping[str, ModalitySpec],
        provenance: Mapping[str, Any],
        session: str,
    ) -> CacheStore:
        """Create a cache or open the one that is there, and make room for the records.

        Rows are never moved: known records keep theirs, new ones get rows at the end. A modality
        whose shape or encoding differs from the stored one starts anew; the others stay.

        Raises:
            ConfigError: the cache there is of another data set, of other classes, or holds
                records that the manifest lacks.
        """
        objects = Objects(location)
        if objects.is_local:
            objects.path.mkdir(parents=True, exist_ok=True)
        old = read_spec(objects)
        if old is None and objects.sizes():
            leftovers = [key for key in objects.sizes() if not key.startswith(LEDGER_PREFIX)]
            if leftovers:
                raise ConfigError(
                    f"{location} exists and is not a cache (it holds {leftovers[0]}): "
                    "choose another --out, or remove it"
                )
        ordered = _place(read_records(objects) if old else (), records, location)
        kept: dict[str, ModalitySpec] = {}
        if old is not None:
            _check_same(old, dataset, classes, location)
            kept = {
                name: spec
                for name, spec in old.modalities.items()
                if name not in modalities or modalities[name] == spec
            }
        columns = tuple(sorted({name for record in ordered for name in record.attributes}))
        store = cls(
            objects,
            CacheSpec(
                state=CacheState.BUILDING,
                dataset=dataset,
                classes=classes,
                columns=columns,
                n_records=len(ordered),
                modalities={**kept, **modalities},
                provenance=dict(provenance),
            ),
            ordered,
        )
        objects.sweep()
        objects.write(SESSION, session.encode())
        objects.delete(SUMS)
        store._mark(replace(store.spec, modalities=kept))
        for name in {*modalities, *(old.modalities if old else ())} - kept.keys():
            objects.delete(f"{LEDGER_PREFIX}/{name}")
            for array in (feature_array(name), presence_array(name), length_array(name)):
                objects.delete(array)
        manifest = Manifest(dataset=dataset, classes=classes, records=ordered)
        objects.write(RECORDS, ("\n".join(manifest.lines()) + "\n").encode())
        store._ensure_arrays()
        return store

    def _group(self, *, read_only: bool = False) -> Any:
        import zarr

        return zarr.open_group(
            self.objects.zarr_store(read_only=read_only),
            mode="r" if read_only else "a",
            zarr_format=3,
            use_consolidated=False,
        )

    def _mark(self, spec: CacheSpec) -> None:
        """Write the group's description, whole, in one write."""
        metadata = {
            "zarr_format": 3,
            "node_type": "group",
            "attributes": {CACHE_ATTRIBUTE: spec.to_json()},
        }
        self.objects.write("zarr.json", json.dumps(metadata, indent=2).encode())

    def _ensure_arrays(self) -> None:
        """Make the feature arrays as long as the record table; missing ones are created."""
        import zarr
        from zarr.codecs import Crc32cCodec

        self._mark(self.spec)
        group = self._group()
        for name, spec in self.spec.modalities.items():
            shape = (self.spec.n_records, spec.n_patches, spec.n_features)
            if feature_array(name) in group:
                array = group[feature_array(name)]
                assert isinstance(array, zarr.Array)
                if array.shape != shape:
                    array.resize(shape)
                continue
            group.create_array(
                feature_array(name),
                shape=shape,
                chunks=(spec.records_per_chunk, spec.n_patches, spec.n_features),
                dtype=spec.dtype,
                fill_value=float("nan"),
                filters=None,
                compressors=[Crc32cCodec()],
                dimension_names=("record", f"{name}_patch", f"{name}_feature"),
                attributes={"coordinates": "record_id label " + " ".join(self.spec.columns)},
            )

    # -- chunks ----------------------------------------------------------------------------------

    def n_chunks(self, modality: str) -> int:
        """Chunks of a modality's array."""
        return -(-self.spec.n_records // self.spec.modalities[modality].records_per_chunk)

    def rows_of(self, modality: str, chunk: int) -> range:
        """Rows of the record table that a chunk holds."""
        size = self.spec.modalities[modality].records_per_chunk
        return range(chunk * size, min((chunk + 1) * size, self.spec.n_records))

    def chunk_key(self, modality: str, chunk: int) -> str:
        """The object that holds a chunk."""
        return f"{feature_array(modality)}/c/{chunk}/0/0"

    def entries(self, modality: str) -> dict[str, Entry]:
        """Every committed record of a modality."""
        found: dict[str, Entry] = {}
        for chunk in range(self.n_chunks(modality)):
            ledger = read_ledger(self.objects, modality, chunk)
            if ledger is not None:
                found.update((entry.record_id, entry) for entry in ledger.entries)
        return found

    def sound_rows(self, modality: str, chunk: int) -> tuple[dict[str, Entry], NDArray[Any] | None]:
        """A chunk's committed entries whose stored bytes are still what was written.

        Shapes: the rows are (n, P, D), n the rows of the chunk, NaN where nothing sound is.
        """
        ledger = read_ledger(self.objects, modality, chunk)
        if ledger is None:
            return {}, None
        rows = self.rows_of(modality, chunk)
        stored = self.raw_rows(modality, chunk)
        spec = self.spec.modalities[modality]
        sound = np.full(
            (len(rows), spec.n_patches, spec.n_features), np.nan, dtype=np.dtype(spec.dtype)
        )
        entries = {}
        for entry in ledger.entries:
            at = entry.row - rows.start
            if entry.presence == Presence.PRESENT:
                if stored is None or at >= len(stored):
                    continue
                if hashlib.sha256(stored[at].tobytes()).hexdigest() != entry.digest:
                    continue
                sound[at] = stored[at]
            entries[entry.record_id] = entry
        return entries, sound

    def raw_rows(self, modality: str, chunk: int) -> NDArray[Any] | None:
        """Rows of a chunk's object as they lie there, unchecked; whole rows only.

        Shapes: (n, P, D); None where there is no object.
        """
        content = self.objects.read(self.chunk_key(modality, chunk))
        if content is None:
            return None
        spec = self.spec.modalities[modality]
        whole = min(len(content) // spec.row_bytes, spec.records_per_chunk)
        flat = np.frombuffer(
            content[: whole * spec.row_bytes], dtype=np.dtype(spec.dtype).newbyteorder("<")
        )
        return flat.reshape(whole, spec.n_patches, spec.n_features)

    def commit(
        self,
        modality: str,
        chunk: int,
        rows: NDArray[Any],
        entries: Iterable[Entry],
        *,
        environment: Mapping[str, Any],
        session: str,
    ) -> None:
        """Store a chunk and say that its records are done.

        Shapes: rows (n, P, D), n the rows of the chunk.

        Raises:
            ContractError: what was read back is not what was written, or another encode has taken
                the cache over.
        """
        if (self.objects.read(SESSION) or b"").decode() != session:
            raise ContractError(
                f"{self.objects.location} was taken over by another encode: this one stops"
            )
        ordered = tuple(sorted(entries, key=lambda entry: entry.row))
        present = [entry for entry in ordered if entry.presence == Presence.PRESENT]
        if present:
            at = self.rows_of(modality, chunk)
            self._group()[feature_array(modality)][at.start : at.stop] = rows
            self.objects.flush(self.chunk_key(modality, chunk))
            back = self.raw_rows(modality, chunk)
            for entry in present:
                row = entry.row - at.start
                if back is None or hashlib.sha256(back[row].tobytes()).hexdigest() != entry.digest:
                    raise ContractError(
                        f"{self.objects.location}/{self.chunk_key(modality, chunk)}: record "
                        f"{entry.record_id} reads back as other bytes than were written. "
                        "The disk or its memory is faulty; nothing was recorded as done."
                    )
        write_ledger(
            self.objects,
            ChunkLedger(
                modality=modality, chunk=chunk, entries=ordered, environment=dict(environment)
            ),
        )

    # -- finishing -------------------------------------------------------------------------------

    def finish(self, provenance: Mapping[str, Any]) -> CacheSpec:
        """Derive what readers see, mark the cache complete, and list every checksum.

        Raises:
            ContractError: a record is neither present, absent nor quarantined.
        """
        digest = hashlib.sha256()
        table = self._table()
        for name in sorted(self.spec.modalities):
            entries = self.entries(name)
            missing = [record.id for record in self.records if record.id not in entries]
            if missing:
                raise ContractError(
                    f"{self.objects.location}: {name} has {len(missing)} records to do "
                    f"({missing[0]}, ...): encode again with --modalities {name}"
                )
            ordered = [entries[record.id] for record in self.records]
            table[presence_array(name)] = np.array([e.presence for e in ordered], np.uint8)
            table[length_array(name)] = np.array([e.length for e in ordered], np.int32)
            for record, entry in zip(self.records, ordered, strict=True):
                digest.update(f"{name} {record.id} {record.label} {entry.digest}\n".encode())
        for record in self.records:
            digest.update(f"{record.id} {sorted(record.attributes.items())}\n".encode())
        self._write_table(table)
        complete = replace(
            self.spec,
            state=CacheState.COMPLETE,
            provenance=dict(provenance),
            fingerprint=digest.hexdigest(),
        )
        self._consolidate(complete)
        self.objects.sweep()
        for key in (PROGRESS, SESSION):
            self.objects.delete(key)
        self.objects.write(SUMS, self._sums())
        self.spec = complete
        return complete

    def _table(self) -> dict[str, Any]:
        table: dict[str, Any] = {
            "record_id": np.array([record.id for record in self.records], dtype=object),
            "label": np.array([record.label for record in self.records], np.int32),
        }
        for column in self.spec.columns:
            values = [record.attributes.get(column, -1) for record in self.records]
            table[column] = np.array(values, np.int32)
        return table

    def _write_table(self, table: Mapping[str, Any]) -> None:
        from zarr.codecs import Crc32cCodec

        group = self._group()
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
            )
            array[:] = values
            self.objects.flush(f"{name}/c/0")

    def _consolidate(self, spec: CacheSpec) -> None:
        """Consolidated metadata and the state ``complete`` in one write of the root object."""
        import zarr

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of the ledger's folder and of itself
            zarr.consolidate_metadata(self.objects.zarr_store())
        root = json.loads(self.objects.read("zarr.json") or b"{}")
        root["attributes"] = {CACHE_ATTRIBUTE: spec.to_json()}
        self.objects.write("zarr.json", json.dumps(root, indent=2).encode())

    def _sums(self) -> bytes:
        lines = []
        for key in self.objects.sizes():
            if key not in TRANSIENT:
                self.objects.flush(key)
                content = self.objects.read(key)
                assert content is not None
                lines.append(f"{hashlib.sha256(content).hexdigest()}  {key}\n")
        body = "".join(lines).encode()
        return body + f"# sha256 of the lines above: {hashlib.sha256(body).hexdigest()}\n".encode()

    # -- one encode at a time --------------------------------------------------------------------

    @staticmethod
    @contextmanager
    def locked(location: str) -> Iterator[None]:
        """Hold the cache for one encode; the lock goes with the process, however it ends.

        Behind a URL there is no lock: the session's name in the cache must serve.

        Raises:
            ConfigError: another encode holds it.
        """
        objects = Objects(location)
        if not objects.is_local:
            yield
            return
        import fcntl

        path = Path(location) / LOCK
        if Path(location).exists() and not Path(location).is_dir():
            raise ConfigError(f"--out {location} is a file: wanted a folder for the cache")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ConfigError(
                    f"{location} is being written by another encode: wait for it, or look at it "
                    f"with 'dmft cache status {location}'"
                ) from error
            yield


def read_spec(objects: Objects) -> CacheSpec | None:
    """A cache's description; None where there is no group.

    Raises:
        ContractError: there is one and it is damaged, or it is not a cache.
    """
    content = objects.read("zarr.json")
    if content is None:
        return None
    try:
        attribute = json.loads(content)["attributes"].get(CACHE_ATTRIBUTE)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ContractError(f"{objects.location}/zarr.json is damaged: {error}") from error
    return CacheSpec.from_json(attribute, where=objects.location)


def read_records(objects: Objects) -> tuple[Record, ...]:
    """The records of a cache in the order of their rows.

    Raises:
        ContractError: the object is missing or damaged.
    """
    content = objects.read(RECORDS)
    where = f"{objects.location}/{RECORDS}"
    if content is None:
        raise ContractError(f"{where} is missing: the cache is damaged")
    manifest, problems = parse_manifest(content)
    if manifest is None or problems:
        raise ContractError(f"{where} is damaged: {problems[0].message if problems else 'empty'}")
    return manifest.records


def _place(old: Sequence[Record], records: Sequence[Record], location: str) -> tuple[Record, ...]:
    """Known records in their rows, new ones behind them, all as the manifest now says."""
    by_id = {record.id: record for record in records}
    gone = [record.id for record in old if record.id not in by_id]
    if gone:
        raise ConfigError(
            f"{location} holds {len(gone)} records that the manifest lacks ({gone[0]}, ...): "
            "encode into another --out, or add them to the manifest"
        )
    known = {record.id for record in old}
    return tuple(by_id[record.id] for record in old) + tuple(
        record for record in records if record.id not in known
    )


def _check_same(old: CacheSpec, dataset: str, classes: tuple[str, ...], location: str) -> None:
    if (old.dataset, old.classes) != (dataset, classes):
        raise ConfigError(
            f"{location} is a cache of {old.dataset} with {len(old.classes)} classes; the manifest "
            f"is of {dataset} with {len(classes)}: choose another --out"
        )


__all__ = ["CacheStore", "Damage", "digest_rows", "ledger_key", "read_spec", "records_per_chunk"]
