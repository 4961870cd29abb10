"""The Transformer layer that every branch and every fusion side is made of (Eqs 1, 4-6).

Unusual here: attention itself is never dropped out, because that would take
``scaled_dot_product_attention`` off its fast kernels; dropout sits on the residual branches.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dmft.models.config import EncoderConfig
from dmft.models.dropout import Dropout


def sinusoids(n_positions: int, width: int) -> Tensor:
    """Sinusoidal positional encoding, Eq. (1).

    Shapes: returns (n_positions, width).
    """
    position = torch.arange(n_positions, dtype=torch.float32)[:, None]
    rate = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    table = torch.zeros(n_positions, width)
    table[:, 0::2] = torch.sin(position * rate)
    table[:, 1::2] = torch.cos(position * rate)[:, : width // 2]
    return table


def fitting_heads(width: int, wanted: int) -> int:
    """Largest number of heads, at most ``wanted``, that divides ``width``."""
    return next(heads for heads in range(min(wanted, width), 0, -1) if width % heads == 0)


class SelfAttention(nn.Module):
    """Multi-head self-attention, Eqs (4), (5) and (6).

    ``attend`` is Eq. (5); where many models are computed at once it is replaced.

    Shapes: (B, T, D) -> (B, T, D), for any number T of tokens; (B, 1, D) for one token alone.
    """

    attend: Callable[[Tensor, Tensor, Tensor], Tensor]

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attend = F.scaled_dot_product_attention
        self.heads = fitting_heads(width, heads)
        self.project_in = nn.Linear(width, 3 * width)
        self.project_out = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.project_in.weight)
        nn.init.zeros_(self.project_in.bias)
        nn.init.zeros_(self.project_out.bias)

    def forward(self, tokens: Tensor, only: int | None = None) -> Tensor:
        """Q, K, V by one projection (4); attention a head (5); heads joined by W_O (6).

        With ``only``, for this token alone: it still looks at all of them.
        """
        if only is None:
            q, k, v = self._split(self.project_in(tokens), 3)
        else:
            weight, bias = self.project_in.weight, self.project_in.bias
            D = tokens.shape[2]
            (q,) = self._split(F.linear(tokens[:, only : only + 1], weight[:D], bias[:D]), 1)
            k, v = self._split(F.linear(tokens, weight[D:], bias[D:]), 2)
        mixed = self.attend(q, k, v)
        joined: Tensor = self.project_out(mixed.transpose(1, 2).flatten(2))
        return joined

    def _split(self, projected: Tensor, n: int) -> tuple[Tensor, ...]:
        """Shapes: (B, T, n D) -> n of (B, H, T, D / H)."""
        B, T, width = projected.shape
        parts = projected.view(B, T, n, self.heads, width // n // self.heads)
        return parts.permute(2, 0, 3, 1, 4).unbind(0)


class EncoderLayer(nn.Module):
    """A vanilla Transformer encoder layer: attention, then a position-wise network.

    Shapes: (B, T, D) -> (B, T, D); (B, 1, D) for one token alone.
    """

    def __init__(self, width: int, config: EncoderConfig) -> None:
        super().__init__()
        self.pre_norm = config.norm == "pre"
        self.attention = SelfAttention(width, config.heads)
        self.attention_norm = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, config.feed_forward),
            nn.GELU() if config.activation == "gelu" else nn.ReLU(),
            nn.Linear(config.feed_forward, width),
        )
        self.feed_forward_norm = nn.LayerNorm(width)
        self.dropout = Dropout(config.dropout)

    def forward(self, tokens: Tensor, only: int | None = None) -> Tensor:
        """Run both sublayers with their residuals; with ``only``, for this token alone.

        The last layer of a branch is read at its class token. Leaving the others out there changes
        no result, and halves what a shallow student costs.
        """
        place = (0, 0) if only is None else (only, tokens.shape[1])
        kept: Tensor = tokens if only is None else tokens[:, only : only + 1]
        if self.pre_norm:
            attended = self.attention(self.attention_norm(tokens), only)
            kept = kept + self.dropout(attended, *place)
            kept = kept + self.dropout(self.feed_forward(self.feed_forward_norm(kept)), *place)
        else:
            kept = self.attention_norm(kept + self.dropout(self.attention(tokens, only), *place))
            kept = self.feed_forward_norm(kept + self.dropout(self.feed_forward(kept), *place))
        return kept


class EncoderStack(nn.Sequential):
    """``n_layers`` encoder layers of one width.

    Shapes: (B, T, D) -> (B, T, D), or (B, 1, D) where only the class token is wanted.
    """

    def __init__(self, n_layers: int, width: int, config: EncoderConfig) -> None:
        super().__init__(*(EncoderLayer(width, config) for _ in range(n_layers)))

    def forward(self, tokens: Tensor, class_only: bool = False) -> Tensor:
        """Run all layers; the last one for the first token alone where ``class_only``."""
        *inner, last = self
        for layer in inner:
            tokens = layer(tokens)
        out: Tensor = last(tokens, 0 if class_only else None)
        return out
