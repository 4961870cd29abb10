"""From class tokens to logits, and from logits to votes (paper 3.4, Eqs 11 and 12).

A model returns one tensor of logits (B, M, 2, K): record, modality, branch (spatial, temporal),
class. Everything that reads predictions reads that.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dmft.models.config import EncoderConfig
from dmft.models.dropout import Dropout


class BranchHead(nn.Module):
    """The linear layer on one branch's class token; under pre-norm a layer norm before it.

    Shapes: (B, T, D) -> (B, K).
    """

    def __init__(self, width: int, n_classes: int, config: EncoderConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width) if config.norm == "pre" else nn.Identity()
        self.dropout = Dropout(config.dropout)
        self.linear = nn.Linear(width, n_classes)

    def forward(self, hidden: Tensor) -> Tensor:
        """LN_S or LN_T of Eq. (11): a linear layer, in spite of its name there."""
        logits: Tensor = self.linear(self.dropout(self.norm(hidden[:, 0])))
        return logits


class Heads(nn.Module):
    """Both heads of one modality.

    Shapes: spatial (B, T, D), temporal (B, T', D') -> (B, 2, K).
    """

    def __init__(self, widths: tuple[int, int], n_classes: int, config: EncoderConfig) -> None:
        super().__init__()
        self.spatial = BranchHead(widths[0], n_classes, config)
        self.temporal = BranchHead(widths[1], n_classes, config)

    def forward(self, spatial: Tensor, temporal: Tensor) -> Tensor:
        """Logits of the two branches, spatial first."""
        return torch.stack([self.spatial(spatial), self.temporal(temporal)], dim=1)


def modality_votes(logits: Tensor, rule: str = "sum") -> Tensor:
    """Eq. (11): the two branches' softmaxes, added; or, by ``product``, their geometric mean.

    Shapes: (B, M, 2, K) -> (B, M, K); rows sum to 2 by ``sum`` and to 1 by ``product``.
    """
    if rule == "product":
        return logits.log_softmax(dim=-1).mean(dim=2).softmax(dim=-1)
    return logits.softmax(dim=-1).sum(dim=2)


def overall_vote(logits: Tensor, present: Tensor, rule: str = "sum") -> Tensor:
    """Eq. (12): the sum of the votes of the modalities that a record has.

    Deviation: an absent modality does not vote, and the sum is divided by its total so that a
    row is a distribution whatever the number of voters; a record without any modality is uniform.
    Deviation: by ``product`` the branches' probabilities are multiplied, not added (their
    geometric mean, so that more voters do not mean more certainty). A branch that is sure that a
    class is wrong then counts as much as one that is sure that it is right.

    Shapes: logits (B, M, 2, K), present (B, M) -> (B, K); every row sums to 1.

    >>> logits = torch.tensor([[[[0.0, 1.0], [0.0, 3.0]]]])  # one record, modality sure of class 1
    >>> overall_vote(logits, torch.ones(1, 1, dtype=torch.bool)).argmax(dim=1)
    tensor([1])
    """
    is_present = present[:, :, None].to(logits.dtype)
    if rule == "product":
        means = (logits.log_softmax(dim=-1).mean(dim=2) * is_present).sum(dim=1)
        return (means / is_present.sum(dim=1).clamp(min=1)).softmax(dim=-1)
    votes = (modality_votes(logits) * is_present).sum(dim=1)
    total = votes.sum(dim=-1, keepdim=True)
    uniform = torch.full_like(votes, 1 / votes.shape[-1])
    return torch.where(total > 0, votes / total.clamp(min=torch.finfo(votes.dtype).tiny), uniform)
