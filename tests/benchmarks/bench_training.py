"""Records a second over several trainings: the plain way, the experiment's processes, together.

The plain way is a DataLoader over the cache and ``nn.TransformerEncoder``, one training after
another with PyTorch's own number of threads (tests/benchmarks/plain_training.py). Ours are the
processes of ``dmft experiment``, one thread each, and models trained together in one process
(``--together``), which a GPU gains from. The cache has the shape of four people of UTD-MHAD.
Each way trains the same folds for the same epochs; the ways take turns, and the middle of the
passes counts. Where other work holds the cores, the plain way's threads wait for each other and
the ratio is too good; "for a second of one core" is what the work costs, whoever else is there.

python -m tests.benchmarks.bench_training [--folds 4] [--trials 4] [--passes 3] [--kinds ...]
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dmft.config import RunConfig, load_config
from dmft.data import Cache, make_features, open_cache
from dmft.data.sources import choose_source
from dmft.experiments.pool import Pool, Report
from dmft.models import ModelShape, Student, Teacher
from dmft.training import Learner, fit, fit_together
from dmft.training.losses import hard_objective
from tests.benchmarks.common import busy_cores, say, scratch
from tests.benchmarks.plain_training import plain_seconds
from tests.factories import write_cache

SHAPES = {"skeleton": (64, 60), "inertial": (128, 6)}
N_SUBJECTS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One training of one epoch."""

    cache: Path
    """Where the cache is."""
    kind: str
    """teacher or student."""
    fold: int
    """Number of the person who is left out, from 0."""


@functools.cache
def _open(path: Path) -> Cache:
    return open_cache(path)


def settings() -> RunConfig:
    """The default configuration, for one epoch."""
    return load_config("default", ["training.epochs=1"])


def rows_of(cache: Cache, fold: int) -> torch.Tensor:
    """Everybody but one."""
    return torch.from_numpy(np.flatnonzero(cache.columns["subject"] != fold + 1))


def learner_of(task: Task) -> Learner:
    """A new model and its records, as ``dmft train`` makes them."""
    cache, config = _open(task.cache), settings()
    rows = rows_of(cache, task.fold)
    transform = make_features(cache, config, rows)
    shape = ModelShape(inputs=transform.inputs, n_classes=len(cache.spec.classes))
    torch.manual_seed(task.fold)
    model = (
        Teacher(shape, config.teacher, config.encoder)
        if task.kind == "teacher"
        else Student(shape, config.student, config.encoder)
    )
    return Learner(
        model=model,
        objective=hard_objective(config),
        source=choose_source(cache, rows, None, torch.device("cpu")),
        transform=transform,
        config=config,
        seed=task.fold,
    )


def work(task: Task, report: Report) -> None:
    """What a process of the pool does."""
    torch.set_num_threads(1)
    fit(learner_of(task))


def in_pool(pool: Pool, tasks: list[Task]) -> None:
    """Do tasks in processes that are running already."""
    waiting, n_left = list(tasks), len(tasks)
    while n_left:
        while waiting and pool.n_idle:
            pool.give(str(len(waiting)), waiting.pop())
        for event in pool.wait(timeout_s=60):
            if event.what in ("failed", "died"):
                raise SystemExit(f"a training {event.what}: {event.content}")
            n_left -= event.what == "done"


def seconds_of(way: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    way()
    return time.perf_counter() - began


def work_ratio(path: Path, rows: NDArray[np.int64], task: Task) -> float:
    """Seconds of one core that the plain way takes for an epoch, over ours."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    learner = learner_of(task)
    began = time.process_time()
    fit(learner)
    ours = time.process_time() - began
    plain = plain_seconds(path, rows, task.kind, settings(), clock=time.process_time)
    torch.set_num_threads(before)
    return plain / ours


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folds", type=int, default=4, choices=range(1, N_SUBJECTS + 1))
    parser.add_argument("--trials", type=int, default=4, help="of each action by each person")
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--kinds", default="teacher,student")
    chosen = parser.parse_args()
    busy_cores()
    n_cores = len(os.sched_getaffinity(0))
    with scratch() as folder, Pool(n_cores, work) as pool:
        path = folder / "cache.zarr"
        write_cache(
            path, modalities=SHAPES, n_subjects=N_SUBJECTS, n_classes=27, n_trials=chosen.trials
        )
        folds = range(chosen.folds)
        rows = {fold: rows_of(_open(path), fold).numpy() for fold in folds}
        n_records = sum(len(each) for each in rows.values())
        in_pool(pool, [Task(cache=path, kind="student", fold=0) for _ in range(n_cores)])
        for kind in chosen.kinds.split(","):
            tasks = [Task(cache=path, kind=kind, fold=fold) for fold in folds]
            ways = ("plain", "processes", "together")
            rates: dict[str, list[float]] = {way: [] for way in ways}
            work_ratios = []
            for _ in range(chosen.passes):
                plain = sum(plain_seconds(path, rows[fold], kind, settings()) for fold in folds)
                rates["plain"].append(n_records / plain)
                seconds = seconds_of(functools.partial(in_pool, pool, tasks))
                rates["processes"].append(n_records / seconds)
                learners = [learner_of(task) for task in tasks]
                seconds = seconds_of(functools.partial(fit_together, learners))
                rates["together"].append(n_records / seconds)
                work_ratios.append(work_ratio(path, rows[0], tasks[0]))
            middle = {way: statistics.median(values) for way, values in rates.items()}
            for way, value in middle.items():
                say(f"{kind}, {way}", value, "records/s")
            say(f"{kind}, processes / plain", middle["processes"] / middle["plain"], "", "3")
            say(f"{kind}, together / plain", middle["together"] / middle["plain"], "")
            say(
                f"{kind}, ours / plain for a second of one core", statistics.median(work_ratios), ""
            )


if __name__ == "__main__":
    main()
