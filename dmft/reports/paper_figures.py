"""Which of the paper's figures can be drawn of some runs, and the numbers in them.

What each figure shows is data (``data_manifests/figures.toml``). A figure is a mean over seeds, and
a seed's numbers are of the records of all its folds together.
"""

from __future__ import annotations

import statistics
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dmft.experiments.grid import MODELS
from dmft.models.config import require
from dmft.reports.charts import matrices_of
from dmft.reports.compare import whole_runs
from dmft.reports.format import METRIC_NAMES, count
from dmft.reports.load import Measured
from dmft.reports.names import letters_of, recipes_of
from pipeline.common.settings import parse_table, shipped_folder

KINDS = ("confusion", "modalities")
F1 = "macro_f1"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperFigure:
    """One figure of the paper, and the runs that it is of."""

    name: str
    """Names its files."""
    kind: str
    """``confusion``: a matrix; ``modalities``: each class by each modality beside the whole."""
    protocol: str
    """Ours of the same rule."""
    modalities: tuple[str, ...]
    """What went in."""
    model: str
    """teacher, student or distilled."""
    experiments: tuple[str, ...]
    """Shipped experiments that make the runs."""

    def __post_init__(self) -> None:
        require(self.kind in KINDS, "kind", self.kind, f"one of {', '.join(KINDS)}")
        require(self.model in MODELS, "model", self.model, f"one of {', '.join(MODELS)}")

    def is_of(self, run: Measured) -> bool:
        """Whether a run can be in it; a teacher without mid-fusion is not the paper's."""
        spec = run.info.spec
        return (
            spec.model_name == self.model
            and run.info.source.protocol.name == self.protocol
            and set(spec.modalities) == set(self.modalities)
            and (spec.kind != "teacher" or spec.config.teacher.fusion_layers > 0)
        )

    @property
    def wanted(self) -> str:
        """The runs in words."""
        return f"{self.model} {letters_of(self.modalities)} on {self.protocol}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperFigures:
    """The whole file."""

    figures: tuple[PaperFigure, ...]
    """In the order of the paper."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawn:
    """The numbers of one figure, of runs that differ in the seed alone."""

    figure: PaperFigure
    name: str
    """The figure's, and the recipe where runs of several are at hand."""
    title: tuple[str, ...]
    """What it is of, how good that is, and over how many folds and seeds."""
    classes: tuple[str, ...]
    """Names."""
    measure: str
    """What the values by class are: accuracy or F1."""
    matrix: Any
    """Percent of each true class; NaN for a class without records. Shapes: (K, K)."""
    by_class: dict[str, Any]
    """The whole and each modality to their values by class in percent. Shapes: (K,)."""


def load_paper_figures() -> tuple[PaperFigure, ...]:
    """Read the file that ships."""
    text = (shipped_folder() / "figures.toml").read_text()
    return parse_table(PaperFigures, tomllib.loads(text), where="figures.toml").figures


def draw(figure: PaperFigure, runs: Sequence[Measured]) -> Iterator[Drawn]:
    """The numbers of a figure, once for each setting in which its runs are at hand."""
    settings: dict[str, list[Measured]] = {}
    for run in runs:
        if figure.is_of(run):
            settings.setdefault(run.setting, []).append(run)
    if not settings:
        return
    recipes = recipes_of([group[0].info.spec.config for group in settings.values()])
    for number, group in enumerate(settings.values(), start=1):
        recipe = recipes[number - 1]
        apart = recipe if recipes.count(recipe) == 1 else f"{recipe} {number}"
        several = len(settings) > 1
        chosen = list({run.info.spec.seed: run for run in whole_runs(group)}.values())  # one a seed
        spec, metric = chosen[0].info.spec, chosen[0].metrics.metric
        score = 100 * statistics.fmean(run.metrics.quoted for run in chosen)
        parts = [
            f"{spec.kind} {letters_of(spec.modalities)}, {figure.protocol}",
            f"{METRIC_NAMES[metric]} {score:.2f} %",
            f"{count(len(chosen[0].folds), 'fold')}, mean of {count(len(chosen), 'seed')}",
        ]
        yield Drawn(
            figure=figure,
            name=f"{figure.name} {apart}" if several else figure.name,
            title=(*parts, apart) if several else tuple(parts),
            classes=tuple(name.replace("_", " ") for name in spec.classes),
            measure="F1" if metric == F1 else "accuracy",
            matrix=_mean([percent_of_class(run.metrics.confusion) for run in chosen]),
            by_class={
                name: _mean([by_class(matrices_of(run)[name], metric) for run in chosen])
                for name in matrices_of(chosen[0])
            },
        )


def percent_of_class(matrix: Sequence[Sequence[int]]) -> Any:
    """A confusion matrix in percent of each row; NaN for a class without records.

    >>> percent_of_class([[3, 1], [0, 0]]).tolist()
    [[75.0, 25.0], [nan, nan]]
    """
    counts = np.array(matrix, dtype=float)
    return _percent(counts, np.broadcast_to(counts.sum(axis=1, keepdims=True), counts.shape))


def by_class(matrix: Sequence[Sequence[int]], metric: str) -> Any:
    """Accuracy of each class, or its F1 where that is quoted, in percent; NaN for none.

    >>> by_class([[3, 1], [1, 0]], "accuracy").tolist(), by_class([[3, 1], [1, 0]], "macro_f1")[0]
    ([75.0, 0.0], np.float64(75.0))
    """
    counts = np.array(matrix, dtype=float)
    correct, true, predicted = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    return _percent(2 * correct, true + predicted) if metric == F1 else _percent(correct, true)


def _percent(parts: Any, wholes: Any) -> Any:
    return np.divide(100 * parts, wholes, out=np.full_like(parts, np.nan), where=wholes > 0)


def _mean(arrays: Sequence[Any]) -> Any:
    """Mean over seeds; NaN where a class has records in none."""
    return np.ma.masked_invalid(arrays).mean(axis=0).filled(np.nan)
