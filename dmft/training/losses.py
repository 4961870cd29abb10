"""What training minimises: hard losses on labels, soft losses on teachers (Eqs 13-15).

All read logits (B, M, 2, K) with a presence mask (B, M). A branch of an absent modality is in
no sum and gets no gradient. What the reliability learns comes later, in ``doubt.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from dmft.config import DistillConfig, RunConfig
from dmft.data import Batch
from dmft.models import BRANCHES, Answer, answer_of, overall_vote
from dmft.models.config import VotingConfig
from dmft.runs.trained import TrainedRun
from pipeline.contract import ConfigError

Objective = Callable[[Answer, Batch], Tensor]
"""What a model says of a batch, and the batch, to a loss."""


def soft_targets(labels: Tensor, n_classes: int, smoothing: float = 0.0) -> Tensor:
    """One-hot rows with a part of them spread over all classes.

    Shapes: labels (B,) -> (B, K).
    """
    hot = torch.nn.functional.one_hot(labels, n_classes).float()
    return hot * (1 - smoothing) + smoothing / n_classes


def _mean_over_branches(losses: Tensor, present: Tensor) -> Tensor:
    """Mean over a record's present branches, then over records that have any.

    Shapes: losses (B, M, 2), present (B, M) -> ().
    """
    weights = present[:, :, None].expand_as(losses).to(losses.dtype)
    per_record = weights.sum(dim=(1, 2))
    means = (losses * weights).sum(dim=(1, 2)) / per_record.clamp(min=1)
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
    vote = overall_vote(answer_of(logits), present).clamp(min=1e-12)
    entropies = -(targets * vote.log()).sum(dim=-1)
    voters = present.any(dim=1).to(entropies.dtype)
    return (entropies * voters).sum() / voters.sum().clamp(min=1)


HardLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Logits (B, M, 2, K), present (B, M) and targets (B, K) to one number, a mean over records."""
HARD_LOSSES: dict[str, HardLoss] = {
    "per_branch": per_branch_loss,
    "summed_softmax": summed_softmax_loss,
}


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


def soft_weights(config: DistillConfig, modalities: Sequence[str]) -> Tensor:
    """w_S and w_T of Eq. (15); 1 - w_CS shared out equally where none is given.

    Shapes: returns (M, 2).

    Raises:
        ConfigError: the branches named are not those of the modalities.
    """
    branches = [f"{m}_{s}" for m in modalities for s in BRANCHES]
    equal = dict.fromkeys(branches, (1 - config.hard_weight) / len(branches))
    weights = config.weights or equal
    if set(weights) != set(branches):
        raise ConfigError(
            f"distill.weights names {sorted(weights)}: wanted exactly {sorted(branches)}"
        )
    return torch.tensor([weights[name] for name in branches]).view(-1, len(BRANCHES))


def soft_loss(
    student: Tensor, teacher: Tensor, present: Tensor, weights: Tensor, config: DistillConfig
) -> Tensor:
    """The two soft sums of Eq. (15).

    Deviation: where a record lacks modalities, the weights of those it has are scaled up so
    that their sum stays the same.

    Shapes: student, teacher (B, M, 2, K), present (B, M), weights (M, 2) -> ().
    """
    T = config.temperature
    losses = divergence(softened(student, T), softened(teacher, T), config.direction)
    kept = weights * present[:, :, None]
    scale = weights.sum() / kept.sum(dim=(1, 2)).clamp(min=torch.finfo(losses.dtype).tiny)
    voters = kept.sum(dim=(1, 2)) > 0
    per_record = torch.where(voters, (losses * kept).sum(dim=(1, 2)) * scale, 0.0)
    loss = per_record.sum() / voters.sum().clamp(min=1)
    return loss * T * T if config.scale_by_temperature else loss


