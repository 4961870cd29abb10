"""A network of the user's own in the place of teacher or student.

It is found by the name of its class (:mod:`dmft.own`) and is made to give logits (B, M, 2, K) as
ours do, so that losses, votes, figures, reports and exports work with it.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dmft import own
from dmft.models.config import BRANCHES, ModelShape
from dmft.own import Own
from pipeline.contract import ConfigError, ContractError


class OwnNetwork(nn.Module):
    """A network of the user's own, giving logits as ours do.

    Its own may be (B, K), (B, M, K) or (B, M, 2, K): a part that it does not have is the same for
    all modalities or branches, and so are the votes.

    Shapes: features {m: (B, P, D)}, present (B, M) -> (B, M, 2, K).
    """

    def __init__(self, network: nn.Module, name: str, shape: ModelShape) -> None:
        super().__init__()
        self.network, self.name = network, name
        self.wanted = (len(shape.modalities), len(BRANCHES), shape.n_classes)
        self.step_seed = 0

    def forward(
        self, features: Mapping[str, Tensor], present: Tensor, *, unimodal: bool = False
    ) -> Tensor:
        """Logits of every branch; its own draws (dropout) are a function of the step's seed.

        ``unimodal``: of each modality as if a record had it alone.
        """
        if unimodal:
            M = self.wanted[0]
            alone = [self._alone(features, present, column) for column in range(M)]
            return torch.stack([self(*inputs)[:, m] for m, inputs in enumerate(alone)], dim=1)
        if not self.training:
            return self._full(self.network(features, present))
        on = present.device
        with torch.random.fork_rng(devices=[on] if on.type == "cuda" else []):
            torch.manual_seed(self.step_seed)
            return self._full(self.network(features, present))

    def _full(self, logits: Any) -> Tensor:
        M, n_branches, K = self.wanted
        if not isinstance(logits, Tensor):
            raise ContractError(
                f"{self.name} gives {type(logits).__name__}: wanted a Tensor of logits"
            )
        shape = tuple(logits.shape[1:])
        if shape == (K,):
            return logits[:, None, None].expand(-1, M, n_branches, -1)
        if shape == (M, K):
            return logits[:, :, None].expand(-1, -1, n_branches, -1)
        if shape != self.wanted:
            found = ", ".join(map(str, shape))
            raise ContractError(
                f"{self.name} gives logits (B, {found}): wanted (B, {K}), (B, {M}, {K}) or "
                f"(B, {M}, {n_branches}, {K}): record, modality, branch and class"
            )
        return logits

    @staticmethod
    def _alone(
        features: Mapping[str, Tensor], present: Tensor, column: int
    ) -> tuple[dict[str, Tensor], Tensor]:
        only = torch.zeros_like(present)
        only[:, column] = present[:, column]
        kept = {
            m: x if i == column else torch.zeros_like(x)
            for i, (m, x) in enumerate(features.items())
        }
        return kept, only


def find_own(model: str | type[nn.Module] | None) -> Own | None:
    """The network that a class or a name means; None for ours.

    Raises:
        ConfigError: there is none, or it is no network.
    """
    if model is None:
        return None
    found = own.find(own.MODEL, model)
    class_of(found.name)
    return found


def build_own(network: Own, shape: ModelShape, config: Any) -> OwnNetwork:
    """Build a run's own network, from the very source that it was trained with.

    Raises:
        ContractError: that is not to be had, or the class cannot be built.
    """
    kind = own.load(own.MODEL, network, needed_to="load the run")
    made = own.made(own.MODEL, kind, {"shape": shape, "config": config})
    return OwnNetwork(made, network.name, shape)


def class_of(name: str) -> type[nn.Module]:
    """Import the class of a name.

    Raises:
        ConfigError: there is none, or it is no network.
    """
    found = own.object_of(own.MODEL, name)
    if not (inspect.isclass(found) and issubclass(found, nn.Module)):
        raise ConfigError(f"model {name}: {name} is {found!r}, wanted an nn.Module")
    return found
