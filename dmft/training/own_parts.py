"""A loss, an augmentation and callbacks of the user's own, in a training of ours.

A loss and an augmentation decide weights, so a run notes the hash of their file. A callback is told
and asked nothing; the run is the same without it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dmft import own
from dmft.config import RunConfig
from dmft.data.counter_rng import derive_seed, normal, uniform
from dmft.own import Own
from dmft.training.log import Callback
from dmft.training.losses import HardLoss
from pipeline.contract import ConfigError, ContractError

TOLD = ("start", "epoch", "end")
"""What a callback is called with."""
NEEDED = "train"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """Random numbers for a batch: functions of (seed, epoch, record, name) and nothing else."""

    seed: int
    """The run's."""
    epoch: int
    """From 0."""
    rows: Tensor
    """Which records these are. Shapes: (B,) int64."""

    def uniform(self, name: str, n: int = 1) -> Tensor:
        """From [0, 1). Shapes: -> (B, n)."""
        return uniform(derive_seed(self.seed, self.epoch, "own", name), self.rows, n)

    def normal(self, name: str, n: int = 1) -> Tensor:
        """With mean 0 and deviation 1. Shapes: -> (B, n)."""
        return normal(derive_seed(self.seed, self.epoch, "own", name), self.rows, n)


Augmentation = Callable[[dict[str, Tensor], Draws], Mapping[str, Tensor]]
"""Stored patches {m: (B, P, D)} and draws to changed patches of the same shapes."""


def find_loss(loss: str | Callable[..., Any] | None) -> Own | None:
    """The loss that a name, a class or a function means; None for that of the configuration.

    Raises:
        ConfigError: there is none.
    """
    return None if loss is None else own.find(own.LOSS, loss)


def find_augment(augment: str | Callable[..., Any] | None) -> Own | None:
    """The augmentation that a name, a class or a function means; None for ours alone.

    Raises:
        ConfigError: there is none.
    """
    return None if augment is None else own.find(own.AUGMENT, augment)


def load_loss(loss: Own | None, config: RunConfig) -> HardLoss | None:
    """A run's own loss, from the source that was noted; None for none.

    Raises:
        ContractError: that is not to be had, or it cannot be built.
    """
    if loss is None:
        return None
    loaded = own.load(own.LOSS, loss, needed_to=NEEDED)
    made, name = own.made(own.LOSS, loaded, {"config": config}), loss.name

    def checked(logits: Tensor, present: Tensor, targets: Tensor) -> Tensor:
        value = made(logits, present, targets)
        if not isinstance(value, Tensor) or value.shape != ():
            found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ContractError(f"loss {name} gives {found}: wanted a Tensor of shape (), a mean")
        return value

    return checked


def load_augment(augment: Own | None, config: RunConfig) -> Augmentation | None:
    """A run's own augmentation, from the source that was noted; None for none.

    Raises:
        ContractError: that is not to be had, or it cannot be built.
    """
    if augment is None:
        return None
    loaded = own.load(own.AUGMENT, augment, needed_to=NEEDED)
    made, name = own.made(own.AUGMENT, loaded, {"config": config}), augment.name

    def checked(patches: dict[str, Tensor], draws: Draws) -> Mapping[str, Tensor]:
        with torch.no_grad():
            changed: Mapping[str, Tensor] = made(dict(patches), draws) or {}
        wanted = {modality: tuple(tensor.shape) for modality, tensor in patches.items()}
        found = {
            m: tuple(getattr(tensor, "shape", ())) for m, tensor in dict(changed or {}).items()
        }
        if found != wanted:
            raise ContractError(f"augment {name} gives {found}: wanted {wanted}, as it was given")
        return changed

    return checked


def own_callback(callback: str, out: Path) -> Callback:
    """A callback of the user's own, made for a run folder.

    Raises:
        ConfigError: there is none, or it lacks a method.
        ContractError: it cannot be built.
    """
    loaded = own.object_of(own.CALLBACK, callback)
    lacking = [name for name in TOLD if not callable(getattr(loaded, name, None))]
    if lacking or not inspect.isclass(loaded):
        raise ConfigError(
            f"callback {callback} has no {' and no '.join(lacking) or 'class'}: wanted a class "
            "with start(fold, n_epochs, done), epoch(report) and end(fold, metrics)"
        )
    made: Callback = own.made(own.CALLBACK, loaded, {"out": out})
    return made
