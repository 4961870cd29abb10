"""The order of training records in an epoch, a function of seed, epoch and shuffle buffer alone.

Where all patches are in memory it is a plain permutation. Where they are not, records next to
each other in the cache must come near each other in time, or every record would cost a chunk: a
block of records is drawn as a whole and its records are then spread over a shuffle
buffer of blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.contract import ConfigError

if TYPE_CHECKING:
    from torch import Tensor


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
