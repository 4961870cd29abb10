"""What the trainer's commands show: progress on standard error, figures on standard output."""

from __future__ import annotations

from typing import Any

from dmft.evaluation.metrics import majority_share
from dmft.training import EpochReport
from pipeline.common.progress_bar import ProgressBar

LINES_A_FOLD = 5


class ProgressCallback:
    """How a training goes: a bar a fold on a terminal, a few plain lines elsewhere."""

    def __init__(self) -> None:
        self.bar = ProgressBar(plain_every_s=None)
        self.seconds: list[float] = []

    def start(self, fold: str, n_epochs: int, done: int) -> None:
        """Begin a fold's bar."""
        self.seconds = []
        if done:
            self.bar.say(f"{fold}: going on after epoch {done}")
        self.bar.start(fold, total=n_epochs, done=done)

    def epoch(self, report: EpochReport) -> None:
        """Move the bar, or print a line now and then."""
        bar, figures = self.bar, f"loss {report.loss:.3f}  train accuracy {report.accuracy:.1%}"
        bar.update(report.epoch, note=figures)
        self.seconds.append(report.seconds)
        every = max(bar.total // LINES_A_FOLD, 1)
        if not bar.is_drawn and (report.epoch % every == 0 or report.epoch == bar.total):
            left = (bar.total - report.epoch) * sum(self.seconds) / len(self.seconds)
            counted = f"{bar.title}: epoch {report.epoch}/{bar.total}"
            bar.say(f"{counted}  {figures}  {left:.0f} s left")

    def end(self, fold: str, figures: dict[str, Any]) -> None:
        """Close the bar and say how the fold went."""
        self.close()
        self.bar.say(
            f"{fold}: accuracy {figures['accuracy']:.2%}, macro F1 {figures['macro_f1']:.2%} "
            f"on {figures['n_records']} test records"
        )

    def close(self) -> None:
        """Take the bar away, also after an error."""
        self.bar.close()


def figures_text(report: dict[str, Any]) -> str:
    """Return the figures of a run as a few aligned lines."""
    folds = f", mean of {report['n_folds']} folds" if "n_folds" in report else ""
    fold = f", fold {report['fold']}" if "fold" in report else ""
    spread = f" +- {report['accuracy_spread']:.2%}" if report.get("accuracy_spread") else ""
    lines = [
        f"{report['kind']}, {report['protocol']}{fold}{folds}, {report['n_records']} test records",
        f"  accuracy                {report['accuracy']:8.2%}{spread}",
        f"  macro F1                {report['macro_f1']:8.2%}",
        f"  1-nearest-neighbour     {report['nearest_neighbour_accuracy']:8.2%}  "
        "(accuracy of the baseline on the same features)",
        f"  most frequent class     {majority_share(report['confusion']):8.2%}  "
        "(accuracy of naming it always)",
    ]
    if report["n_without_modality"]:
        lines.append(f"  not measured            {report['n_without_modality']:8d}  (no modality)")
    lines.append(
        f"  {'modality':<22}{'accuracy':>10}{'spatial':>10}{'temporal':>10}{'macro F1':>10}"
    )
    for name, found in report["modalities"].items():
        figures = (
            found["accuracy"],
            found["spatial"]["accuracy"],
            found["temporal"]["accuracy"],
            found["macro_f1"],
        )
        lines.append(f"  {name:<22}" + "".join(f"{figure:>10.2%}" for figure in figures))
    if report["kind"] == "teacher" and len(report["modalities"]) > 1:
        lines.append("  (a teacher's temporal branches have seen the other modalities)")
    for fold_report in report.get("folds", []):
        lines.append(f"  fold {fold_report['fold']:<17}{fold_report['accuracy']:>10.2%}")
    worst = worst_confusions(report)
    if worst:
        lines.append("  most confused: " + "; ".join(worst))
    size = report["saved_bytes"] / 1e6
    lines.append(
        f"  {report['n_parameters']:,} parameters, {size:.2f} MB, "
        f"{report['seconds_per_epoch']:.2f} s an epoch"
    )
    return "\n".join(lines)


def worst_confusions(report: dict[str, Any], n: int = 3) -> list[str]:
    """Return the most frequent wrong predictions in words."""
    names = report["classes"]
    cells = [
        (count, names[i], names[j])
        for i, row in enumerate(report["confusion"])
        for j, count in enumerate(row)
        if i != j and count
    ]
    return [f"{a} as {b} ({count})" for count, a, b in sorted(cells, reverse=True)[:n]]
