"""Runs beside each other: seeds, kinds of model, the published, fewer and failing modalities.

Figures of a setting are of its whole seeds: one that lacks folds has been measured on other people.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dmft.data.coverage import comparable
from dmft.evaluation.averages import mean_scores
from dmft.evaluation.fault_scores import INTACT, FaultScores, SuiteScores, suite_scores
from dmft.evaluation.metrics import Scores
from dmft.evaluation.significance import bootstrap_macro_f1, mcnemar_p, wilson
from dmft.reports.format import count, hits_of
from dmft.reports.load import Measured
from dmft.reports.published import OVERALL, Published, PublishedFigure
from pipeline.common.words import first_of

SHOWN = "score"
"""The one published measure shown; seconds and megabytes are of other machines and networks."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Setting:
    """Runs that differ in the seed alone."""

    name: str
    """Kind and modalities, and whatever else tells it from the other settings."""
    runs: tuple[Measured, ...]
    """At least one."""

    @property
    def whole(self) -> tuple[Measured, ...]:
        """Those of the runs that its figures are of."""
        return whole_runs(self.runs)

    @property
    def left_out(self) -> str:
        """Which runs those are not, in words; empty where all are whole."""
        whole = self.whole
        wanted = _folds_of(whole[0])
        reasons = [
            f"seed {run.info.spec.seed} lacks {len(wanted - _folds_of(run))} of "
            f"{count(len(wanted), 'fold')}"
            for run in self.runs
            if run not in whole
        ]
        return first_of(reasons, 3) if reasons else ""

    @property
    def n_seeds(self) -> int:
        """How many whole seeds there are."""
        return len({run.info.spec.seed for run in self.whole})

    @property
    def metric(self) -> str:
        """The score that the protocol quotes."""
        return self.runs[0].metrics.metric

    @property
    def scores(self) -> list[float]:
        """That score of each whole run."""
        return [run.metrics.quoted for run in self.whole]

    @property
    def fold_accuracies(self) -> dict[str, float]:
        """Accuracy of each fold, a mean over seeds."""
        folds = [(f.info.spec.fold.name, f.metrics.accuracy) for r in self.whole for f in r.folds]
        return dict(pd.DataFrame(folds).groupby(0, sort=False)[1].mean())

    @property
    def sure_and_right(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Probability of what was chosen, and whether it is right, of the records of whole runs."""
        frame = pd.concat([run.predictions for run in self.whole], ignore_index=True)
        confidence = frame["probability"].to_numpy(dtype=float)
        return confidence, frame["correct"].to_numpy(dtype=bool)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % of that score, both bounds a mean over seeds."""
        matrices = [run.metrics.confusion for run in self.whole]
        bounds = [
            bootstrap_macro_f1(matrix) if self.metric == "macro_f1" else wilson(*hits_of(matrix))
            for matrix in matrices
        ]
        low, high = np.mean(bounds, axis=0)
        return float(low), float(high)


def whole_runs(runs: Sequence[Measured]) -> tuple[Measured, ...]:
    """Those of the folds of the run that has the most: half a seed is not a whole one's equal."""
    wanted = _folds_of(max(runs, key=lambda run: len(run.folds)))
    return tuple(run for run in runs if _folds_of(run) == wanted)


def _folds_of(run: Measured) -> set[str]:
    return {fold.info.spec.fold.name for fold in run.folds}


def settings_of(runs: Sequence[Measured]) -> list[Setting]:
    """Group runs by setting, in the order in which they first occur."""
    several = len({run.info.source.protocol.name for run in runs}) > 1
    groups: dict[str, list[Measured]] = {}
    for run in runs:
        groups.setdefault(run.setting, []).append(run)

    def words(run: Measured) -> str:
        protocol = f", {run.info.source.protocol.name}" if several else ""
        return f"{run.info.spec.model_name}, {' + '.join(run.info.spec.modalities)}{protocol}"

    alike = Counter(words(group[0]) for group in groups.values())
    return [
        Setting(
            name=words(group[0]) + (f" ({group[0].name})" if alike[words(group[0])] > 1 else ""),
            runs=tuple(group),
        )
        for group in groups.values()
    ]


def kinds_compared(settings: Sequence[Setting]) -> Iterator[dict[str, Any]]:
    """Each protocol and set of modalities that has more than one kind of model."""
    groups: dict[tuple[str, str], dict[str, list[Measured]]] = {}
    for run in (run for setting in settings for run in setting.whole):
        key = (run.info.source.protocol.name, " + ".join(run.info.spec.modalities))
        groups.setdefault(key, {}).setdefault(run.info.spec.model_name, []).append(run)
    for (protocol, modalities), by_kind in groups.items():
        if len(by_kind) > 1:
            scores = {kind: [r.metrics.quoted for r in group] for kind, group in by_kind.items()}
            yield {
                "protocol": protocol,
                "modalities": modalities,
                "metric": next(iter(by_kind.values()))[0].metrics.metric,
                "scores": scores,
                "means": {kind: statistics.fmean(values) for kind, values in scores.items()},
                "paired": _paired(by_kind.get("distilled", ()), by_kind.get("student", ())),
            }


def _paired(distilled: Iterable[Measured], raw: Iterable[Measured]) -> str:
    """Records that only the distilled, and only the raw student of the same seed got right."""
    raw_of = {run.info.spec.seed: run for run in raw}
    n_distilled = n_raw = 0
    for run in distilled:
        if run.info.spec.seed in raw_of:
            other = raw_of[run.info.spec.seed].predictions
            both = run.predictions.merge(other, on="record")
            n_distilled += int((both["correct_x"] & ~both["correct_y"]).sum())
            n_raw += int((both["correct_y"] & ~both["correct_x"]).sum())
    if not n_distilled + n_raw:
        return "–"
    return f"{n_distilled} to {n_raw}, p = {mcnemar_p(n_distilled, n_raw):.2g}"


def beside_published(settings: Sequence[Setting], published: Published) -> Iterator[dict[str, Any]]:
    """Ours beside published figures of the same protocol, modalities and kind of model.

    Figures of one thing and one value are one row, the overall ones first.
    """
    for setting in settings:
        run = setting.whole[0]
        spec, teacher = run.info.spec, run.info.spec.config.teacher
        if spec.kind == "teacher" and not teacher.fusion_layers:
            continue  # late fusion is not the paper's teacher
        alike: dict[tuple[bool, str, float], list[PublishedFigure]] = {}
        for figure in published.figures:
            tokens = figure.fusion_tokens or published.fusion_tokens
            if (
                figure.measure == SHOWN
                and figure.model == spec.model_name
                and figure.protocol == run.info.source.protocol.name
                and set(figure.modalities) == set(spec.modalities)
                and (figure.model != "teacher" or tokens == teacher.fusion_tokens)
            ):
                key = (figure.of != OVERALL, figure.of, figure.value)
                alike.setdefault(key, []).append(figure)
        for (is_modality, subject_of, value), figures in sorted(
            alike.items(), key=lambda row: row[0][0]
        ):
            tables = sorted({figure.table for figure in figures})
            where = f"Table{'s' if len(tables) > 1 else ''} {', '.join(map(str, tables))}"
            measured = [
                r.metrics.modalities[subject_of] if is_modality else r.metrics
                for r in setting.whole
            ]
            ours = [scores.score(setting.metric) for scores in measured]
            source = run.info.source
            covers, is_like = comparable(
                source.coverage, source.shared, fabricated=source.fabricated
            )
            yield {
                "setting": setting,
                "of": subject_of,
                "published": value / 100,
                "ours": ours,
                "mean": statistics.fmean(ours),
                "coverage": covers or "not known",
                "difference": statistics.fmean(ours) - value / 100 if is_like else None,
                "where": "; ".join([where, *dict.fromkeys(f.note for f in figures if f.note)]),
            }


def missing_modalities(run: Measured) -> Iterator[tuple[str, Scores]]:
    """A run's scores with all modalities, and with every smaller set of them."""
    if run.metrics.missing_modalities:
        yield " + ".join(run.info.spec.modalities), run.metrics
        for subset in run.metrics.missing_modalities:
            yield " + ".join(subset.modalities), subset


def faulty_modalities(run: Measured) -> Iterator[tuple[str, Scores]]:
    """Scores of a run's folds with none and with each fault, where all of them were measured."""
    if all(fold.faults for fold in run.folds):
        for fold in run.folds:
            yield from sorted(fold.faults.items(), key=lambda fault: fault[0] != INTACT)


def fault_means(setting: Setting) -> dict[str, FaultScores]:
    """Scores by fault, means over folds and runs; empty where not all of them were measured."""
    return mean_faults([fold.faults for run in setting.whole for fold in run.folds])


def mean_faults(measured: Sequence[Mapping[str, FaultScores]]) -> dict[str, FaultScores]:
    """Means of what several models score by fault; empty where not all of them were measured."""
    if not measured or not all(measured):
        return {}
    names = [name for name in measured[0] if all(name in faults for faults in measured)]
    return {name: mean_scores([faults[name] for faults in measured]) for name in names}


def suites_compared(settings: Sequence[Setting]) -> Iterator[tuple[Setting, SuiteScores]]:
    """The suite of faults of each setting of which all was measured."""
    for setting in settings:
        if means := fault_means(setting):
            learnt_from = setting.runs[0].info.spec.config.doubt.faults
            yield setting, suite_scores(means, setting.metric, learnt_from)


def conditions_compared(
    settings: Sequence[Setting],
    scores_of: Callable[[Measured], Iterable[tuple[str, Any]]],
) -> pd.DataFrame:
    """Mean scores of each setting under each condition, and the change from the first of them."""
    rows = [
        {
            "setting": setting.name,
            "condition": condition,
            "run": run.name,
            "n_records": scores.n_records,
            "accuracy": scores.accuracy,
            "macro_f1": scores.macro_f1,
            "certainty": getattr(scores, "confidence", np.nan),
        }
        for setting in settings
        for run in setting.whole
        for condition, scores in scores_of(run)
    ]
    if not rows:
        return pd.DataFrame()
    groups = pd.DataFrame(rows).groupby(["setting", "condition"], sort=False)
    means = groups[["accuracy", "macro_f1", "certainty"]].mean()
    means["n_records"] = groups["n_records"].first()
    means["n_runs"] = groups["run"].nunique()
    intact = means.groupby("setting", sort=False)["accuracy"].transform("first")
    is_first = ~means.index.get_level_values("setting").duplicated()
    return means.assign(change=means["accuracy"] - intact, is_first=is_first).reset_index()
