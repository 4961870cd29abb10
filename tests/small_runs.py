"""Short trainings on a small cache, for tests of runs: train, break off, look at the weights."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from dmft.config import RunConfig, load_config
from dmft.data import Cache
from dmft.evaluation.metrics import RunMetrics
from dmft.runs.tensors import read_tensors
from dmft.training import EpochReport
from dmft.training.train import train
from pipeline.contract import Presence
from tests.factories import write_cache

SMALL = (
    *("encoder.width=16", "encoder.feed_forward=16", "training.epochs=3"),
    *("student.width=0", "student.feed_forward=0"),
)
PROTOCOL = 'name = "loso"\n[leave_one_out]\nattribute = "subject"\n'


class PowerCutError(Exception):
    """Stands for a power cut after an epoch."""


class Callback:
    """Notes what it is told, and breaks off where asked."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.stop_after = stop_after
        self.starts: list[tuple[str, int]] = []
        self.epochs: list[int] = []

    def start(self, fold: str, n_epochs: int, done: int) -> None:
        """Note it."""
        self.starts.append((fold, done))

    def epoch(self, report: EpochReport) -> None:
        """Note it, or break off."""
        self.epochs.append(report.epoch)
        if report.epoch == self.stop_after:
            raise PowerCutError

    def end(self, fold: str, metrics: RunMetrics) -> None:
        """Nothing to note."""


def write_place(folder: Path) -> Path:
    """Write a cache with gaps and a protocol beside it."""
    write_cache(
        folder / "cache.zarr",
        n_trials=2,
        absent={"a1_s1_t1/skeleton": Presence.FAILED, "a2_s2_t1/inertial": Presence.ABSENT},
    )
    (folder / "loso.toml").write_text(PROTOCOL)
    return folder


def small(*changes: str) -> RunConfig:
    """A model of few weights and three epochs."""
    return load_config("default", [*SMALL, *changes])


def train_teacher(place: Path, cache: Cache, out: Path, *changes: str) -> Path:
    """Train a teacher on the first fold."""
    train(cache, str(place / "loso.toml"), out, config=small(*changes), device="cpu")
    return out


def train_student(
    place: Path,
    cache: Cache,
    out: Path,
    *changes: str,
    callback: Callback | None = None,
    seed: int = 0,
    fold: str | None = None,
) -> RunMetrics:
    """Train a student on labels; return its figures."""
    return train(
        cache,
        str(place / "loso.toml"),
        out,
        kind="student",
        config=small(*changes),
        seed=seed,
        fold=fold,
        device="cpu",
        callback=callback,
    )


def weights(folder: Path) -> dict[str, Tensor]:
    """The weights of a run."""
    return read_tensors(folder / "model.safetensors")[0]


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether two runs have the same weights, bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)
