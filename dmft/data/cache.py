"""Open a feature cache and hold what a run wants of it in memory, or as much as there is room for.

It reads Zarr and nothing else reads Zarr here. It refuses, by name and with what to do, a folder
that is not a cache, one of another schema version, one that is half made, a modality that the
cache does not have, and a row that is said to be present and is not finite. Patches that do not
fit the memory they are given stay on the disk and are read where they are needed.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import zarr
from numpy.typing import NDArray
from torch import Tensor
from zarr.errors import BaseZarrError

from dmft.data import views
from dmft.data.absent import refuse_absent
from dmft.data.integrity import check_table, chunk_checksums, read_checksums
from dmft.data.mirror import find_mirror, is_elsewhere, mirror_of
from dmft.data.out_of_core import StoredPatches
from dmft.data.prefetch import read_ahead
from dmft.data.shuffle import ShuffleBuffer, room_for
from pipeline.contract import (
    CACHE_ATTRIBUTE,
    CacheSpec,
    CacheState,
    ContractError,
    ModalitySpec,
    Presence,
    feature_array,
    length_array,
    presence_array,
    source_array,
)

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from dmft.data.features import FeatureTransform
    from dmft.data.records import Make, RecordDataset
    from dmft.protocols import Fold

log = logging.getLogger(__name__)

MISREAD = (BaseZarrError, ValueError, KeyError, TypeError, AttributeError)
"""What Zarr raises of metadata that is not what was written, by where it is damaged."""
CODECS = frozenset(
    ("blosc", "bytes", "crc32c", "gzip", "sharding_indexed", "transpose", "vlen-utf8", "zstd")
)
"""Ways of storing numbers and texts that can do no harm; a cache uses bytes and crc32c."""

Patches = Tensor | StoredPatches
"""The patches of all records of a modality; indexed by rows, those of some."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Cache:
    """The records of a cache and the modalities that were asked for."""

    path: Path
    """Where it was read."""
    spec: CacheSpec
    """What the cache says of itself."""
    modalities: tuple[str, ...]
    """The loaded ones, in the order asked for."""
    record_ids: tuple[str, ...]
    """One a record."""
    labels: Tensor
    """Shapes: (N,) int64."""
    columns: Mapping[str, NDArray[np.int64]]
    """Attribute columns that protocols select by, each (N,)."""
    features: Mapping[str, Patches]
    """Shapes: {m: (N, P, D)} in the stored type; rows of absent records are zero."""
    present: Tensor
    """Shapes: (N, M) bool, in the order of ``modalities``."""
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Modality to the hashes of each record's raw files, ``"0a1b... 9f8e..."``; a cache that was
    encoded before they were noted says nothing of them."""
    shuffle_buffer: ShuffleBuffer | None = None
    """What there is room for while patches stay on the disk; None where all are in memory."""
    residency: str = ""
    """Whether it is in memory, why, and the bytes, for people."""
    is_selection: bool = False
    """Whether it is some of the records of what lies at ``path``."""

    def __len__(self) -> int:
        return len(self.record_ids)

    def __repr__(self) -> str:
        """A line, whatever it holds."""
        specs = [self.modality_spec(name) for name in self.modalities]
        shapes = ", ".join(f"{s.name} ({len(self)}, {s.n_patches}, {s.n_features})" for s in specs)
        return f"<Cache {self.path}: {self.spec.dataset}, {len(self)} records, {shapes}>"

    def to_frame(self) -> pd.DataFrame:
        """The records as a table, in the order of their rows, indexed by id.

        Columns: ``label``, ``class_name``, the attributes, and of each modality ``has_{modality}``.

        Example::

            dmft.open_cache("raw.zarr").to_frame().groupby("subject")["class_name"].nunique()
        """
        return views.to_frame(self)

    def to_xarray(self) -> xr.Dataset:
        """The records with their patches, indexed by id, with the columns as coordinates.

        A modality is (N, P, D), NaN where a record lacks it. Of a cache that stays on the disk it
        reads all there is.

        Example::

            dmft.open_cache("raw.zarr").to_xarray().sel(record="a1_s1_t1")["skeleton"]

        Raises:
            ConfigError: xarray is not installed.
        """
        return views.to_xarray(self)

    def select(self, where: str | Iterable[str]) -> Cache:
        """Some of the records, as a cache of its own with a fingerprint of its own.

        Args:
            where: A condition on :meth:`to_frame`'s columns, or ids; their order is the cache's.

        Example::

            cache.select("subject in (1, 3) and has_skeleton")

        Raises:
            ConfigError: nothing can be selected so, or the cache stays on the disk.
            ContractError: there is no record of an id.
        """
        return views.select(self, where)

    def dataset(
        self,
        fold: Fold | None = None,
        split: str = "train",
        transform: FeatureTransform | Make | None = None,
    ) -> RecordDataset:
        """Records as a PyTorch data set of dictionaries, with a ``collate`` for its loader.

        Args:
            fold: Whose records; all where None.
            split: Which side of the fold: ``train`` or ``test``.
            transform: Makes features of patches: :func:`make_features`'s, or a function of patches
                {m: (B, P, D)} and presence (B, M). None gives the patches as they are stored.

        Example::

            records = cache.dataset(fold, "train", dmft.make_features(cache, config, fold.train))
            loader = DataLoader(records, 32, shuffle=True, collate_fn=records.collate)

        Raises:
            ConfigError: the fold has no such side.
        """
        from dmft.data.records import RecordDataset, rows_of_split
        from dmft.protocols.shared_files import seen_by

        if fold is None:
            return RecordDataset(self, torch.arange(len(self)), transform)
        rows = rows_of_split(split, fold.train, fold.test)
        return RecordDataset(seen_by(fold, self), rows, transform)

    def modality_spec(self, name: str) -> ModalitySpec:
        """Return the description of a loaded modality."""
        return self.spec.modalities[name]

    @property
    def row_bytes(self) -> int:
        """Bytes of one record's patches, of all loaded modalities."""
        return sum(self.modality_spec(name).row_bytes for name in self.modalities)

    def blocks(
        self, rows: Tensor, size: int, modalities: Sequence[str]
    ) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        """Yield some records' rows and patches, ``size`` records at a time, in their order.

        Of a cache that is not in memory, the next ones are read meanwhile.

        Shapes: rows (n,) int64 on the host; yields (B,), {m: (B, P, D)}.
        """
        found = (
            (some, {name: self.features[name][some] for name in modalities})
            for some in torch.split(rows, size)
        )
        return found if self.shuffle_buffer is None else read_ahead(found, 1)


