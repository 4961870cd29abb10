"""A training's whole state in one file that appears whole or not at all.

Weights, their average and the optimizer's state are tensors of a safetensors file; the epoch
and what the run is stand in its JSON header. Nothing is unpickled.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import Module
from torch.optim import Optimizer

from pipeline.contract import ContractError


def write_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write a safetensors file with a JSON header, atomically."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(on_cpu, str(temporary), metadata={"dmft": json.dumps(header, sort_keys=True)})
    umask = os.umask(0)
    os.umask(umask)
    temporary.chmod(0o666 & ~umask)  # safetensors makes files that only their owner can read
    replace_durably(temporary, path)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`write_tensors` wrote.

    Raises:
        ContractError: the file is missing, damaged, or not one of ours.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            header = json.loads((file.metadata() or {})["dmft"])
            return {name: file.get_tensor(name) for name in file.keys()}, header  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise ContractError(
            f"{path} cannot be read ({type(error).__name__}: {error}): "
            "wanted a weights file that 'dmft train' wrote. Train again into a new folder."
        ) from error


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file, atomically."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    temporary.write_text(json.dumps(content, indent=2) + "\n")
    replace_durably(temporary, path)


def replace_durably(temporary: Path, path: Path) -> None:
    """Give a written file its name once its bytes are on the disk."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def optimizer_tensors(model: Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """Return the optimizer's state by parameter name."""
    return {
        f"{name}/{key}": value
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state[parameter].items()
    }


def restore_optimizer(model: Module, optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what :func:`optimizer_tensors` returned."""
    parameters = dict(model.named_parameters())
    for name, value in tensors.items():
        parameter, _, key = name.rpartition("/")
        owner = parameters[parameter]
        # Adam keeps its step counter on the host.
        optimizer.state[owner][key] = value if key == "step" else value.to(owner.device)
