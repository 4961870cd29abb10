"""Do the rows of an experiment that are not done yet, several at a time.

Every row is an ordinary run folder under ``runs/``, so an interrupted one goes on at its last
epoch, and its line in the results file is written when the run has ended. What a row gives does
not depend on how many others run beside it: each process has one torch thread and each row its
own seeds. Rows of one shape may be computed as one (``together``): the same weights but for the
rounding of sums.
"""

from __future__ import annotations

import functools
import itertools
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch

from dmft.data import Cache, open_cache
from dmft.evaluation.metrics import RunMetrics
from dmft.experiments.plan import Row
from dmft.experiments.pool import Pool, Report
from dmft.experiments.results import (
    RESULTS_FILE,
    RUNS_FOLDER,
    Result,
    append_result,
    gather,
    load_results,
)
from dmft.protocols import choose_folds
from dmft.training import EpochReport
from dmft.training.device import resolve_device
from dmft.training.distill import load_teachers, plan_distillation
from dmft.training.log import Callback
from dmft.training.train import Training, plan_training, train_fold, train_together
from pipeline.common.files import held
from pipeline.contract import ContractError, DmftError

if TYPE_CHECKING:
    from dmft.experiments.cluster import Cluster

log = logging.getLogger(__name__)

LOCK_FILE = ".lock"
ATTEMPTS = 2
"""Processes that a row may kill before it is given up."""
Ending = tuple[Row, Result | str]
"""A row and its line, or why it has none."""
SECONDS_BETWEEN_REPORTS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Some rows and where they are done."""

    rows: tuple[Row, ...]
    """What to train; of one shape where they are several."""
    cache: Path
    """On what."""
    out: Path
    """The experiment's folder."""
    experiment: str
    """Name of the experiment."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What has become of an experiment."""

    n_rows: int
    """Rows that it has."""
    n_found: int
    """Rows that were finished before."""
    n_done: int = 0
    """Rows finished now."""
    failures: dict[str, str] = field(default_factory=dict)
    """Titles of rows that failed, and why."""


class RunCallback(Protocol):
    """What a caller is told while rows are done."""

    def start(self, rows: Sequence[Row], n_found: int) -> None:
        """These rows are to be done; ``n_found`` others are finished already."""

    def epoch(self, row: Row, done: int) -> None:
        """A row has done that many epochs."""

    def end(self, row: Row, result: Result) -> None:
        """A row is finished and stands in the results file."""

    def failed(self, row: Row, why: str) -> None:
        """A row could not be done."""


