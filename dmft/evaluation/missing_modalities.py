"""What a trained model still knows when test records have fewer modalities than it learnt from."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor

from dmft.data import Cache
from dmft.evaluation.metrics import SubsetScores, accuracy, confusion, macro_f1
from dmft.models import overall_vote
from dmft.runs.trained import PREDICT_BATCH, TrainedRun, present_of


def missing_modalities(run: TrainedRun, cache: Cache, rows: Tensor) -> tuple[SubsetScores, ...]:
    """Accuracy and macro F1 with every smaller, non-empty set of the run's modalities.

    The others are taken away before the network, not after it: a teacher's branches then miss
    what they were fused with. Records that have none of a set are not measured.

    Shapes: rows (B,) int64.
    """
    names = run.info.spec.modalities
    sets = [kept for n in range(1, len(names)) for kept in combinations(range(len(names)), n)]
    measured = []
    for kept in reversed(sets):
        present = present_of(cache, names)[rows].clone()
        present[:, [column for column in range(len(names)) if column not in kept]] = False
        has_any = present.any(dim=1)
        votes = _votes(run, cache, rows[has_any], present[has_any])
        matrix = confusion(cache.labels[rows[has_any]], votes.argmax(dim=-1), votes.shape[-1])
        measured.append(
            SubsetScores(
                modalities=tuple(names[column] for column in kept),
                n_records=int(has_any.sum()),
                accuracy=accuracy(matrix),
                macro_f1=macro_f1(matrix),
            )
        )
    return tuple(measured)


def _votes(run: TrainedRun, cache: Cache, rows: Tensor, present: Tensor) -> Tensor:
    """Overall vote of records that have only what ``present`` says.

    Shapes: rows (B,), present (B, M) -> (B, K).
    """
    names = run.info.spec.modalities
    shown = [name for column, name in enumerate(names) if present[:, column].any()]
    logits = [torch.zeros(0, len(names), 2, len(run.info.spec.classes))]
    for (block, stored), block_present in zip(
        cache.blocks(rows, PREDICT_BATCH, shown), torch.split(present, PREDICT_BATCH), strict=True
    ):
        if not len(block):
            continue
        patches = {}
        for column, name in enumerate(names):
            shape = (
                len(block),
                run.info.spec.stored[name].n_patches,
                run.info.spec.stored[name].n_features,
            )
            nothing = torch.zeros((), dtype=cache.features[name].dtype).expand(shape)
            is_present = block_present[:, column, None, None]
            patches[name] = torch.where(is_present, stored.get(name, nothing), nothing).to(
                run.device
            )
        logits.append(run.logits_of(patches, block_present.to(run.device)).cpu())
    return overall_vote(torch.cat(logits), present, run.info.spec.config.voting.rule)
