"""Predictions and figures as tables: a row a record, a class or a score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dmft.evaluation.metrics import RunMetrics, Scores
from dmft.models.config import BRANCHES

PROBABILITY = "p_"
"""Begins the columns that hold the probabilities of the classes."""


def predictions_frame(
    records: Sequence[str],
    probabilities: NDArray[Any],
    classes: Sequence[str],
    more: Mapping[str, Any],
) -> pd.DataFrame:
    """A row a record, indexed by it: ``predicted``, ``probability``, ``more``, ``p_{class}``.

    Shapes: probabilities (B, K); a row of NaN is a record that nothing is known of.
    """
    known = ~np.isnan(probabilities).any(axis=1)
    best = np.where(known, np.nan_to_num(probabilities).argmax(axis=1), -1)
    predicted = [classes[k] if k >= 0 else None for k in best.tolist()]
    table = {
        **{name: values for name, values in more.items() if name == "label"},
        "predicted": predicted,
        "probability": probabilities[np.arange(len(best)), best],
        **{name: values for name, values in more.items() if name != "label"},
        **{f"{PROBABILITY}{name}": probabilities[:, k] for k, name in enumerate(classes)},
    }
    return pd.DataFrame(table, index=pd.Index(records, name="record"))


def confusion_frame(metrics: RunMetrics) -> pd.DataFrame:
    """Records by class (row) and prediction (column), over all folds."""
    names = list(metrics.classes)
    return pd.DataFrame(
        [list(row) for row in metrics.confusion],
        index=pd.Index(names, name="label"),
        columns=pd.Index(names, name="predicted"),
    )


def scores_frame(metrics: RunMetrics) -> pd.DataFrame:
    """Every score of a run: of the vote, each fold, each modality and branch, each subset.

    Columns: ``what``, ``name``, ``accuracy``, ``macro_f1``.
    """
    rows = [("vote", "all", metrics.accuracy, metrics.macro_f1)]
    rows += [("fold", fold.fold, fold.accuracy, fold.macro_f1) for fold in metrics.folds]
    for name, own in metrics.modalities.items():
        rows.append(("modality", name, own.accuracy, own.macro_f1))
        for branch in BRANCHES:
            scores: Scores = getattr(own, branch)
            rows.append(("branch", f"{name}/{branch}", scores.accuracy, scores.macro_f1))
    for subset in metrics.missing_modalities:
        name = "+".join(subset.modalities)
        rows.append(("only", name, subset.accuracy, subset.macro_f1))
    return pd.DataFrame(rows, columns=["what", "name", "accuracy", "macro_f1"])


def with_fold(frames: Iterable[tuple[str, pd.DataFrame]]) -> pd.DataFrame:
    """Tables of several folds as one, ``fold`` first."""
    return pd.concat([frame.assign(fold=name) for name, frame in frames], ignore_index=True)
