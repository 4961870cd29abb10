"""The Multi-modal Spatial-Temporal Transformer of one modality (paper 3.2).

The same patches are read twice: as a series of P time steps (temporal branch) and, transposed,
as a set of D features that each have a course over time (spatial branch). The two branches share
nothing. It does not look at other modalities and does not classify.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dmft.models.config import EncoderConfig, InputShape
from dmft.models.layers import EncoderStack, sinusoids


class TokenBranch(nn.Module):
    """Class token, optional projection and positions, then a stack of encoder layers.

    Shapes: (B, T, native width) -> (B, 1 + T, width), or (B, 1, width) where ``class_only``.
    """

    positions: Tensor | None

    def __init__(
        self,
        n_tokens: int,
        native: int,
        n_layers: int,
        encoded: bool,
        config: EncoderConfig,
        *,
        class_only: bool,
    ) -> None:
        super().__init__()
        self.class_only = class_only
        self.width = config.width or native
        self.project = nn.Linear(native, self.width) if config.width else nn.Identity()
        self.class_token = nn.Parameter(torch.randn(1, 1, self.width) * 0.02)
        self.register_buffer(
            "positions", sinusoids(1 + n_tokens, self.width) if encoded else None, persistent=False
        )
        self.layers = EncoderStack(n_layers, self.width, config)

    def forward(self, tokens: Tensor) -> Tensor:
        """Eq. (2) with positions, Eq. (3) without; then the layers."""
        projected = self.project(tokens)
        hidden = torch.cat([self.class_token.expand(tokens.shape[0], -1, -1), projected], dim=1)
        if self.positions is not None:
            hidden = hidden + self.positions
        encoded: Tensor = self.layers(hidden, self.class_only)
        return encoded


class Mstt(nn.Module):
    """Spatial and temporal branch of one modality, Eqs (2) and (3) and the layers on them.

    Of the spatial branch only the class token comes out, because nothing else of it is read; of
    the temporal one all, for fusion, or the class token too where ``class_only``.

    Shapes: (B, P, D) -> spatial (B, 1, W_S), temporal (B, 1 + P, W_T) or (B, 1, W_T). It has D
    spatial tokens, or ``narrow_to`` where the modality is wider than ``narrow_above``; the widths
    are ``config.width``, or P and D themselves where that is 0.
    """

    def __init__(
        self, shape: InputShape, n_layers: int, config: EncoderConfig, *, class_only: bool
    ) -> None:
        super().__init__()
        P, D = shape.n_patches, shape.n_features
        narrow = 0 < config.narrow_above < D
        columns = config.narrow_to if narrow else D
        self.narrow = nn.Linear(D, columns) if narrow else nn.Identity()
        self.spatial = TokenBranch(columns, P, n_layers, True, config, class_only=True)
        self.temporal = TokenBranch(
            P, D, n_layers, config.temporal_encoding, config, class_only=class_only
        )
        self.widths = (self.spatial.width, self.temporal.width)

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Return the hidden tokens of both branches, the class token first in each."""
        return self.spatial(self.narrow(patches).transpose(1, 2)), self.temporal(patches)
