"""Temporal mid-fusion: pairs of modalities exchange a few tokens layer by layer (paper 3.3).

For every unordered pair of modalities there is a module of its own with F learnable tokens of
the smaller of the two widths. A modality that a record lacks puts nothing into the tokens: the
average is over the sides that are present, so its row's contents cannot reach the other side.

What one side says in a layer the other reads in the next, so one layer alone would fuse nothing.
The Transformer layers are each pair's own, or each modality's own in all of its pairs
(``fusion_weights``: the paper writes theta_m, and a size that lies between the two).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor, nn

from dmft.models.config import EncoderConfig, TeacherConfig
from dmft.models.layers import EncoderLayer

Tokens = tuple[Tensor, Tensor]
"""The tokens as the narrow and as the wide side has them, each (B, F, D1): one and the same, but
where the sides do not meet."""


Sides = tuple[EncoderLayer, EncoderLayer]
"""The Transformer layers of the narrow and of the wide side."""


class FusionLayer(nn.Module):
    """One layer of one pair: both sides run a Transformer layer, then average their tokens.

    The last one averages nothing, for nobody would read it. ``sides`` are given where they are not
    the pair's own.

    Shapes: tokens twice (B, F, D1), narrow (B, T1, D1), wide (B, T2, D2) with D1 <= D2, present
    (B, 2) or None -> the same three.
    """

    def __init__(
        self,
        narrow: int,
        wide: int,
        config: EncoderConfig,
        *,
        is_last: bool = False,
        has_sides: bool = True,
    ) -> None:
        super().__init__()
        self.narrow_layer = EncoderLayer(narrow, config) if has_sides else None
        self.wide_layer = EncoderLayer(wide, config) if has_sides else None
        is_even = narrow == wide
        self.widen = nn.Identity() if is_even else nn.Linear(narrow, wide)
        self.shrink = nn.Identity() if is_even or is_last else nn.Linear(wide, narrow)

    def _sides(self, sides: Sides | None) -> Sides:
        if sides is not None:
            return sides
        assert self.narrow_layer is not None
        assert self.wide_layer is not None
        return self.narrow_layer, self.wide_layer

    def forward(
        self,
        tokens: Tokens,
        narrow: Tensor,
        wide: Tensor,
        present: Tensor | None,
        sides: Sides | None = None,
    ) -> tuple[Tokens, Tensor, Tensor]:
        """Eq. (7): tokens joined to each side; Eq. (8): a layer a side; Eq. (9): the average.

        Without ``present`` each side keeps its own tokens, as if the other were absent.

        Deviation: Eq. (9) averages over the sides that the record has, not always over two.
        """
        F = tokens[0].shape[1]
        narrow_layer, wide_layer = self._sides(sides)
        narrow_out = narrow_layer(torch.cat([tokens[0], narrow], dim=1))
        wide_out = wide_layer(torch.cat([self.widen(tokens[1]), wide], dim=1))
        of_sides = narrow_out[:, :F], self.shrink(wide_out[:, :F])
        if present is not None:
            both = torch.stack(of_sides, dim=1)
            weights = present.to(both.dtype)
            weights = weights / weights.sum(dim=1, keepdim=True).clamp(min=1)
            averaged = (both * weights[:, :, None, None]).sum(dim=1)
            of_sides = averaged, averaged
        return of_sides, narrow_out[:, F:], wide_out[:, F:]

    def finish(
        self, tokens: Tokens, narrow: Tensor, wide: Tensor, sides: Sides | None = None
    ) -> tuple[Tensor, Tensor]:
        """Eqs (7) and (8) for the class tokens alone, which is all that is read of the last layer.

        Shapes: tokens twice (B, F, D1), narrow (B, T1, D1), wide (B, T2, D2) -> (B, 1, D1),
        (B, 1, D2).
        """
        F = tokens[0].shape[1]
        narrow_layer, wide_layer = self._sides(sides)
        narrow_out = narrow_layer(torch.cat([tokens[0], narrow], dim=1), F)
        wide_out = wide_layer(torch.cat([self.widen(tokens[1]), wide], dim=1), F)
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
            FusionLayer(
                narrow,
                wide,
                encoder,
                is_last=layer == config.fusion_layers - 1,
                has_sides=config.fusion_weights == "pair",
            )
            for layer in range(config.fusion_layers)
        )

    def forward(
        self,
        first: Tensor,
        second: Tensor,
        present: Tensor | None,
        sides: Sequence[Sides] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Hand the averaged tokens from layer to layer; return both class tokens.

        ``sides``: for each layer those of the first and of the second branch, where they are not
        the pair's own.
        """
        narrow, wide = (second, first) if self.swapped else (first, second)
        if self.swapped and present is not None:
            present = present.flip(1)
        layers: list[Sides | None] = [None] * len(self.layers)
        if sides is not None:
            layers = [(b, a) if self.swapped else (a, b) for a, b in sides]
        start = self.tokens.expand(first.shape[0], -1, -1)
        tokens: Tokens = (start, start)
        *inner, last = self.layers
        for layer, of_layer in zip(inner, layers, strict=False):
            tokens, narrow, wide = layer(tokens, narrow, wide, present, of_layer)
        assert isinstance(last, FusionLayer)
        narrow, wide = last.finish(tokens, narrow, wide, layers[-1])
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
        is_shared = bool(self.pairs) and config.fusion_weights == "modality"
        self.sides = nn.ModuleDict(
            {
                m: nn.ModuleList(EncoderLayer(width, encoder) for _ in range(config.fusion_layers))
                for m, width in (widths.items() if is_shared else ())
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
            sides = list(zip(self._sides(a), self._sides(b), strict=True)) if self.sides else None
            first, second = self.pairs[f"{a}-{b}"](branches[a], branches[b], both, sides)
            outputs[a].append(first)
            outputs[b].append(second)
        return {m: torch.stack(of_pairs).mean(dim=0) for m, of_pairs in outputs.items()}

    def _sides(self, modality: str) -> list[EncoderLayer]:
        layers = self.sides[modality]
        assert isinstance(layers, nn.ModuleList)
        return [layer for layer in layers if isinstance(layer, EncoderLayer)]
