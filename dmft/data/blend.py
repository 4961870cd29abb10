"""Blends of two records of a batch: of their values (mixup), of their stretches of time (CutMix).

References: Zhang et al. 2018, mixup; Yun et al. 2019, CutMix, here along time. Partners are the
batch itself in another order, so a blend is a function of the batch and its seed.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dmft.config import AugmentConfig


def blend(
    features: dict[str, Tensor],
    targets: Tensor,
    present: Tensor,
    config: AugmentConfig,
    seed: int,
) -> tuple[dict[str, Tensor], Tensor]:
    """Blend records where the settings ask for it; those that lack other modalities are not.

    Shapes: features {m: (B, P, D)}, targets (B, K) with rows that sum to 1, present (B, M) -> the
    features and the targets.
    """
    random = np.random.default_rng(seed)
    if config.mixup > 0:
        share = random.beta(config.mixup, config.mixup, size=len(targets))
        keep = torch.from_numpy(np.maximum(share, 1 - share)).float().to(targets.device)
        alike = (present == present.flip(0)).all(dim=1)
        keep = torch.where(alike, keep, 1.0)
        part = keep[:, None, None]
        features = {m: x * part + x.flip(0) * (1 - part) for m, x in features.items()}
        targets = targets * keep[:, None] + targets.flip(0) * (1 - keep[:, None])
    if config.cut > 0:
        draws = torch.from_numpy(random.random((2, len(targets)))).float().to(targets.device)
        alike = (present == present.roll(1, 0)).all(dim=1)
        begin, length = draws[0], torch.where(alike, draws[1] * config.cut, 0.0)
        features = {m: _cut(x, begin, length) for m, x in features.items()}
        taken = (torch.clamp(begin + length, max=1) - begin)[:, None]
        targets = targets * (1 - taken) + targets.roll(1, 0) * taken
    return features, targets


def _cut(values: Tensor, begin: Tensor, length: Tensor) -> Tensor:
    """Put a stretch of the record before into each record; both in parts of a record's length.

    Shapes: values (B, P, D), begin and length (B,) -> (B, P, D).
    """
    P = values.shape[1]
    middle = (torch.arange(P, device=values.device) + 0.5) / P
    inside = (middle >= begin[:, None]) & (middle < (begin + length)[:, None])
    return torch.where(inside[:, :, None], values.roll(1, 0), values)
