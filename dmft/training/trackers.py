"""A training told to the tools that people follow experiments with: CSV, W&B, MLflow, Trackio.

They are callbacks: a run is the same without them. Nothing leaves the machine unless the tool's own
variable says where to (``WANDB_MODE=online``, ``MLFLOW_TRACKING_URI``, ``TRACKIO_SPACE_ID``).
TensorBoard's events are written in any case.
"""

from __future__ import annotations

import csv
import dataclasses
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from dmft.config import RunConfig
from dmft.evaluation.metrics import RunMetrics
from dmft.training.log import Callback, EpochReport, final_scores
from pipeline.common.settings import flatten, to_table
from pipeline.common.words import listed, meant
from pipeline.contract import ConfigError

PROJECT = "dmft"
CSV_FILE = "epochs.csv"


class Callbacks:
    """Several callbacks as one, told in their order."""

    def __init__(self, *callbacks: Callback) -> None:
        """Take some."""
        self.callbacks = callbacks

    def start(self, fold: str, n_epochs: int, done: int) -> None:
        """A fold begins, or goes on after ``done`` epochs."""
        for each in self.callbacks:
            each.start(fold, n_epochs, done)

    def epoch(self, report: EpochReport) -> None:
        """An epoch has ended."""
        for each in self.callbacks:
            each.epoch(report)

    def end(self, fold: str, metrics: RunMetrics) -> None:
        """A fold has been measured."""
        for each in self.callbacks:
            each.end(fold, metrics)

    def close(self) -> None:
        """The training is over, also by an error."""
        for each in self.callbacks:
            if close := getattr(each, "close", None):
                close()


class CsvTracker:
    """``epochs.csv`` in the run's folder: a line an epoch, of all folds."""

    def __init__(self, out: Path) -> None:
        self.path, self.fold = out / CSV_FILE, ""
        self.fields = ["fold", *(field.name for field in dataclasses.fields(EpochReport))]

    def start(self, fold: str, n_epochs: int, done: int) -> None:
        """Drop this fold's lines that will be trained again."""
        self.fold, kept = fold, []
        if self.path.exists():
            with self.path.open(newline="") as file:
                kept = [
                    r for r in csv.DictReader(file) if r["fold"] != fold or int(r["epoch"]) <= done
                ]
        with self.path.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.fields)
            writer.writeheader()
            writer.writerows(kept)

    def epoch(self, report: EpochReport) -> None:
        """Write its line."""
        with self.path.open("a", newline="") as file:
            row = {"fold": self.fold, **dataclasses.asdict(report)}
            csv.DictWriter(file, self.fields).writerow(row)

    def end(self, fold: str, metrics: RunMetrics) -> None:
        """The run's own files say it."""


class WandbTracker:
    """A run of Weights & Biases a fold, in the folder ``wandb`` beside the run's."""

    def __init__(self, out: Path, settings: Mapping[str, Any]) -> None:
        import wandb

        self.wandb, self.out, self.settings, self.run = wandb, out, settings, None

    def start(self, fold: str, n_epochs: int, done: int) -> None:
        """Begin a run."""
        mode: Any = os.environ.get("WANDB_MODE", "offline")
        self.run = self.wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            group=self.out.name,
            name=f"{self.out.name} {fold}",
            dir=str(self.out.resolve().parent),
            mode=mode,
            config={**self.settings, "fold": fold},
            reinit="finish_previous",
            settings=self.wandb.Settings(silent=True),
        )

    def epoch(self, report: EpochReport) -> None:
        """Log its figures."""
        assert self.run is not None
        self.run.log(_figures(report), step=report.epoch)

    def end(self, fold: str, metrics: RunMetrics) -> None:
        """Note what the run reached."""
        if self.run is not None:  # a fold that was finished before has none
            self.run.summary.update(final_scores(metrics))
        self.close()

    def close(self) -> None:
        """End the run, where one is under way."""
        if self.run is not None:
            self.run.finish()
            self.run = None


