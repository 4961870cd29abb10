"""The numbers of each chart, of which the page's script and matplotlib draw the same figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dmft.data.fault_words import REMOVED
from dmft.evaluation.fault_scores import AND, INTACT
from dmft.evaluation.metrics import Matrix
from dmft.evaluation.selective import reliability_steps, risk_coverage
from dmft.evaluation.significance import wilson
from dmft.reports.compare import Setting, fault_means
from dmft.reports.format import hits_of
from dmft.reports.load import Measured
from dmft.reports.pairs import People, person_accuracies

WHOLE = "all modalities"
MAX_ERRORS = 2000
"""Most wrong records of a run that the page carries for the matrix's cells."""
CURVES = {
    "loss": "loss",
    "accuracy": "accuracy of training",
    "val_loss": "loss on people held out",
    "val_accuracy": "accuracy on people held out",
}
"""Columns of the epochs that are drawn, to what they are."""
MAX_EPOCHS = 80
"""Most points of a training curve on the page; the figures for a paper have all."""
MAX_POINTS = 120
"""Most points of a curve over coverage."""


def chart_data(
    runs: Sequence[Measured], settings: Sequence[Setting], people: People | None = None
) -> dict[str, Any]:
    """Return plain data for JSON; lists of classes and records that are equal stand there once."""
    classes = list(dict.fromkeys(run.info.spec.classes for run in runs))
    numbers = {setting.runs[0].setting: number for number, setting in enumerate(settings)}
    tested = [tuple(run.predictions["record"]) for run in runs]
    sides = list(dict.fromkeys(tested))
    records = {record: k for k, record in enumerate(dict.fromkeys(r for s in sides for r in s))}
    known = dict[str, str]()
    for person_of in (people or {}).values():
        known |= person_of.to_dict()
    shown = [run_data(run) for run in runs]
    for run, data, side in zip(runs, shown, tested, strict=True):
        data["classes"] = classes.index(run.info.spec.classes)
        data["setting"] = numbers[run.setting]
        data["tested"] = sides.index(side)
        data["errors"] = [[records[record], *rest] for record, *rest in data["errors"]]
        data["curves"] = [thinned(curve) for curve in data["curves"]]
    return {
        "classes": classes,
        "records": list(records),
        "people": [known.get(record) for record in records],
        "tested": [[records[record] for record in side] for side in sides],
        "runs": shown,
        "settings": [setting_data(setting, people or {}) for setting in settings],
    }


def thinned(curve: Mapping[str, Any]) -> dict[str, Any]:
    """A training curve of few enough points for a page, with the epoch of each."""
    n = len(curve["loss"])
    kept = np.unique(np.linspace(0, n - 1, min(n, MAX_EPOCHS)).astype(int)).tolist()
    points = {name: [curve[name][k] for k in kept] for name in CURVES if name in curve}
    return {"fold": curve["fold"], "epoch": [k + 1 for k in kept], **points}


def setting_data(setting: Setting, people: People) -> dict[str, Any]:
    """One setting: accuracy by fold and person, and how sure of how much, over all its seeds."""
    confidence, right = setting.sure_and_right
    curve = risk_coverage(confidence, right)
    shown = np.unique(np.linspace(0, len(curve.risk) - 1, MAX_POINTS).astype(int))
    points = zip(curve.coverage[shown], curve.risk[shown], curve.least[shown], strict=True)
    return {
        "name": setting.name,
        "kind": setting.runs[0].info.spec.kind,
        "folds": setting.fold_accuracies,
        "people": person_accuracies(setting, people),
        "risk": [[round(float(value), 4) for value in point] for point in points],
        "reliability": [
            [round(step.confidence, 4), round(step.accuracy, 4), step.n_records]
            for step in reliability_steps(confidence, right)
        ],
        "faults": fault_data(setting),
    }


def fault_data(setting: Setting) -> dict[str, Any] | None:
    """The protocol's score with each single fault and its degrees; None where not measured."""
    means = fault_means(setting)
    if not means:
        return None
    known = {REMOVED, *setting.runs[0].info.spec.config.doubt.faults}
    return {
        "intact": round(means[INTACT].score(setting.metric), 4),
        "single": [
            {
                "family": name.split()[0],
                "modality": name.split()[1],
                "learnt": name.split()[0] in known,
                "score": round(scores.score(setting.metric), 4),
                "degrees": {d: round(part, 4) for d, part in scores.by_severity.items()},
            }
            for name, scores in means.items()
            if name != INTACT and AND not in name
        ],
    }


def matrices_of(run: Measured) -> dict[str, Matrix]:
    """Confusion by the vote of all modalities, and by that of each where there are several."""
    modalities = run.metrics.modalities if len(run.metrics.modalities) > 1 else {}
    return {WHOLE: run.metrics.confusion} | {n: own.confusion for n, own in modalities.items()}


def run_data(run: Measured) -> dict[str, Any]:
    """One run: its accuracy with an interval, and by vote, class, wrong record and epoch."""
    metrics = run.metrics
    hits, n = hits_of(metrics.confusion)
    errors = run.errors[:MAX_ERRORS]
    return {
        "name": run.name,
        "kind": run.info.spec.kind,
        "metric": metrics.metric,
        "classes": run.info.spec.classes,
        "pooled": hits / max(n, 1),
        "interval": [round(bound, 5) for bound in wilson(hits, n)],
        "baseline": metrics.nearest_neighbour_accuracy,
        "confusion": matrices_of(run),
        "errors": [
            [error.record, error.label, error.predicted, round(error.probability, 3)]
            for error in errors.itertuples()
        ],
        "curves": [
            {"fold": fold.info.spec.fold.name}
            | {
                name: [
                    round(value, 4) if np.isfinite(value) else None for value in fold.epochs[name]
                ]
                for name in CURVES
                if name in fold.epochs and fold.epochs[name].notna().any()
            }
            for fold in run.folds
            if len(fold.epochs)
        ],
    }
