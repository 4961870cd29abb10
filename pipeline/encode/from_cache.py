"""From what a cache notes about a modality's encoding back to the encoder that does it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipeline.contract import ConfigError
from pipeline.encode.records import Encoder
from pipeline.encoders.kinds import WEIGHTS, encoding_noted, kind_noted
from pipeline.raw.tree import RawTree

if TYPE_CHECKING:
    from pipeline.encoders.frames import FrameNetwork


class EncodersAsNoted:
    """Encoders of the modalities of one cache; a network is loaded once."""

    def __init__(self, *, dataset: str, weights: str) -> None:
        """Name the data set's readers and the network's weights.

        Args:
            dataset: Names the readers.
            weights: Name of the network's weights, for frames.
        """
        self._dataset = dataset
        self._weights = weights
        self._networks: dict[tuple[str, str], FrameNetwork] = {}

    def encoder(self, modality: str, note: Mapping[str, Any], tree: RawTree) -> Encoder:
        """The encoder of a modality that a cache's own description asks for.

        Args:
            modality: Which.
            note: What the cache notes of its encoding.
            tree: Where the raw files are.

        Raises:
            ConfigError: the weights are not those that the cache was made with.
            ContractError: no kind is encoded so.
        """
        return Encoder(
            dataset=self._dataset,
            modality=modality,
            tree=tree,
            encoding=encoding_noted(note),
            network=self._network(modality, note) if kind_noted(note).needs_network else None,
        )

    def _network(self, modality: str, note: Mapping[str, Any]) -> FrameNetwork:
        """The network that a cache's frames passed, on a GPU where there is one."""
        import torch

        from pipeline.encoders.frames import FrameNetwork
        from pipeline.encoders.weights import load_weights

        which = note[WEIGHTS], note["dtype"]
        if which not in self._networks:
            loaded = load_weights(self._weights)
            if loaded.sha256 != note[WEIGHTS]:
                raise ConfigError(
                    f"weights {self._weights!r} are not those that {modality} was encoded with: "
                    "give them with --weights"
                )
            device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
            self._networks[which] = FrameNetwork(loaded, device=device, dtype=note["dtype"])
        return self._networks[which]