class MlflowTracker:
    """A run of MLflow a fold, in the folder ``mlruns`` beside the run's."""

    def __init__(self, out: Path, settings: Mapping[str, Any]) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        from mlflow import MlflowClient

        folder = (out.resolve().parent / "mlruns").as_uri()
        self.client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI", folder))
        self.out, self.settings, self.run_id = out, settings, ""

    def start(self, fold: str, n_epochs: int, done: int) -> None:
        """Begin a run."""
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        found = self.client.get_experiment_by_name(name)
        place = found.experiment_id if found else self.client.create_experiment(name)
        run = self.client.create_run(place, run_name=f"{self.out.name} {fold}")
        self.run_id = run.info.run_id
        for key, value in {**self.settings, "fold": fold}.items():
            self.client.log_param(self.run_id, key, value)

    def epoch(self, report: EpochReport) -> None:
        """Log its figures."""
        for key, value in _figures(report).items():
            self.client.log_metric(self.run_id, key, value, step=report.epoch)

    def end(self, fold: str, metrics: RunMetrics) -> None:
        """Note what the run reached."""
        if self.run_id:
            for key, value in final_scores(metrics).items():
                self.client.log_metric(self.run_id, key, value)
            self.client.set_terminated(self.run_id)
        self.run_id = ""

    def close(self) -> None:
        """Note that a run which is under way was broken off."""
        if self.run_id:
            self.client.set_terminated(self.run_id, status="KILLED")
        self.run_id = ""


class TrackioTracker:
    """A run of Trackio a fold, in the folder ``trackio`` beside the run's."""

    def __init__(self, out: Path, settings: Mapping[str, Any]) -> None:
        os.environ.setdefault("TRACKIO_DIR", str(out.resolve().parent / "trackio"))
        import trackio

        self.trackio, self.out, self.settings, self.run = trackio, out, settings, None

    def start(self, fold: str, n_epochs: int, done: int) -> None:
        """Begin a run, or go on with that of a fold which was broken off."""
        with redirect_stdout(sys.stderr):  # it prints, and results are on standard output
            self.run = self.trackio.init(
                project=os.environ.get("TRACKIO_PROJECT", PROJECT),
                group=self.out.name,
                name=f"{self.out.name} {fold}",
                config={**self.settings, "fold": fold},
                resume="allow" if done else "never",
                auto_log_gpu=False,
                auto_log_cpu=False,
                embed=False,
            )

    def epoch(self, report: EpochReport) -> None:
        """Log its figures."""
        assert self.run is not None
        self.run.log(_figures(report), step=report.epoch)

    def end(self, fold: str, metrics: RunMetrics) -> None:
        """Log what the run reached."""
        if self.run is not None:
            self.run.log(final_scores(metrics))
        self.close()

    def close(self) -> None:
        """Wait until everything is written, where a run is under way."""
        if self.run is not None:
            with redirect_stdout(sys.stderr):
                self.run.finish()
            self.run = None


_OF_PACKAGES: Mapping[str, Callable[[Path, Mapping[str, Any]], Callback]] = {
    "wandb": WandbTracker,
    "mlflow": MlflowTracker,
    "trackio": TrackioTracker,
}
TRACKERS = ("csv", *_OF_PACKAGES)


def log_to(
    names: str | Sequence[str], out: str | Path, settings: RunConfig | None = None
) -> Callbacks:
    """A callback that tells a training to trackers, as ``dmft train --log`` does.

    Example::

        dmft.train(cache, "utd-loso", "teacher", callback=log_to("csv,wandb", "teacher"))

    Args:
        names: Some of ``csv``, ``wandb``, ``mlflow`` and ``trackio``.
        out: The run's folder.
        settings: What is trained, to be noted.

    Raises:
        ConfigError: there is no such tracker, or its package is not installed.
    """
    wanted = listed(names) if isinstance(names, str) else names
    flat = {} if settings is None else flatten(to_table(settings))
    made: list[Callback] = []
    for name in wanted:
        if name not in TRACKERS:
            known = ", ".join(TRACKERS)
            raise ConfigError(
                f"tracker {name!r} is not known: wanted {known}{meant(name, TRACKERS)}"
            )
        try:
            if name == "csv":
                made.append(CsvTracker(Path(out)))
            else:
                made.append(_OF_PACKAGES[name](Path(out), flat))
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"tracker {name} needs a package that is not installed: pip install 'dmft[{name}]'"
            ) from error
    return Callbacks(*made)


def _figures(report: EpochReport) -> dict[str, float]:
    figures = report.figures().items()
    return {
        f"val/{key[4:]}" if key.startswith("val_") else f"train/{key}": value
        for key, value in figures
        if key != "epoch"
    }
