"""On which side of a protocol's folds records are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dmft.protocols import Fold

Sides = Mapping[str, NDArray[np.int8]]
"""Fold to minus one for its training records, one for its test records, 0 for others."""


def sides_of(folds: Sequence[Fold], n_records: int) -> Sides:
    """The sides of some folds. Shapes: each (N,)."""
    return {fold.name: _sides(fold, n_records) for fold in folds}


def parted(sides: Sides, one: int, other: int) -> str | None:
    """What a note begins with of two records that a fold has on different sides: the first such.

    None where no fold has; nothing to say where there are no folds at all.
    """
    if not sides:
        return ""
    apart = (name for name, side in sides.items() if side[one] * side[other] < 0)
    return next((f"on the two sides of fold {name}; " for name in apart), None)


def _sides(fold: Fold, n_records: int) -> NDArray[np.int8]:
    sides = np.zeros(n_records, np.int8)
    sides[np.asarray(fold.train)], sides[np.asarray(fold.test)] = -1, 1
    return sides
