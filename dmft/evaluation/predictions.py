"""The votes behind a run's figures, record by record: ``predictions.json`` and its frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dmft.runs.files import read_json, write_json
from pipeline.contract import ContractError

DIGITS = 6
"""Decimal places of a probability that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictions:
    """What a run says of its test records."""

    records: tuple[str, ...]
    """Identities."""
    labels: NDArray[np.int64]
    """Shapes: (B,)."""
    predicted: NDArray[np.int64]
    """The class that the overall vote chose. Shapes: (B,)."""
    probabilities: NDArray[np.float64]
    """The overall vote. Shapes: (B, K)."""

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Where the vote chose the label. Shapes: (B,)."""
        return np.equal(self.predicted, self.labels)

    def to_frame(self) -> pd.DataFrame:
        """A row a record: ``record``, ``label``, ``predicted``, ``probability``, ``correct``.

        The probability is what the vote gave to the class that it chose.
        """
        return pd.DataFrame(
            {
                "record": self.records,
                "label": self.labels,
                "predicted": self.predicted,
                "probability": self.probabilities[np.arange(len(self.records)), self.predicted],
                "correct": self.correct,
            }
        )


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write ``predictions.json``."""
    table = {
        "records": list(predictions.records),
        "labels": predictions.labels.tolist(),
        "predicted": predictions.predicted.tolist(),
        "probabilities": [
            [round(p, DIGITS) for p in r] for r in predictions.probabilities.tolist()
        ],
    }
    write_json(path, table, indent=None)


def read_predictions(path: Path, n_classes: int) -> Predictions:
    """Read ``predictions.json``.

    Raises:
        ContractError: it is missing, damaged, or of another number of classes.
    """
    table = read_json(path, "the predictions of a finished run")
    try:
        predictions = Predictions(
            records=tuple(map(str, table["records"])),
            labels=_classes(table["labels"], n_classes),
            predicted=_classes(table["predicted"], n_classes),
            probabilities=np.array(table["probabilities"], dtype=float).reshape(-1, n_classes),
        )
        counts = {len(getattr(predictions, name)) for name in ("records", "labels", "predicted")}
        if counts != {len(predictions.probabilities)}:
            raise ValueError(f"its columns have {sorted(counts)} entries: wanted as many in each")
    except (KeyError, TypeError, ValueError) as error:
        raise ContractError(
            f"{path} is damaged ({type(error).__name__}: {error}): remove it and the "
            "metrics.json beside it, and train again to measure anew"
        ) from error
    return predictions


def _classes(values: list[Any], n_classes: int) -> NDArray[np.int64]:
    for value in values:
        if type(value) is not int or not 0 <= value < n_classes:
            raise ValueError(f"{value!r} is not a class from 0 to {n_classes - 1}")
    return np.array(values, dtype=np.int64)
