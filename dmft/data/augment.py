"""Random changes to stored patches, each a function of (seed, epoch, record).

Time is bent alike for all modalities of a record, because they were recorded together; turns,
sizes and noise are drawn for each modality. Everything works on a batch on its device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dmft.config import AugmentConfig, DoubtConfig
from dmft.data.counter_rng import derive_seed, normal, symmetric, uniform
from dmft.data.faults import Signals, spoil
from dmft.data.geometry import Geometry


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmenter:
    """The draws of one epoch."""

    config: AugmentConfig
    """How far each change goes."""
    seed: int
    """The run's seed."""
    epoch: int
    """From 0."""
    doubt: DoubtConfig | None = None
    """Which sensors lie, where some are to."""

    def key(self, purpose: str) -> int:
        """Return the key of one kind of draw."""
        return derive_seed(self.seed, self.epoch, purpose)

    def patches(
        self, name: str, patches: Tensor, geometry: Geometry | None, indices: Tensor
    ) -> Tensor:
        """Bend time, then turn, stretch and shear where the columns have a geometry; then spoil.

        Shapes: patches (B, P, D), indices (B,) -> (B, P, D).
        """
        moved = self._moved(name, patches, geometry, indices)
        if self.doubt is None:
            return moved
        signals = Signals(
            patches=moved,
            severity=moved.new_ones(len(moved)),
            others=moved.roll(1, 0),
            indices=indices,
            key=self.key(f"fault {name}"),
            geometry=geometry,
        )
        return spoil(signals, self.doubt.faults, self.doubt.chance)

    def _moved(
        self, name: str, patches: Tensor, geometry: Geometry | None, indices: Tensor
    ) -> Tensor:
        if self.config.time > 0:
            patches = bend_time(patches, symmetric(self.key("time"), indices, 3), self.config.time)
        if geometry is None:
            return patches
        B, P, _ = patches.shape
        columns = geometry.triples.flatten()
        triples = patches if geometry.is_whole else patches[:, :, columns]
        turned = triples.reshape(B, -1, 3) @ self.matrices(name, geometry, indices).mT
        moved = turned.view(B, P, -1, 3)
        if self.config.bone_lengths > 0 and geometry.n_lengths:
            moved = self.joints(name, geometry, indices)[:, None] @ moved
        moved = moved.reshape(B, P, -1)
        return moved if geometry.is_whole else patches.index_copy(2, columns, moved)

    def matrices(self, name: str, geometry: Geometry, indices: Tensor) -> Tensor:
        """What turns, shears and scales each record's points or axes.

        Shapes: indices (B,) -> (B, 3, 3).
        """
        config, device = self.config, indices.device
        turns = symmetric(self.key(f"turn {name}"), indices, 4)
        matrices = torch.eye(3, device=device).expand(len(indices), 3, 3)
        if geometry.kind == "points":
            x, y, z = (axis.expand(len(indices), 3) for axis in torch.eye(3, device=device))
            if config.rotate_points_deg > 0:
                matrices = rotation(y, turns[:, 0] * math.radians(config.rotate_points_deg))
            if config.tilt_points_deg > 0:
                tilts = symmetric(self.key(f"tilt {name}"), indices, 2)
                tilts = tilts * math.radians(config.tilt_points_deg)
                matrices = rotation(z, tilts[:, 1]) @ rotation(x, tilts[:, 0]) @ matrices
            if config.shear_points > 0:
                draws = symmetric(self.key(f"shear {name}"), indices, 9).view(-1, 3, 3)
                sheared = torch.eye(3, device=device) + config.shear_points * draws
                matrices = sheared @ matrices
        elif config.rotate_axes_deg > 0:
            angles = turns[:, 0] * math.radians(config.rotate_axes_deg)
            matrices = rotation(turns[:, 1:], angles)
        if config.scale > 0:
            size = 1 + config.scale * symmetric(self.key(f"scale {name}"), indices, 1)
            matrices = matrices * size[:, :, None]
        return matrices

    def joints(self, name: str, geometry: Geometry, indices: Tensor) -> Tensor:
        """What gives each record bones of other lengths, alike on the left and on the right.

        Shapes: indices (B,) -> (B, J, J).
        """
        draws = symmetric(self.key(f"bones {name}"), indices, geometry.n_lengths)
        factors = torch.nn.functional.pad(1 + self.config.bone_lengths * draws, (1, 0), value=1.0)
        factors = factors[:, geometry.lengths]  # (B, J): of the bone that ends at each joint
        return geometry.joints @ (factors[:, :, None] * geometry.bones)

    def features(self, name: str, features: Tensor, indices: Tensor) -> Tensor:
        """Add noise to standardised features.

        Shapes: features (B, P, D), indices (B,) -> (B, P, D).
        """
        if self.config.jitter <= 0:
            return features
        B, P, D = features.shape
        noise = normal(self.key(f"jitter {name}"), indices, P * D)
        return features + self.config.jitter * noise.view(B, P, D)

    def presence(self, present: Tensor, indices: Tensor) -> Tensor:
        """Hide modalities at random; a record that would lose all of them keeps all.

        Shapes: present (B, M), indices (B,) -> (B, M).
        """
        if self.config.drop_modality <= 0:
            return present
        draws = uniform(self.key("drop"), indices, present.shape[1])
        kept = present & (draws >= self.config.drop_modality)
        return torch.where(kept.any(dim=1, keepdim=True), kept, present)


def bend_time(patches: Tensor, draws: Tensor, amount: float) -> Tensor:
    """Move a record's start and end by up to ``amount`` of it and bend what lies between.

    Positions before the first or after the last patch hold that patch. Values between patches
    are interpolated.

    Shapes: patches (B, P, D), draws (B, 3) in [-1, 1] -> (B, P, D).
    """
    P = patches.shape[1]
    course = torch.linspace(0, 1, P, device=patches.device)
    start, end = amount * draws[:, 0], 1 + amount * draws[:, 1]
    bent = course + (amount / 2) * draws[:, 2:3] * torch.sin(math.pi * course)
    position = (start[:, None] + (end - start)[:, None] * bent).clamp(0, 1) * (P - 1)
    left = position.floor().clamp(max=P - 2).long() if P > 1 else position.long()
    share = (position - left)[:, :, None]
    rows = torch.arange(len(patches), device=patches.device)[:, None]
    following = (left + 1).clamp(max=P - 1)
    return patches[rows, left] * (1 - share) + patches[rows, following] * share


def rotation(axes: Tensor, angles: Tensor) -> Tensor:
    """Rotation matrices about any axes (Rodrigues' formula).

    Shapes: axes (B, 3) of any length but zero, angles (B,) -> (B, 3, 3).
    """
    x, y, z = (axes / axes.norm(dim=1, keepdim=True).clamp(min=1e-6)).unbind(dim=1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(-1, 3, 3)
    identity = torch.eye(3, device=axes.device)
    sin, cos = torch.sin(angles)[:, None, None], torch.cos(angles)[:, None, None]
    return identity + sin * cross + (1 - cos) * (cross @ cross)