def run_experiment(
    rows: Sequence[Row],
    cache: Path,
    out: Path,
    *,
    experiment: str,
    n_workers: int,
    together: int = 1,
    scheduler: str | None = None,
    callback: RunCallback | None = None,
) -> Outcome:
    """Do what is left of some rows; return how it went.

    Args:
        rows: Teachers before their students, as ``plan_rows`` gives them.
        cache: The feature cache.
        out: Folder of results; may hold those of other experiments.
        experiment: Name that new lines carry.
        n_workers: Processes; 0 for none but this one.
        together: Rows of one shape that a process computes as one, at most.
        scheduler: Address of a Dask cluster whose workers train, instead of processes here; they
            see ``cache`` and ``out`` under the same paths.
        callback: Told how it goes.

    Raises:
        ConfigError: the cluster does not answer, has no worker, or a worker misses a folder.
        ContractError: the folder's results are damaged, or another process works in it.
    """
    out.mkdir(parents=True, exist_ok=True)
    with _locked(out):
        done = {r.key for r in load_results(out)} if (out / RESULTS_FILE).exists() else set()
        left = [row for row in rows if row.key not in done]
        outcome = Outcome(n_rows=len(rows), n_found=len(rows) - len(left))
        if callback is not None:
            callback.start(left, outcome.n_found)
        queue = _Queue(left, done, together)
        place = functools.partial(
            Task, cache=cache.resolve(), out=out.resolve(), experiment=experiment
        )
        if scheduler is None and n_workers == 0:
            endings = _in_this_process(queue, place, callback)
        else:
            hire = functools.partial(_hire, scheduler, min(n_workers, len(left)), (cache, out))
            endings = _in_a_pool(queue, place, hire, callback)
        for row, result in itertools.chain(endings, queue.hopeless()):
            if isinstance(result, Result):
                append_result(out, result)
                done.add(row.key)
                outcome.n_done += 1
                if callback is not None:
                    callback.end(row, result)
            else:
                outcome.failures[row.title] = result
                if callback is not None:
                    callback.failed(row, result)
    return outcome


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Hold the folder alone; the lock goes with the process that holds it.

    Raises:
        ContractError: another process holds it.
    """
    refusal = ContractError(
        f"{out} is in use: another 'dmft experiment' is writing to it. Wait for it, "
        "or name another folder."
    )
    with held(out / LOCK_FILE, refusal):
        yield


class _Queue:
    """Rows that wait, and which of them come next."""

    def __init__(self, rows: Sequence[Row], done: set[str], together: int) -> None:
        self.waiting = list(rows)
        self.done, self.together = done, together
        self.deaths: dict[str, int] = {}

    def take(self) -> tuple[Row, ...]:
        """The first row whose teachers are done, and more of its shape; none where there is none.

        A row that has killed its process is tried again alone.
        """
        ready = [row for row in self.waiting if self.done.issuperset(row.teachers)]
        if not ready:
            return ()
        first, *others = ready
        alike = [
            row
            for row in others
            if not self.deaths.keys() & {first.key, row.key} and _shape(row) == _shape(first)
        ]
        taken = (first, *alike[: self.together - 1])
        keys = {row.key for row in taken}
        self.waiting = [row for row in self.waiting if row.key not in keys]
        return taken

    def died(self, row: Row) -> bool:
        """Put a row back whose process died; False where that was its last attempt."""
        self.deaths[row.key] = self.deaths.get(row.key, 0) + 1
        again = self.deaths[row.key] < ATTEMPTS
        if again:
            self.waiting.insert(0, row)
        return again

    def hopeless(self) -> Iterator[Ending]:
        """Rows that are left because a teacher of theirs failed."""
        for row in self.waiting:
            yield row, "its teacher could not be trained"


def _shape(row: Row) -> tuple[object, ...]:
    """What rows that are computed as one have in common."""
    return row.model, row.modalities, row.device, row.config


def _in_this_process(
    queue: _Queue, place: Callable[..., Task], callback: RunCallback | None
) -> Iterator[Ending]:
    while rows := queue.take():
        by_key = {row.key: row for row in rows}
        try:
            found = do_rows(place(rows=rows), functools.partial(_tell, callback, by_key))
        except DmftError as error:
            found = dict.fromkeys(by_key, str(error))
        yield from ((by_key[key], result) for key, result in found.items())


def _tell(callback: RunCallback | None, rows: Mapping[str, Row], progress: tuple[str, int]) -> None:
    key, n_epochs = progress
    if callback is not None:
        callback.epoch(rows[key], n_epochs)


def _hire(scheduler: str | None, n_workers: int, folders: Sequence[Path]) -> Pool | Cluster:
    """Processes of our own, or the workers of a cluster."""
    if scheduler is None:
        return Pool(n_workers, do_rows)
    # Imported here: training on one machine needs no Dask.
    from dmft.experiments.cluster import Cluster

    return Cluster(scheduler, do_rows, [folder.resolve() for folder in folders])


def _in_a_pool(
    queue: _Queue,
    place: Callable[..., Task],
    hire: Callable[[], Pool | Cluster],
    callback: RunCallback | None,
) -> Iterator[Ending]:
    if not queue.waiting:
        return
    running: dict[str, dict[str, Row]] = {}
    said: set[str] = set()
    with hire() as pool:
        while True:
            while pool.n_idle and (rows := queue.take()):
                running[rows[0].key] = {row.key: row for row in rows}
                pool.give(rows[0].key, place(rows=rows))
            if not running:
                return
            for event in pool.wait(timeout_s=60):
                if event.what == "progress":
                    _tell(callback, running[event.ticket], event.content)
                    continue
                if event.what == "said":
                    if event.content not in said:
                        said.add(event.content)
                        log.warning("%s", event.content)
                    continue
                by_key = running.pop(event.ticket)
                if event.what == "done":
                    yield from ((by_key[key], result) for key, result in event.content.items())
                elif event.what == "failed":
                    yield from ((row, event.content) for row in by_key.values())
                else:
                    yield from _after_death(queue, by_key.values(), event.content)


def _after_death(queue: _Queue, rows: Iterable[Row], how: str) -> Iterator[Ending]:
    """Try rows again whose process died, or give them up."""
    for row in rows:
        if queue.died(row):
            log.warning("%s: its process died, trying again", row.title)
        else:
            why = (
                f"its process died {ATTEMPTS} times ({how}); where memory is short, "
                "use fewer --workers"
            )
            yield row, why


def do_rows(task: Task, report: Report) -> dict[str, Result | str]:
    """Train, or finish training, some rows; return the line of each, or why it failed, by key.

    Raises:
        ContractError: the cache cannot be read.
    """
    torch.set_num_threads(1)
    cache = _open(task.cache, task.rows[0].modalities)
    found: dict[str, Result | str] = {}
    trainings: dict[str, Training] = {}
    for row in task.rows:
        try:
            trainings[row.key] = plan_row(task, row, cache, _EpochCallback(row.key, report))
        except DmftError as error:
            found[row.key] = str(error)
    ended = zip(trainings, _train(list(trainings.values())), strict=True)
    errors = {key: str(each) for key, each in ended if isinstance(each, ContractError)}
    for row in task.rows:
        if row.key in trainings:
            found[row.key] = errors.get(row.key) or _gathered(task, row, cache)
    return found


def _train(trainings: Sequence[Training]) -> Sequence[RunMetrics | ContractError]:
    if len(trainings) > 1:
        return train_together(trainings)
    try:
        return [train_fold(training) for training in trainings]
    except ContractError as error:
        return [error]


def _gathered(task: Task, row: Row, cache: Cache) -> Result | str:
    try:
        return gather(
            row,
            cache,
            cache_path=task.cache,
            out=task.out,
            experiment=task.experiment,
            together=len(task.rows),
        )
    except ContractError as error:
        return str(error)


def plan_row(task: Task, row: Row, cache: Cache, callback: Callback) -> Training:
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
            cache, fold, teachers, folder, config=row.config, seed=row.seed, callback=callback
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
        callback=callback,
    )


@functools.lru_cache(maxsize=2)
def _open_stamped(path: Path, modalities: tuple[str, ...], stamp: int) -> Cache:
    return open_cache(path, modalities)


def _open(path: Path, modalities: tuple[str, ...]) -> Cache:
    """Open a cache, or take the one that this process has open already."""
    if not path.exists():
        return open_cache(path, modalities)
    return _open_stamped(path, modalities, path.stat().st_mtime_ns)


class _EpochCallback:
    """Tells a row's epochs to the pool, once a second at most."""

    def __init__(self, key: str, report: Report) -> None:
        self.key, self.report, self.said_at = key, report, 0.0

    def start(self, fold: str, n_epochs: int, done: int) -> None:
        """Nothing to tell yet."""

    def epoch(self, report: EpochReport) -> None:
        """Tell how many epochs are done."""
        if time.monotonic() - self.said_at >= SECONDS_BETWEEN_REPORTS:
            self.said_at = time.monotonic()
            self.report((self.key, report.epoch))

    def end(self, fold: str, metrics: RunMetrics) -> None:
        """The result says it."""
