"""The teacher: an MSTT a modality, temporal mid-fusion between them, and the heads.

Because of the fusion, a modality's temporal output has seen the others: its "per-modality
accuracy" is not that of a model with this modality alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dmft.models.config import EncoderConfig, ModelShape, TeacherConfig
from dmft.models.heads import Heads
from dmft.models.mid_fusion import MidFusion
from dmft.models.mstt import Mstt


class Teacher(nn.Module):
    """L_MSTT,tch layers a branch, Eqs (7)-(10) on the temporal ones, then Eqs (11) and (12).

    Shapes: features {m: (B, P_m, D_m)}, present (B, M) -> logits (B, M, 2, K).
    """

    def __init__(self, shape: ModelShape, config: TeacherConfig, encoder: EncoderConfig) -> None:
        super().__init__()
        fused = len(shape.inputs) > 1 and config.fusion_layers > 0
        self.mstt = nn.ModuleDict(
            {
                m: Mstt(inputs, config.layers, encoder, class_only=not fused)
                for m, inputs in shape.inputs.items()
            }
        )
        self.heads = nn.ModuleDict()
        temporal_widths = {}
        for m, mstt in self.mstt.items():
            assert isinstance(mstt, Mstt)
            temporal_widths[m] = mstt.temporal.width
            widths = (mstt.spatial.width, mstt.temporal.width)
            self.heads[m] = Heads(widths, shape.n_classes, encoder)
        self.fusion = MidFusion(temporal_widths, config, encoder)

    def forward(
        self, features: Mapping[str, Tensor], present: Tensor, *, unimodal: bool = False
    ) -> Tensor:
        """Logits of every branch, the temporal ones after fusion.

        ``unimodal``: as each is where its modality is the only one of the record.
        """
        branches = {m: mstt(features[m]) for m, mstt in self.mstt.items()}
        temporal = {m: branch for m, (_, branch) in branches.items()}
        fused = self.fusion(temporal, present, unimodal=unimodal)
        return torch.stack(
            [self.heads[m](spatial, fused[m]) for m, (spatial, _) in branches.items()], dim=1
        )
