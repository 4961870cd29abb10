"""What sensors do when they lie: changes to stored patches that destroy or distort a signal.

A training meets those that ``doubt.faults`` names; the robustness suite measures all, so the
others show what was learnt of faults in general. Each is a function of the patches, of how severe
it is, and of draws that belong to the record. Sizes are in the record's own deviations, so nothing
is fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dmft.data.counter_rng import derive_seed, normal, symmetric, uniform
from dmft.data.geometry import Geometry

STANDARD_GRAVITY = 9.80665
LONGEST = 0.8
"""Part of a record that the most severe loss of time takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """Some records of one modality that are about to be spoilt."""

    patches: Tensor
    """Shapes: (B, P, D)."""
    severity: Tensor
    """From just above 0 to 1. Shapes: (B,)."""
    others: Tensor
    """The patches of another record for each. Shapes: (B, P, D)."""
    indices: Tensor
    """What the draws belong to. Shapes: (B,) int64."""
    key: int
    """Of the draws."""
    geometry: Geometry | None
    """The points or axes among the columns."""

    @property
    def std(self) -> Tensor:
        """Deviation of each column over a record's time. Shapes: (B, 1, D)."""
        return self.patches.std(dim=1, keepdim=True, correction=0)

    @property
    def level(self) -> Tensor:
        """The severity, beside patches. Shapes: (B, 1, 1)."""
        return self.severity[:, None, None]

    @property
    def time(self) -> Tensor:
        """The middle of each patch, as a part of the record. Shapes: (1, P)."""
        P = self.patches.shape[1]
        return ((torch.arange(P, device=self.patches.device) + 0.5) / P)[None]

    def signs(self) -> Tensor:
        """Minus or plus one by column. Shapes: (B, 1, D)."""
        draws = symmetric(self.key, self.indices, self.patches.shape[2])
        return torch.where(draws < 0, -1.0, 1.0)[:, None]

    def hold(self, lost: Tensor) -> Tensor:
        """Each lost patch as the last one before it that is not; at the start, as the first kept.

        Shapes: lost (B, P) bool -> (B, P, D).
        """
        P = self.patches.shape[1]
        place = torch.arange(P, device=lost.device).expand_as(lost)
        last = torch.where(lost, -1, place).cummax(dim=1).values
        first = torch.where(lost, P, place).min(dim=1, keepdim=True).values.clamp(max=P - 1)
        source = torch.where(last < 0, first, last)
        return self.patches.gather(1, source[:, :, None].expand_as(self.patches))

    def triples(self, change: Callable[[Tensor], Tensor]) -> Tensor:
        """The patches with their points or axes changed, other columns left alone.

        ``change``: (B, P, J, 3) -> the same.
        """
        assert self.geometry is not None
        columns = self.geometry.triples.flatten()
        chosen = self.patches[:, :, columns]
        changed = change(chosen.reshape(*chosen.shape[:2], -1, 3)).reshape_as(chosen)
        return self.patches.index_copy(2, columns, changed)


def _noise(signals: Signals) -> Tensor:
    B, P, D = signals.patches.shape
    drawn = normal(signals.key, signals.indices, P * D).view(B, P, D)
    return signals.patches + 2 * signals.level * signals.std * drawn


def _cut_start(signals: Signals) -> Tensor:
    return signals.hold(signals.time < LONGEST * signals.severity[:, None])


def _cut_end(signals: Signals) -> Tensor:
    return signals.hold(signals.time > 1 - LONGEST * signals.severity[:, None])


def _gap(signals: Signals) -> Tensor:
    length = LONGEST * signals.severity[:, None]
    begin = (1 - length) * uniform(signals.key, signals.indices, 1)
    return signals.hold((signals.time >= begin) & (signals.time < begin + length))


def _dropped(signals: Signals) -> Tensor:
    P = signals.patches.shape[1]
    lost = uniform(signals.key, signals.indices, P) < 0.9 * signals.severity[:, None]
    return signals.hold(lost)


def _late(signals: Signals) -> Tensor:
    P = signals.patches.shape[1]
    place = torch.arange(P, device=signals.patches.device)[None]
    source = (place - (signals.severity[:, None] * 0.5 * P).round().long()).clamp(min=0)
    return signals.patches.gather(1, source[:, :, None].expand_as(signals.patches))


def _clipped(signals: Signals) -> Tensor:
    middle = signals.patches.mean(dim=1, keepdim=True)
    bound = (2 - 1.8 * signals.level) * signals.std
    return torch.maximum(torch.minimum(signals.patches, middle + bound), middle - bound)


def _gain(signals: Signals) -> Tensor:
    up = uniform(signals.key, signals.indices, 1)[:, :, None] < 0.5
    return signals.patches * torch.where(up, 1 + 2 * signals.level, 1 / (1 + 2 * signals.level))


def _bias(signals: Signals) -> Tensor:
    return signals.patches + 3 * signals.level * signals.std * signals.signs()


def _drift(signals: Signals) -> Tensor:
    ramp = signals.time[:, :, None]
    return signals.patches + 4 * signals.level * signals.std * signals.signs() * ramp


