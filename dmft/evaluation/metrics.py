"""Figures of predictions: top-1 accuracy, macro F1, confusion, and a baseline to doubt them by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from dmft.models import BRANCHES, modality_votes, overall_vote


def confusion(labels: Tensor, predicted: Tensor, n_classes: int) -> Tensor:
    """Count records by class (row) and prediction (column).

    Shapes: (B,), (B,) -> (K, K) int64.
    """
    cells = labels * n_classes + predicted
    return torch.bincount(cells, minlength=n_classes * n_classes).view(n_classes, n_classes)


def accuracy(matrix: Tensor) -> float:
    """Part of the records on the diagonal; 0 where there are none.

    Shapes: (K, K).
    """
    return float(matrix.diagonal().sum()) / max(int(matrix.sum()), 1)


def macro_f1(matrix: Tensor) -> float:
    """Mean F1 over the classes that occur among labels or predictions.

    Shapes: (K, K).
    """
    hits = matrix.diagonal().double()
    both = (matrix.sum(dim=0) + matrix.sum(dim=1)).double()
    occurs = both > 0
    return float((2 * hits[occurs] / both[occurs]).mean()) if bool(occurs.any()) else 0.0


def figures(
    logits: Tensor,
    present: Tensor,
    labels: Tensor,
    modalities: Sequence[str],
    rule: str = "sum",
) -> dict[str, Any]:
    """Everything that is reported of a fold, as plain numbers.

    A modality and its branches are measured on the records that have it; records without any
    modality are counted apart and not measured.

    Shapes: logits (B, M, 2, K), present (B, M), labels (B,).
    """
    K = logits.shape[-1]
    seen = present.any(dim=1)
    matrix = confusion(labels[seen], overall_vote(logits, present, rule).argmax(dim=-1)[seen], K)
    votes = modality_votes(logits, rule)
    by_modality: dict[str, Any] = {}
    for column, name in enumerate(modalities):
        rows = present[:, column]
        own = confusion(labels[rows], votes[rows, column].argmax(dim=-1), K)
        by_modality[name] = {"accuracy": accuracy(own), "macro_f1": macro_f1(own)}
        by_modality[name] |= {"n_records": int(rows.sum()), "confusion": own.tolist()}
        for index, branch in enumerate(BRANCHES):
            of_branch = confusion(labels[rows], logits[rows, column, index].argmax(dim=-1), K)
            by_modality[name][branch] = {
                "accuracy": accuracy(of_branch),
                "macro_f1": macro_f1(of_branch),
            }
    return {
        "n_records": int(seen.sum()),
        "n_without_modality": int((~seen).sum()),
        "accuracy": accuracy(matrix),
        "macro_f1": macro_f1(matrix),
        "modalities": by_modality,
        "class_accuracy": class_accuracies(matrix),
        "confusion": matrix.tolist(),
    }


def class_accuracies(matrix: Tensor) -> list[float | None]:
    """Accuracy of each class; None for a class without records.

    Shapes: (K, K).
    """
    totals = matrix.sum(dim=1)
    return [
        float(hit) / int(n) if n else None for hit, n in zip(matrix.diagonal(), totals, strict=True)
    ]


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


def majority_share(matrix: Sequence[Sequence[int]]) -> float:
    """Part of the records that the largest class has: the accuracy of always naming it.

    Args:
        matrix: Confusion matrix, a row for each true class.

    >>> majority_share([[3, 0], [1, 0]])
    0.75
    """
    sizes = [sum(row) for row in matrix]
    return max(sizes) / max(sum(sizes), 1)
