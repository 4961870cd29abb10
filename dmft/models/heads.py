"""From class tokens to answers: a branch's logits, and how far its modality is to be believed.

A model returns an :class:`Answer`. Everything that reads predictions reads that; ``vote.py`` makes
one distribution of it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from dmft.models.config import EncoderConfig
from dmft.models.dropout import Dropout


class Answer(NamedTuple):
    """What a model says of some records."""

    logits: Tensor
    """By modality, branch (spatial, temporal) and class. Shapes: (B, M, 2, K)."""
    reliability: Tensor
    """Probability that a modality's answer says anything of the class; 1 where a model has no
    opinion. Shapes: (B, M)."""

    def at(self, rows: slice) -> Answer:
        """The same of some of the records."""
        return Answer(self.logits[rows], self.reliability[rows])

    def detach(self) -> Answer:
        """The same without gradients."""
        return Answer(self.logits.detach(), self.reliability.detach())


def answer_of(output: Tensor | Answer) -> Answer:
    """What a model returned as an answer; of logits alone every modality is believed."""
    if isinstance(output, Tensor):
        return Answer(output, output.new_ones(output.shape[:2]))
    return output


class BranchHead(nn.Module):
    """The linear layer on one branch's class token; under pre-norm a layer norm before it.

    Shapes: (B, T, D) -> (B, K).
    """

    def __init__(self, width: int, n_classes: int, config: EncoderConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width) if config.norm == "pre" else nn.Identity()
        self.dropout = Dropout(config.dropout)
        self.linear = nn.Linear(width, n_classes)

    def forward(self, token: Tensor) -> Tensor:
        """LN_S or LN_T of Eq. (11): a linear layer, in spite of its name there."""
        logits: Tensor = self.linear(self.dropout(token))
        return logits

    def class_token(self, hidden: Tensor) -> Tensor:
        """What the branch's prediction is made of.

        Shapes: (B, T, D) -> (B, D).
        """
        token: Tensor = self.norm(hidden[:, 0])
        return token


class Heads(nn.Module):
    """Both heads of one modality, and its reliability where the configuration wants one.

    The reliability is read off both class tokens and sends nothing back into the branches, which
    are as they would be without it.

    Shapes: spatial (B, T, D), temporal (B, T', D') -> (B, 2, K), (B,).
    """

    def __init__(self, widths: tuple[int, int], n_classes: int, config: EncoderConfig) -> None:
        super().__init__()
        self.spatial = BranchHead(widths[0], n_classes, config)
        self.temporal = BranchHead(widths[1], n_classes, config)
        hidden = config.reliability
        self.reliability: nn.Sequential | None = None
        if hidden:
            last = nn.Linear(hidden, 1)
            nn.init.constant_(last.bias, 2.0)  # believed until something says no
            self.reliability = nn.Sequential(nn.Linear(sum(widths), hidden), nn.GELU(), last)

    def forward(self, spatial: Tensor, temporal: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the two branches, spatial first, and the reliability."""
        tokens = self.spatial.class_token(spatial), self.temporal.class_token(temporal)
        logits = torch.stack([self.spatial(tokens[0]), self.temporal(tokens[1])], dim=1)
        if self.reliability is None:
            return logits, logits.new_ones(len(logits))
        return logits, self.reliability(torch.cat(tokens, dim=1).detach())[:, 0].sigmoid()


def answer(heads: list[tuple[Tensor, Tensor]]) -> Answer:
    """Put what the modalities' heads say beside each other."""
    logits, reliability = zip(*heads, strict=True)
    return Answer(torch.stack(logits, dim=1), torch.stack(reliability, dim=1))
