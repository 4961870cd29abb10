"""Whether what was read is what a description says that it is: lengths, units, beginnings."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import StreamRef
from pipeline.datasets.checks import Check
from pipeline.datasets.reading import Source
from pipeline.signals.segments import median


def check_listed(n: int, what: str, ref: StreamRef) -> None:
    """Refuse a recording of another length than the manifest lists.

    Raises:
        RecordingError: it has another.
    """
    if ref.n_frames is not None and n != ref.n_frames:
        raise ref.refuse(f"holds {n} {what} where the manifest lists {ref.n_frames}")


def check_length(n: int, what: str, source: Source, ref: StreamRef) -> None:
    """Refuse a recording of more or fewer rows or frames than one has.

    Raises:
        RecordingError: it has.
    """
    if source.length and not source.length[0] <= n <= source.length[1]:
        least, most = source.length
        raise ref.refuse(f"holds {n} {what}: wanted {least} to {most}, as the description says")


def check_size(array: NDArray[Any], source: Source, ref: StreamRef) -> None:
    """Refuse an array whose axes but the time's are not as long as is said.

    Shapes: array (T, ...).

    Raises:
        RecordingError: they are not.
    """
    if source.size and array.shape[1:] != source.size:
        found, wanted = (" x ".join(map(str, size)) for size in (array.shape[1:], source.size))
        raise ref.refuse(f"holds {found or 'one'} numbers at a time: wanted {wanted}")


def check_begins(values: NDArray[Any], what: str, source: Source, ref: StreamRef) -> None:
    """Refuse leading rows of zeros alone, which a sensor gives that has not begun.

    Shapes: values (T, ...).

    Raises:
        RecordingError: the first row is zero, and that is not to be.
    """
    if source.leading_zeros == "keep" or not len(values) or values[0].any():
        return
    nonzero = np.flatnonzero(values.reshape(len(values), -1).any(axis=1))
    n = int(nonzero[0]) if len(nonzero) else len(values)
    raise ref.refuse(f"begins with {n} {what} of zeros alone: wanted measured ones")


def check_units(values: NDArray[np.float64], source: Source, ref: StreamRef) -> None:
    """Refuse rows that cannot be in the unit that is said.

    Shapes: values (T, D), all finite.

    Raises:
        RecordingError: a number is beyond its range, or the rows as a whole too large or small.
    """
    names = list(source.column_names)
    for check in source.checks:
        places = [names.index(column) for column in check.columns] or slice(None)
        _check(values[:, places], check, check.unit or source.unit or "the unit said", ref)


def _check(values: NDArray[np.float64], check: Check, unit: str, ref: StreamRef) -> None:
    if check.range:
        low, high = check.range
        beyond = (values < low) | (values > high)
        if beyond.any():
            row = int(np.argmax(beyond.any(axis=1)))
            farthest = float(values.flat[np.argmax(np.abs(np.where(beyond, values, 0.0)))])
            raise ref.refuse(
                f"holds {check.what} of {farthest:.4g}, beyond {low:g} to {high:g} {unit} from row "
                f"{row + 1} on: wanted {unit}"
            )
    if check.peak and (peak := float(np.abs(values).max())) < check.peak:
        raise ref.refuse(
            f"holds {check.what} of at most {peak:.4g}: wanted {unit}, in which a person who moves "
            f"gives {check.peak:g} and more"
        )
    if check.still:
        length = median(np.linalg.norm(values, axis=1))
        if not check.still[0] <= length <= check.still[1]:
            raise ref.refuse(
                f"holds {check.what} of {length:.4g} in the median: wanted {unit}, in which it is "
                f"{check.still[0]:g} to {check.still[1]:g}"
            )
