"""Patches that stay on the disk: indexed by rows as a tensor is, read from their chunks.

Every read checks what it reads. It keeps nothing: what shall be held is held by who asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dmft.data.chunks import N_THREADS, Bring, read_rows
from dmft.data.mirror import Mirror
from pipeline.common.stores import StoreError
from pipeline.contract import ContractError, ModalitySpec, feature_array


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPatches:
    """The patches of one modality in a cache's files."""

    path: Path
    """The cache."""
    spec: ModalitySpec
    """What the cache says of the modality."""
    array: Any
    """Its Zarr array. Shapes: (N, P, D)."""
    present: NDArray[np.bool_]
    """Shapes: (N,)."""
    record_ids: Sequence[str]
    """Names the record in an error."""
    checksums: Mapping[int, bytes] | None = None
    """Chunk to the CRC-32C that it must have; None where the cache is trusted as it is."""

    mirror: Mirror | None = None
    """Brings chunks of a cache that lies elsewhere."""

    def __post_init__(self) -> None:
        shape = (len(self.record_ids), self.spec.n_patches, self.spec.n_features)
        if tuple(self.array.shape) != shape:
            raise ContractError(
                f"{self.path}: array {self.spec.name!r} has shape {tuple(self.array.shape)}: "
                f"wanted {shape}"
            )

    def __len__(self) -> int:
        return len(self.record_ids)

    @property
    def records_per_chunk(self) -> int:
        """As the array is stored, which a copy of a cache may have changed."""
        return int(self.array.chunks[0])

    @property
    def dtype(self) -> torch.dtype:
        """The stored type."""
        return torch.float16 if self.spec.dtype == "float16" else torch.float32

    @property
    def _bring(self) -> Bring | None:
        """Has a chunk's file here; None of a cache that lies here."""
        mirror, name = self.mirror, feature_array(self.spec.name)
        return None if mirror is None else lambda chunk: mirror.bring(f"{name}/c/{chunk}/0/0")

    def read(self, start: int, stop: int, n_threads: int = N_THREADS) -> NDArray[Any]:
        """Read neighbouring records; rows of absent ones are zero.

        Shapes: returns (stop - start, P, D).

        Raises:
            ContractError: a chunk is damaged, or a present record is not finite.
        """
        is_present = self.present[start:stop]
        folder = self.path / feature_array(self.spec.name)
        try:
            patches, finite = read_rows(
                folder, self.array, is_present, start, n_threads, self.checksums, self._bring
            )
        except StoreError:
            raise
        except (ValueError, RuntimeError, OSError) as error:
            raise ContractError(
                f"{self.path}: array {self.spec.name!r} is damaged "
                f"({type(error).__name__}: {error}). Run 'dmft cache verify' on it."
            ) from error
        if not finite.all():
            record = self.record_ids[start + int(np.argmin(finite))]
            raise ContractError(
                f"{self.path}: {self.spec.name} of record {record!r} is marked present and is not "
                "finite. Run 'dmft cache verify' on it."
            )
        patches[~is_present] = 0
        return patches

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Read some records, in any order, each of their chunks once.

        Shapes: rows (B,) int64 on the host -> (B, P, D).

        Raises:
            ContractError: a chunk is damaged, or a present record is not finite.
        """
        wanted, size = rows.numpy(), self.records_per_chunk
        patches = np.empty((len(wanted), *self.array.shape[1:]), self.spec.dtype)
        chunk_of = wanted // size
        for chunk in np.unique(chunk_of).tolist():
            start = chunk * size
            places = chunk_of == chunk
            block = self.read(start, min(start + size, len(self)), n_threads=1)
            patches[places] = block[wanted[places] - start]
        return torch.from_numpy(patches)
