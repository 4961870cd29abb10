"""What one nearest neighbour achieves on the features that a model sees: no training, no network.

Of a cache in memory all features are compared at once; of one on the disk a part of the test
records, as many as its shuffle buffer has room for, with one block of training records at a time.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dmft.data import Cache
from dmft.data.features import pooling
from dmft.evaluation.metrics import distances
from dmft.models import InputShape
from dmft.protocols import Fold
from dmft.runs.trained import PREDICT_BATCH, TrainedRun, present_of

VALUES = 8192
"""Most values of a modality that are compared."""
KNOWN_BLOCK = 1024
"""Training records of a cache on the disk that are compared at a time."""


def neighbour_accuracy(run: TrainedRun, cache: Cache, fold: Fold) -> float:
    """Accuracy on a fold's test records; 0 where none has a modality."""
    there = present_of(cache, run.info.spec.modalities).any(dim=1)
    known, asked = (rows[there[rows]] for rows in (fold.train, fold.test))
    if not len(asked):
        return 0.0
    n_asked, n_known = len(asked), len(known)
    if cache.shuffle_buffer is not None:
        room = cache.shuffle_buffer.n_blocks * cache.shuffle_buffer.n_records * cache.row_bytes
        n_asked = max(room // 2 // _coarse_bytes(run), PREDICT_BATCH)
        n_known = KNOWN_BLOCK
    nearest = torch.cat(
        [_nearest(run, cache, some, known, n_known) for some in torch.split(asked, n_asked)]
    )
    return float((cache.labels[nearest] == cache.labels[asked]).float().mean())


def _nearest(run: TrainedRun, cache: Cache, asked: Tensor, known: Tensor, n_known: int) -> Tensor:
    """Row of the nearest training record; the first of equally near ones.

    Shapes: asked (B,), known (N,) -> (B,) int64.
    """
    test, test_present = _coarse_features(run, cache, asked)
    smallest = torch.full((len(asked),), torch.inf)
    nearest = known[:1].expand(len(asked))
    for some in torch.split(known, n_known):
        train, train_present = _coarse_features(run, cache, some)
        found, where = _smallest(distances(train, train_present, test, test_present))
        nearest = torch.where(found < smallest, some[where], nearest)
        smallest = torch.minimum(found, smallest)
    return nearest


def _smallest(distance: Tensor) -> tuple[Tensor, Tensor]:
    """The smallest of each row, and the first place where it stands.

    Shapes: (B, N) -> (B,), (B,) int64.
    """
    where = distance.argmin(dim=1)
    return distance.gather(1, where[:, None])[:, 0], where


def _coarse_features(
    run: TrainedRun, cache: Cache, rows: Tensor
) -> tuple[dict[str, Tensor], Tensor]:
    """Features pooled to few enough windows that they stay small beside the cache.

    Shapes: rows (B,) -> {m: (B, P', D)}, (B, M).
    """
    modalities = run.info.spec.modalities
    present = present_of(cache, modalities)
    blocks: dict[str, list[Tensor]] = {m: [] for m in modalities}
    for some, stored in cache.blocks(rows, PREDICT_BATCH, modalities):
        patches = {m: each.to(run.device) for m, each in stored.items()}
        for m, made in run.transform.apply(patches, present[some].to(run.device)).items():
            pool = pooling(made.shape[1], _n_windows(run.transform.inputs[m]), str(run.device))
            blocks[m].append((pool @ made).cpu())
    return {m: torch.cat(each) for m, each in blocks.items()}, present[rows]


def _n_windows(shape: InputShape) -> int:
    return min(max(VALUES // shape.n_features, 1), shape.n_patches)


def _coarse_bytes(run: TrainedRun) -> int:
    """Of one record's coarse features, of all modalities."""
    return sum(4 * _n_windows(shape) * shape.n_features for shape in run.transform.inputs.values())
