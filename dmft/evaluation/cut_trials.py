"""Records that begin where another one of the same person and class ends: one trial, cut in two.

Half a trial on the training side tells a model how the other half goes on. Where one half ends and
the other begins, values and the way they change are the same. People begin and end in one pose,
too, so that much joins by chance: a pair is told where either goes on as the other and as nothing
else of its class, and where both move.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from dmft.data import Cache
from dmft.evaluation.sides import parted, sides_of
from dmft.evaluation.suspects import Suspect, class_of
from dmft.protocols import Fold

PERSON = "subject"
"""The attribute that says who it is."""
ALONE = 0.25
"""A gap is less than this part of the next one, of all that either record could have to others."""
FAMILY = 4
"""Records that a class must have for one to be alone among them."""


def cut_trials(cache: Cache, folds: Sequence[Fold]) -> Iterator[Suspect]:
    """Pairs that join; with folds, those alone that one of them parts.

    Args:
        cache: In memory; of one without the attribute ``subject`` nothing is known.
        folds: Of a protocol, or none.
    """
    if PERSON not in cache.columns:
        return
    people, labels = np.asarray(cache.columns[PERSON]), cache.labels.numpy()
    sides = sides_of(folds, len(cache))
    for column, name in enumerate(cache.modalities):
        present = cache.present[:, column].numpy()
        for label in np.unique(labels[present]):
            rows = np.flatnonzero(present & (labels == label))
            if len(rows) < FAMILY or cache.modality_spec(name).n_patches < 2:
                continue
            parts, is_joined = _joints(_ends(cache, name, rows))
            is_joined &= people[rows][:, None] == people[rows][None, :]
            for i, j in np.argwhere(is_joined).tolist():
                a, b = int(rows[i]), int(rows[j])
                if (where := parted(sides, a, b)) is None:
                    continue
                yield Suspect(
                    record=cache.record_ids[b],
                    kind="cut",
                    modality=name,
                    score=float(parts[i, j]),
                    other=cache.record_ids[a],
                    old_label=class_of(cache, b),
                    note=f"{where}begins where {cache.record_ids[a]} of the same person ends",
                )


def _ends(cache: Cache, name: str, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """The first and the last two patches of records, in deviations of all of them.

    Shapes: rows (n,) -> (n, 4, D).
    """
    patches = cache.features[name][torch.from_numpy(rows)]
    ends: NDArray[np.float64] = patches[:, [0, 1, -2, -1]].double().numpy()
    spread = ends.std(axis=(0, 1))
    return ends / np.where(spread > 0, spread, 1.0)


def _joints(ends: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Gaps between the end of one and the beginning of another, as part of the next one of either.

    Half a patch on from its end, at its own pace, a record is where one that goes on with it is
    half a patch before its beginning.

    Shapes: ends (n, 4, D) -> (n, n), whether they join (n, n): the second after the first.
    """
    steps_in, steps_out = ends[:, 1] - ends[:, 0], ends[:, 3] - ends[:, 2]
    after, before = ends[:, 3] + steps_out / 2, ends[:, 0] - steps_in / 2
    gaps = torch.cdist(torch.from_numpy(after), torch.from_numpy(before)).numpy()
    np.fill_diagonal(gaps, np.inf)
    least = np.partition(gaps, 1, axis=1)[:, :2, None], np.partition(gaps, 1, axis=0)[:2, None, :]
    others = np.full_like(gaps, np.inf)
    for nearest, next_one in ((least[0][:, 0], least[0][:, 1]), (least[1][0], least[1][1])):
        others = np.minimum(others, np.where(gaps > nearest, nearest, next_one))
    pace = (
        np.linalg.norm(steps_out, axis=1)[:, None] + np.linalg.norm(steps_in, axis=1)[None, :]
    ) / 2
    parts = gaps / np.where(others > 0, others, np.inf)
    return parts, (parts < ALONE) & (gaps <= pace)
