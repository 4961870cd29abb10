"""The order of training records in an epoch, a function of seed, epoch and shuffle buffer alone.

Where all patches are in memory it is a plain permutation. Where they are not, records next to
each other in the cache must come near each other in time, or every record would cost a chunk: a
block of records is drawn as a whole and its records are then spread over a shuffle
buffer of blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmft.data.memory import size_text
from pipeline.contract import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from dmft.data.out_of_core import StoredPatches


BUFFER_BLOCKS = 64
"""Blocks that a training mixes where there is room: a step's records then seldom share one."""
SPARE_BLOCKS = 2
"""Blocks' room beside the shuffle buffer: for the one that is read and the batches made ahead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShuffleBuffer:
    """How far the records of a block are spread."""

    n_blocks: int
    """Blocks that records are mixed of, at any time."""
    n_records: int
    """Records in a block: neighbours in the cache."""

    def __post_init__(self) -> None:
        for name in ("n_blocks", "n_records"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: wanted a positive number")

    def holds(self, rows: Tensor) -> bool:
        """Whether no more blocks than fit have any of these records.

        Shapes: rows (n,) int64.
        """
        import torch

        return len(torch.unique(rows // self.n_records)) <= self.n_blocks


def epoch_order(
    rows: Tensor, shuffle_buffer: ShuffleBuffer | None, seed: int, epoch: int
) -> Tensor:
    """Return the training records in the order of one epoch, each once.

    The blocks get places 0, 1, 2, ... at random; a record of the block at place b comes at the
    time b + u, with u uniform between 0 and the buffer's length. So at any time only blocks of
    one buffer's length are under way, and at most times all of them. A buffer that holds
    everything gives the order of no buffer at all.

    Shapes: rows (n,) int64 on the host, ascending -> (n,).
    """
    import torch

    from dmft.data.counter_rng import derive_seed

    draws = torch.Generator().manual_seed(derive_seed(seed, epoch, "order"))
    if shuffle_buffer is None or shuffle_buffer.holds(rows):
        return rows[torch.randperm(len(rows), generator=draws)]
    blocks, block_of = torch.unique(rows // shuffle_buffer.n_records, return_inverse=True)
    places = torch.randperm(len(blocks), generator=draws)
    delays = torch.rand(len(rows), generator=draws, dtype=torch.float64) * shuffle_buffer.n_blocks
    return rows[torch.argsort(places[block_of] + delays, stable=True)]


def room_for(
    stored: Mapping[str, StoredPatches], memory: int | None
) -> tuple[ShuffleBuffer | None, str]:
    """Say whether patches are held or read from the disk, and with how large a shuffle buffer.

    A block is a chunk of the modality that has the most records in one, and the same records of
    the others.

    Raises:
        ConfigError: less memory than two blocks and what is read beside them.
    """
    row_bytes = sum(each.spec.row_bytes for each in stored.values())
    n_bytes = row_bytes * max(len(each) for each in stored.values())
    names = ", ".join(stored)
    if memory is None:
        return None, f"resident: {names} take {size_text(n_bytes)}"
    if n_bytes <= memory:
        fits = f"{names} take {size_text(n_bytes)}, within {size_text(memory)} of memory"
        return None, f"resident: {fits}"
    n_records = max(each.records_per_chunk for each in stored.values())
    block_bytes = n_records * row_bytes
    n_blocks = min(memory // block_bytes - SPARE_BLOCKS, BUFFER_BLOCKS)
    if n_blocks < 2:
        least = size_text((2 + SPARE_BLOCKS) * block_bytes)
        raise ConfigError(
            f"memory of {size_text(memory)} is too little for {names}, which take "
            f"{size_text(n_bytes)} in blocks of {size_text(block_bytes)}: wanted at least {least}. "
            "Give more with --memory, or choose fewer modalities."
        )
    shuffle_buffer = ShuffleBuffer(n_blocks=n_blocks, n_records=n_records)
    return shuffle_buffer, (
        f"out of core: {names} take {size_text(n_bytes)}, more than {size_text(memory)} of memory; "
        f"a shuffle buffer of {n_blocks} blocks of {n_records} records holds "
        f"{size_text(n_blocks * block_bytes)}"
    )
