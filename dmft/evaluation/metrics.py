"""What is measured of a run: accuracy, macro F1 and confusion, and ``metrics.json`` that holds it.

The classes are plain data, read back strictly; the functions count, and know neither model nor
cache. Figures that are quoted are in :class:`Scores`, so every kind of figure has the same two.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from dmft.models.config import BRANCHES, VotingConfig
from dmft.runs.files import read_json
from pipeline.common.settings import parse_table
from pipeline.contract import ConfigError, ContractError

if TYPE_CHECKING:
    from torch import Tensor

    from dmft.models import Answer

Counts = NDArray[np.int64]
"""Records by class (row) and prediction (column). Shapes: (K, K)."""

Matrix = tuple[tuple[int, ...], ...]
"""A confusion matrix: a row for each true class, a column for each predicted one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """How good some predictions are."""

    accuracy: float
    """Top-1."""
    macro_f1: float
    """Mean F1 over the classes that occur."""

    @classmethod
    def of(cls, matrix: Counts, **fields: Any) -> Self:
        """Scores of a confusion matrix, and whatever else there is to say.

        Shapes: matrix (K, K).
        """
        return cls(accuracy=accuracy(matrix), macro_f1=macro_f1(matrix), **fields)

    def score(self, metric: str) -> float:
        """The one of a name, as protocols quote it."""
        return self.macro_f1 if metric == "macro_f1" else self.accuracy


@dataclass(frozen=True, slots=True, kw_only=True)
class SubsetScores(Scores):
    """Scores where test records have only some of the run's modalities."""

    modalities: tuple[str, ...]
    """Those that are left."""
    n_records: int
    """Test records that have any of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldScores(Scores):
    """Scores of one fold, and what it was measured on."""

    fold: str
    """Name."""
    split_hash: str
    """SHA-256 of the record identities on both sides."""
    cache_fingerprint: str
    """The cache's own SHA-256."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModalityScores(Scores):
    """Scores of one modality's vote, Eq. (11), and of its two branches."""

    n_records: int
    """Test records that have the modality."""
    spatial: Scores
    """Its spatial branch alone."""
    temporal: Scores
    """Its temporal branch alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModalityMetrics(ModalityScores):
    """What ``metrics.json`` holds of a modality."""

    confusion: Matrix
    """By its vote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteMetrics(Scores):
    """What is counted in the votes of a run, Eq. (12)."""

    n_records: int
    """Test records that were measured."""
    n_without_modality: int
    """Test records that have none of the modalities, and were not."""
    modalities: Mapping[str, ModalityMetrics]
    """By each modality's own vote."""
    class_accuracy: tuple[float | None, ...]
    """Accuracy of each class; None for a class without records."""
    confusion: Matrix
    """By the overall vote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMetrics(VoteMetrics):
    """What ``metrics.json`` holds: of one fold, or the mean of several."""

    kind: str
    """teacher, student or distilled, or what a network of the user's own is called."""
    protocol: str
    """Name."""
    metric: str
    """The score that the protocol quotes: accuracy or macro_f1."""
    seed: int
    """The training's seed."""
    classes: tuple[str, ...]
    """Names."""
    n_folds: int
    """Folds that are in it."""
    folds: tuple[FoldScores, ...]
    """Each of them."""
    accuracy_spread: float
    """Standard deviation over folds; 0 for one."""
    pooled_accuracy: float
    """Over the records of all folds."""
    pooled_macro_f1: float
    """Over the records of all folds."""
    missing_modalities: tuple[SubsetScores, ...]
    """With every smaller set of the modalities."""
    nearest_neighbour_accuracy: float
    """What one nearest neighbour on the same features reaches."""
    n_parameters: int
    """Weights that are learnt."""
    saved_bytes: int
    """Size of the weights' file."""
    seconds_per_epoch: float
    """Median of a training."""

    def __post_init__(self) -> None:
        K = len(self.classes)
        if [len(row) for row in self.confusion] != [K] * K:
            raise ConfigError(f"confusion has {len(self.confusion)} rows: wanted {K} by {K}")

    @property
    def quoted(self) -> float:
        """The score that the protocol quotes."""
        return self.score(self.metric)