def softened_vote(logits: Tensor, present: Tensor, rule: str, temperature: float) -> Tensor:
    """Log-probabilities of the vote of branches at a temperature, Eqs (12) and (13).

    Shapes: logits (B, M, 2, K), present (B, M) -> (B, K).
    """
    voting = VotingConfig(rule=rule)
    return overall_vote(answer_of(logits / temperature), present, voting).clamp(min=1e-12).log()


def vote_loss(student: Tensor, teacher: Tensor, present: Tensor, config: DistillConfig) -> Tensor:
    """One divergence of two votes, instead of one a branch.

    Deviation: Eq. (15) teaches branches. The vote leaves it to the student which of its branches
    knows what.

    Shapes: student, teacher (B, K) log-probabilities at the temperature, present (B, M) -> ().
    """
    losses = divergence(student, teacher, config.direction)
    voters = present.any(dim=1)
    loss = (losses * voters).sum() / voters.sum().clamp(min=1)
    return loss * config.temperature**2 if config.scale_by_temperature else loss


def hard_objective(config: RunConfig, own: HardLoss | None = None) -> Objective:
    """The loss on labels that the configuration names, or the user's own."""
    loss = own or HARD_LOSSES[config.training.loss]

    def objective(answer: Answer, batch: Batch) -> Tensor:
        assert batch.targets is not None
        return loss(answer.logits, batch.present, batch.targets)

    return objective


def soft_objective(
    config: RunConfig,
    teachers: Sequence[TrainedRun],
    modalities: Sequence[str],
    own: HardLoss | None = None,
) -> Objective:
    """Eq. (15): the hard loss, or the user's own in its place, and what the teachers say, weighted.

    The teacher sees the very records that the student sees, augmentation and blending included:
    the unlabelled ones of a batch that has any (``distill.transfer``), or else all.
    """
    hard, settings = own or HARD_LOSSES[config.training.loss], config.distill
    weights = soft_weights(settings, modalities).to(teachers[0].device)

    def soft(logits: Tensor, teacher_logits: Tensor, present: Tensor) -> Tensor:
        if settings.target != "vote":
            return soft_loss(logits, teacher_logits, present, weights, settings)
        student, teacher = (
            softened_vote(branches, present, config.voting.rule, settings.temperature)
            for branches in (logits, teacher_logits)
        )
        return (1 - settings.hard_weight) * vote_loss(student, teacher, present, settings)

    def objective(answer: Answer, batch: Batch) -> Tensor:
        assert batch.targets is not None
        n, logits = batch.n_labelled, answer.logits
        loss = settings.hard_weight * hard(logits[:n], batch.present[:n], batch.targets)
        first = n if batch.n_unlabelled else 0
        features, present = {m: x[first:] for m, x in batch.features.items()}, batch.present[first:]
        with torch.no_grad():
            teacher_logits = ask_in_turn(
                [run.model for run in teachers],
                features,
                present,
                unimodal=settings.target == "unimodal",
            )
        return loss + soft(logits[first:], teacher_logits, present)

    return objective


def ask_in_turn(
    teachers: Sequence[Callable[..., Tensor | Answer]],
    features: Mapping[str, Tensor],
    present: Tensor,
    *,
    unimodal: bool,
) -> Tensor:
    """Logits of each record by one of the teachers, the first, the second and so on.

    Batches are drawn anew in each epoch, so a student hears all of them on every record. What it
    learns is their mean, because KL(teacher || student), averaged over teachers, has the gradient
    of the divergence from their mean. It costs as much as asking one.

    Shapes: features {m: (B, P, D)}, present (B, M) -> (B, M, 2, K).
    """
    n = len(teachers)
    answers = [
        answer_of(
            teacher({m: x[k::n] for m, x in features.items()}, present[k::n], unimodal=unimodal)
        ).logits
        for k, teacher in enumerate(teachers[: len(present)])
    ]
    logits = answers[0].new_empty(len(present), *answers[0].shape[1:])
    for k, answer in enumerate(answers):
        logits[k::n] = answer
    return logits
