"""What a trained model still knows when test records have fewer modalities than it learnt from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from dmft.data import Cache
from dmft.evaluation.metrics import SubsetScores, confusion
from dmft.runs.trained import TrainedRun, present_of


def missing_modalities(run: TrainedRun, cache: Cache, rows: Tensor) -> tuple[SubsetScores, ...]:
    """Accuracy and macro F1 with every smaller, non-empty set of the run's modalities.

    The others are taken away before the network, not after it: a teacher's branches then miss
    what they were fused with. Records that have none of a set are not measured.

    Shapes: rows (B,) int64.
    """
    names = run.info.spec.modalities
    sets = [kept for n in range(1, len(names)) for kept in combinations(names, n)]
    measured = []
    for kept in reversed(sets):
        fewer = _with_only(cache, kept)
        has_any = present_of(fewer, names)[rows].any(dim=1)
        votes = run.predict(fewer, rows[has_any])
        matrix = confusion(cache.labels[rows[has_any]], votes.argmax(dim=-1), votes.shape[-1])
        measured.append(SubsetScores.of(matrix, modalities=kept, n_records=int(has_any.sum())))
    return tuple(measured)


def _with_only(cache: Cache, kept: Sequence[str]) -> Cache:
    """The cache as it is when its other modalities are absent, of which none is then read."""
    present = cache.present.clone()
    features = dict(cache.features)
    for column, name in enumerate(cache.modalities):
        if name not in kept:
            present[:, column] = False
            spec = cache.modality_spec(name)
            nothing = torch.zeros((), dtype=cache.features[name].dtype)
            features[name] = nothing.expand(len(cache), spec.n_patches, spec.n_features)
    return dataclasses.replace(cache, present=present, features=features)
