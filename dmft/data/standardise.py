"""Mean and standard deviation of a training fold's features, and their use everywhere else.

Only training records enter. A deviation is floored by those of its neighbours, because a column
that hardly moves (the hip, in a skeleton centred on the hip) would otherwise turn noise into
the loudest feature.
"""

from __future__ import annotations

from collections.abc import Iterable
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


def fit_standardizer(
    blocks: Iterable[Tensor], n_features: int, geometry: str = "none", n_blocks: int = 1
) -> Standardizer:
    """Fit on the features of present training records, so that memory holds one block of them.

    Args:
        blocks: Shapes: (B, P, D) each.
        n_features: D.
        geometry: See ``ModalityConfig.geometry``.
        n_blocks: Kinds of derived features that lie side by side.
    """
    n_rows, sums = 0, torch.zeros(2, n_features, dtype=torch.float64)
    shift: Tensor | None = None  # the first block's mean: squares then lose no digits
    for features in blocks:
        rows = features.reshape(-1, n_features).to("cpu", torch.float64)
        if not len(rows):
            continue
        shift = rows.mean(dim=0) if shift is None else shift
        moved = rows - shift
        n_rows += len(rows)
        sums += torch.stack([moved.sum(dim=0), moved.square().sum(dim=0)])
    if shift is None:
        return Standardizer(torch.zeros(n_features), torch.ones(n_features))
    first, second = sums / n_rows
    std = (second - first.square()).clamp(min=0).sqrt()
    return Standardizer((shift + first).float(), floor_std(std, geometry, n_blocks).float())


def floor_std(std: Tensor, geometry: str, n_blocks: int) -> Tensor:
    """Raise deviations that are tiny beside their neighbours'.

    Shapes: (D,) -> (D,).
    """
    by_triple = geometry == "axes" and len(std) % 3 == 0
    groups = std.view(-1, 3) if by_triple else std.view(n_blocks, -1)
    floor = FLOOR[geometry] * groups.median(dim=1, keepdim=True).values
    floored = torch.maximum(groups, floor).reshape(-1)
    return torch.where(floored > 0, floored, torch.ones_like(floored))
