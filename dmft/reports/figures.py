"""Figures for a paper: the report's, drawn by matplotlib as PDF or SVG with text kept as text.

Needs the extra ``report``. A figure is a file of its own, in light colours, with marks and line
styles that also tell series apart in black and white.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from dmft.reports.charts import WHOLE, run_data
from dmft.reports.load import Measured
from dmft.runs.spec import KINDS

Run = Mapping[str, Any]
"""What :func:`dmft.reports.charts.run_data` gives."""
INK, COLOURS = "#1b1f24", ("#1b1f24", "#0b6cb3", "#b8500f", "#00795c", "#9a3f86", "#7a6a00")
GRID = "#e6e9ee"
LINES = ("-", "--", ":", "-.")
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
        for name, figure in _figures([run_data(run) for run in runs]):
            for kind in formats:
                path = folder / f"{re.sub('[^A-Za-z0-9_-]+', '-', name)}.{kind}"
                # Without a date in it, the same runs give the same bytes.
                plain = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
                figure.savefig(path, dpi=300, metadata=plain.get(kind))
                written.append(path)
    return written


def _figures(runs: Sequence[Run]) -> Iterator[tuple[str, Figure]]:
    yield "accuracy", accuracy_figure(runs)
    for run in runs:
        yield f"confusion-{run['name']}", confusion_figure(run)
        yield f"class-accuracy-{run['name']}", class_figure(run)
        if run["curves"]:
            yield f"training-{run['name']}", training_figure(run)


def accuracy_figure(runs: Sequence[Run]) -> Figure:
    """Accuracy of each run over all its test records, with Wilson's 95 % interval."""
    figure, axes = _sheet(4.8, 0.7 + 0.22 * len(runs))
    for row, run in enumerate(runs):
        kind = KINDS.index(run["kind"])
        bounds = 100 * np.array(run["interval"])
        axes.plot(bounds, [row, row], color=COLOURS[kind], linewidth=1.5)
        axes.plot(100 * run["pooled"], row, MARKS[kind], color=COLOURS[kind], markersize=4)
    labels = [
        run["name"] if run["name"] == run["kind"] else f"{run['name']} ({run['kind']})"
        for run in runs
    ]
    axes.set_yticks(range(len(runs)), labels)
    axes.set_ylim(len(runs) - 0.4, -0.6)
    axes.set_xlabel("accuracy (%), with its 95 % interval")
    axes.grid(axis="x", color=GRID)
    return figure


def confusion_figure(run: Run) -> Figure:
    """The confusion matrix in percent of the true class (the paper's Figure 4)."""
    parts = np.nan_to_num(_percent_of_class(run["confusion"][WHOLE]))
    K = len(parts)
    figure, axes = _sheet(1.6 + 0.2 * K, 1.6 + 0.2 * K)
    axes.imshow(parts, cmap="Blues", vmin=0, vmax=100)
    for i, j in zip(*np.nonzero(parts), strict=True):
        ink = "white" if parts[i, j] > 55 else INK
        where = {"ha": "center", "va": "center", "fontsize": 5.5}
        axes.text(j, i, f"{parts[i, j]:.0f}", color=ink, **where)
    axes.set_xticks(range(K), run["classes"], rotation=90)
    axes.set_yticks(range(K), run["classes"])
    axes.set_xlabel("predicted")
    axes.set_ylabel("true class, in percent of its records")
    axes.spines[:].set_visible(True)
    return figure


def class_figure(run: Run) -> Figure:
    """Accuracy of each class by each modality beside the whole (Figures 5 and 6)."""
    K = len(run["classes"])
    figure, axes = _sheet(1.2 + 0.2 * max(K, 12), 2.6)
    for kind, (name, counts) in enumerate(run["confusion"].items()):
        axes.plot(
            _percent_of_class(counts).diagonal(),
            MARKS[kind % len(MARKS)],
            color=COLOURS[kind % len(COLOURS)],
            fillstyle="full" if kind == 0 else "none",
            markersize=4.5,
            label=name,
            zorder=9 - kind,
        )
    axes.set_xticks(range(K), run["classes"], rotation=90)
    axes.set_ylabel("accuracy (%)")
    axes.grid(color=GRID)
    axes.legend(ncols=5, loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
    return figure


def training_figure(run: Run) -> Figure:
    """Loss and accuracy of the training records, epoch by epoch, one line a fold."""
    figure, both = _sheet(5.2, 2.2, n_columns=2)
    labels = {"loss": "loss", "accuracy": "training accuracy (%)"}
    for axes, (key, label) in zip(both, labels.items(), strict=True):
        for kind, curve in enumerate(run["curves"]):
            values = np.array(curve[key]) * (100 if key == "accuracy" else 1)
            style = {"color": COLOURS[kind % len(COLOURS)], "linestyle": LINES[kind % len(LINES)]}
            epochs = range(1, len(values) + 1)
            axes.plot(epochs, values, linewidth=1, label=curve["fold"], **style)
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.grid(color=GRID)
    if len(run["curves"]) > 1:
        both[0].legend(frameon=False, fontsize=6)
    return figure


def _percent_of_class(matrix: Sequence[Sequence[int]]) -> Any:
    """A confusion matrix in percent of each row; NaN for a class without records."""
    counts = np.array(matrix, dtype=float)
    totals = counts.sum(axis=1, keepdims=True)
    return np.divide(100 * counts, totals, out=np.full_like(counts, np.nan), where=totals > 0)


def _sheet(width: float, height: float, n_columns: int = 1) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, n_columns)
