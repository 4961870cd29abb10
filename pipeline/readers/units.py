"""Whether numbers are in the unit that a reader promises: the range that the unit allows.

Real recordings never leave these ranges; one in another unit, or one that begins before its
sensor did, nearly always does. It is refused with what was found, since nothing later would say
more than that a person moves strangely.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import refuse


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What a quantity is measured in, and the numbers that it gives."""

    name: str
    """As it stands in an error, such as ``g``."""
    limit: float
    """No magnitude is above it."""
    still: tuple[float, float] | None = None
    """Between which the median magnitude of a row lies, where that is known: gravity's."""
    least_peak: float = 0.0
    """No recording of a person who moves stays below it throughout."""


def check_unit(values: NDArray[Any], unit: Unit, what: str, path: str) -> None:
    """Refuse rows that cannot be in the unit.

    Shapes: values (T, D), all finite.

    Raises:
        RecordingError: a number is beyond the limit, or the rows as a whole are too large or small.
    """
    if not values.size:
        return
    magnitude = np.abs(values)
    peak = float(magnitude.max())
    if peak > unit.limit:
        row = int(np.argmax(magnitude.max(axis=1) > unit.limit))
        raise refuse(
            path,
            f"holds {what} up to {peak:.4g}, beyond {unit.limit:g} {unit.name} from row {row} on: "
            f"wanted {unit.name}",
        )
    if peak < unit.least_peak:
        raise refuse(
            path,
            f"holds {what} of at most {peak:.4g}: wanted {unit.name}, in which a person who moves "
            f"gives {unit.least_peak:g} and more",
        )
    if unit.still is not None:
        median = float(np.median(np.linalg.norm(values, axis=1)))
        if not unit.still[0] <= median <= unit.still[1]:
            raise refuse(
                path,
                f"holds {what} of {median:.4g} in the median: wanted {unit.name}, in which gravity "
                f"gives {unit.still[0]:g} to {unit.still[1]:g}",
            )


def check_begins(values: NDArray[Any], what: str, path: str) -> None:
    """Refuse leading rows of zeros alone, which a sensor gives that has not begun.

    Shapes: values (T, ...).

    Raises:
        RecordingError: the first row is zero.
    """
    if len(values) and not values[0].any():
        nonzero = np.flatnonzero(values.reshape(len(values), -1).any(axis=1))
        n = int(nonzero[0]) if len(nonzero) else len(values)
        raise refuse(path, f"begins with {n} {what} of zeros alone: wanted measured ones")
