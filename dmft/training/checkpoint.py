"""A training's whole state: the model, its optimizer and its average, in memory and in one file.

The file appears whole or not at all. Weights, their average and the optimizer's state are tensors
of a safetensors file; the epoch and what the run is stand in its JSON header.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from dmft.config import TrainingConfig
from dmft.runs.tensors import parts_of, read_tensors, write_tensors
from dmft.training.optimizer import make_optimizer
from pipeline.contract import ContractError

log = logging.getLogger(__name__)


class TrainingState:
    """What an epoch changes."""

    def __init__(self, model: nn.Module, config: TrainingConfig) -> None:
        self.model = model
        self.optimizer = make_optimizer(model, config)
        self.average = {name: p.detach().clone() for name, p in model.named_parameters()}
        self.done = 0
        """Epochs that are done."""
        self.best: dict[str, Tensor] = {}
        """The best epoch's weights, where people were held out to choose it by."""
        self.best_epoch = 0
        """Which that is; 0 before there is one."""
        self.best_score: tuple[float, ...] = ()
        """What it is best by."""

    def save(self, path: Path, identity: str) -> None:
        """Write everything into one file."""
        groups = {
            "weights": self.model.state_dict(),
            "average": self.average,
            "best": self.best,
            "optimizer": {
                f"{name}/{key}": value
                for name, parameter in self.model.named_parameters()
                for key, value in self.optimizer.state[parameter].items()
            },
        }
        tensors = {f"{part}/{k}": v for part, group in groups.items() for k, v in group.items()}
        header: dict[str, Any] = {"epoch": self.done, "identity": identity}
        if self.best_epoch:
            header |= {"best_epoch": self.best_epoch, "best_score": list(self.best_score)}
        write_tensors(path, tensors, header)

    def load(self, path: Path, identity: str) -> None:
        """Go back to what :meth:`save` wrote.

        Raises:
            ContractError: the file is damaged, or of another run than ``identity``.
        """
        tensors, header = read_tensors(path)
        if header.get("identity") != identity:
            raise ContractError(
                f"{path} is of another run ({header.get('identity')!r}, wanted {identity!r}): "
                "choose another folder"
            )
        parts = parts_of(tensors)
        self.model.load_state_dict(parts["weights"])
        for name, value in parts["optimizer"].items():
            name_of_parameter, _, key = name.rpartition("/")
            parameter = self.model.get_parameter(name_of_parameter)
            # Adam keeps its step counter on the host.
            moved = value if key == "step" else value.to(parameter.device)
            self.optimizer.state[parameter][key] = moved
        for name, tensor in parts["average"].items():
            self.average[name].copy_(tensor)
        self.done = int(header["epoch"])
        self.best = {name: tensor.clone() for name, tensor in parts.get("best", {}).items()}
        self.best_epoch = int(header.get("best_epoch", 0))
        self.best_score = tuple(header.get("best_score", ()))
        log.info("going on after epoch %d", self.done)
