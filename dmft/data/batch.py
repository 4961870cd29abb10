"""A batch of features, and the one place where shapes are checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from dmft.models import InputShape
from pipeline.contract import ContractError


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a model is given; a batch that exists fits the inputs it was checked against."""

    features: Mapping[str, Tensor]
    """Shapes: {m: (B, P, D)}; rows of absent records are zero."""
    present: Tensor
    """Shapes: (B, M) bool."""
    targets: Tensor | None
    """Shapes: (L, K), rows sum to 1, L records without those of ``n_unlabelled``; None where labels
    are unknown."""
    inputs: Mapping[str, InputShape]
    """What the model was built for."""
    n_unlabelled: int = 0
    """Records at the end that are not learnt from by labels: they are a teacher's to answer."""

    def __post_init__(self) -> None:
        if tuple(self.features) != tuple(self.inputs):
            raise ContractError(
                f"a batch has modalities {list(self.features)}: wanted {list(self.inputs)}"
            )
        n_records = len(self.present)
        for name, wanted in self.inputs.items():
            wanted_shape = (n_records, wanted.n_patches, wanted.n_features)
            shape = tuple(self.features[name].shape)
            if shape != wanted_shape:
                raise ContractError(f"a batch has {name} of shape {shape}: wanted {wanted_shape}")
        if tuple(self.present.shape) != (n_records, len(self.inputs)):
            raise ContractError(
                f"a batch has a presence mask of shape {tuple(self.present.shape)}: "
                f"wanted {(n_records, len(self.inputs))}"
            )
        if self.targets is not None and len(self.targets) != self.n_labelled:
            raise ContractError(
                f"a batch has {len(self.targets)} targets: wanted {self.n_labelled}"
            )

    @property
    def n_labelled(self) -> int:
        """L."""
        return len(self.present) - self.n_unlabelled

    def with_unlabelled(self, more: Batch) -> Batch:
        """Put the records of another batch behind these, without their targets."""
        return Batch(
            features={m: torch.cat([x, more.features[m]]) for m, x in self.features.items()},
            present=torch.cat([self.present, more.present]),
            targets=self.targets,
            inputs=self.inputs,
            n_unlabelled=self.n_unlabelled + len(more.present),
        )
