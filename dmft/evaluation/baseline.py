"""What one nearest neighbour achieves on the features that a model sees: no training, no network.

The features of a cache in memory are all compared at once. Of one on the disk, as many test records
as its shuffle buffer has room for are compared with a block of training records at a time.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from dmft.data import Cache
from dmft.data.features import pooling
from dmft.models import InputShape
from dmft.protocols import Fold
from dmft.runs.trained import PREDICT_BATCH, TrainedRun, present_of

VALUES = 8192
"""Most values of a modality that are compared."""
KNOWN_BLOCK = 1024
"""Training records of a cache on the disk that are compared at a time."""


def neighbour_accuracy(run: TrainedRun, cache: Cache, fold: Fold) -> float:
    """Accuracy on a fold's test records; 0 where none has a modality."""
    has_any = present_of(cache, run.info.spec.modalities).any(dim=1)
    known, asked = (rows[has_any[rows]] for rows in (fold.train, fold.test))
    if not len(asked):
        return 0.0
    n_asked, n_known = len(asked), len(known)
    if cache.shuffle_buffer is not None:
        room = cache.shuffle_buffer.n_blocks * cache.shuffle_buffer.n_records * cache.row_bytes
        shapes = run.transform.inputs.values()
        coarse_bytes = sum(4 * _n_windows(shape) * shape.n_features for shape in shapes)
        n_asked = max(room // 2 // coarse_bytes, PREDICT_BATCH)
        n_known = KNOWN_BLOCK
    nearest = torch.cat(
        [_nearest(run, cache, rows, known, n_known) for rows in torch.split(asked, n_asked)]
    )
    return float((cache.labels[nearest] == cache.labels[asked]).float().mean())


def _nearest(run: TrainedRun, cache: Cache, asked: Tensor, known: Tensor, n_known: int) -> Tensor:
    """Row of the nearest training record; the first of equally near ones.

    Shapes: asked (B,), known (N,) -> (B,) int64.
    """
    test, test_present = _coarse_features(run, cache, asked)
    smallest = torch.full((len(asked),), torch.inf)
    nearest = known[:1].expand(len(asked))
    for rows in torch.split(known, n_known):
        train, train_present = _coarse_features(run, cache, rows)
        distance = distances(train, train_present, test, test_present)
        column = distance.argmin(dim=1)  # the first where several are equally near
        closest = distance.gather(1, column[:, None])[:, 0]
        nearest = torch.where(closest < smallest, rows[column], nearest)
        smallest = torch.minimum(closest, smallest)
    return nearest


def distances(
    train: Mapping[str, Tensor],
    train_present: Tensor,
    test: Mapping[str, Tensor],
    test_present: Tensor,
) -> Tensor:
    """Mean squared distance over common modalities; infinite where there is none.

    Features are the standardised ones that the model sees; every modality counts alike.

    Shapes: {m: (N, P, D)}, (N, M), {m: (B, P, D)}, (B, M) -> (B, N).
    """
    total = torch.zeros(len(test_present), len(train_present))
    common = torch.zeros_like(total)
    for column, name in enumerate(train):
        known, asked = train[name].flatten(1), test[name].flatten(1)
        both = test_present[:, column, None] & train_present[None, :, column]
        squared = torch.cdist(asked, known).square() / known.shape[1]
        total += torch.where(both, squared, 0.0)
        common += both
    return torch.where(common > 0, total / common.clamp(min=1), torch.inf)


def _coarse_features(
    run: TrainedRun, cache: Cache, rows: Tensor
) -> tuple[dict[str, Tensor], Tensor]:
    """Features pooled to few enough windows that they stay small beside the cache.

    Shapes: rows (B,) -> {m: (B, P', D)}, (B, M).
    """
    modalities = run.info.spec.modalities
    present = present_of(cache, modalities)
    blocks: dict[str, list[Tensor]] = {m: [] for m in modalities}
    for block, stored in cache.blocks(rows, PREDICT_BATCH, modalities):
        patches = {m: values.to(run.device) for m, values in stored.items()}
        for m, features in run.transform.apply(patches, present[block].to(run.device)).items():
            pool = pooling(features.shape[1], _n_windows(run.transform.inputs[m]), str(run.device))
            blocks[m].append((pool @ features).cpu())
    return {m: torch.cat(pooled) for m, pooled in blocks.items()}, present[rows]


def _n_windows(shape: InputShape) -> int:
    return min(max(VALUES // shape.n_features, 1), shape.n_patches)
