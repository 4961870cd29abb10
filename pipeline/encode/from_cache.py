"""From what a cache notes of a modality's encoding to the encoder that does it.

Workers of an encode, ``cache verify --recompute`` and ``dmft predict`` all encode this way: what a
cache says of its numbers is what they are made by.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.contract import ConfigError
from pipeline.encode.records import Encoded, Encoder
from pipeline.encoders.kinds import WEIGHTS, encoding_noted, kind_noted
from pipeline.raw.tree import RawTree

if TYPE_CHECKING:
    from pipeline.encoders.frames import FrameNetwork


@dataclass(slots=True, kw_only=True)
class Encoders:
    """Encoders of one cache's modalities; a network is loaded once for each arithmetic."""

    dataset: str
    """Names the readers."""
    weights: str
    """Name of the weights of the network that frames pass."""
    device: str | None = None
    """Where it runs; None for a GPU where there is one."""
    n_threads: int = 1
    """Records read and decoded ahead at a time."""
    max_bytes_ahead: int = 256 << 20
    _networks: dict[tuple[str, str], FrameNetwork] = field(default_factory=dict, repr=False)

    def encoder(
        self,
        modality: str,
        note: Mapping[str, Any],
        tree: RawTree,
        on_record: Callable[[Encoded], None] | None = None,
    ) -> Encoder:
        """The encoder of one modality.

        Args:
            modality: Which.
            note: What the cache notes of its encoding.
            tree: Where the raw files are.
            on_record: Told of each record as it is done.

        Raises:
            ConfigError: the weights are not those that the note names.
            ContractError: no kind is encoded so.
        """
        return Encoder(
            dataset=self.dataset,
            modality=modality,
            tree=tree,
            encoding=encoding_noted(note),
            network=self._network(modality, note) if kind_noted(note).needs_network else None,
            n_threads=self.n_threads,
            max_bytes_ahead=self.max_bytes_ahead,
            on_record=on_record,
        )

    def _network(self, modality: str, note: Mapping[str, Any]) -> FrameNetwork:
        import torch

        from pipeline.encoders.frames import FrameNetwork
        from pipeline.encoders.weights import load_weights

        wanted, dtype = note[WEIGHTS], note["dtype"]
        if (wanted, dtype) not in self._networks:
            loaded = load_weights(self.weights)
            if loaded.sha256 != wanted:
                raise ConfigError(
                    f"weights {self.weights!r} are not those that {modality} was encoded with: "
                    f"they are {loaded.sha256[:12]} on {platform.node()} and were {wanted[:12]}. "
                    "Give those with --weights, and the same file to every worker"
                )
            device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
            self._networks[wanted, dtype] = FrameNetwork(
                loaded, device=torch.device(device), dtype=dtype
            )
        return self._networks[wanted, dtype]
