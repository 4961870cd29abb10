"""From probabilities to sets with a stated coverage, and to saying "I don't know".

Split conformal prediction (Vovk et al. 2005; Sadinle et al. 2019) on records that the model's
recipe was not trained on: a set holds every class whose probability is high enough, and "high
enough" is what the true classes of held-out records reach as often as wanted. An empty set says
that nothing fits: the model should not be asked to choose. Arrays in, numbers out; no model here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dmft.models.config import require
from dmft.runs.folder import CALIBRATION_FILE, read_kept
from dmft.runs.spec import RunInfo

Floats = NDArray[np.float64]
BINS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What ``calibration.json`` holds: how sure is sure enough, and what that was learnt from."""

    model_sha256: str
    """SHA-256 of the weights that it is for."""
    by: str
    """Attribute of which one value after another was held out."""
    n_groups: int
    """Its values."""
    n_records: int
    """Records held out, each once."""
    accuracy: float
    """Top-1 on them."""
    calibration_error: float
    """On them, once the temperature is applied."""
    temperature: float
    """What log-probabilities are divided by."""
    coverage: float
    """Part of records whose class is to be in its set."""
    threshold: float
    """Probability from which on a class is in the set."""

    def __post_init__(self) -> None:
        require(0 < self.coverage < 1, "coverage", self.coverage, "a number between 0 and 1")
        require(self.temperature > 0, "temperature", self.temperature, "a positive number")

    def apply(self, probabilities: Floats) -> Floats:
        """Probabilities at the temperature.

        Shapes: (B, K) -> (B, K).
        """
        return at_temperature(probabilities, self.temperature)

    def sets(self, probabilities: Floats) -> NDArray[np.bool_]:
        """Which classes are in each record's set, of probabilities at the temperature.

        Shapes: (B, K) -> (B, K).
        """
        chosen: NDArray[np.bool_] = probabilities >= self.threshold
        return chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class SetScores:
    """How sets did on records of known classes."""

    coverage: float
    """Part of the records whose class is in its set."""
    mean_size: float
    """Classes in a set."""
    unsure: float
    """Part of the records whose set is not one class."""
    accuracy_when_sure: float | None
    """Accuracy on the others; None where there are none."""
    calibration_error: float
    """Of the probabilities at the temperature."""


def at_temperature(probabilities: Floats, temperature: float) -> Floats:
    """Divide log-probabilities by a temperature.

    Shapes: (B, K) -> (B, K); rows sum to 1.
    """
    logs = np.log(np.clip(probabilities, 1e-12, None)) / temperature
    raised = np.exp(logs - logs.max(axis=1, keepdims=True))
    scaled: Floats = raised / raised.sum(axis=1, keepdims=True)
    return scaled


def calibration_error(confidence: Floats, right: NDArray[np.bool_]) -> float:
    """Expected calibration error of what was chosen, 15 bins of equal width (Guo et al. 2017).

    Shapes: confidence (B,), the probability of what was chosen, right (B,).

    >>> calibration_error(np.array([0.75, 0.75]), np.array([True, False]))
    0.25
    """
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    errors = [
        abs(float(right[bins == b].mean()) - float(confidence[bins == b].mean()))
        * float((bins == b).mean())
        for b in np.unique(bins)
    ]
    return float(sum(errors))


def error_of(probabilities: Floats, labels: NDArray[np.int64]) -> float:
    """The same of whole distributions.

    Shapes: probabilities (B, K), labels (B,).
    """
    return calibration_error(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels)


def fit_temperature(probabilities: Floats, labels: NDArray[np.int64]) -> float:
    """The temperature at which the labels are likeliest (Guo et al. 2017).

    Shapes: probabilities (B, K), labels (B,).
    """
    from scipy.optimize import minimize_scalar

    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        scaled = at_temperature(probabilities, math.exp(log_temperature))
        return float(-np.log(np.clip(scaled[rows, labels], 1e-12, None)).mean())

    found = minimize_scalar(loss, bounds=(math.log(0.2), math.log(5.0)), method="bounded")
    return math.exp(float(found.x))


def fit_threshold(probabilities: Floats, labels: NDArray[np.int64], coverage: float) -> float:
    """Probability that the true class of ``coverage`` of new records reaches.

    The quantile is that of split conformal prediction, ceil((n + 1) coverage) of n records: too few
    records for the coverage asked give 0, the set of all classes.

    Shapes: probabilities (B, K), labels (B,).

    >>> fit_threshold(np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7]]), np.array([0, 0, 1]), 0.5)
    0.7
    """
    reached = np.sort(probabilities[np.arange(len(labels)), labels])[::-1]
    place = math.ceil((len(reached) + 1) * coverage)
    return float(reached[place - 1]) if place <= len(reached) else 0.0


def set_scores(
    calibration: Calibration, probabilities: Floats, labels: NDArray[np.int64]
) -> SetScores:
    """Measure sets on records of known classes.

    Shapes: probabilities (B, K) as the vote gave them, labels (B,).
    """
    scaled = calibration.apply(probabilities)
    chosen = calibration.sets(scaled)
    sizes, rows = chosen.sum(axis=1), np.arange(len(labels))
    sure = sizes == 1
    right = scaled.argmax(axis=1) == labels
    return SetScores(
        coverage=float(chosen[rows, labels].mean()),
        mean_size=float(sizes.mean()),
        unsure=float((~sure).mean()),
        accuracy_when_sure=float(right[sure].mean()) if sure.any() else None,
        calibration_error=error_of(scaled, labels),
    )


def read_calibration(folder: Path, info: RunInfo) -> Calibration | None:
    """The calibration in a run's folder; None where there is none.

    Raises:
        ContractError: the file is damaged, or of another run.
    """
    return read_kept(
        folder, info, CALIBRATION_FILE, Calibration, command="calibrate", verb="calibrate"
    )
