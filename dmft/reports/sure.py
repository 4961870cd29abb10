"""How sure the answers of settings are, and what answering only the sure ones costs."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from dmft.evaluation.calibration import calibration_error, set_scores
from dmft.evaluation.selective import risk_coverage
from dmft.reports.compare import Setting

SURE_FROM = (0.5, 0.8, 0.9, 0.95, 0.99)
"""Probabilities from which an answer counts, in the table of how sure is how right."""


class Sure(NamedTuple):
    """What is left of the answers where only some count."""

    least: float
    """Probability from which an answer counts."""
    answered: float
    """Part of the records that then have one."""
    accuracy: float | None
    """Of those; None where there are none."""


def sureness(settings: Sequence[Setting]) -> Iterator[tuple[Setting, float, float, list[Sure]]]:
    """Calibration error of each setting, the area under its risk, and what sure answers leave."""
    for setting in settings:
        confidence, right = setting.sure_and_right
        rows = []
        for least in SURE_FROM:
            answered = confidence >= least
            share = float(right[answered].mean()) if answered.any() else None
            rows.append(Sure(least, float(answered.mean()), share))
        area = risk_coverage(confidence, right).area
        yield setting, calibration_error(confidence, right), area, rows


class Sets(NamedTuple):
    """What sets of classes with a stated coverage do on test records."""

    wanted: float
    """Coverage that was asked for."""
    coverage: float
    """Part of the records whose class is in its set."""
    mean_size: float
    """Classes in a set."""
    unsure: float
    """Part of the records whose set is not one class."""
    accuracy_when_sure: float | None
    """Of the others; None where there are none."""
    calibration_error: float
    """Of the probabilities at the temperature, a mean over folds."""


def sets_compared(settings: Sequence[Setting]) -> Iterator[tuple[Setting, Sets]]:
    """The sets of each setting of which every fold is calibrated, for one coverage."""
    for setting in settings:
        folds = [fold for run in setting.whole for fold in run.folds]
        found = [(fold.calibration, fold.votes) for fold in folds if fold.calibration is not None]
        wanted = {calibration.coverage for calibration, _ in found}
        if len(found) < len(folds) or len(wanted) != 1:
            continue
        scores = [set_scores(c, votes.probabilities, votes.labels) for c, votes in found]
        n = np.array([len(votes.labels) for _, votes in found])
        sure = n * (1 - np.array([each.unsure for each in scores]))
        right = [each.accuracy_when_sure or 0.0 for each in scores]
        yield (
            setting,
            Sets(
                wanted=wanted.pop(),
                coverage=float(np.average([each.coverage for each in scores], weights=n)),
                mean_size=float(np.average([each.mean_size for each in scores], weights=n)),
                unsure=float(np.average([each.unsure for each in scores], weights=n)),
                accuracy_when_sure=float(right @ sure / sure.sum()) if sure.any() else None,
                calibration_error=statistics.fmean(each.calibration_error for each in scores),
            ),
        )
