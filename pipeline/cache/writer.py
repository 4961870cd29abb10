"""A cache that is being written: create it, write a chunk, take a record back.

Order of a chunk's life: records whose rows will change are taken out of its ledger, its bytes go
to the store, are flushed to the disk, read back and compared with their digests; only then is its
ledger written, and from then on its records are done. Order of a cache's life: ``building`` from
the first change on, then every chunk, then what :mod:`pipeline.cache.seal` derives. A kill at any
instant leaves a cache that says ``building`` and loses no committed chunk.

Chunks hold raw little-endian rows and a CRC-32C, whole records each, so a reader notices damage
and a verifier can say which record it hit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cache.array_metadata import array_metadata
from pipeline.cache.checksums import is_transient, unseal
from pipeline.cache.chunk_content import chunk_content
from pipeline.cache.description import (
    DESCRIPTION,
    RECORDS,
    building_spec,
    delete_modality,
    read_records,
    read_spec,
    write_records,
    write_spec,
)
from pipeline.cache.ledger import ChunkLedger, Entry, ledger_key, read_ledger, write_ledger
from pipeline.cache.lock import check_owner, owners_put, write_owned
from pipeline.cache.objects import Objects
from pipeline.common.checksums import CRC_BYTES
from pipeline.common.files import make_folder
from pipeline.contract import (
    LEDGER_PREFIX,
    CacheSpec,
    CacheState,
    ConfigError,
    ContractError,
    ModalitySpec,
    Presence,
    Record,
    feature_array,
)
from pipeline.manifests import Manifest

CHUNK_BYTES = 4 << 20
MAX_CHUNK_RECORDS = 128


def records_per_chunk(row_bytes: int) -> int:
    """Records in a chunk: about 4 MiB, where reading is fastest and a lost batch is small."""
    return max(1, min(MAX_CHUNK_RECORDS, CHUNK_BYTES // row_bytes))


def chunk_bytes(spec: ModalitySpec) -> int:
    """Bytes of a chunk's object: its rows, the last chunk padded, and four of CRC-32C."""
    return spec.records_per_chunk * spec.row_bytes + CRC_BYTES


def digest_rows(rows: NDArray[Any]) -> list[str]:
    """SHA-256 of each row's bytes as stored."""
    little = np.ascontiguousarray(rows, dtype=rows.dtype.newbyteorder("<"))
    return [hashlib.sha256(row.tobytes()).hexdigest() for row in little]


