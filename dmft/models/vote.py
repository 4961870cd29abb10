"""From an answer to one distribution over the classes (paper 3.4, Eqs 11 and 12).

By ``product`` the vote is what Bayes' rule makes of modalities that err apart: either a modality
answers, or, with one minus its reliability, it says nothing, which is the uniform distribution.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dmft.models.config import VotingConfig
from dmft.models.heads import Answer

SUM = VotingConfig(rule="sum")
"""The paper's."""


def modality_votes(logits: Tensor, voting: VotingConfig = SUM) -> Tensor:
    """Eq. (11): the two branches' softmaxes, added; or, by ``product``, their geometric mean.

    Shapes: (B, M, 2, K) -> (B, M, K); rows sum to 2 by ``sum`` and to 1 by ``product``.
    """
    if voting.rule == "product":
        return _geometric_mean(logits, voting).softmax(dim=-1)
    return logits.softmax(dim=-1).sum(dim=2)


def _geometric_mean(logits: Tensor, voting: VotingConfig) -> Tensor:
    """Logits of a ``product``'s vote of each modality.

    Shapes: (B, M, 2, K) -> (B, M, K).
    """
    return logits.log_softmax(dim=-1).mean(dim=2) * voting.sharpness


def overall_vote(answer: Answer, present: Tensor, voting: VotingConfig = SUM) -> Tensor:
    """Eq. (12): the sum of the votes of the modalities that a record has.

    Deviation: an absent modality does not vote, and the sum is divided by its total so that a
    row is a distribution whatever the number of voters; a record without any modality is uniform.
    Deviation: by ``product`` the modalities' votes are multiplied, each mixed with the uniform
    distribution as far as it is not reliable. Two modalities that are sure of different classes
    then leave the vote to the more reliable one, and are unsure where both are.

    Shapes: answer of B records, present (B, M) -> (B, K); every row sums to 1.

    >>> logits = torch.tensor([[[[0.0, 1.0], [0.0, 3.0]]]])  # one record, modality sure of class 1
    >>> answer = Answer(logits, torch.ones(1, 1))
    >>> overall_vote(answer, torch.ones(1, 1, dtype=torch.bool)).argmax(dim=1)
    tensor([1])
    """
    logits = answer.logits
    is_present = present[:, :, None].to(logits.dtype)
    if voting.rule == "product":
        K = logits.shape[-1]
        votes = _geometric_mean(logits, voting).log_softmax(dim=-1)
        share = answer.reliability[:, :, None]
        doubt = ((1 - share) / K).clamp(min=torch.finfo(votes.dtype).tiny).log()
        mixed = torch.logaddexp(share.log() + votes, doubt.expand_as(votes))
        return (mixed * is_present).sum(dim=1).softmax(dim=-1)
    each = modality_votes(logits, voting) * answer.reliability[:, :, None]
    votes = (each * is_present).sum(dim=1)
    total = votes.sum(dim=-1, keepdim=True)
    uniform = torch.full_like(votes, 1 / votes.shape[-1])
    return torch.where(total > 0, votes / total.clamp(min=torch.finfo(votes.dtype).tiny), uniform)
