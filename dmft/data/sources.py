"""Where a training gets its records from, a step at a time, on its device.

One source serves a cache that is in memory, the other one that is not; the loop does not know
which it has. For the same shuffle buffer both give the same batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dmft.data.cache import Cache
from dmft.data.memory import size_text
from dmft.data.out_of_core import StoredPatches
from dmft.data.prefetch import read_ahead
from dmft.data.shuffle import ShuffleBuffer, epoch_order
from pipeline.contract import ConfigError

BATCHES_AHEAD = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBatch:
    """What the cache holds of the records of one step."""

    rows: Tensor
    """Shapes: (B,) int64, rows of the cache; key of a record's augmentation."""
    patches: Mapping[str, Tensor]
    """Shapes: {m: (B, P_stored, D_stored)} in the stored type."""
    present: Tensor
    """Shapes: (B, M) bool."""
    labels: Tensor
    """Shapes: (B,) int64."""


class BatchSource(Protocol):
    """The training records of a run."""

    @property
    def n_records(self) -> int:
        """Records in an epoch."""

    @property
    def device(self) -> torch.device:
        """Where batches lie."""

    def batches(self, seed: int, epoch: int, size: int) -> Iterator[StoredBatch]:
        """Yield every record once, ``size`` a batch, in the order of (seed, epoch)."""


def choose_source(
    cache: Cache, rows: Tensor, shuffle_buffer: ShuffleBuffer | None, device: torch.device
) -> BatchSource:
    """Return the source of a cache's training records, mixed over ``shuffle_buffer``.

    Shapes: rows (n,) int64 on the host, ascending.

    Raises:
        ConfigError: the shuffle buffer needs more memory than there is; the order of an interrupted
            run cannot be gone on with then.
    """
    present, labels = cache.present.to(device), cache.labels.to(device)
    if cache.shuffle_buffer is None:
        tensors = {
            m: each.to(device) for m, each in cache.features.items() if isinstance(each, Tensor)
        }
        return ResidentSource(
            patches=tensors,
            present=present,
            labels=labels,
            rows=rows,
            shuffle_buffer=shuffle_buffer,
        )
    room = cache.shuffle_buffer
    fits = (
        room.holds(rows) if shuffle_buffer is None else shuffle_buffer.n_records == room.n_records
    )
    if not fits or (shuffle_buffer is not None and shuffle_buffer.n_blocks > room.n_blocks):
        mixed = "all its records"
        if shuffle_buffer is not None:
            mixed = f"{shuffle_buffer.n_blocks} blocks of {shuffle_buffer.n_records} records"
        raise ConfigError(
            f"the run was begun with {mixed} mixed, and there is memory for {room.n_blocks} blocks "
            f"of {room.n_records}: give --memory {size_text(len(cache) * cache.row_bytes)} or more "
            "to go on with it, or choose another folder"
        )
    on_disk = {m: each for m, each in cache.features.items() if isinstance(each, StoredPatches)}
    return OutOfCoreSource(
        patches=on_disk,
        present=present,
        labels=labels,
        rows=rows,
        shuffle_buffer=shuffle_buffer,
        block_records=room.n_records,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidentSource:
    """Of patches in memory.

    Patches of all records are held so that on a CPU they are the cache's own, not a copy.
    """

    patches: Mapping[str, Tensor]
    """Shapes: {m: (N, P_stored, D_stored)}, on the device."""
    present: Tensor
    """Shapes: (N, M) bool, on the device."""
    labels: Tensor
    """Shapes: (N,) int64, on the device."""
    rows: Tensor
    """Shapes: (n,) int64 on the host, the training records."""
    shuffle_buffer: ShuffleBuffer | None = None
    """Of the run; an out-of-core training that was interrupted may go on in memory."""

    @property
    def n_records(self) -> int:
        """Records in an epoch."""
        return len(self.rows)

    @property
    def device(self) -> torch.device:
        """Where batches lie."""
        return self.labels.device

    def batches(self, seed: int, epoch: int, size: int) -> Iterator[StoredBatch]:
        """Yield every record once, ``size`` a batch, in the order of (seed, epoch)."""
        order = epoch_order(self.rows, self.shuffle_buffer, seed, epoch).to(self.device)
        for rows in torch.split(order, size):
            yield StoredBatch(
                rows=rows,
                patches={name: stored[rows] for name, stored in self.patches.items()},
                present=self.present[rows],
                labels=self.labels[rows],
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfCoreSource:
    """Of patches on the disk.

    A thread reads blocks as their first record comes up, drops each with its last, and puts
    batches together a few steps ahead. It holds no more blocks than the shuffle buffer's.
    """

    patches: Mapping[str, StoredPatches]
    """By modality."""
    present: Tensor
    """Shapes: (N, M) bool, on the device."""
    labels: Tensor
    """Shapes: (N,) int64, on the device."""
    rows: Tensor
    """Shapes: (n,) int64 on the host, the training records."""
    shuffle_buffer: ShuffleBuffer | None
    """Of the run; None mixes all records, which then must be few enough."""
    block_records: int
    """Records that are read at a time."""

    @property
    def n_records(self) -> int:
        """Records in an epoch."""
        return len(self.rows)

    @property
    def device(self) -> torch.device:
        """Where batches lie."""
        return self.labels.device

    def batches(self, seed: int, epoch: int, size: int) -> Iterator[StoredBatch]:
        """Yield every record once, ``size`` a batch, in the order of (seed, epoch).

        Raises:
            ContractError: a chunk is damaged, or a present record is not finite.
        """
        order = epoch_order(self.rows, self.shuffle_buffer, seed, epoch)
        for rows, patches in read_ahead(self._gather(order, size), BATCHES_AHEAD):
            here = rows.to(self.device)
            yield StoredBatch(
                rows=here,
                patches={name: each.to(self.device) for name, each in patches.items()},
                present=self.present[here],
                labels=self.labels[here],
            )

    def _gather(self, order: Tensor, size: int) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        """Put batches together on the host, in a thread of their own: with NumPy, not torch."""
        block_of = (order // self.block_records).tolist()
        last = {block: position for position, block in enumerate(block_of)}
        held: dict[int, dict[str, NDArray[Any]]] = {}
        position = 0
        for rows in torch.split(order, size):
            batch = {
                name: np.empty((len(rows), *stored.array.shape[1:]), stored.spec.dtype)
                for name, stored in self.patches.items()
            }
            for place, row in enumerate(rows.tolist()):
                block = block_of[position]
                if block not in held:
                    held[block] = self._read(block)
                for name, rows_of_block in held[block].items():
                    batch[name][place] = rows_of_block[row - block * self.block_records]
                if last[block] == position:
                    del held[block]
                position += 1
            yield rows, {name: torch.from_numpy(each) for name, each in batch.items()}

    def _read(self, block: int) -> dict[str, NDArray[Any]]:
        start = block * self.block_records
        stop = min(start + self.block_records, len(self.labels))
        return {name: each.read(start, stop, n_threads=1) for name, each in self.patches.items()}
