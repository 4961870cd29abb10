"""What one process of an experiment does: train some rows, and gather the line of each.

What a row gives does not depend on how many others run beside it: a process has one torch thread
and a row its own seeds. Rows of one shape may be computed as one (``together``): the same weights
but for the rounding of sums.
"""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from dmft.data import Cache, open_cache
from dmft.evaluation.metrics import RunMetrics
from dmft.experiments.plan import PlannedRow
from dmft.experiments.pool import Report
from dmft.experiments.results import RUNS_FOLDER, Result, gather
from dmft.protocols import choose_folds
from dmft.training import EpochReport
from dmft.training.device import resolve_device
from dmft.training.distill import load_teachers, plan_distillation
from dmft.training.log import Callback
from dmft.training.plan import Training, plan_training
from dmft.training.train import train_together
from pipeline.contract import ContractError, DmftError

SECONDS_BETWEEN_REPORTS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Some rows and where they are done."""

    rows: tuple[PlannedRow, ...]
    """What to train; of one shape where they are several."""
    cache: Path
    """On what."""
    out: Path
    """The experiment's folder."""
    experiment: str
    """Name of the experiment."""
    trust: bool = False
    """Whether to use a cache that nothing vouches for."""


def do_rows(task: Task, report: Report) -> dict[str, Result | str]:
    """Train, or finish training, some rows; return the line of each, or why it failed, by key.

    Raises:
        ContractError: the cache cannot be read.
    """
    torch.set_num_threads(1)
    changed_ns = task.cache.stat().st_mtime_ns if task.cache.exists() else 0
    cache = _open(task.cache, task.rows[0].modalities, task.trust, changed_ns)
    results: dict[str, Result | str] = {}
    trainings: dict[str, Training] = {}
    for row in task.rows:
        try:
            trainings[row.key] = plan_row(task, row, cache, _EpochCallback(row.key, report))
        except DmftError as error:
            results[row.key] = str(error)
    ended = dict(zip(trainings, train_together(list(trainings.values())), strict=True))
    for row in task.rows:
        end = ended.get(row.key)
        if isinstance(end, ContractError):
            results[row.key] = str(end)
        elif end is not None:
            try:
                results[row.key] = gather(
                    row,
                    cache,
                    cache_path=task.cache,
                    out=task.out,
                    experiment=task.experiment,
                    together=len(task.rows),
                )
            except ContractError as error:
                results[row.key] = str(error)
    return results


def plan_row(task: Task, row: PlannedRow, cache: Cache, callback: Callback) -> Training:
    """Gather what the training of a row takes.

    Raises:
        DmftError: a teacher does not fit, or the fold cannot be made of the cache.
    """
    runs, device = task.out / RUNS_FOLDER, resolve_device(row.device)
    folder = runs / row.folder
    if row.model == "distilled":
        folders = [runs / key[: len(row.folder)] for key in row.teachers]
        ((fold, teachers),) = load_teachers(cache, folders, device)
        return plan_distillation(
            cache,
            fold,
            teachers,
            folder,
            network=row.network,
            config=row.config,
            seed=row.seed,
            callback=callback,
        )
    (fold,) = choose_folds(row.protocol, cache, row.fold)
    return plan_training(
        cache,
        row.protocol,
        fold,
        folder,
        kind=row.model,
        config=row.config,
        seed=row.seed,
        on=device,
        network=row.network,
        callback=callback,
    )


@functools.lru_cache(maxsize=2)
def _open(path: Path, modalities: tuple[str, ...], trust: bool, changed_ns: int) -> Cache:
    """Open a cache, or take the one that this process has open already."""
    return open_cache(path, modalities, trust=trust)


class _EpochCallback:
    """Tells a row's epochs to the pool, once a second at most."""

    def __init__(self, key: str, report: Report) -> None:
        self.key, self.report, self.said_at = key, report, 0.0

    def start(self, fold: str, n_epochs: int, done: int) -> None:
        """Tell that it has begun, and after how many epochs it was broken off before."""
        self.report((self.key, done))

    def epoch(self, report: EpochReport) -> None:
        """Tell how many epochs are done."""
        if time.monotonic() - self.said_at >= SECONDS_BETWEEN_REPORTS:
            self.said_at = time.monotonic()
            self.report((self.key, report.epoch))

    def end(self, fold: str, metrics: RunMetrics) -> None:
        """The result says it."""
