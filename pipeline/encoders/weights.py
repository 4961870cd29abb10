"""A network's weights by name: ``imagenet``, a file, or ``random:SEED``; always with their hash.

Files are read as safetensors, or as a PyTorch checkpoint with ``weights_only``: nothing that a
file carries is run.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.contract import ConfigError
from pipeline.encoders.networks import OWN, RESNET50, empty_network, last_layer

if TYPE_CHECKING:
    import torch

USUAL = "imagenet"
"""Weights where nobody names any."""
_PART = re.compile(r"(?:\A|,)([a-z][a-z0-9_]*)=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A network's parameters and buffers without the classifier."""

    name: str
    """As asked for: ``imagenet``, ``random:SEED`` or the file's name."""
    state: Mapping[str, torch.Tensor]
    sha256: str
    """Over names, shapes and values, so a file's format does not matter."""
    network: str = RESNET50
    """Whose they are."""
    path: str = ""
    """Of a network that is a file of the user's own and holds its weights itself."""


def weights_by_modality(asked: str) -> dict[str, str]:
    """Modality to the name of its network's weights; of all others under the empty text.

    Example:
        >>> weights_by_modality("random:0")
        {'': 'random:0'}
        >>> weights_by_modality("imagenet,depth=nets/depth.pth")
        {'': 'imagenet', 'depth': 'nets/depth.pth'}
    """
    marks = [*_PART.finditer(asked)]
    others = asked[: marks[0].start()] if marks else asked
    ends = [*(mark.start() for mark in marks[1:]), len(asked)]
    own = {m[1]: asked[m.end() : end] for m, end in zip(marks, ends, strict=True)} if marks else {}
    return {"": others or USUAL, **own}


def weights_for(asked: str, modality: str) -> str:
    """The name of the weights of one modality's network.

    Example:
        >>> weights_for("rgb=random:1", "rgb"), weights_for("rgb=random:1", "depth")
        ('random:1', 'imagenet')
    """
    named = weights_by_modality(asked)
    return named.get(modality, named[""])


def shown_names(asked: str) -> str:
    """The names of weights as a cache notes them: of files, without their folders.

    Example:
        >>> shown_names("random:0,depth=nets/depth.pth")
        'random:0,depth=depth.pth'
    """
    named = weights_by_modality(asked)
    others = Path(named.pop("")).name
    return ",".join([others, *(f"{m}={Path(name).name}" for m, name in named.items())])


def load_weights(name: str, network: str = RESNET50) -> Weights:
    """Find weights by name.

    Args:
        name: ``imagenet`` (torchvision's best of that network, downloaded once), ``random:SEED``,
            or the path of a ``.safetensors`` or ``.pth`` file; of ``onnx`` and ``pt2`` of a file
            that is the network, too.
        network: Whose weights, as torchvision calls it.

    Raises:
        ConfigError: no such weights, no connection to fetch them, or not that network's.
    """
    if network in OWN:
        from pipeline.encoders.own_network import own_network

        own = own_network(str(Path(name).absolute()), network)
        return Weights(
            name=own.path.name, state={}, sha256=own.sha256, network=network, path=str(own.path)
        )
    import torch

    shown = name
    if name == "imagenet":
        state = _imagenet(network)
    elif match := re.fullmatch(r"random:(\d{1,18})", name):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(match.group(1)))
            state = empty_network(network).state_dict()
    elif name.startswith("random"):
        raise ConfigError(f"weights {name!r}: wanted random:SEED with a whole number, as random:0")
    elif (own_kind := Path(name).suffix[1:]) in OWN:
        raise ConfigError(
            f"weights {name!r} are a network of their own: set network = {own_kind!r} of the "
            f"modality, as --set rgb.network={own_kind}"
        )
    else:
        state = _from_file(Path(name))
        shown = Path(name).name
    with torch.device("meta"):
        empty = empty_network(network)
    wanted = empty.state_dict()
    last = last_layer(empty, network)
    classifier = (f"{last}.weight", f"{last}.bias")
    state = {key: value for key, value in state.items() if key not in classifier}
    _check_is(network, state, {k: v for k, v in wanted.items() if k not in classifier}, name)
    return Weights(name=shown, state=state, sha256=_hash(state), network=network)


def to_download(name: str, network: str) -> str:
    """Where weights would be downloaded from; empty where they are here, or are no download."""
    if name != USUAL or network in OWN:
        return ""
    import torch
    from torchvision.models import get_model_weights

    url: str = get_model_weights(network).DEFAULT.url
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    return "" if path.exists() else url


def _imagenet(network: str) -> dict[str, torch.Tensor]:
    from torchvision.models import get_model_weights

    weights = get_model_weights(network).DEFAULT
    try:
        state: dict[str, torch.Tensor] = weights.get_state_dict(progress=True, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise ConfigError(
            f"the ImageNet weights could not be downloaded from {weights.url} ({error}). "
            "Download that file on a machine with a network and pass it with --weights FILE, "
            "or try things out with --weights random:0."
        ) from error
    return state


def _from_file(path: Path) -> dict[str, torch.Tensor]:
    import torch
    from safetensors.torch import load_file

    if not path.is_file():
        raise ConfigError(
            f"weights {str(path)!r}: no such file; wanted 'imagenet', 'random:SEED' or a file"
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # PyTorch lets whatever its unpickler trips over through
        # PyTorch's own message advises to unpickle the file all the same: not ours to pass on.
        raise ConfigError(
            f"weights {str(path)!r} are neither safetensors nor a PyTorch file of tensors alone "
            f"({type(error).__name__}); files that hold other objects are not opened. Save the "
            "state dict with torch.save or as .safetensors"
        ) from error
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else {}
    return {
        str(key).removeprefix("module."): value
        for key, value in state.items()
        if isinstance(value, torch.Tensor)
    }


def _check_is(
    network: str, state: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor], name: str
) -> None:
    called = "ResNet-50" if network == RESNET50 else network
    problems = [f"{key} is missing" for key in wanted if key not in state]
    problems += [f"{key} is not a {called}'s" for key in state if key not in wanted]
    problems += [
        f"{key} has shape {tuple(value.shape)}, wanted {tuple(wanted[key].shape)}"
        for key, value in state.items()
        if key in wanted and value.shape != wanted[key].shape
    ]
    if not problems:
        problems = [
            f"{key} is not finite" for key, value in state.items() if not value.isfinite().all()
        ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ConfigError(f"weights {name!r} are not a {called}: {'; '.join(problems[:3])}{more}")


def _hash(state: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for key in sorted(state):
        value = state[key].detach().cpu().contiguous()
        digest.update(f"{key} {tuple(value.shape)} {value.dtype}\n".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()
