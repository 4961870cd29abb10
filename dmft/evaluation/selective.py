"""Answering only where sure: how often that is right, and how sure answers are of themselves.

Arrays in, numbers out; no model and no run here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dmft.evaluation.calibration import BINS

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
FEWEST = 10
"""Records that a step of a reliability diagram has at the least; of fewer it would be noise."""


class Step(NamedTuple):
    """Answers of about one probability."""

    confidence: float
    """Their mean probability."""
    accuracy: float
    """Part of them that is right."""
    n_records: int
    """How many they are."""


class Selective(NamedTuple):
    """What answering only the surest records costs, from the surest one to all."""

    coverage: Floats
    """Part of the records that is answered. Shapes: (n,)."""
    risk: Floats
    """Part of those that is wrong. Shapes: (n,)."""
    least: Floats
    """Probability from which a record is answered. Shapes: (n,)."""
    area: float
    """Area under the risk over the coverage (AURC): the lower, the better doubt is placed."""


def reliability_steps(
    confidence: Floats, right: Bools, n_steps: int = BINS, at_least: int = FEWEST
) -> list[Step]:
    """Answers in steps of equal width (Guo et al. 2017); one of too few is joined with the next.

    Shapes: confidence (B,), the probability of what was chosen, right (B,).

    >>> sure, right = np.array([0.75, 0.75, 0.2]), np.array([True, False, False])
    >>> [tuple(step) for step in reliability_steps(sure, right, n_steps=2, at_least=1)]
    [(0.2, 0.0, 1), (0.75, 0.5, 2)]
    >>> [step.n_records for step in reliability_steps(sure, right, n_steps=2, at_least=2)]
    [3]
    """
    step_of = np.minimum((confidence * n_steps).astype(int), n_steps - 1)
    groups: list[NDArray[np.int64]] = []
    for step in np.unique(step_of):
        inside = np.flatnonzero(step_of == step)
        if groups and len(groups[-1]) < at_least:
            groups[-1] = np.concatenate([groups[-1], inside])
        else:
            groups.append(inside)
    return [
        Step(float(confidence[group].mean()), float(right[group].mean()), len(group))
        for group in groups
    ]


def risk_coverage(confidence: Floats, right: Bools) -> Selective:
    """The risk at each coverage that a threshold on the probability can reach (El-Yaniv 2010).

    Records of equal probability are answered together, so the order of a file plays no part.

    Shapes: confidence (B,), right (B,).

    >>> curve = risk_coverage(np.array([0.9, 0.6, 0.6, 0.3]), np.array([True, True, False, False]))
    >>> curve.coverage.tolist(), curve.risk.round(2).tolist(), round(curve.area, 2)
    ([0.25, 0.75, 1.0], [0.0, 0.33, 0.5], 0.29)
    """
    n = len(confidence)
    if not n:
        return Selective(np.zeros(0), np.zeros(0), np.zeros(0), 0.0)
    order = np.argsort(-confidence, kind="stable")
    sure, wrong = confidence[order], np.cumsum(~right[order])
    ends = np.flatnonzero(np.append(sure[:-1] != sure[1:], True))
    answered = ends + 1
    coverage, risk = answered / n, wrong[ends] / answered
    area = float((risk * np.diff(coverage, prepend=0.0)).sum())
    return Selective(coverage, risk, sure[ends], area)