def open_cache(
    path: str | Path,
    modalities: Sequence[str] | None = None,
    *,
    memory: int | None = None,
    trust: bool = False,
) -> Cache:
    """Open a cache with the features of some modalities; all of them where None.

    Args:
        path: The cache: a folder, or the URL of one in an object store, which is read in place
            (:mod:`dmft.data.mirror`).
        modalities: Which to open, in this order.
        memory: Bytes that their patches may take. If they need more they stay on the
            disk. None holds them in memory whatever they need.
        trust: Believe what is there, though nothing lists what was written.

    Raises:
        ConfigError: there is too little memory even for that.
        ContractError: it is not a complete cache of this schema version with these modalities, or
            something in it is not what was written.
    """
    path = mirror_of(path) if isinstance(path, str) and is_elsewhere(path) else Path(path)
    group = _open_group(path)
    spec = _spec_of(group, path)
    if spec.state is not CacheState.COMPLETE:
        raise ContractError(
            f"{path} is in state '{spec.state}': its encoding has not ended. "
            "Run the same 'dmft encode' again to finish it."
        )
    checksums = None if trust else read_checksums(path)
    if checksums is not None:
        check_table(path, checksums, spec.modalities)
    wanted = tuple(spec.modalities if modalities is None else modalities)
    for name in wanted:
        if name not in spec.modalities:
            raise ContractError(
                f"{path} has no modality {name!r}: it has {', '.join(spec.modalities)}. "
                f"Ask for those with --modalities, or encode {name} as well."
            )
    if not wanted or len(set(wanted)) != len(wanted):
        raise ContractError(f"modalities are {list(wanted)}: wanted at least one, each once")

    ids = tuple(str(each) for each in _read(group, "record_id", path))
    labels = _read(group, "label", path).astype(np.int64)
    for name, n_found in (("record_id", len(ids)), ("label", len(labels))):
        if n_found != spec.n_records:
            raise ContractError(f"{path}: {name} has {n_found} rows: wanted {spec.n_records}")
    outside = (labels < 0) | (labels >= len(spec.classes))
    if outside.any():
        worst = int(labels[outside][0])
        raise ContractError(f"{path}: label {worst} is outside 0 to {len(spec.classes) - 1}")

    stored: dict[str, StoredPatches] = {}
    present = np.zeros((spec.n_records, len(wanted)), dtype=bool)
    for column, name in enumerate(wanted):
        codes = _read(group, presence_array(name), path)
        if len(codes) != spec.n_records or (codes == Presence.PENDING).any():
            raise ContractError(
                f"{path}: {presence_array(name)} has records that are not encoded yet, in a cache "
                "that says it is complete. Run 'dmft cache verify' on it."
            )
        present[:, column] = codes == Presence.PRESENT
        stored[name] = StoredPatches(
            path=path,
            spec=spec.modalities[name],
            array=_array(group, feature_array(name), path),
            present=present[:, column],
            record_ids=ids,
            checksums=None if checksums is None else chunk_checksums(path, checksums, name),
            mirror=find_mirror(path, checksums),
        )
    shuffle_buffer, residency = room_for(stored, memory)
    log.info("%s: %s", path, residency)
    features: Mapping[str, Patches] = stored
    if shuffle_buffer is None:
        features = {name: torch.from_numpy(each.read(0, len(ids))) for name, each in stored.items()}
    return Cache(
        path=path,
        spec=spec,
        modalities=wanted,
        record_ids=ids,
        labels=torch.from_numpy(labels),
        columns={c: _read(group, c, path).astype(np.int64) for c in spec.columns},
        features=features,
        present=torch.from_numpy(present),
        sources={
            name: tuple(str(each) for each in _read(group, source_array(name), path))
            for name in spec.modalities
            if source_array(name) in group
        },
        shuffle_buffer=shuffle_buffer,
        residency=residency,
    )


