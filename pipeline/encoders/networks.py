"""Torchvision's classification networks by name, without their last layer.

What the last linear layer was given is a frame's vector; its length is the network's own. Networks
that end otherwise are refused. The ResNet-50, the default, has a faster form of its own in
``frames``.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.contract import ConfigError

if TYPE_CHECKING:
    from torch import nn

RESNET50 = "resnet50"
OWN = ("onnx", "pt2")
"""What networks from a file of the user's own are called in the settings."""


def check_network(name: str) -> None:
    """Refuse a name that is none of torchvision's classification networks.

    Raises:
        ConfigError: it is none; names those that are written alike.
    """
    import difflib

    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        alike = difflib.get_close_matches(name, known, n=6, cutoff=0.4) or known[:6]
        raise ConfigError(
            f"network is {name!r}: wanted one of torchvision's {len(known)} classification "
            f"networks, {' or '.join(OWN)}, such as {', '.join(alike)}"
        )


def empty_network(name: str) -> nn.Module:
    """A network of random weights, its last layer still there.

    Raises:
        ConfigError: torchvision has none of that name.
    """
    from torchvision import models

    check_network(name)
    # What only training needs, and the two that have it are slow to fill with random numbers.
    more: dict[str, Any] = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    network: nn.Module = models.get_model(name, weights=None, **more)
    return network.eval()


def last_layer(network: nn.Module, name: str) -> str:
    """Path of the layer that classifies.

    Raises:
        ConfigError: the network does not end in a linear layer.
    """
    from torch import nn

    linear = [
        str(path)
        for path, layer in network.named_modules()
        if isinstance(layer, nn.Linear) and not path.startswith(("aux", "AuxLogits"))
    ]
    if not linear:
        raise ConfigError(f"network {name} does not end in a linear layer: choose another")
    return linear[-1]


def without_last_layer(network: nn.Module, name: str) -> nn.Module:
    """The network with nothing in the place of the layer that classifies."""
    from torch import nn

    parent, _, child = last_layer(network, name).rpartition(".")
    setattr(network.get_submodule(parent), child, nn.Identity())
    return network


@lru_cache(maxsize=16)
def width_of(name: str, image_size: int, weights: str = "") -> int:
    """Length of a frame's vector; nothing is computed but of a network in the file ``weights``.

    Example:
        >>> width_of("resnet18", 224)
        512

    Raises:
        ConfigError: no such network, or it takes no pictures of that size.
    """
    import torch

    if name == RESNET50:
        return 2048
    if name in OWN:
        from pipeline.encoders.own_network import own_network

        with torch.inference_mode():
            black = torch.zeros(1, 3, image_size, image_size)
            return int(own_network(str(Path(weights).absolute()), name)(black).shape[1])
    with torch.device("meta"):
        network = without_last_layer(empty_network(name), name)
        try:
            features = network(torch.zeros(1, 3, image_size, image_size))
        except (RuntimeError, AssertionError, ValueError) as error:
            raise ConfigError(
                f"network {name} takes no pictures of {image_size}x{image_size}: {error}; set "
                "image_size"
            ) from error
    if features.ndim != 2:
        raise ConfigError(f"network {name} gives {tuple(features.shape)}: wanted a vector a frame")
    return int(features.shape[1])
