"""The lite student: an MSTT a modality and its heads, no exchange between modalities."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from torch import Tensor, nn

from dmft.models.config import EncoderConfig, ModelShape, StudentConfig
from dmft.models.heads import Answer, Heads, answer
from dmft.models.mstt import Mstt


class Student(nn.Module):
    """L_MSTT,stu layers a branch, then Eqs (11) and (12) on its logits.

    Shapes: features {m: (B, P_m, D_m)}, present (B, M) -> logits (B, M, 2, K), reliability (B, M).
    """

    def __init__(self, shape: ModelShape, config: StudentConfig, encoder: EncoderConfig) -> None:
        super().__init__()
        encoder = dataclasses.replace(
            encoder,
            width=config.width or encoder.width,
            feed_forward=config.feed_forward or encoder.feed_forward,
        )
        mstt = {
            m: Mstt(inputs, config.layers, encoder, class_only=True)
            for m, inputs in shape.inputs.items()
        }
        self.mstt = nn.ModuleDict(mstt)
        self.heads = nn.ModuleDict(
            {m: Heads(branches.widths, shape.n_classes, encoder) for m, branches in mstt.items()}
        )

    def forward(self, features: Mapping[str, Tensor], present: Tensor) -> Answer:
        """Answer a modality; ``present`` is unused: no modality sees another here."""
        return answer([self.heads[m](*mstt(features[m])) for m, mstt in self.mstt.items()])
