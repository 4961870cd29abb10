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
    """Shapes: (L, K), rows sum to 1; None where labels are unknown. The records behind the first L
    are not learnt from by labels: they are a teacher's to answer."""
    inputs: Mapping[str, InputShape]
    """What the model was built for."""

    def __post_init__(self) -> None:
        if tuple(self.features) != tuple(self.inputs):
            raise ContractError(
                f"a batch has modalities {list(self.features)}: wanted {list(self.inputs)}"
            )
        n_records = len(self.present)
        for name, wanted in self.inputs.items():
            shape = (n_records, wanted.n_patches, wanted.n_features)
            if tuple(self.features[name].shape) != shape:
                found = tuple(self.features[name].shape)
                raise ContractError(f"a batch has {name} of shape {found}: wanted {shape}")
        if tuple(self.present.shape) != (n_records, len(self.inputs)):
            raise ContractError(
                f"a batch has a presence mask of shape {tuple(self.present.shape)}: "
                f"wanted {(n_records, len(self.inputs))}"
            )
        if self.targets is not None and len(self.targets) > n_records:
            raise ContractError(
                f"a batch has {len(self.targets)} targets: wanted at most {n_records}"
            )

    @property
    def n_labelled(self) -> int:
        """L."""
        return 0 if self.targets is None else len(self.targets)

    def with_unlabelled(self, features: Mapping[str, Tensor], present: Tensor) -> Batch:
        """Put records without targets behind these.

        Shapes: features {m: (B', P, D)}, present (B', M).
        """
        return Batch(
            features={m: torch.cat([x, features[m]]) for m, x in self.features.items()},
            present=torch.cat([self.present, present]),
            targets=self.targets,
            inputs=self.inputs,
        )
