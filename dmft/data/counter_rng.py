"""Random numbers that are functions of (seed, epoch, purpose, index), in any order, on any device.

A counter is hashed instead of a generator advanced, so a record's augmentation does not depend
on its batch, its neighbours or what was drawn before.
"""

from __future__ import annotations

import hashlib
import math

import torch
from torch import Tensor

_STEP = -0x61C8864680B583EB  # 0x9E3779B97F4A7C15 as a signed number: SplitMix64's constant
_MIX = ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15), (31, None))


def derive_seed(*parts: object) -> int:
    """Return a 63-bit seed that depends on every part and on nothing else."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def _mix(state: Tensor) -> Tensor:
    """SplitMix64's finaliser on signed 64-bit integers, which wrap as unsigned ones do."""
    for shift, factor in _MIX:
        state = state ^ ((state >> shift) & ((1 << (64 - shift)) - 1))
        if factor is not None:
            state = state * factor
    return state


def uniform(key: int, indices: Tensor, n: int) -> Tensor:
    """Draw ``n`` numbers a record from [0, 1).

    Shapes: indices (B,) int64 -> (B, n).
    """
    counters = torch.arange(1, n + 1, device=indices.device)
    rows = _mix(indices * _STEP + key)
    bits = _mix(rows[:, None] + counters * _STEP)
    return ((bits >> 40) & ((1 << 24) - 1)).to(torch.float32) * 2.0**-24


def symmetric(key: int, indices: Tensor, n: int) -> Tensor:
    """Draw ``n`` numbers a record from [-1, 1).

    Shapes: indices (B,) int64 -> (B, n).
    """
    return uniform(key, indices, n) * 2 - 1


def normal(key: int, indices: Tensor, n: int) -> Tensor:
    """Draw ``n`` standard normal numbers a record (Box-Muller).

    Shapes: indices (B,) int64 -> (B, n).
    """
    half = (n + 1) // 2
    draws = uniform(key, indices, 2 * half)
    radius = torch.sqrt(-2 * torch.log1p(-draws[:, :half]))
    angle = draws[:, half:] * (2 * math.pi)
    return torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)], dim=1)[:, :n]
