"""Mean and standard deviation of a training fold's features, and their use everywhere else.

Only training records enter. A deviation is floored by those of its neighbours, because a column
that hardly moves (the hip, in a skeleton centred on the hip) would otherwise turn noise into
the loudest feature.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

FLOOR = {"points": 0.1, "axes": 0.1, "none": 1e-3}
"""Smallest deviation as a part of the median one, of the block (of the triple for axes)."""


@dataclass(frozen=True, slots=True)
class Standardizer:
    """Standardises one modality's features; it travels with the weights."""

    mean: Tensor
    """Shapes: (D,) float32."""
    std: Tensor
    """Shapes: (D,) float32, positive."""

    def apply(self, features: Tensor) -> Tensor:
        """Standardise.

        Shapes: (B, P, D) -> (B, P, D).
        """
        return (features - self.mean) / self.std

    def to(self, device: torch.device) -> Standardizer:
        """Return the same on a device."""
        return Standardizer(self.mean.to(device), self.std.to(device))


class StandardizerFitter:
    """Gathers sums over blocks of training records, so that memory holds one block."""

    def __init__(self, n_features: int) -> None:
        self.count = 0
        self.sums = torch.zeros(2, n_features, dtype=torch.float64)
        self.shift: Tensor | None = None

    def add(self, features: Tensor) -> None:
        """Add the features of present training records.

        Shapes: features (B, P, D).
        """
        rows = features.reshape(-1, features.shape[-1]).to("cpu", torch.float64)
        if self.shift is None and len(rows):
            self.shift = rows.mean(dim=0)
        if self.shift is not None:
            moved = rows - self.shift
            self.count += len(rows)
            self.sums += torch.stack([moved.sum(dim=0), moved.square().sum(dim=0)])

    def finish(self, geometry: str, n_blocks: int) -> Standardizer:
        """Return the standardizer; ``n_blocks`` kinds of derived features lie side by side."""
        if self.shift is None:
            n = self.sums.shape[1]
            return Standardizer(torch.zeros(n), torch.ones(n))
        first, second = self.sums / self.count
        std = (second - first.square()).clamp(min=0).sqrt()
        return Standardizer(
            (self.shift + first).float(), floor_std(std, geometry, n_blocks).float()
        )


def floor_std(std: Tensor, geometry: str, n_blocks: int) -> Tensor:
    """Raise deviations that are tiny beside their neighbours'.

    Shapes: (D,) -> (D,).
    """
    by_triple = geometry == "axes" and len(std) % 3 == 0
    groups = std.view(-1, 3) if by_triple else std.view(n_blocks, -1)
    floor = FLOOR[geometry] * groups.median(dim=1, keepdim=True).values
    floored = torch.maximum(groups, floor).reshape(-1)
    return torch.where(floored > 0, floored, torch.ones_like(floored))
