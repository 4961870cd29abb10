"""Notes a training as it goes: one line an epoch, TensorBoard's events, and whoever watches.

It decides nothing, and a run is the same without it.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
from pathlib import Path
from typing import Any, Protocol

from dmft.runs.folder import EPOCHS_FILE, RunInfo
from dmft.training import EpochReport
from pipeline.common.settings import to_table


class Watcher(Protocol):
    """What a caller is told while training goes on."""

    def start(self, fold: str, n_epochs: int, done: int) -> None:
        """A fold begins, or goes on after ``done`` epochs."""

    def epoch(self, report: EpochReport) -> None:
        """An epoch has ended."""

    def end(self, fold: str, figures: dict[str, Any]) -> None:
        """A fold has been measured."""


class Diary:
    """Writes ``epochs.jsonl`` and TensorBoard's events, and tells the watcher."""

    def __init__(self, folder: Path, info: RunInfo, fold: str, watcher: Watcher | None) -> None:
        self.folder, self.info, self.fold, self.watcher = folder, info, fold, watcher
        self.seconds: list[float] = []
        self.board: Any = None

    def resume(self, done: int) -> None:
        """Keep the lines of the epochs that the checkpoint knows, drop later ones."""
        from torch.utils.tensorboard import SummaryWriter

        path = self.folder / EPOCHS_FILE
        lines = path.read_text().splitlines()[:done] if path.exists() else []
        path.write_text("".join(f"{line}\n" for line in lines))
        self.seconds = [float(json.loads(line)["seconds"]) for line in lines]
        self.board = SummaryWriter(str(self.folder), purge_step=done + 1)
        if not done:
            settings = json.dumps(to_table(self.info.config), indent=2)
            self.board.add_text("config", f"```json\n{settings}\n```")
        if self.watcher is not None:
            self.watcher.start(self.fold, self.info.config.training.epochs, done)

    def epoch(self, report: EpochReport) -> None:
        """Note one epoch."""
        self.seconds.append(report.seconds)
        with (self.folder / EPOCHS_FILE).open("a") as file:
            file.write(json.dumps(dataclasses.asdict(report)) + "\n")
        scalars = {k: v for k, v in dataclasses.asdict(report).items() if k != "epoch"}
        scalars["records_per_second"] = self.info.n_train / max(report.seconds, 1e-9)
        for name, value in scalars.items():
            self.board.add_scalar(f"train/{name}", value, report.epoch)
        if self.watcher is not None:
            self.watcher.epoch(report)

    def close(self) -> None:
        """Close the event file."""
        self.board.close()

    @property
    def seconds_per_epoch(self) -> float:
        """Median over all epochs."""
        return statistics.median(self.seconds) if self.seconds else 0.0
