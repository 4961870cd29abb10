"""What the trainer's commands show: progress on standard error, figures on standard output."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dmft.evaluation.metrics import RunMetrics, majority_share
from dmft.runs.folder import fold_folders, read_info
from dmft.training import EpochReport
from dmft.training.stages import ADVICE, read_stages
from pipeline.common.progress_bar import ProgressBar

LINES_A_FOLD = 5


class ProgressCallback:
    """How a training goes: a bar a fold on a terminal, a few plain lines elsewhere."""

    def __init__(self, n_folds: int = 1) -> None:
        """Begin with the first of some folds."""
        self.n_folds, self.n_ended = n_folds, 0
        self.bar = ProgressBar(plain_every_s=None)
        self.seconds: list[float] = []

    def start(self, fold: str, n_epochs: int, done: int) -> None:
        """Begin a fold's bar."""
        self.seconds = []
        if done:
            self.bar.say(f"{fold}: going on after epoch {done}")
        several = f" ({self.n_ended + 1} of {self.n_folds})" if self.n_folds > 1 else ""
        self.bar.start(f"{fold}{several}", total=n_epochs, done=done)

    def epoch(self, report: EpochReport) -> None:
        """Move the bar, or print a line now and then."""
        bar, figures = self.bar, f"loss {report.loss:.3f}  train accuracy {report.accuracy:.1%}"
        if report.val_accuracy is not None:
            figures += f"  held out {report.val_accuracy:.1%}"
        bar.update(report.epoch, note=figures)
        self.seconds.append(report.seconds)
        every = max(bar.total // LINES_A_FOLD, 1)
        if not bar.is_drawn and (report.epoch % every == 0 or report.epoch == bar.total):
            left = (bar.total - report.epoch) * sum(self.seconds) / len(self.seconds)
            counted = f"{bar.title}: epoch {report.epoch}/{bar.total}"
            bar.say(f"{counted}  {figures}  {left:.0f} s left")

    def end(self, fold: str, metrics: RunMetrics) -> None:
        """Close the bar and say how the fold went."""
        self.close()
        self.n_ended += 1
        self.bar.say(
            f"{fold}: accuracy {metrics.accuracy:.2%}, macro F1 {metrics.macro_f1:.2%} "
            f"on {metrics.n_records} test records"
        )

    def close(self) -> None:
        """Take the bar away, also after an error."""
        self.bar.close()


def figures_text(metrics: RunMetrics) -> str:
    """Return the figures of a run as a few aligned lines."""
    if not metrics.n_records and metrics.accuracy != metrics.accuracy:
        return (
            f"{metrics.kind}, trained on every record, so none is left to measure it on; "
            f"{metrics.n_parameters:,} parameters, {metrics.saved_bytes / 1e6:.2f} MB"
        )
    several = metrics.n_folds > 1
    folds = f"mean of {metrics.n_folds} folds" if several else f"fold {metrics.folds[0].fold}"
    spread = f" +- {metrics.accuracy_spread:.2%}" if metrics.accuracy_spread else ""
    lines = [
        f"{metrics.kind}, {metrics.protocol}, {folds}, {metrics.n_records} test records",
        f"  accuracy                {metrics.accuracy:8.2%}{spread}",
        f"  macro F1                {metrics.macro_f1:8.2%}",
        f"  1-nearest-neighbour     {metrics.nearest_neighbour_accuracy:8.2%}  "
        "(accuracy of the baseline on the same features)",
        f"  most frequent class     {majority_share(metrics.confusion):8.2%}  "
        "(accuracy of naming it always)",
    ]
    if metrics.n_without_modality:
        lines.append(f"  not measured            {metrics.n_without_modality:8d}  (no modality)")
    lines.append(
        f"  {'modality':<22}{'accuracy':>10}{'spatial':>10}{'temporal':>10}{'macro F1':>10}"
    )
    for name, own in metrics.modalities.items():
        figures = (own.accuracy, own.spatial.accuracy, own.temporal.accuracy, own.macro_f1)
        lines.append(f"  {name:<22}" + "".join(f"{figure:>10.2%}" for figure in figures))
    if metrics.kind == "teacher" and len(metrics.modalities) > 1:
        lines.append("  (a teacher's temporal branches have seen the other modalities)")
    if several:
        lines += [f"  fold {fold.fold:<17}{fold.accuracy:>10.2%}" for fold in metrics.folds]
    worst = worst_confusions(metrics)
    if worst:
        lines.append("  most confused: " + "; ".join(worst))
    lines.append(
        f"  {metrics.n_parameters:,} parameters, {metrics.saved_bytes / 1e6:.2f} MB, "
        f"{metrics.seconds_per_epoch:.2f} s an epoch"
    )
    return "\n".join(lines)


def held_out_lines(run: Path) -> Iterator[str]:
    """What a run's training people who were held out say of it, a line a fold."""
    for folder in fold_folders(run):
        info = read_info(folder)
        settings, scores = info.spec.validation, info.finished.held_out
        if settings is None or scores is None:
            continue
        which = "best" if settings.keep == "best" else "last"
        whom = settings.rule.name.removeprefix("without-")
        yield (
            f"  held out of {info.spec.fold.name}: {whom}, {scores.n_records} records, accuracy "
            f"{scores.accuracy:.2%} after epoch {scores.epoch}, the {which}"
        )


def stage_lines(run: Path) -> Iterator[str]:
    """Where the time of a run's training went; nothing of a run that says nothing of it."""
    report = read_stages(run)
    if report.stages:
        first, *table = report.summary_lines(ADVICE)
        yield f"  training {first}"
        yield from (f"  {line}" for line in table)


def worst_confusions(metrics: RunMetrics, n: int = 3) -> list[str]:
    """Return the most frequent wrong predictions in words."""
    names = metrics.classes
    cells = [
        (count, names[i], names[j])
        for i, row in enumerate(metrics.confusion)
        for j, count in enumerate(row)
        if i != j and count
    ]
    return [f"{a} as {b} ({count})" for count, a, b in sorted(cells, reverse=True)[:n]]