def values_of(kind: type[Scores], scores: Scores) -> dict[str, Any]:
    """Those values of ``scores`` that make one of ``kind``, which it is or is derived from."""
    return {field.name: getattr(scores, field.name) for field in dataclasses.fields(kind)}


def read_metrics(path: Path, classes: Sequence[str]) -> RunMetrics:
    """Read a run's ``metrics.json``.

    Raises:
        ContractError: it is missing, damaged, or of other classes than the run.
    """
    table = read_json(path, "a run's figures")
    if table.get("classes") != list(classes):
        raise ContractError(
            f"{path} has not the run's {len(classes)} classes; remove it and train again"
        )
    try:
        return parse_table(RunMetrics, table, where=str(path))
    except ConfigError as error:
        raise ContractError(f"{error}\nRemove it and train again to measure anew.") from error


def vote_metrics(
    answer: Answer,
    present: Tensor,
    labels: Tensor,
    modalities: Sequence[str],
    voting: VotingConfig,
) -> VoteMetrics:
    """Count what the votes get right.

    A modality and its branches are measured on the records that have it; records without any
    modality are counted apart and not measured.

    Shapes: answer of B records, present (B, M), labels (B,).
    """
    from dmft.models import modality_votes, overall_vote

    logits = answer.logits
    K = logits.shape[-1]
    voted = present.any(dim=1)
    matrix = confusion(
        labels[voted], overall_vote(answer, present, voting).argmax(dim=-1)[voted], K
    )
    votes = modality_votes(logits, voting)
    by_modality = {}
    for column, name in enumerate(modalities):
        rows = present[:, column]
        own = confusion(labels[rows], votes[rows, column].argmax(dim=-1), K)
        branches = {
            branch: Scores.of(confusion(labels[rows], logits[rows, column, i].argmax(dim=-1), K))
            for i, branch in enumerate(BRANCHES)
        }
        by_modality[name] = ModalityMetrics.of(
            own, n_records=int(rows.sum()), confusion=plain(own), **branches
        )
    return VoteMetrics.of(
        matrix,
        n_records=int(voted.sum()),
        n_without_modality=int((~voted).sum()),
        modalities=by_modality,
        class_accuracy=class_accuracies(matrix),
        confusion=plain(matrix),
    )


def confusion(labels: Tensor, predicted: Tensor, n_classes: int) -> Counts:
    """Count records by class (row) and prediction (column).

    Shapes: (B,), (B,) -> (K, K).
    """
    cells = (labels * n_classes + predicted).cpu().numpy()
    counts: Counts = np.bincount(cells, minlength=n_classes * n_classes)
    return counts.reshape(n_classes, n_classes)


def accuracy(matrix: Counts) -> float:
    """Part of the records on the diagonal; 0 where there are none.

    Shapes: (K, K).
    """
    return float(matrix.diagonal().sum()) / max(int(matrix.sum()), 1)


def macro_f1(matrix: Counts) -> float:
    """Mean F1 over the classes that occur among labels or predictions.

    Shapes: (K, K).
    """
    correct = matrix.diagonal().astype(np.float64)
    both = (matrix.sum(axis=0) + matrix.sum(axis=1)).astype(np.float64)
    occurs = both > 0
    return float((2 * correct[occurs] / both[occurs]).mean()) if occurs.any() else 0.0


def class_accuracies(matrix: Counts) -> tuple[float | None, ...]:
    """Accuracy of each class; None for a class without records.

    Shapes: (K, K).
    """
    totals = matrix.sum(axis=1).tolist()
    correct = matrix.diagonal().tolist()
    return tuple(right / n if n else None for right, n in zip(correct, totals, strict=True))


def plain(matrix: Counts) -> Matrix:
    """The matrix as plain data."""
    return tuple(map(tuple, matrix.tolist()))


def majority_share(matrix: Sequence[Sequence[int]]) -> float:
    """Part of the records that the largest class has: the accuracy of always naming it.

    Args:
        matrix: Confusion matrix, a row for each true class.

    >>> majority_share([[3, 0], [1, 0]])
    0.75
    """
    sizes = [sum(row) for row in matrix]
    return max(sizes) / max(sum(sizes), 1)