def _axes(signals: Signals) -> Tensor:
    """One of the orders of axes but the right one, each axis either way round."""
    orders = torch.tensor([[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
    draws = uniform(signals.key, signals.indices, 4)
    order = orders.to(draws.device)[(draws[:, 0] * len(orders)).long()]
    signs = torch.where(draws[:, 1:] < 0.5, -1.0, 1.0)[:, None, None]
    return signals.triples(
        lambda axes: axes.gather(3, order[:, None, None].expand_as(axes)) * signs
    )


def _mirrored(signals: Signals) -> Tensor:
    """The first axis of every triple the other way round: the other wrist, a mirrored camera."""
    flip = torch.tensor([-1.0, 1.0, 1.0], device=signals.patches.device)
    return signals.triples(lambda axes: axes * flip)


def _unit(signals: Signals) -> Tensor:
    up = uniform(signals.key, signals.indices, 1)[:, :, None, None] < 0.5
    factor = torch.where(up, STANDARD_GRAVITY, 1 / STANDARD_GRAVITY)
    return signals.triples(lambda axes: axes * factor)


def _joints_lost(signals: Signals) -> Tensor:
    """Some joints stay where they were at first."""
    assert signals.geometry is not None
    J = len(signals.geometry.triples)
    lost = uniform(signals.key, signals.indices, J) < signals.severity[:, None]
    return signals.triples(
        lambda points: torch.where(lost[:, None, :, None], points[:, :1], points)
    )


def _sides_swapped(signals: Signals) -> Tensor:
    """Left joints are named right and the other way round."""
    assert signals.geometry is not None
    counterpart = signals.geometry.counterpart
    return signals.triples(lambda points: points[:, :, counterpart])


def _frozen(signals: Signals) -> Tensor:
    return signals.patches[:, :1].expand_as(signals.patches).clone()


def _other(signals: Signals) -> Tensor:
    return signals.others


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A family of faults; its words are in :data:`dmft.data.fault_words.FAULTS`."""

    spoil: Callable[[Signals], Tensor]
    """What it does: (B, P, D)."""
    has_degrees: bool = True
    """Whether the severity changes anything."""
    geometry: tuple[str, ...] = ()
    """What its columns must be: ``points``, ``axes``; anything where empty."""

    needs_sides: bool = False
    """Whether some points must be left ones with a right one to them."""
    needs_others: bool = False
    """Whether it looks at other records."""

    def fits(self, geometry: Geometry | None) -> bool:
        """Whether a modality of such columns can have it."""
        if not self.geometry:
            return True
        if geometry is None or geometry.kind not in self.geometry:
            return False
        return not self.needs_sides or geometry.has_sides


FAULTS: Mapping[str, Fault] = {
    "noise": Fault(spoil=_noise),
    "cut-start": Fault(spoil=_cut_start),
    "cut-end": Fault(spoil=_cut_end),
    "gap": Fault(spoil=_gap),
    "dropped": Fault(spoil=_dropped),
    "late": Fault(spoil=_late),
    "clipped": Fault(spoil=_clipped),
    "gain": Fault(spoil=_gain),
    "bias": Fault(spoil=_bias),
    "drift": Fault(spoil=_drift),
    "axes": Fault(spoil=_axes, has_degrees=False, geometry=("axes",)),
    "mirrored": Fault(spoil=_mirrored, has_degrees=False, geometry=("axes", "points")),
    "unit": Fault(spoil=_unit, has_degrees=False, geometry=("axes",)),
    "joints-lost": Fault(spoil=_joints_lost, geometry=("points",)),
    "sides-swapped": Fault(
        spoil=_sides_swapped, has_degrees=False, geometry=("points",), needs_sides=True
    ),
    "frozen": Fault(spoil=_frozen, has_degrees=False),
    "swapped": Fault(spoil=_other, has_degrees=False, needs_others=True),
    "stranger": Fault(spoil=_other, has_degrees=False, needs_others=True),
}


def spoil(signals: Signals, names: Sequence[str], chance: float) -> Tensor:
    """Give some of the records one of some faults each, of any severity.

    Args:
        signals: Their ``severity`` is drawn here.
        names: Faults to choose from; those that the columns cannot have are left out.
        chance: That a record has one.

    Shapes: returns (B, P, D).
    """
    fitting = [name for name in names if FAULTS[name].fits(signals.geometry)]
    if not fitting or chance <= 0:
        return signals.patches
    draws = uniform(signals.key, signals.indices, 3)
    has_one = draws[:, 0] < chance
    which = (draws[:, 1] * len(fitting)).long()
    patches = signals.patches.clone()
    for number, name in enumerate(fitting):
        (rows,) = (has_one & (which == number)).nonzero(as_tuple=True)
        if len(rows):
            chosen = replace(
                signals,
                patches=signals.patches[rows],
                others=signals.others[rows],
                indices=signals.indices[rows],
                severity=draws[rows, 2].clamp(min=0.05),
                key=derive_seed(signals.key, name),
            )
            patches[rows] = FAULTS[name].spoil(chosen)
    return patches
