"""Do the rows of an experiment that are not done yet, several at a time.

Every row is an ordinary run folder under ``runs/``, so an interrupted one goes on at its last
epoch, and its line in the results file is written when the run has ended. What a row gives does
not depend on how many others run beside it: each has one torch thread and its own seeds.
"""

from __future__ import annotations

import datetime
import fcntl
import functools
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from dmft.data import Cache, open_cache
from dmft.distill import distill
from dmft.experiments.plan import Row
from dmft.experiments.pool import Event, Pool, Report
from dmft.experiments.results import (
    RESULTS_FILE,
    RUNS_FOLDER,
    Measured,
    MeasuredModality,
    MeasuredSubject,
    Result,
    append_result,
    read_results,
)
from dmft.models import STREAMS
from dmft.run_folder import PREDICTIONS_FILE, present_of, read_info, read_json
from dmft.statistics import calibration_error
from dmft.train import train
from dmft.training import EpochReport
from pipeline.contract import ContractError, DmftError
from pipeline.contract.settings import to_table

log = logging.getLogger(__name__)

LOCK_FILE = ".lock"
ATTEMPTS = 2
"""Processes that a row may kill before it is given up."""
SECONDS_BETWEEN_REPORTS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A row and where it is done."""

    row: Row
    """What to train."""
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


class RunWatcher(Protocol):
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
    watcher: RunWatcher | None = None,
) -> Outcome:
    """Do what is left of some rows; return how it went.

    Args:
        rows: Teachers before their students, as ``plan_rows`` gives them.
        cache: The feature cache.
        out: Folder of results; may hold those of other experiments.
        experiment: Name that new lines carry.
        n_workers: Processes; 0 for none but this one.
        watcher: Told how it goes.

    Raises:
        ContractError: the folder's results are damaged, or another process works in it.
    """
    out.mkdir(parents=True, exist_ok=True)
    with _locked(out):
        done = {r.key for r in read_results(out)} if (out / RESULTS_FILE).exists() else set()
        left = [row for row in rows if row.key not in done]
        outcome = Outcome(n_rows=len(rows), n_found=len(rows) - len(left))
        if watcher is not None:
            watcher.start(left, outcome.n_found)
        tasks = {
            row.key: Task(row=row, cache=cache.resolve(), out=out.resolve(), experiment=experiment)
            for row in left
        }
        events = _in_processes(tasks, done, n_workers, watcher)
        if n_workers == 0:
            events = _in_this_process(tasks, done, watcher)
        for event in events:
            row = tasks[event.ticket].row
            if event.what == "done":
                append_result(out, event.content)
                done.add(row.key)
                outcome.n_done += 1
                if watcher is not None:
                    watcher.end(row, event.content)
            else:
                outcome.failures[row.title] = event.content
                if watcher is not None:
                    watcher.failed(row, event.content)
    return outcome


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Hold the folder alone; the lock goes with the process that holds it.

    Raises:
        ContractError: another process holds it.
    """
    with (out / LOCK_FILE).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ContractError(
                f"{out} is in use: another 'dmft experiment' is writing to it. Wait for it, "
                "or name another folder."
            ) from error
        yield


def _next(waiting: dict[str, Task], done: set[str]) -> Task | None:
    """The first row whose teachers are done."""
    return next((t for t in waiting.values() if done.issuperset(t.row.teachers)), None)


def _hopeless(waiting: dict[str, Task]) -> Iterator[Event]:
    """Rows that wait for a teacher that failed."""
    for task in waiting.values():
        yield Event(what="failed", ticket=task.row.key, content="its teacher could not be trained")


def _in_this_process(
    tasks: dict[str, Task], done: set[str], watcher: RunWatcher | None
) -> Iterator[Event]:
    waiting = dict(tasks)
    while task := _next(waiting, done):
        del waiting[task.row.key]
        try:
            result = do_row(task, functools.partial(_tell, watcher, task.row))
        except DmftError as error:
            yield Event(what="failed", ticket=task.row.key, content=str(error))
        else:
            yield Event(what="done", ticket=task.row.key, content=result)
    yield from _hopeless(waiting)


