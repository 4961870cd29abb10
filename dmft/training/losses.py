"""What training minimises: hard losses on labels, soft losses on a teacher (Eqs 13-15).

All read logits (B, M, 2, K) with a presence mask (B, M). A branch of an absent modality is in
no sum and gets no gradient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dmft.config import DistillConfig
from dmft.models import BRANCHES, overall_vote
from pipeline.contract import ConfigError


def soft_targets(labels: Tensor, n_classes: int, smoothing: float = 0.0) -> Tensor:
    """One-hot rows with a part of them spread over all classes.

    Shapes: labels (B,) -> (B, K).
    """
    hot = torch.nn.functional.one_hot(labels, n_classes).float()
    return hot * (1 - smoothing) + smoothing / n_classes


def _mean_over_branches(each: Tensor, present: Tensor) -> Tensor:
    """Mean over a record's present branches, then over records that have any.

    Shapes: each (B, M, 2), present (B, M) -> ().
    """
    weights = present[:, :, None].expand_as(each).to(each.dtype)
    per_record = weights.sum(dim=(1, 2))
    means = (each * weights).sum(dim=(1, 2)) / per_record.clamp(min=1)
    return means.sum() / (per_record > 0).sum().clamp(min=1)


def per_branch_loss(logits: Tensor, present: Tensor, targets: Tensor) -> Tensor:
    """One cross-entropy a branch, averaged over the branches that a record has.

    Shapes: logits (B, M, 2, K), present (B, M), targets (B, K) -> ().
    """
    entropies = -(targets[:, None, None] * logits.log_softmax(dim=-1)).sum(dim=-1)
    return _mean_over_branches(entropies, present)


def summed_softmax_loss(logits: Tensor, present: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of the overall vote, Eq. (12).

    Shapes: logits (B, M, 2, K), present (B, M), targets (B, K) -> ().
    """
    vote = overall_vote(logits, present).clamp(min=1e-12)
    entropies = -(targets * vote.log()).sum(dim=-1)
    voters = present.any(dim=1).to(entropies.dtype)
    return (entropies * voters).sum() / voters.sum().clamp(min=1)


HARD_LOSSES = {"per_branch": per_branch_loss, "summed_softmax": summed_softmax_loss}


def softened(logits: Tensor, temperature: float) -> Tensor:
    """Log-probabilities at a temperature, Eq. (13).

    Deviation: Eq. (13) as printed divides exp(h) by temp, which cancels; h / temp is meant.

    Shapes: (..., K) -> (..., K).
    """
    return (logits / temperature).log_softmax(dim=-1)


def divergence(student: Tensor, teacher: Tensor, direction: str) -> Tensor:
    """KL divergence of log-probabilities, Eq. (14), or its mirror image.

    ``reverse_kl`` is the equation as printed, KL(student || teacher).

    Shapes: (..., K) twice -> (...).
    """
    first, second = (student, teacher) if direction == "reverse_kl" else (teacher, student)
    return (first.exp() * (first - second)).sum(dim=-1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LossWeights:
    """w_CS, w_S and w_T of Eq. (15)."""

    hard: float
    """w_CS."""
    soft: Mapping[str, float]
    """``skeleton_spatial`` to its weight: one for every branch of every modality."""

    def __post_init__(self) -> None:
        total = self.hard + sum(self.soft.values())
        if self.hard < 0 or any(w < 0 for w in self.soft.values()) or abs(total - 1) > 1e-6:
            raise ConfigError(
                f"distillation weights hard {self.hard}, soft {dict(self.soft)} sum to {total:g}: "
                "wanted none below 0 and a sum of 1, Eq. (15)"
            )

    def matrix(self, modalities: Sequence[str]) -> Tensor:
        """Return the soft weights as (M, 2)."""
        return torch.tensor([[self.soft[f"{m}_{s}"] for s in BRANCHES] for m in modalities])


def resolve_weights(config: DistillConfig, modalities: Sequence[str]) -> LossWeights:
    """Name a weight for every branch; share 1 - w_CS out equally where none is given.

    Raises:
        ConfigError: the branches named are not those of the modalities, or the sum is not 1.
    """
    branches = [f"{m}_{s}" for m in modalities for s in BRANCHES]
    if not config.weights:
        equal = (1 - config.hard_weight) / len(branches)
        return LossWeights(hard=config.hard_weight, soft=dict.fromkeys(branches, equal))
    if set(config.weights) != set(branches):
        raise ConfigError(
            f"distill.weights names {sorted(config.weights)}: wanted exactly {sorted(branches)}"
        )
    return LossWeights(hard=config.hard_weight, soft=config.weights)


def soft_loss(
    student: Tensor, teacher: Tensor, present: Tensor, weights: Tensor, config: DistillConfig
) -> Tensor:
    """The two soft sums of Eq. (15).

    Deviation: where a record lacks modalities, the weights of those it has are scaled up so
    that their sum stays the same.

    Shapes: student, teacher (B, M, 2, K), present (B, M), weights (M, 2) -> ().
    """
    T = config.temperature
    each = divergence(softened(student, T), softened(teacher, T), config.direction)
    kept = weights * present[:, :, None]
    scale = weights.sum() / kept.sum(dim=(1, 2)).clamp(min=torch.finfo(each.dtype).tiny)
    voters = kept.sum(dim=(1, 2)) > 0
    per_record = torch.where(voters, (each * kept).sum(dim=(1, 2)) * scale, 0.0)
    loss = per_record.sum() / voters.sum().clamp(min=1)
    return loss * T * T if config.scale_by_temperature else loss


def softened_vote(logits: Tensor, present: Tensor, rule: str, temperature: float) -> Tensor:
    """Log-probabilities of the vote of branches at a temperature, Eqs (12) and (13).

    Shapes: logits (B, M, 2, K), present (B, M) -> (B, K).
    """
    return overall_vote(logits / temperature, present, rule).clamp(min=1e-12).log()


def vote_loss(student: Tensor, teacher: Tensor, present: Tensor, config: DistillConfig) -> Tensor:
    """One divergence of two votes, instead of one a branch.

    Deviation: Eq. (15) teaches branches. The vote leaves it to the student which of its branches
    knows what.

    Shapes: student, teacher (B, K) log-probabilities at the temperature, present (B, M) -> ().
    """
    each = divergence(student, teacher, config.direction)
    voters = present.any(dim=1)
    loss = (each * voters).sum() / voters.sum().clamp(min=1)
    return loss * config.temperature**2 if config.scale_by_temperature else loss