@dataclass(slots=True)
class CacheStore:
    """A cache that is being written."""

    objects: Objects
    spec: CacheSpec
    records: tuple[Record, ...]
    """In the order of their rows."""
    anew: frozenset[str] = frozenset()
    """Modalities of which nothing that is stored counts any more; :meth:`begin` removes it."""
    dropped: Mapping[str, ModalitySpec] = field(default_factory=dict)
    """Those of them with stored records, as they are stored."""

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
        records = read_records(objects)
        if len(records) != spec.n_records:
            raise ContractError(
                f"{location} says it has {spec.n_records} records and lists {len(records)}: its "
                "metadata is damaged; 'dmft encode --check-stored' mends it"
            )
        return cls(objects, spec, records)

    @classmethod
    def preview(
        cls, location: str, manifest: Manifest, modalities: Mapping[str, ModalitySpec]
    ) -> CacheStore:
        """The cache as :meth:`begin` will arrange it for some records, changing nothing.

        Rows are never moved: known records keep theirs, new ones get rows at the end. A modality
        whose shape or encoding differs from the stored one starts anew; the others stay. Where
        nothing differs at all, the description is the stored one, in its state.

        Args:
            location: The cache.
            manifest: The records; it must have every record that is stored.
            modalities: Those to be written.

        Raises:
            ConfigError: the cache there is of another data set, of other classes, or holds
                records that the manifest lacks.
            ContractError: the cache there is damaged, or is none.
        """
        objects = Objects(location)
        old = spec_or_nothing(objects)
        if old and (old.dataset, old.classes) != (manifest.dataset, manifest.classes):
            raise ConfigError(
                f"{location} is a cache of {old.dataset} with {len(old.classes)} classes; the "
                f"manifest is of {manifest.dataset} with {len(manifest.classes)}: choose another "
                "--out"
            )
        stored = old.modalities if old else {}
        anew = frozenset(name for name, spec in modalities.items() if stored.get(name) != spec)
        kept = {name: spec for name, spec in stored.items() if name not in anew}
        known = read_records(objects) if old else ()
        records = _in_rows(known, manifest, location)
        provenance = old.provenance if old else {}
        spec = building_spec(manifest, records, {**kept, **modalities}, provenance)
        is_same = old is not None and not anew and (old.columns, known) == (spec.columns, records)
        if old and is_same and old.provenance.get(DESCRIPTION) == manifest.description:
            spec = old
        dropped = {
            name: stored[name]
            for name in sorted(anew & stored.keys())
            if objects.sizes(f"{LEDGER_PREFIX}/{name}")
        }
        return cls(objects, spec, records, anew, dropped)

    def begin(self, session: str) -> None:
        """Create the cache or open the one that is there, and make room for the records.

        Raises:
            ContractError: another session holds it.
        """
        objects, spec = self.objects, replace(self.spec, state=CacheState.BUILDING, fingerprint="")
        if objects.is_local:
            make_folder(objects.path)
        objects.sweep()
        put = owners_put(objects, session)
        everyone = Manifest(
            dataset=spec.dataset,
            classes=spec.classes,
            records=self.records,
            description=spec.provenance.get(DESCRIPTION),
        )
        if read_spec(objects) is None:
            write_records(put, everyone)  # first: a description alone would be a damaged cache
        # From here on the cache is not complete, and a modality that starts anew is not there.
        kept = {name: s for name, s in spec.modalities.items() if name not in self.anew}
        write_spec(put, replace(spec, modalities=kept))
        unseal(objects)
        for name in self.anew:
            delete_modality(objects, name)
        write_records(put, everyone)
        write_spec(put, spec)
        self.spec, self.anew, self.dropped = spec, frozenset(), {}
        self.ensure_arrays()

    def group(self) -> Any:
        """The cache as a Zarr group, to be read."""
        import zarr

        store = self.objects.zarr_store(read_only=True)
        return zarr.open_group(store, mode="r", zarr_format=3, use_consolidated=False)

    def ensure_arrays(self) -> None:
        """Have the feature arrays be there, as long as the record table, whatever there was."""
        for name, spec in self.spec.modalities.items():
            key = f"{feature_array(name)}/zarr.json"
            content = array_metadata(spec, self.spec.n_records, self.spec.columns)
            if self.objects.read(key) != content:
                self.objects.write(key, content)

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
        """Every committed record of a modality; none of one that starts anew."""
        entries: dict[str, Entry] = {}
        for chunk in range(self.n_chunks(modality) if modality not in self.anew else 0):
            ledger = read_ledger(self.objects, modality, chunk)
            if ledger is not None:
                entries.update((entry.record_id, entry) for entry in ledger.entries)
        return entries

    def sound_rows(self, modality: str, chunk: int) -> tuple[dict[str, Entry], NDArray[Any]]:
        """A chunk's committed entries whose stored bytes are still what was written.

        Shapes: the rows are (n, P, D), n the rows of the chunk, NaN where nothing sound is.
        """
        rows, spec = self.rows_of(modality, chunk), self.spec.modalities[modality]
        sound = np.full((len(rows), spec.n_patches, spec.n_features), np.nan, np.dtype(spec.dtype))
        ledger = read_ledger(self.objects, modality, chunk)
        if ledger is None:
            return {}, sound
        content = self.objects.read(self.chunk_key(modality, chunk))
        damaged = set(self.unsound(modality, chunk, ledger.entries, content))
        entries = {e.record_id: e for e in ledger.entries if e.record_id not in damaged}
        little_endian = np.dtype(spec.dtype).newbyteorder("<")
        for entry in entries.values():
            if entry.presence == Presence.PRESENT:
                row = np.frombuffer(self._row(modality, chunk, entry, content), little_endian)
                sound[entry.row - rows.start] = row.reshape(sound.shape[1:])
        return entries, sound

    def unsound(
        self, modality: str, chunk: int, entries: Iterable[Entry], content: bytes | None
    ) -> list[str]:
        """Records of a chunk whose rows in its object's bytes are not what was written."""
        return [
            entry.record_id
            for entry in entries
            if entry.presence == Presence.PRESENT
            and hashlib.sha256(self._row(modality, chunk, entry, content)).hexdigest()
            != entry.digest
        ]

    def _row(self, modality: str, chunk: int, entry: Entry, content: bytes | None) -> bytes:
        """One record's bytes in its chunk's; none where the chunk does not hold it."""
        rows, size = self.rows_of(modality, chunk), self.spec.modalities[modality].row_bytes
        if not content or entry.row not in rows:
            return b""
        start = (entry.row - rows.start) * size
        return content[start : start + size]

    def is_whole(self, modality: str, chunk: int) -> bool:
        """Whether a chunk's object is as long as it must be and its CRC-32C is right."""
        try:
            stored = self.rows_of(modality, chunk)
            self.group()[feature_array(modality)][stored.start : stored.stop]
        except (ValueError, KeyError, TypeError):
            return False
        spec = self.spec.modalities[modality]
        content = self.objects.read(self.chunk_key(modality, chunk))
        return content is not None and len(content) == chunk_bytes(spec)

    def withdraw(self, modality: str, chunk: int, record_ids: Set[str]) -> None:
        """Take records out of a chunk's ledger: they are to be encoded again."""
        ledger = read_ledger(self.objects, modality, chunk)
        if ledger is not None:
            write_ledger(self.objects, _without(ledger, record_ids))

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
        objects, key = self.objects, ledger_key(modality, chunk)
        chunk_key = self.chunk_key(modality, chunk)
        # Before the claim: what an encode that takes the cache over then writes is not this.
        chunk_version, version = objects.version(chunk_key), objects.version(key)
        check_owner(objects, session)
        ordered = tuple(sorted(entries, key=lambda entry: entry.row))
        present = [entry for entry in ordered if entry.presence == Presence.PRESENT]
        before = read_ledger(objects, modality, chunk)
        digests = {entry.record_id: entry.digest for entry in ordered}
        changing = {
            entry.record_id
            for entry in (before.entries if before else ())
            if entry.digest and digests.get(entry.record_id) != entry.digest
        }
        if before and changing:
            content = _without(before, changing).to_bytes()
            version = write_owned(objects, key, content, version=version, session=session)
        if not present:
            objects.delete(chunk_key)
        else:
            content = chunk_content(rows, self.spec.modalities[modality])
            write_owned(objects, chunk_key, content, version=chunk_version, session=session)
            damaged = self.unsound(modality, chunk, present, objects.read(chunk_key))
            if damaged:
                raise ContractError(
                    f"{objects.location}/{chunk_key}: record {damaged[0]} reads back as other "
                    "bytes than were written. The disk or its memory is faulty; nothing was "
                    "recorded as done."
                )
        check_owner(objects, session)
        ledger = ChunkLedger(
            modality=modality, chunk=chunk, entries=ordered, environment=dict(environment)
        )
        write_owned(objects, key, ledger.to_bytes(), version=version, session=session)


