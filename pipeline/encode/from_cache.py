"""From what a cache notes about a modality's encoding back to the encoder that does it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from pipeline.contract import ConfigError
from pipeline.encode.records import Encoder
from pipeline.encoders.config import FramesEncoding, ModalityEncoding, encoding_kind
from pipeline.raw.tree import RawTree

if TYPE_CHECKING:
    from pipeline.encoders.frames import FrameNetwork


def encoding_of(modality: str, stored: Mapping[str, Any]) -> ModalityEncoding:
    """The configuration that a cache's metadata holds, as it was."""
    kind = encoding_kind(modality)
    names = {field.name for field in fields(kind)}
    return kind(**{name: value for name, value in stored.items() if name in names})


def encoder_as_recorded(
    *,
    dataset: str,
    modality: str,
    stored: Mapping[str, Any],
    tree: RawTree,
    weights: str,
    network: FrameNetwork | None = None,
) -> Encoder:
    """The encoder that a cache's own description asks for.

    Args:
        dataset: Names the reader.
        modality: Which.
        stored: What the cache notes of its encoding.
        tree: Where the raw files are.
        weights: Name of the network's weights, for frames.
        network: One that is loaded already, of the same weights.

    Raises:
        ConfigError: the weights are not those that the cache was made with.
    """
    encoding = encoding_of(modality, stored)
    if isinstance(encoding, FramesEncoding) and network is None:
        network = network_as_recorded(modality, stored, weights)
    return Encoder(
        dataset=dataset, modality=modality, tree=tree, encoding=encoding, network=network
    )


def network_as_recorded(modality: str, stored: Mapping[str, Any], weights: str) -> FrameNetwork:
    """The network that a cache's frames passed, on a GPU where there is one.

    Raises:
        ConfigError: the weights are not those that the cache was made with.
    """
    import torch

    from pipeline.encoders.frames import FrameNetwork
    from pipeline.encoders.weights import load_weights

    loaded = load_weights(weights)
    if loaded.sha256 != stored["weights_sha256"]:
        raise ConfigError(
            f"weights {weights!r} are not those that {modality} was encoded with: give them "
            "with --weights"
        )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return FrameNetwork(loaded, device=device, dtype=stored["dtype"])
