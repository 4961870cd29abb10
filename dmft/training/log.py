"""Keeps a training as it goes: a line an epoch, TensorBoard's events, a checkpoint, a callback.

It decides nothing: a run is the same without it.
"""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dmft.evaluation.metrics import RunMetrics
from dmft.runs.folder import CHECKPOINT_FILE, EPOCHS_FILE
from dmft.runs.spec import RunSpec
from dmft.training.checkpoint import TrainingState
from pipeline.common.settings import flatten, to_table


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochReport:
    """One line of ``epochs.jsonl``."""

    epoch: int
    """From 1."""
    loss: float
    """Mean training loss, with augmentation and dropout."""
    accuracy: float
    """On the augmented training records, as the epoch went by."""
    learning_rate: float
    """At the epoch's last step."""
    seconds: float
    """How long this epoch took; where models train together, this one's share."""
    val_loss: float | None = None
    """Mean negative log-likelihood of the vote on training people held out; None for nobody."""
    val_accuracy: float | None = None
    """Of the vote on them."""
    val_macro_f1: float | None = None
    """Of the vote on them."""

    def figures(self) -> dict[str, Any]:
        """What there is to tell, by name."""
        return {
            name: value for name, value in dataclasses.asdict(self).items() if value is not None
        }


def final_scores(metrics: RunMetrics) -> dict[str, float]:
    """What trackers note when a run is measured; of a model on every record, only its size."""
    scores = {"test/accuracy": metrics.accuracy, "test/macro_f1": metrics.macro_f1}
    known = {name: value for name, value in scores.items() if not math.isnan(value)}
    return known | {"parameters": float(metrics.n_parameters)}


class Callback(Protocol):
    """What a caller is told while training goes on."""

    def start(self, fold: str, n_epochs: int, done: int) -> None:
        """A fold begins, or goes on after ``done`` epochs."""

    def epoch(self, report: EpochReport) -> None:
        """An epoch has ended."""

    def end(self, fold: str, metrics: RunMetrics) -> None:
        """A fold has been measured."""


class RunLogger:
    """Writes ``epochs.jsonl``, TensorBoard's events and the checkpoint of a run folder."""

    def __init__(self, folder: Path, spec: RunSpec, callback: Callback | None) -> None:
        self.folder, self.spec, self.callback = folder, spec, callback
        self.checkpoint = folder / CHECKPOINT_FILE
        self.seconds: list[float] = []
        self.board: Any = None

    def resume(self, state: TrainingState) -> None:
        """Bring a new training to where its checkpoint is, and drop lines of later epochs."""
        from torch.utils.tensorboard import SummaryWriter

        if self.checkpoint.exists():
            state.load(self.checkpoint, self.spec.identity)
        path = self.folder / EPOCHS_FILE
        lines = path.read_text().splitlines()[: state.done] if path.exists() else []
        path.write_text("".join(f"{line}\n" for line in lines))
        self.seconds = [float(json.loads(line)["seconds"]) for line in lines]
        self.board = SummaryWriter(str(self.folder), purge_step=state.done + 1)
        if not state.done:
            settings = json.dumps(to_table(self.spec.config), indent=2)
            self.board.add_text("config", f"```json\n{settings}\n```")
        if self.callback is not None:
            self.callback.start(self.spec.fold.name, self.spec.config.training.epochs, state.done)

    def epoch(self, report: EpochReport, state: TrainingState) -> None:
        """Note one epoch, then write the checkpoint.

        In this order: a line too many is dropped on resuming, one too few could not be made.
        """
        figures = report.figures()
        self.seconds.append(report.seconds)
        with (self.folder / EPOCHS_FILE).open("a") as file:
            file.write(json.dumps(figures) + "\n")
        figures["records_per_second"] = self.spec.n_train / max(report.seconds, 1e-9)
        for name, value in figures.items():
            if name != "epoch":
                part, plain = ("val", name[4:]) if name.startswith("val_") else ("train", name)
                self.board.add_scalar(f"{part}/{plain}", value, report.epoch)
        if self.callback is not None:
            self.callback.epoch(report)
        state.save(self.checkpoint, self.spec.identity)

    def close(self) -> None:
        """Close the event file."""
        self.board.close()

    @property
    def seconds_per_epoch(self) -> float:
        """Median over all epochs."""
        return statistics.median(self.seconds) if self.seconds else 0.0


def note_reached(folder: Path, spec: RunSpec, metrics: RunMetrics) -> None:
    """Note for TensorBoard's table of runs what was asked and what came of it."""
    from torch.utils.tensorboard import SummaryWriter
    from torch.utils.tensorboard.summary import hparams

    scores = final_scores(metrics)
    asked: dict[str, Any] = {
        "kind": spec.kind,
        "modalities": "+".join(spec.modalities),
        "fold": spec.fold.name,
        "seed": spec.seed,
        **flatten(to_table(spec.config)),
    }
    plain = {
        name: value if isinstance(value, bool | int | float | str) else json.dumps(value)
        for name, value in asked.items()
    }
    with SummaryWriter(str(folder)) as board:
        for summary in hparams(plain, scores):  # type: ignore[no-untyped-call]
            board.file_writer.add_summary(summary)
        for name, value in scores.items():
            board.add_scalar(name, value)
