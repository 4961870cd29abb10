"""Figures for a paper: the report's, drawn by matplotlib as PDF or SVG with text kept as text.

Needs the extra ``report``. A figure is a file of its own, in light colours, with marks and line
styles that also tell series apart in black and white.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from dmft.reports.charts import WHOLE, run_data, setting_data
from dmft.reports.compare import settings_of
from dmft.reports.load import Measured
from dmft.reports.paper_figures import (
    F1,
    Drawn,
    by_class,
    draw,
    load_paper_figures,
    percent_of_class,
)
from dmft.runs.spec import KINDS

Run = Mapping[str, Any]
"""What :func:`dmft.reports.charts.run_data` gives."""
Draw = Callable[[], Figure]
"""Draws a figure when it is wanted."""
INK, COLOURS = "#1b1f24", ("#1b1f24", "#0b6cb3", "#b8500f", "#00795c", "#9a3f86", "#7a6a00")
GRID = "#e6e9ee"
LINES = ("-", "--", ":", "-.")
APART = 0.13
"""Between the marks of one class, which else hide each other, in classes."""
LEAST_SHOWN = 0.5
"""Percent below which a cell has no number: it would be written as 0."""
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


def write_figures(
    runs: Sequence[Measured],
    folder: Path,
    formats: Sequence[str],
    on_file: Callable[[Path], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Draw every figure of some runs; return the files, whose bytes depend on the runs alone.

    ``on_file`` is told of each as it is written, ``progress`` of how many there are, and will be.
    """
    with mpl.rc_context(STYLE):
        figures = [*_figures([run_data(run) for run in runs]), *_of_settings(runs)]
        return _save(figures, folder, formats, on_file, progress)