def read_spec(path: str | Path) -> CacheSpec:
    """Read what a cache says of itself, and none of its arrays.

    Raises:
        ContractError: it is not a cache of this schema version.
    """
    return _spec_of(_open_group(Path(path)), Path(path))


def open_columns(path: str | Path, *, trust: bool = False) -> Cache:
    """Open a cache for its records and columns, with the features of its smallest modality alone.

    Raises:
        ContractError: it is not a complete cache of this schema version.
    """
    modalities = read_spec(path).modalities
    smallest = min(modalities, key=lambda m: modalities[m].n_patches * modalities[m].n_features)
    return open_cache(path, [smallest], trust=trust)


def read_lengths(cache: Cache) -> dict[str, NDArray[np.int64]]:
    """Modality to the raw rows or frames of each record, 0 where it has none. Shapes: each (N,).

    Raises:
        ContractError: ``cache`` is a selection, or lacks the array.
    """
    if cache.is_selection:
        raise ContractError(f"{cache.path} is opened in part: lengths are read of a whole cache")
    group = _open_group(cache.path)
    return {
        name: _read(group, length_array(name), cache.path).astype(np.int64)
        for name in cache.modalities
    }


def _spec_of(group: zarr.Group, path: Path) -> CacheSpec:
    return CacheSpec.from_json(group.attrs.asdict().get(CACHE_ATTRIBUTE), where=str(path))


def _open_group(path: Path) -> zarr.Group:
    refuse_absent(path)
    _check_codecs(path)
    try:
        return zarr.open_group(str(path), mode="r", zarr_format=3)
    except (*MISREAD, FileNotFoundError, NotADirectoryError) as error:
        raise ContractError(
            f"{path} is not a Zarr group ({type(error).__name__}): wanted a feature cache. "
            "Make one with 'dmft encode', or see with 'dmft cache verify' what is damaged of this."
        ) from error


def _check_codecs(path: Path) -> None:
    """Refuse codecs that are not known to be harmless, before Zarr makes one of them.

    Zarr's version 2, which is never opened, knows a codec that executes what it reads.
    """
    for file in (path / "zarr.json", *path.glob("*/zarr.json")):
        try:
            metadata = json.loads(file.read_bytes())
            consolidated = (metadata.get("consolidated_metadata") or {}).get("metadata") or {}
            arrays = [metadata, *consolidated.values()]
            codecs = {codec["name"] for array in arrays for codec in array.get("codecs") or ()}
        except (OSError, ValueError, AttributeError, KeyError, TypeError):
            continue  # no metadata: Zarr says what is wrong with it
        strange = sorted(codecs - CODECS)
        if strange:
            raise ContractError(
                f"{file} asks for the codec {strange[0]!r}: wanted {', '.join(sorted(CODECS))}. "
                "Do not open caches that you did not get from somebody you trust."
            )


def _array(group: zarr.Group, name: str, path: Path) -> Any:
    try:
        array = group.get(name)
    except MISREAD as error:
        raise ContractError(
            f"{path}: what describes the array {name!r} is damaged ({type(error).__name__}: "
            f"{error}). Run 'dmft cache verify' on it."
        ) from error
    if not isinstance(array, zarr.Array):
        raise ContractError(f"{path} lacks the array {name!r}. Run 'dmft cache verify' on it.")
    return array


def _read(group: zarr.Group, name: str, path: Path) -> NDArray[Any]:
    array = _array(group, name, path)
    try:
        return np.asarray(array[:])
    except (ValueError, RuntimeError, OSError) as error:
        raise ContractError(
            f"{path}: array {name!r} is damaged ({type(error).__name__}: {error}). "
            "Run 'dmft cache verify' on it."
        ) from error
