"""The teacher: an MSTT a modality, temporal mid-fusion between them, and the heads.

For two modalities, a and b (B records, P patches of D features, W wide, F fusion tokens, K classes;
each modality has its own P and D)::

    a (B, P, D) --+-- transposed -- spatial branch --------- class token (B, 1, W) -- head -- (B, K)
                  |
                  +---------------- temporal branch (B, 1+P, W) --+
                                                                  |  each fusion layer: a layer of
                                    fusion tokens (B, F, W) ----- #  attention a side over its own
                                                                  |  and the F tokens, which are
                  +---------------- temporal branch (B, 1+P, W) --+  then averaged over the sides
                  |                                               |
                  |                         class tokens of a and b (B, 1, W) -- heads -- 2 x (B, K)
                  |
    b (B, P, D) --+-- transposed -- spatial branch --------- class token (B, 1, W) -- head -- (B, K)

    logits (B, M, 2, K) -- softmax of each branch, then a vote of all (Eqs 11 and 12) -- (B, K)

With M modalities every pair has fusion layers of its own, and a modality's outputs are averaged.
Because of the fusion, a modality's temporal output has seen the others: its "per-modality
accuracy" is not that of a model with this modality alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from dmft.models.config import EncoderConfig, ModelShape, TeacherConfig
from dmft.models.heads import Answer, Heads, answer
from dmft.models.mid_fusion import MidFusion
from dmft.models.mstt import Mstt


class Teacher(nn.Module):
    """L_MSTT,tch layers a branch, Eqs (7)-(10) on the temporal ones, then Eqs (11) and (12).

    Shapes: features {m: (B, P_m, D_m)}, present (B, M) -> logits (B, M, 2, K), reliability (B, M).

    >>> import torch
    >>> from dmft.models import InputShape, ModelShape
    >>> inputs = {"skeleton": InputShape(n_patches=32, n_features=60)}
    >>> shape = ModelShape(inputs=inputs, n_classes=27)
    >>> teacher = Teacher(shape, TeacherConfig(), EncoderConfig())
    >>> answer = teacher({"skeleton": torch.zeros(5, 32, 60)}, torch.ones(5, 1, dtype=torch.bool))
    >>> answer.logits.shape
    torch.Size([5, 1, 2, 27])
    """

    def __init__(self, shape: ModelShape, config: TeacherConfig, encoder: EncoderConfig) -> None:
        super().__init__()
        fused = len(shape.inputs) > 1 and config.fusion_layers > 0
        mstt = {
            m: Mstt(inputs, config.layers, encoder, class_only=not fused)
            for m, inputs in shape.inputs.items()
        }
        self.mstt = nn.ModuleDict(mstt)
        self.heads = nn.ModuleDict(
            {m: Heads(branches.widths, shape.n_classes, encoder) for m, branches in mstt.items()}
        )
        temporal_widths = {m: branches.temporal.width for m, branches in mstt.items()}
        self.fusion = MidFusion(temporal_widths, config, encoder)

    def forward(
        self, features: Mapping[str, Tensor], present: Tensor, *, unimodal: bool = False
    ) -> Answer:
        """Answer a modality, its temporal branch after fusion.

        ``unimodal``: as each is where its modality is the only one of the record.
        """
        branches = {m: mstt(features[m]) for m, mstt in self.mstt.items()}
        temporal = {m: branch for m, (_, branch) in branches.items()}
        fused = self.fusion(temporal, present, unimodal=unimodal)
        return answer([self.heads[m](spatial, fused[m]) for m, (spatial, _) in branches.items()])