def _without(ledger: ChunkLedger, record_ids: Set[str]) -> ChunkLedger:
    """A ledger that says nothing of some records."""
    kept = tuple(entry for entry in ledger.entries if entry.record_id not in record_ids)
    return replace(ledger, entries=kept)


def spec_or_nothing(objects: Objects) -> CacheSpec | None:
    """The description of the cache in a place; None where the place is free for one.

    Raises:
        ConfigError: something else is there.
        ContractError: the description is damaged.
    """
    if objects.is_local and objects.path.exists() and not objects.path.is_dir():
        raise ConfigError(f"--out {objects.location} is a file: wanted a folder for the cache")
    spec = read_spec(objects)
    strange = [
        key
        for key in (objects.sizes() if spec is None else ())
        if not is_transient(key) and key != RECORDS  # left by a kill before the description is
    ]
    if strange:
        raise ConfigError(
            f"{objects.location} exists and is not a cache (it holds {strange[0]}): choose another "
            "--out, or remove it. A cache that lost its zarr.json is mended by --check-stored"
        )
    return spec


def _in_rows(old: tuple[Record, ...], manifest: Manifest, location: str) -> tuple[Record, ...]:
    """Known records in their rows, new ones behind them, all as the manifest now says."""
    by_id = {record.id: record for record in manifest.records}
    gone = [record.id for record in old if record.id not in by_id]
    if gone:
        raise ConfigError(
            f"{location} holds {len(gone)} records that the manifest lacks ({gone[0]}, ...): "
            "encode into another --out, or add them to the manifest"
        )
    known = [by_id.pop(record.id) for record in old]
    return (*known, *by_id.values())