def _tell(watcher: RunWatcher | None, row: Row, n_epochs: int) -> None:
    if watcher is not None:
        watcher.epoch(row, n_epochs)


def _in_processes(
    tasks: dict[str, Task], done: set[str], n_workers: int, watcher: RunWatcher | None
) -> Iterator[Event]:
    waiting, running = dict(tasks), set[str]()
    deaths: dict[str, int] = {}
    said: set[str] = set()
    with Pool(max(min(n_workers, len(tasks)), 1) if tasks else 0, do_row) as pool:
        while waiting or running:
            while pool.n_idle and (task := _next(waiting, done)):
                del waiting[task.row.key]
                running.add(task.row.key)
                pool.give(task.row.key, task)
            if not running:
                break
            for event in pool.wait(timeout_s=60):
                if event.what == "progress":
                    _tell(watcher, tasks[event.ticket].row, event.content)
                    continue
                if event.what == "said":
                    if event.content not in said:
                        said.add(event.content)
                        log.warning("%s", event.content)
                    continue
                running.discard(event.ticket)
                if event.what != "died":
                    yield event
                    continue
                deaths[event.ticket] = deaths.get(event.ticket, 0) + 1
                if deaths[event.ticket] < ATTEMPTS:
                    log.warning("%s: its process died, trying again", tasks[event.ticket].row.title)
                    waiting = {event.ticket: tasks[event.ticket], **waiting}
                    continue
                why = (
                    f"its process died {ATTEMPTS} times (exit code {event.content}); where memory "
                    "is short, use fewer --workers"
                )
                yield Event(what="failed", ticket=event.ticket, content=why)
    yield from _hopeless(waiting)


def do_row(task: Task, report: Report) -> Result:
    """Train, or finish training, one row, and gather its line.

    Raises:
        ContractError: the cache is not the one that the rows were planned on.
    """
    row = task.row
    torch.set_num_threads(1)
    cache = _open(task.cache, row.modalities)
    runs = task.out / RUNS_FOLDER
    folder = runs / row.folder
    watcher = _EpochWatcher(report)
    if row.model == "distilled":
        teachers = [runs / key[: len(row.folder)] for key in row.teachers]
        distill(
            cache,
            teachers,
            folder,
            config=row.config,
            seed=row.seed,
            device=row.device,
            watcher=watcher,
        )
    else:
        train(
            cache,
            row.protocol,
            folder,
            kind=row.model,
            config=row.config,
            fold=row.fold,
            seed=row.seed,
            device=row.device,
            watcher=watcher,
        )
    return gather(task, cache)


