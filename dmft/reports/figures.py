"""Figures for a paper: the report's, drawn by matplotlib as PDF or SVG with text kept as text.

Needs the extra ``report``. A figure is a file of its own, in light colours, with marks and line
styles that also tell series apart in black and white.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from dmft.evaluation.significance import wilson
from dmft.reports.load import Measured

FORMATS = ("pdf", "svg", "png")
INK, COLOURS = "#1b1f24", ("#1b1f24", "#0b6cb3", "#b8500f", "#00795c", "#9a3f86", "#7a6a00")
MARKS = ("D", "o", "^", "s", "X", "v")
STYLE: Any = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#5a6370",
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "dmft",
    "savefig.bbox": "tight",
}


def write_figures(runs: Sequence[Measured], folder: Path, formats: Sequence[str]) -> list[Path]:
    """Draw every figure of some runs; return the files, whose bytes depend on the runs alone."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with mpl.rc_context(STYLE):
        for name, figure in _figures(runs):
            for kind in formats:
                path = folder / f"{re.sub('[^A-Za-z0-9_-]+', '-', name)}.{kind}"
                # Without a date in it, the same runs give the same bytes.
                plain = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
                figure.savefig(path, dpi=300, metadata=plain.get(kind))
                written.append(path)
    return written


def _figures(runs: Sequence[Measured]) -> Iterator[tuple[str, Figure]]:
    yield "accuracy", accuracy_figure(runs)
    for run in runs:
        yield f"confusion-{run.name}", confusion_figure(run)
        yield f"class-accuracy-{run.name}", class_figure(run)
        if any(len(fold.epochs) for fold in run.folds):
            yield f"training-{run.name}", training_figure(run)


def accuracy_figure(runs: Sequence[Measured]) -> Figure:
    """Accuracy of each run over all its test records, with Wilson's 95 % interval."""
    figure, axes = _sheet(4.8, 0.7 + 0.22 * len(runs))
    for row, run in enumerate(runs):
        matrix = np.array(run.metrics.confusion)
        hits, n = int(matrix.trace()), int(matrix.sum())
        kind = ("teacher", "student", "distilled").index(run.info.spec.kind)
        low, high = (100 * bound for bound in wilson(hits, n))
        axes.plot([low, high], [row, row], color=COLOURS[kind], linewidth=1.5)
        axes.plot(100 * hits / max(n, 1), row, MARKS[kind], color=COLOURS[kind], markersize=4)
    labels = [
        run.name if run.name == run.info.spec.kind else f"{run.name} ({run.info.spec.kind})"
        for run in runs
    ]
    axes.set_yticks(range(len(runs)), labels)
    axes.set_ylim(len(runs) - 0.4, -0.6)
    axes.set_xlabel("accuracy (%), with its 95 % interval")
    axes.grid(axis="x", color="#e6e9ee")
    return figure


def confusion_figure(run: Measured) -> Figure:
    """The confusion matrix in percent of the true class (the paper's Figure 4)."""
    matrix = np.array(run.metrics.confusion, dtype=float)
    totals = matrix.sum(axis=1, keepdims=True)
    parts = np.divide(100 * matrix, totals, out=np.zeros_like(matrix), where=totals > 0)
    K = len(matrix)
    side = 1.6 + 0.2 * K
    figure, axes = _sheet(side, side)
    axes.imshow(parts, cmap="Blues", vmin=0, vmax=100)
    for i, j in zip(*np.nonzero(parts), strict=True):
        axes.text(
            j,
            i,
            f"{parts[i, j]:.0f}",
            ha="center",
            va="center",
            fontsize=5.5,
            color="white" if parts[i, j] > 55 else INK,
        )
    axes.set_xticks(range(K), run.info.spec.classes, rotation=90)
    axes.set_yticks(range(K), run.info.spec.classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true class, in percent of its records")
    axes.spines[:].set_visible(True)
    return figure


def class_figure(run: Measured) -> Figure:
    """Accuracy of each class by each modality beside the whole (Figures 5 and 6)."""
    modalities = run.metrics.modalities
    series = {"all modalities": run.metrics.confusion}
    if len(modalities) > 1:
        series |= {name: own.confusion for name, own in modalities.items()}
    K = len(run.info.spec.classes)
    figure, axes = _sheet(1.2 + 0.2 * max(K, 12), 2.6)
    for kind, (name, counts) in enumerate(series.items()):
        matrix = np.array(counts, dtype=float)
        totals = matrix.sum(axis=1)
        parts = np.divide(matrix.diagonal(), totals, out=np.full(K, np.nan), where=totals > 0)
        axes.plot(
            range(K),
            100 * parts,
            MARKS[kind % len(MARKS)],
            color=COLOURS[kind % len(COLOURS)],
            fillstyle="full" if kind == 0 else "none",
            markersize=4.5,
            label=name,
            zorder=9 - kind,
        )
    axes.set_xticks(range(K), run.info.spec.classes, rotation=90)
    axes.set_ylabel("accuracy (%)")
    axes.grid(color="#e6e9ee")
    axes.legend(ncols=5, loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
    return figure


def training_figure(run: Measured) -> Figure:
    """Loss and accuracy of the training records, epoch by epoch, one line a fold."""
    figure = Figure(figsize=(5.2, 2.2), layout="constrained")
    both: Any = figure.subplots(1, 2)
    for axes, key, scale, label in (
        (both[0], "loss", 1, "loss"),
        (both[1], "accuracy", 100, "training accuracy (%)"),
    ):
        for kind, fold in enumerate(fold for fold in run.folds if len(fold.epochs)):
            values = scale * fold.epochs[key]
            style = ("-", "--", ":", "-.")[kind % 4]
            axes.plot(
                range(1, len(values) + 1),
                values,
                style,
                color=COLOURS[kind % len(COLOURS)],
                linewidth=1,
                label=fold.info.spec.fold.name,
            )
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.grid(color="#e6e9ee")
    if len(run.folds) > 1:
        both[0].legend(frameon=False, fontsize=6)
    return figure


def _sheet(width: float, height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()
