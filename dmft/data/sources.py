"""Where a training gets its records from, a step at a time, on its device.

The loop does not know whether the cache is in memory: for the same shuffle buffer the batches are
the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dmft.data.cache import Cache, Patches
from dmft.data.memory import size_text
from dmft.data.out_of_core import StoredPatches
from dmft.data.prefetch import read_ahead
from dmft.data.shuffle import ShuffleBuffer, epoch_order
from pipeline.common.stages import Meter
from pipeline.contract import ConfigError

BATCHES_AHEAD = 4
READING = "reading"
"""The stage that takes records out of memory, or reads them in a thread of its own."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSource:
    """The training records of a run.

    Patches in memory are taken as they are; those of all records are held, so that on a CPU they
    are the cache's own, not a copy. Of patches on the disk a thread reads blocks as their first
    record comes up, drops each with its last, and puts batches together a few steps ahead; it holds
    no more blocks than the shuffle buffer's.
    """

    patches: Mapping[str, Patches]
    """Shapes: {m: (N, P_stored, D_stored)}, on the device or all on the disk."""
    present: Tensor
    """Shapes: (N, M) bool, on the device."""
    labels: Tensor
    """Shapes: (N,) int64, on the device."""
    n_classes: int
    """K."""
    rows: Tensor
    """Shapes: (n,) int64 on the host, the training records."""
    shuffle_buffer: ShuffleBuffer | None
    """The run's; None mixes all records. An out-of-core training may go on in memory."""
    block_records: int = 0
    """Records that are read from the disk at a time; 0 where patches are in memory."""

    @property
    def n_records(self) -> int:
        """Records in an epoch."""
        return len(self.rows)

    @property
    def device(self) -> torch.device:
        """Where batches lie."""
        return self.labels.device

    def batches(
        self, seed: int, epoch: int, size: int, meter: Meter | None = None
    ) -> Iterator[StoredBatch]:
        """Yield every record once, ``size`` a batch, in the order of (seed, epoch).

        What it does is measured by ``meter`` as :data:`READING`.

        Raises:
            ContractError: a chunk is damaged, or a present record is not finite.
        """
        order = epoch_order(self.rows, self.shuffle_buffer, seed, epoch)
        meter = meter or Meter()
        gathered: Iterator[tuple[Tensor, dict[str, Tensor]]]
        if self.block_records:
            meter.loops = {READING: (READING, 1)}
            read = meter.made(READING, self._gather(order, size), lambda batch: len(batch[0]))
            gathered = read_ahead(read, BATCHES_AHEAD)
        else:
            taken = (
                (rows, {name: stored[rows] for name, stored in self.patches.items()})
                for rows in torch.split(order.to(self.device), size)
            )
            gathered = meter.made(READING, taken, lambda batch: len(batch[0]))
        for rows, patches in gathered:
            rows = rows.to(self.device)
            yield StoredBatch(
                rows=rows,
                patches={name: tensor.to(self.device) for name, tensor in patches.items()},
                present=self.present[rows],
                labels=self.labels[rows],
            )

    def _gather(self, order: Tensor, size: int) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        """Put batches together on the host, in a thread of their own: with NumPy, not torch."""
        on_disk = {m: p for m, p in self.patches.items() if isinstance(p, StoredPatches)}
        block_of = (order // self.block_records).tolist()
        last = {block: position for position, block in enumerate(block_of)}
        held: dict[int, dict[str, NDArray[Any]]] = {}
        position = 0
        for rows in torch.split(order, size):
            batch = {
                name: np.empty((len(rows), *stored.array.shape[1:]), stored.spec.dtype)
                for name, stored in on_disk.items()
            }
            for place, row in enumerate(rows.tolist()):
                block = block_of[position]
                start = block * self.block_records
                if block not in held:
                    stop = min(start + self.block_records, len(self.labels))
                    held[block] = {m: p.read(start, stop, n_threads=1) for m, p in on_disk.items()}
                for name, rows_of_block in held[block].items():
                    batch[name][place] = rows_of_block[row - start]
                if last[block] == position:
                    del held[block]
                position += 1
            yield rows, {name: torch.from_numpy(patches) for name, patches in batch.items()}


def choose_source(
    cache: Cache, rows: Tensor, shuffle_buffer: ShuffleBuffer | None, device: torch.device
) -> BatchSource:
    """Return the source of a cache's training records, mixed over ``shuffle_buffer``.

    Shapes: rows (n,) int64 on the host, ascending.

    Raises:
        ConfigError: the shuffle buffer needs more memory than there is; the order of an interrupted
            run cannot be gone on with then.
    """
    room = cache.shuffle_buffer
    if room is not None and not _fits(shuffle_buffer, room, rows):
        mixed = "all its records"
        if shuffle_buffer is not None:
            mixed = f"{shuffle_buffer.n_blocks} blocks of {shuffle_buffer.n_records} records"
        raise ConfigError(
            f"the run was begun with {mixed} mixed, and there is memory for {room.n_blocks} blocks "
            f"of {room.n_records}: give --memory {size_text(len(cache) * cache.row_bytes)} or more "
            "to go on with it, or choose another folder"
        )
    return BatchSource(
        patches={
            name: patches.to(device) if isinstance(patches, Tensor) else patches
            for name, patches in cache.features.items()
        },
        present=cache.present.to(device),
        labels=cache.labels.to(device),
        n_classes=len(cache.spec.classes),
        rows=rows,
        shuffle_buffer=shuffle_buffer,
        block_records=0 if room is None else room.n_records,
    )


def _fits(wanted: ShuffleBuffer | None, room: ShuffleBuffer, rows: Tensor) -> bool:
    """Whether there is room to mix records as wanted; None wants all of them mixed."""
    if wanted is None:
        return room.holds(rows)
    return wanted.n_records == room.n_records and wanted.n_blocks <= room.n_blocks
