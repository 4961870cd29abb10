"""Ours beside the published figures: which results belong to a figure, their mean and spread."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dmft.data.coverage import comparable
from dmft.evaluation.averages import average, natural_key
from dmft.reports.published import OVERALL, Published, PublishedFigure

LABEL_DIGITS = 6
MODEL = ["protocol", "modalities", "model", "fusion", "fusion_tokens"]
"""What our own tables have lines for, each recipe apart."""
FIGURES = ("mean", "seed_std", "fold_std", "n_seeds", "n_folds", "n_folds_wanted")
NOTHING = {
    "recipe": "",
    "coverage": "",
    "shared": "",
    "is_whole": False,
    **dict.fromkeys(FIGURES, np.nan),
}
"""What stands for ours where nothing was measured."""
UNPUBLISHED = {"published": np.nan, "difference": np.nan, "source": "", "note": ""}
"""What stands for the paper's figure in tables that it does not have."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PaperTable:
    """A table of the paper, or one of ours in its form."""

    name: str
    """``table-1``; names its files."""
    title: str
    """With its number."""
    unit: str
    """Unit of the figures."""
    lines: pd.DataFrame
    """In the paper's order: ``protocol``, ``modalities``, ``method``, ``fusion_tokens`` (0 where
    the table is not about it), ``what`` (the measure or the modality, where the table has several),
    ``published``, ``source`` and ``note``; of ours an :class:`dmft.evaluation.averages.Average`,
    ``recipe``, ``n_folds_wanted``, ``coverage`` (of the published data set, in words), ``is_whole``
    (whether ours is of the same recordings as the published)
    and ``shared`` (what both sides share, in words), and their ``difference`` where they may be
    compared. What there is not is NaN."""
    experiments: tuple[str, ...] = ()
    """Shipped experiments that make ours."""

    @property
    def has_ours(self) -> bool:
        """Whether there is anything of ours in it."""
        return bool(self.lines["mean"].notna().any())


def build_tables(published: Published, results: pd.DataFrame) -> tuple[PaperTable, ...]:
    """Return the paper's tables, and those of ours alone for which there is anything.

    Args:
        published: The paper's figures.
        results: As :func:`dmft.experiments.read_results` gives them.
    """
    results = results.assign(label=_labels(results))
    tables = []
    for info in published.tables:
        figures = [figure for figure in published.figures if figure.table == info.number]
        several = len({(figure.measure, figure.of) for figure in figures}) > 1
        lines = [
            {
                "protocol": figure.protocol,
                "modalities": "+".join(figure.modalities),
                "method": figure.method,
                "fusion_tokens": figure.fusion_tokens,
                "what": _what(figure) if several else "",
                "published": figure.value,
                "difference": _difference(ours, figure),
                "source": published.sources[figure.source],
                "note": figure.note,
                **ours,
            }
            for figure in figures
            for ours in _ours_beside(figure, published, results) or [NOTHING]
        ]
        tables.append(
            PaperTable(
                name=f"table-{info.number}",
                title=f"Table {info.number}: {info.title}",
                unit=info.unit,
                lines=pd.DataFrame(lines),
                experiments=info.experiments,
            )
        )
    return (*tables, *_own_tables(results))


def _difference(ours: Mapping[str, Any], figure: PublishedFigure) -> float:
    """Ours less the published, where both are of the same recordings; sizes are of no recording."""
    is_of_data = figure.measure != "saved_megabytes"
    is_like = ours["is_whole"] and ours["n_folds"] == ours["n_folds_wanted"]
    return ours["mean"] - figure.value if is_like or not is_of_data else np.nan


def _what(figure: PublishedFigure) -> str:
    return figure.of if figure.measure == "score" else figure.measure.replace("_", " ")


def _labels(results: pd.DataFrame) -> list[str]:
    """What each result's recipe is called, told apart where names alone do not do it."""
    n_configs = results.groupby("recipe")["config_hash"].nunique()
    sources = results["network"].map(
        lambda own: "" if own is None else f"{own.name} {own.source_sha256}"
    )
    n_sources = sources.groupby(results["model"]).nunique()
    n_caches = results["cache_fingerprint"].nunique()
    labels = []
    for result in results.itertuples():
        parts = [result.recipe]
        if len(result.teachers) > 1:
            parts.append(f"{len(result.teachers)} teachers")
        if n_configs[result.recipe] > 1:
            parts.append(f"configuration {result.config_hash[:LABEL_DIGITS]}")
        if n_sources[result.model] > 1:
            own = result.network
            parts.append(f"{own.name} of source {own.source_sha256[:LABEL_DIGITS]}")
        if n_caches > 1:
            parts.append(f"cache {result.cache_fingerprint[:LABEL_DIGITS]}")
        labels.append(", ".join(parts))
    return labels


