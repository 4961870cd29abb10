"""Records that deserve a look: what the trainer's side can tell whoever made the recordings.

Near-duplicates and halves of a trial across a split, one raw file on both sides of it, labels that
models which never saw the record agree against, records that every model misses, and lengths and
values out of their class's family.
A suspicion is no proof: nothing is changed here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dmft.data import Cache
from dmft.evaluation.cut_trials import cut_trials
from dmft.evaluation.out_of_family import lengths_out_of_family, ranges_out_of_family
from dmft.evaluation.predictions import read_predictions
from dmft.evaluation.sides import parted, sides_of
from dmft.evaluation.suspects import KINDS, Suspect, class_of
from dmft.protocols import Fold
from dmft.protocols.shared_files import shared_rows
from dmft.runs.folder import PREDICTIONS_FILE, fold_folders
from pipeline.contract import ContractError

POOLED = 16
"""Patches that pairs are sought on; those that are found are measured on all patches."""
BLOCK = 512


def audit(
    cache: Cache,
    folds: Sequence[Fold] = (),
    runs: Sequence[Path] = (),
    *,
    nearer_than: float = 0.1,
) -> list[Suspect]:
    """Look for suspects, the likeliest of each kind first.

    Args:
        cache: In memory.
        folds: Of a protocol; without any, near-duplicates are sought in the whole cache.
        runs: Folders of runs, whose predictions are of records that they were not trained on.
        nearer_than: Two records are near-duplicates where their distance is less than this part of
            the median distance of a record to its nearest.

    Raises:
        ContractError: a run has no predictions, or of records that the cache does not have.
    """
    found = [
        *_near_duplicates(cache, folds, nearer_than),
        *cut_trials(cache, folds),
        *_shared_files(cache, folds),
        *_by_predictions(cache, runs),
        *lengths_out_of_family(cache),
        *ranges_out_of_family(cache),
    ]
    order = {kind: place for place, kind in enumerate(KINDS)}
    sign = {"near-duplicate": 1, "cut": 1}
    return sorted(found, key=lambda s: (order[s.kind], sign.get(s.kind, -1) * s.score, s.record))


def _near_duplicates(cache: Cache, folds: Sequence[Fold], nearer_than: float) -> Iterator[Suspect]:
    sides = sides_of(folds, len(cache))
    for column, name in enumerate(cache.modalities):
        rows = torch.nonzero(cache.present[:, column]).flatten()
        if len(rows) < 3:
            continue
        features = _in_deviations(cache.features[name][rows].float())
        pairs, typical = close_pairs(features, nearer_than)
        for one, other, distance in pairs:
            a, b = int(rows[one]), int(rows[other])
            if (where := parted(sides, a, b)) is None:
                continue
            yield Suspect(
                record=cache.record_ids[b],
                kind="near-duplicate",
                modality=name,
                score=distance / typical if typical else 0.0,
                other=cache.record_ids[a],
                old_label=class_of(cache, b),
                note=f"{where}{cache.record_ids[a]} is {class_of(cache, a)}",
            )


def _in_deviations(patches: Tensor) -> Tensor:
    """Features in standard deviations over all records, so that units do not count.

    Shapes: (N, P, D) -> (N, P, D).
    """
    mean, spread = patches.mean((0, 1)), patches.std((0, 1))
    return (patches - mean) / torch.where(spread > 0, spread, torch.ones_like(spread))


def close_pairs(features: Tensor, nearer_than: float) -> tuple[list[tuple[int, int, float]], float]:
    """Pairs of records that are much nearer than records are to their nearest.

    Args:
        features: In comparable units.
        nearer_than: As part of the median distance to the nearest.

    Returns:
        The pairs (earlier, later, distance on all patches), and that median.

    Shapes: features (N, P, D).
    """
    n, P, _ = features.shape
    pooled = torch.nn.functional.adaptive_avg_pool1d(features.transpose(1, 2), min(P, POOLED))
    flat = pooled.flatten(1).double()
    nearest = torch.empty(n, dtype=torch.float64)
    for first in range(0, n, BLOCK):
        distances = torch.cdist(flat[first : first + BLOCK], flat)
        distances[torch.arange(len(distances)), first + torch.arange(len(distances))] = torch.inf
        nearest[first : first + BLOCK] = distances.min(1).values
    candidates = nearest <= nearer_than * nearest.median()
    typical = _nearest_on_all(features, nearest)
    pairs = []
    for one in torch.nonzero(candidates).flatten().tolist():
        near = torch.cdist(flat[one : one + 1], flat)[0] <= nearer_than * nearest.median()
        for other in torch.nonzero(near).flatten().tolist():
            distance = float((features[one] - features[other]).norm())
            if one < other and distance <= nearer_than * typical:
                pairs.append((one, other, distance))
    return pairs, typical


def _nearest_on_all(features: Tensor, nearest: Tensor) -> float:
    """The median distance to the nearest on all patches, of up to some hundred records."""
    every = max(1, len(features) // 256)
    flat = features.flatten(1)
    distances = torch.cdist(flat[::every], flat)
    own = torch.arange(0, len(features), every)
    distances[torch.arange(len(own)), own] = torch.inf
    return float(distances.min(1).values.median())


def _shared_files(cache: Cache, folds: Sequence[Fold]) -> Iterator[Suspect]:
    seen = set()
    for fold in folds:
        shared = shared_rows(cache, np.asarray(fold.train), np.asarray(fold.test))
        for name, rows in shared.items():
            for row in rows.tolist():
                if (name, row) not in seen:
                    seen.add((name, row))
                    yield Suspect(
                        record=cache.record_ids[row],
                        kind="shared-file",
                        modality=name,
                        score=1.0,
                        old_label=class_of(cache, row),
                        note=f"fold {fold.name} trains on the same raw file",
                    )


def _votes(cache: Cache, runs: Sequence[Path]) -> dict[str, list[NDArray[np.float64]]]:
    """Record to the probabilities that each run gave it. Shapes: each (K,)."""
    known = set(cache.record_ids)
    votes: dict[str, list[NDArray[np.float64]]] = {}
    for run in runs:
        for folder in fold_folders(run):
            told = read_predictions(folder / PREDICTIONS_FILE, len(cache.spec.classes))
            strange = [each for each in told.records if each not in known]
            if strange:
                raise ContractError(
                    f"{folder} has predictions of {len(strange)} records that {cache.path} does "
                    f"not have ({strange[0]}, ...): give runs that were trained on this cache"
                )
            for record, probabilities in zip(told.records, told.probabilities, strict=True):
                votes.setdefault(record, []).append(probabilities)
    return votes


def _by_predictions(cache: Cache, runs: Sequence[Path]) -> Iterator[Suspect]:
    votes = _votes(cache, runs)
    for row, record in enumerate(cache.record_ids):
        if record not in votes:
            continue
        each = np.stack(votes[record])
        label = int(cache.labels[row])
        chosen, mean = each.argmax(1), each.mean(0)
        if (chosen == label).any():
            continue
        likeliest = int(mean.argmax())
        agree = int((chosen == likeliest).sum())
        is_sure = agree == len(chosen) and mean[likeliest] > 0.5
        yield Suspect(
            record=record,
            kind="label" if is_sure else "missed",
            score=float(mean[likeliest] - mean[label]),
            old_label=cache.spec.classes[label],
            new_label=cache.spec.classes[likeliest] if is_sure else "",
            note=f"{agree} of {len(chosen)} votes say {cache.spec.classes[likeliest]} "
            f"({mean[likeliest]:.0%}; {mean[label]:.0%} for the label)",
        )
