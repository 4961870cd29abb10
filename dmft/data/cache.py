"""Open a feature cache and hold what a run wants of it in memory.

It reads Zarr and nothing else reads Zarr here. It refuses, by name and with what to do, a folder
that is not a cache, one of another schema version, one that is half made, a modality that the
cache does not have, and a row that is said to be present and is not finite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from numpy.typing import NDArray
from torch import Tensor
from zarr.errors import BaseZarrError

from dmft.data.chunks import read_rows
from pipeline.contract import (
    CACHE_ATTRIBUTE,
    CacheSpec,
    CacheState,
    ContractError,
    ModalitySpec,
    Presence,
    feature_array,
    presence_array,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """The records of a cache and the modalities that were asked for, in memory."""

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
    features: Mapping[str, Tensor]
    """Shapes: {m: (N, P, D)} in the stored type; rows of absent records are zero."""
    present: Tensor
    """Shapes: (N, M) bool, in the order of ``modalities``."""

    def __len__(self) -> int:
        return len(self.record_ids)

    def modality_spec(self, name: str) -> ModalitySpec:
        """Return the description of a loaded modality."""
        return self.spec.modalities[name]


def open_cache(path: str | Path, modalities: Sequence[str] | None = None) -> Cache:
    """Open a cache and load the features of some modalities; all of them where None.

    Raises:
        ContractError: it is not a complete cache of this schema version with these modalities.
    """
    path = Path(path)
    group = _open_group(path)
    spec = _spec_of(group, path)
    if spec.state is not CacheState.COMPLETE:
        raise ContractError(
            f"{path} is in state '{spec.state}': its encoding has not ended. "
            "Run the same 'dmft encode' again to finish it."
        )
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

    features: dict[str, Tensor] = {}
    present = np.zeros((spec.n_records, len(wanted)), dtype=bool)
    for column, name in enumerate(wanted):
        codes = _read(group, presence_array(name), path)
        if len(codes) != spec.n_records or (codes == Presence.PENDING).any():
            raise ContractError(
                f"{path}: {presence_array(name)} has records that are not encoded yet, in a cache "
                "that says it is complete. Run 'dmft cache verify' on it."
            )
        present[:, column] = codes == Presence.PRESENT
        features[name] = _load_features(group, spec.modalities[name], present[:, column], ids, path)
    return Cache(
        path=path,
        spec=spec,
        modalities=wanted,
        record_ids=ids,
        labels=torch.from_numpy(labels),
        columns={c: _read(group, c, path).astype(np.int64) for c in spec.columns},
        features=features,
        present=torch.from_numpy(present),
    )


def read_spec(path: str | Path) -> CacheSpec:
    """Read what a cache says of itself, and none of its arrays.

    Raises:
        ContractError: it is not a cache of this schema version.
    """
    return _spec_of(_open_group(Path(path)), Path(path))


def open_columns(path: str | Path) -> Cache:
    """Open a cache for its records and columns, with the features of its smallest modality alone.

    Raises:
        ContractError: it is not a complete cache of this schema version.
    """
    modalities = read_spec(path).modalities
    smallest = min(modalities, key=lambda m: modalities[m].n_patches * modalities[m].n_features)
    return open_cache(path, [smallest])


def _spec_of(group: zarr.Group, path: Path) -> CacheSpec:
    return CacheSpec.from_json(group.attrs.asdict().get(CACHE_ATTRIBUTE), where=str(path))


def _open_group(path: Path) -> zarr.Group:
    if not path.exists():
        raise ContractError(f"{path} does not exist. Make a cache with 'dmft encode'.")
    try:
        return zarr.open_group(str(path), mode="r")
    except (BaseZarrError, FileNotFoundError, ValueError, KeyError, NotADirectoryError) as error:
        raise ContractError(
            f"{path} is not a Zarr group ({type(error).__name__}): wanted a feature cache. "
            "Make one with 'dmft encode'."
        ) from error


def _array(group: zarr.Group, name: str, path: Path) -> Any:
    array = group.get(name)
    if not isinstance(array, zarr.Array):
        raise ContractError(f"{path} lacks the array {name!r}. Run 'dmft cache verify' on it.")
    return array


def _read(group: zarr.Group, name: str, path: Path) -> NDArray[Any]:
    array = _array(group, name, path)
    try:
        return np.asarray(array[:])
    except (ValueError, RuntimeError, OSError) as error:
        raise _damaged(path, name, error) from error


def _damaged(path: Path, name: str, error: Exception) -> ContractError:
    return ContractError(
        f"{path}: array {name!r} is damaged ({type(error).__name__}: {error}). "
        "Run 'dmft cache verify' on it."
    )


def _load_features(
    group: zarr.Group,
    spec: ModalitySpec,
    present: NDArray[np.bool_],
    ids: Sequence[str],
    path: Path,
) -> Tensor:
    """Read one modality into one tensor, so that memory holds it once."""
    array = _array(group, feature_array(spec.name), path)
    shape = (len(ids), spec.n_patches, spec.n_features)
    if tuple(array.shape) != shape:
        raise ContractError(
            f"{path}: array {spec.name!r} has shape {tuple(array.shape)}: wanted {shape}"
        )
    try:
        features, finite = read_rows(path / feature_array(spec.name), array, present)
    except (ValueError, RuntimeError, OSError) as error:
        raise _damaged(path, spec.name, error) from error
    if not finite.all():
        record = ids[int(np.argmin(finite))]
        raise ContractError(
            f"{path}: {spec.name} of record {record!r} is marked present and is not finite. "
            "Run 'dmft cache verify' on it."
        )
    features[~present] = 0
    return torch.from_numpy(features)