def write_paper_figures(
    runs: Sequence[Measured],
    folder: Path,
    formats: Sequence[str],
    on_file: Callable[[Path], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[Path], list[str]]:
    """Draw the paper's figures, means over seeds; return the files, and a line for each that
    there are no runs for.
    """
    drawn, missing = list[tuple[str, Draw]](), []
    with mpl.rc_context(STYLE):
        for figure in load_paper_figures():
            found = list(draw(figure, runs))
            for one in found:
                drawn.append((one.name, partial(paper_figure, one)))
            if not found:
                made_by = " or ".join(f"dmft experiment {name}" for name in figure.experiments)
                missing.append(f"{figure.name}: no run is a {figure.wanted}; make some: {made_by}")
        written = _save(drawn, folder, formats, on_file, progress) if drawn else []
        return written, missing


def paper_figure(drawn: Drawn) -> Figure:
    """A figure of the paper, with what it is of above it."""
    if drawn.figure.kind == "confusion":
        picture, line_end = confusion_figure(drawn.matrix, drawn.classes), "\n"
    else:
        picture = class_figure(drawn.by_class, drawn.classes, drawn.measure)
        line_end = "; "
    picture.suptitle(line_end.join(drawn.title), fontsize=8)
    return picture


def _save(
    figures: Sequence[tuple[str, Draw]],
    folder: Path,
    formats: Sequence[str],
    on_file: Callable[[Path], None] | None,
    progress: Callable[[int, int], None] | None,
) -> list[Path]:
    """Draw one figure after the other, so that one is held at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for name, draw_it in figures:
        if progress is not None:
            progress(len(written), len(figures) * len(formats))
        figure = draw_it()
        for kind in formats:
            path = folder / f"{re.sub('[^A-Za-z0-9_+-]+', '-', name)}.{kind}"
            # Without a date in it, the same runs give the same bytes.
            plain = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
            figure.savefig(path, dpi=300, metadata=plain.get(kind))
            written.append(path)
            if on_file is not None:
                on_file(path)
    return written


def _figures(runs: Sequence[Run]) -> Iterator[tuple[str, Draw]]:
    yield "accuracy", partial(accuracy_figure, runs)
    for run in runs:
        whole = percent_of_class(run["confusion"][WHOLE])
        values = {
            name: by_class(counts, run["metric"]) for name, counts in run["confusion"].items()
        }
        measure = "F1" if run["metric"] == F1 else "accuracy"
        of_classes = partial(class_figure, values, run["classes"], measure)
        yield f"confusion-{run['name']}", partial(confusion_figure, whole, run["classes"])
        yield f"class-{measure}-{run['name']}", of_classes
        if run["curves"]:
            yield f"training-{run['name']}", partial(training_figure, run)


def _of_settings(runs: Sequence[Measured]) -> Iterator[tuple[str, Draw]]:
    settings = [setting_data(setting, {}) for setting in settings_of(runs)][: len(MARKS)]
    yield "risk-coverage", partial(risk_figure, settings)
    if measured := [setting for setting in settings if setting["faults"]]:
        yield "faults", partial(faults_figure, measured)


def risk_figure(settings: Sequence[Run]) -> Figure:
    """Wrong answers where only the surest are given, a line a setting."""
    figure, axes = _sheet(3.6, 2.4)
    for kind, setting in enumerate(settings):
        covered, risk = (100 * np.array(setting["risk"])[:, :2]).T
        style = {"color": COLOURS[kind], "linestyle": LINES[kind % len(LINES)], "linewidth": 1.2}
        axes.plot(covered, risk, label=setting["name"], **style)
    axes.set_xlabel("records that are answered (%)")
    axes.set_ylabel("wrong answers (%)")
    axes.set_xlim(right=100)
    axes.set_ylim(bottom=0)
    axes.grid(color=GRID)
    axes.legend(frameon=False, fontsize=6)
    return figure


def faults_figure(settings: Sequence[Run]) -> Figure:
    """The score with each family of faults, a mean over modalities, the worst family on top."""
    means: dict[str, list[float]] = {}
    for family in {fault["family"] for each in settings for fault in each["faults"]["single"]}:
        of_family = [
            [f["score"] for f in each["faults"]["single"] if f["family"] == family] or [np.nan]
            for each in settings
        ]
        means[family] = [100 * float(np.mean(scores)) for scores in of_family]
    families = sorted(means, key=lambda family: (np.nanmin(means[family]), family))
    figure, axes = _sheet(4.8, 0.8 + 0.2 * len(families))
    for kind, setting in enumerate(settings):
        style = {"color": COLOURS[kind], "markersize": 4, "fillstyle": "none" if kind else "full"}
        scores = [means[family][kind] for family in families]
        axes.plot(scores, range(len(families)), MARKS[kind], label=setting["name"], **style)
        intact = 100 * setting["faults"]["intact"]
        axes.axvline(intact, color=COLOURS[kind], linewidth=0.8, linestyle=LINES[kind % len(LINES)])
    axes.set_yticks(range(len(families)), families)
    axes.set_ylim(len(families) - 0.4, -0.6)
    axes.set_xlabel("score with the fault (%); line: without any")
    axes.grid(color=GRID)
    axes.legend(frameon=False, fontsize=6, loc="lower left", bbox_to_anchor=(0, 1))
    return figure


def accuracy_figure(runs: Sequence[Run]) -> Figure:
    """Accuracy of each run over all its test records, with Wilson's 95 % interval."""
    figure, axes = _sheet(4.8, 0.7 + 0.22 * len(runs))
    for row, run in enumerate(runs):
        kind = KINDS.index(run["kind"])
        bounds = 100 * np.array(run["interval"])
        axes.plot(bounds, [row, row], color=COLOURS[kind], linewidth=1.5)
        axes.plot(100 * run["pooled"], row, MARKS[kind], color=COLOURS[kind], markersize=4)
    labels = [
        run["name"] if run["name"].startswith(run["kind"]) else f"{run['name']} ({run['kind']})"
        for run in runs
    ]
    axes.set_yticks(range(len(runs)), labels)
    axes.set_ylim(len(runs) - 0.4, -0.6)
    axes.set_xlabel("accuracy (%), with its 95 % interval")
    axes.grid(axis="x", color=GRID)
    return figure


def confusion_figure(percent: Any, classes: Sequence[str]) -> Figure:
    """The confusion matrix in percent of the true class (the paper's Figure 4).

    Shapes: percent (K, K), a row for each true class; NaN where it has no records.
    """
    parts = np.nan_to_num(percent)
    K = len(parts)
    figure, axes = _sheet(1.6 + 0.2 * K, 1.6 + 0.2 * K)
    axes.imshow(parts, cmap="Blues", vmin=0, vmax=100)
    for i, j in zip(*np.nonzero(parts >= LEAST_SHOWN), strict=True):
        ink = "white" if parts[i, j] > 55 else INK
        where = {"ha": "center", "va": "center", "fontsize": 5.5}
        axes.text(j, i, f"{parts[i, j]:.0f}", color=ink, **where)
    axes.set_xticks(range(K), classes, rotation=90)
    axes.set_yticks(range(K), classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true class, in percent of its records")
    axes.spines[:].set_visible(True)
    return figure


def class_figure(values: Mapping[str, Any], classes: Sequence[str], measure: str) -> Figure:
    """Accuracy or F1 of each class by each modality beside the whole (Figures 5 and 6).

    Shapes: values (K,) each, in percent; NaN for a class without records.
    """
    K = len(classes)
    figure, axes = _sheet(1.2 + 0.2 * max(K, 12), 3.2)
    for kind, (name, own) in enumerate(values.items()):
        aside = APART * (kind - (len(values) - 1) / 2)
        axes.plot(
            np.arange(K) + aside,
            own,
            MARKS[kind % len(MARKS)],
            color=COLOURS[kind % len(COLOURS)],
            fillstyle="full" if kind == 0 else "none",
            markersize=4,
            label=name,
            zorder=9 - kind,
        )
    axes.set_xticks(range(K), classes, rotation=90)
    axes.set_xlim(-0.7, K - 0.3)
    axes.set_ylim(-4, 104)
    axes.set_ylabel(f"{measure} (%)")
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


def _sheet(width: float, height: float, n_columns: int = 1) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, n_columns)