def _ours_beside(
    figure: PublishedFigure, published: Published, results: pd.DataFrame
) -> list[dict[str, Any]]:
    """One for each recipe that was measured; the teacher is the one with mid-fusion."""
    wanted = set(figure.modalities)
    fitting = results[
        (results["model"] == figure.model)
        & (results["protocol"] == figure.protocol)
        & results["modalities"].map(lambda names: set(names.split("+")) == wanted).astype(bool)
        & ((results["model"] == "student") | (results["fusion"] == "mid"))
    ]
    ours = []
    for _, group in fitting.groupby("label", sort=False):
        tokens = figure.fusion_tokens or published.fusion_tokens
        if not figure.fusion_tokens and tokens not in set(group["fusion_tokens"]):
            tokens = group["fusion_tokens"].value_counts().index[0]
        chosen = group[group["fusion_tokens"].isin([tokens, 0])]
        if len(chosen):
            ours.append(_ours(chosen.assign(value=_values(figure, chosen))))
    return ours


def _values(figure: PublishedFigure, results: pd.DataFrame) -> pd.Series[float]:
    """The counterpart of a figure in some results."""
    if figure.measure == "seconds_per_epoch":
        return results["seconds_per_epoch"]
    if figure.measure == "saved_megabytes":
        return results["saved_bytes"] / 1e6
    if figure.of == OVERALL:
        return 100 * results["score"]
    scores = [
        100 * own[figure.of].score(metric)
        for own, metric in zip(results["by_modality"], results["metric"], strict=True)
    ]
    return pd.Series(scores, index=results.index)


def _ours(runs: pd.DataFrame) -> dict[str, Any]:
    """Columns of ours, of the ``value`` of some runs of one recipe."""
    n_folds = int(runs["n_folds"].iloc[0])
    mean = dataclasses.asdict(average(runs, n_folds))
    shared = {name: n for of_run in runs["shared"] for name, n in of_run.items()}
    covers, is_whole = comparable(
        runs["coverage"].iloc[0], shared, fabricated=bool(runs["fabricated"].any())
    )
    return {
        **mean,
        "recipe": runs["label"].iloc[0],
        "n_folds_wanted": n_folds,
        "coverage": covers,
        "is_whole": is_whole,
        "shared": f"recordings of both sides share files of {', '.join(shared)}" if shared else "",
    }


def _own_tables(results: pd.DataFrame) -> Iterator[PaperTable]:
    """Tables that the paper does not have, where there is anything to put into them.

    A line is a model, a recipe and ``what``: a mean of ``value`` over folds and seeds.
    """
    score = "the protocol's own figure, %"
    whole = results.assign(what="", value=100 * results["score"])
    teachers = whole[whole["model"] == "teacher"]
    fusion = teachers if (teachers["fusion"] != "mid").any() else teachers[:0]
    calibration = "Calibration error of the voted probabilities"
    errors = results.assign(what="", value=100 * results["calibration_error"])
    beside = whole if whole["model"].nunique() > 1 else whole[:0]
    for name, title, unit, runs in (
        ("models", "Every model", score, beside),
        ("fusion", "Fusion of the teacher", score, fusion),
        ("folds", "Each fold", score, _fold_runs(results)),
        ("people", "Each person", "accuracy, %", _person_runs(results)),
        ("calibration", calibration, "%", errors),
    ):
        lines = [
            {
                "protocol": protocol,
                "modalities": modalities,
                "method": f"{model}, fusion {fusion}" if group["network"].isna().all() else model,
                "fusion_tokens": tokens,
                "what": what,
                **UNPUBLISHED,
                **_ours(of_recipe[of_recipe["what"] == what]),
            }
            for (protocol, modalities, model, fusion, tokens), group in runs.groupby(MODEL)
            for _, of_recipe in group.groupby("label", sort=False)
            for what in sorted(of_recipe["what"].unique(), key=natural_key)
        ]
        if lines:
            title = f"{title} (not in the paper)"
            yield PaperTable(name=name, title=title, unit=unit, lines=pd.DataFrame(lines))


def _fold_runs(results: pd.DataFrame) -> pd.DataFrame:
    several = results.groupby([*MODEL, "label"])["fold"].transform("nunique") > 1
    runs = results[several]
    return runs.assign(what=runs["fold"], value=100 * runs["score"], n_folds=1)


def _person_runs(results: pd.DataFrame) -> pd.DataFrame:
    runs = results.assign(person=results["subjects"].map(list)).explode("person")
    runs = runs.dropna(subset="person").reset_index(drop=True)
    pairs = zip(runs["subjects"], runs["person"], strict=True)
    runs["value"] = [100 * subjects[person].accuracy for subjects, person in pairs]
    runs["n_folds"] = runs.groupby([*MODEL, "label", "person"])["fold"].transform("nunique")
    return runs.assign(what="person " + runs["person"].astype(str))
