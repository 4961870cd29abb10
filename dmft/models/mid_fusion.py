"""Temporal mid-fusion: pairs of modalities exchange a few tokens layer by layer (paper 3.3).

For every unordered pair of modalities there is a module of its own with F learnable tokens of
the smaller of the two widths. A modality that a record lacks puts nothing into the tokens: the
average is over the sides that are present, so its row's contents cannot reach the other side.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import torch
from torch import Tensor, nn

from dmft.models.config import EncoderConfig, TeacherConfig
from dmft.models.layers import EncoderLayer

Tokens = tuple[Tensor, Tensor]
"""The tokens as the narrow and as the wide side has them, each (B, F, D1): one and the same, but
where the sides do not meet."""


class FusionLayer(nn.Module):
    """One layer of one pair: both sides run a Transformer layer, then average their tokens.

    Shapes: tokens twice (B, F, D1), narrow (B, T1, D1), wide (B, T2, D2) with D1 <= D2, present
    (B, 2) or None -> the same three.
    """

    def __init__(self, narrow: int, wide: int, config: EncoderConfig) -> None:
        super().__init__()
        self.narrow_layer = EncoderLayer(narrow, config)
        self.wide_layer = EncoderLayer(wide, config)
        self.widen = nn.Linear(narrow, wide) if narrow != wide else nn.Identity()
        self.shrink = nn.Linear(wide, narrow) if narrow != wide else nn.Identity()

    def forward(
        self, tokens: Tokens, narrow: Tensor, wide: Tensor, present: Tensor | None
    ) -> tuple[Tokens, Tensor, Tensor]:
        """Eq. (7): tokens joined to each side; Eq. (8): a layer a side; Eq. (9): the average.

        Without ``present`` each side keeps its own tokens, as if the other were absent.

        Deviation: Eq. (9) averages over the sides that the record has, not always over two.
        """
        F = tokens[0].shape[1]
        narrow_out = self.narrow_layer(torch.cat([tokens[0], narrow], dim=1))
        wide_out = self.wide_layer(torch.cat([self.widen(tokens[1]), wide], dim=1))
        of_sides = narrow_out[:, :F], self.shrink(wide_out[:, :F])
        if present is not None:
            sides = torch.stack(of_sides, dim=1)
            weights = present.to(sides.dtype)
            weights = weights / weights.sum(dim=1, keepdim=True).clamp(min=1)
            averaged = (sides * weights[:, :, None, None]).sum(dim=1)
            of_sides = averaged, averaged
        return of_sides, narrow_out[:, F:], wide_out[:, F:]

    def finish(self, tokens: Tokens, narrow: Tensor, wide: Tensor) -> tuple[Tensor, Tensor]:
        """Eqs (7) and (8) for the class tokens alone, which is all that is read of the last layer.

        Shapes: tokens twice (B, F, D1), narrow (B, T1, D1), wide (B, T2, D2) -> (B, 1, D1),
        (B, 1, D2).
        """
        F = tokens[0].shape[1]
        narrow_out = self.narrow_layer(torch.cat([tokens[0], narrow], dim=1), F)
        wide_out = self.wide_layer(torch.cat([self.widen(tokens[1]), wide], dim=1), F)
        return narrow_out, wide_out


class PairFusion(nn.Module):
    """The fusion module of one pair of modalities: its F tokens and its layers.

    Shapes: two branches (B, T, D) and present (B, 2), or None for each as it is without the other
    -> their class tokens (B, 1, D), in the order given.
    """

    def __init__(
        self, widths: tuple[int, int], config: TeacherConfig, encoder: EncoderConfig
    ) -> None:
        super().__init__()
        self.swapped = widths[0] > widths[1]
        narrow, wide = sorted(widths)
        self.tokens = nn.Parameter(torch.randn(1, config.fusion_tokens, narrow) * 0.02)
        self.layers = nn.ModuleList(
            FusionLayer(narrow, wide, encoder) for _ in range(config.fusion_layers)
        )

    def forward(
        self, first: Tensor, second: Tensor, present: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Hand the averaged tokens from layer to layer; return both class tokens."""
        narrow, wide = (second, first) if self.swapped else (first, second)
        if self.swapped and present is not None:
            present = present.flip(1)
        start = self.tokens.expand(first.shape[0], -1, -1)
        tokens: Tokens = (start, start)
        *inner, last = self.layers
        for layer in inner:
            tokens, narrow, wide = layer(tokens, narrow, wide, present)
        assert isinstance(last, FusionLayer)
        narrow, wide = last.finish(tokens, narrow, wide)
        return (wide, narrow) if self.swapped else (narrow, wide)


class MidFusion(nn.Module):
    """All C(M, 2) pairs, and the average over the pairs that contain a modality.

    Shapes: branches {m: (B, T_m, D_m)}, present (B, M) -> class tokens {m: (B, 1, D_m)}; without
    pairs the branches as they are.
    """

    def __init__(
        self, widths: Mapping[str, int], config: TeacherConfig, encoder: EncoderConfig
    ) -> None:
        super().__init__()
        self.modalities = tuple(widths)
        self.pairs = nn.ModuleDict(
            {
                f"{a}-{b}": PairFusion((widths[a], widths[b]), config, encoder)
                for a, b in combinations(self.modalities, 2)
                if config.fusion_layers
            }
        )

    def forward(
        self, branches: Mapping[str, Tensor], present: Tensor, *, unimodal: bool = False
    ) -> dict[str, Tensor]:
        """Eq. (10): each modality's output is the mean over its M - 1 pairs.

        ``unimodal``: of every pair each side is what it would be without the other.

        Deviation: Eq. (10) writes C(M, 2) terms; a modality is in only M - 1 of the pairs. With
        one modality, or without fusion layers, there is no pair and a branch passes unchanged.
        """
        if not self.pairs:
            return dict(branches)
        outputs: dict[str, list[Tensor]] = {m: [] for m in self.modalities}
        for (i, a), (j, b) in combinations(enumerate(self.modalities), 2):
            both = None if unimodal else present[:, [i, j]]
            first, second = self.pairs[f"{a}-{b}"](branches[a], branches[b], both)
            outputs[a].append(first)
            outputs[b].append(second)
        return {m: torch.stack(of_pairs).mean(dim=0) for m, of_pairs in outputs.items()}
