"""The learning rate as a function of the step, with no state to save."""

from __future__ import annotations

import math

from dmft.config import TrainingConfig


def cosine(part: float) -> float:
    """From 1 at the beginning to 0 at the end, ``part`` of the way."""
    return 0.5 * (1 + math.cos(math.pi * part))


def learning_rate(config: TrainingConfig, step: int, steps_per_epoch: int) -> float:
    """Linear warm-up, then constant or a cosine down to zero at the last step."""
    warmup = config.warmup_epochs * steps_per_epoch
    total = config.epochs * steps_per_epoch
    if step < warmup:
        return config.learning_rate * (step + 1) / (math.ceil(warmup) + 1)
    if config.schedule == "constant":
        return config.learning_rate
    done = (step - warmup) / max(total - warmup, 1)
    return config.learning_rate * cosine(min(done, 1.0))