def gather(task: Task, cache: Cache) -> Result:
    """Make the line of a finished run from its folder.

    Raises:
        ContractError: the run is not the row that was planned.
    """
    row = task.row
    folder = task.out / RUNS_FOLDER / row.folder
    info = read_info(folder)
    if info.identity != row.key:
        raise ContractError(
            f"{task.cache} has changed since the rows were planned: {folder} holds run "
            f"{info.identity[:12]!r}, wanted {row.key[:12]!r}. Run the same command again."
        )
    figures = read_json(folder / "metrics.json", "the run's figures")
    votes = read_json(folder / PREDICTIONS_FILE, "the run's predictions")
    measured = _measured(votes, cache, row.modalities)
    now = datetime.datetime.now(datetime.UTC)
    relative = f"{RUNS_FOLDER}/{row.folder}"
    return Result(
        key=row.key,
        experiment=task.experiment,
        recipe=row.recipe,
        model=row.model,
        fusion=row.fusion,
        fusion_tokens=row.fusion_tokens,
        dataset=cache.spec.dataset,
        protocol=row.protocol.name,
        metric=row.protocol.metric,
        fold=row.fold,
        n_folds=row.n_folds,
        modalities=row.modalities,
        seed=row.seed,
        teachers=row.teachers,
        config=to_table(info.config),
        protocol_table=to_table(info.protocol),
        device=info.device,
        cache=str(task.cache),
        cache_fingerprint=info.cache_fingerprint,
        split_hash=info.split_hash,
        n_train=info.n_train,
        n_records=figures["n_records"],
        accuracy=figures["accuracy"],
        macro_f1=figures["macro_f1"],
        calibration_error=_calibration(votes, measured),
        nearest_neighbour_accuracy=figures["nearest_neighbour_accuracy"],
        by_modality={
            name: _measured_modality(found) for name, found in figures["modalities"].items()
        },
        subjects=_by_subject(votes, measured, cache),
        n_parameters=info.n_parameters,
        saved_bytes=info.saved_bytes,
        seconds_per_epoch=info.seconds_per_epoch,
        run=relative,
        predictions=f"{relative}/{PREDICTIONS_FILE}",
        versions=dict(info.versions or {}),
        finished_at=now.isoformat(timespec="seconds"),
    )


def _measured_modality(found: dict[str, Any]) -> MeasuredModality:
    streams = {
        stream: Measured(accuracy=found[stream]["accuracy"], macro_f1=found[stream]["macro_f1"])
        for stream in STREAMS
    }
    return MeasuredModality(
        accuracy=found["accuracy"],
        macro_f1=found["macro_f1"],
        n_records=found["n_records"],
        **streams,
    )


def _measured(votes: dict[str, Any], cache: Cache, modalities: tuple[str, ...]) -> list[int]:
    """Positions in the predictions of records with any modality: the ones that are measured."""
    there = present_of(cache, modalities).any(dim=1).tolist()
    seen = {record for record, any_there in zip(cache.record_ids, there, strict=True) if any_there}
    return [i for i, record in enumerate(votes["records"]) if record in seen]


def _calibration(votes: dict[str, Any], measured: list[int]) -> float:
    if not measured:
        return 0.0
    return calibration_error(
        np.array(votes["probabilities"])[measured], np.array(votes["labels"])[measured]
    )


def _by_subject(
    votes: dict[str, Any], measured: list[int], cache: Cache
) -> dict[str, MeasuredSubject]:
    if "subject" not in cache.columns:
        return {}
    subject_of = dict(zip(cache.record_ids, cache.columns["subject"].tolist(), strict=True))
    right: dict[int, list[bool]] = {}
    for i in measured:
        subject = subject_of[votes["records"][i]]
        right.setdefault(subject, []).append(votes["labels"][i] == votes["predicted"][i])
    return {
        str(subject): MeasuredSubject(n_records=len(each), accuracy=sum(each) / len(each))
        for subject, each in sorted(right.items())
    }


@functools.lru_cache(maxsize=2)
def _open_stamped(path: Path, modalities: tuple[str, ...], stamp: int) -> Cache:
    return open_cache(path, modalities)


def _open(path: Path, modalities: tuple[str, ...]) -> Cache:
    """Open a cache, or take the one that this process has open already."""
    if not path.exists():
        return open_cache(path, modalities)
    return _open_stamped(path, modalities, path.stat().st_mtime_ns)


class _EpochWatcher:
    """Tells epochs to the pool, once a second at most."""

    def __init__(self, report: Report) -> None:
        self.report, self.said_at = report, 0.0

    def start(self, fold: str, n_epochs: int, done: int) -> None:
        """Nothing to tell yet."""

    def epoch(self, report: EpochReport) -> None:
        """Tell how many epochs are done."""
        if time.monotonic() - self.said_at >= SECONDS_BETWEEN_REPORTS:
            self.said_at = time.monotonic()
            self.report(report.epoch)

    def end(self, fold: str, figures: dict[str, Any]) -> None:
        """The result says it."""
