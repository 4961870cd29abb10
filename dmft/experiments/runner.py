"""Do the rows of an experiment that are not done yet, several at a time.

Every row is an ordinary run folder under ``runs/``, so an interrupted one goes on at its last
epoch, and its line in the results file is written when the run has ended. What a process does with
its rows is in :mod:`dmft.experiments.task`.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dmft.experiments.plan import PlannedRow
from dmft.experiments.pool import Pool
from dmft.experiments.results import RESULTS_FILE, Result, append_result, load_results
from dmft.experiments.task import Task, do_rows
from pipeline.common.files import held
from pipeline.contract import ContractError, DmftError

if TYPE_CHECKING:
    from dmft.experiments.cluster import Cluster

log = logging.getLogger(__name__)

LOCK_FILE = ".lock"
ATTEMPTS = 2
"""Processes that a row may kill before it is given up."""
Ending = tuple[PlannedRow, Result | str]
"""A row and its line, or why it has none."""


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

    def start(self, rows: Sequence[PlannedRow], n_found: int) -> None:
        """These rows are to be done; ``n_found`` others are finished already."""

    def epoch(self, row: PlannedRow, done: int) -> None:
        """A row has done that many epochs."""

    def end(self, row: PlannedRow, result: Result) -> None:
        """A row is finished and stands in the results file."""

    def failed(self, row: PlannedRow, why: str) -> None:
        """A row could not be done."""


def run_experiment(
    rows: Sequence[PlannedRow],
    cache: Path,
    out: Path,
    *,
    experiment: str,
    n_workers: int,
    together: int = 1,
    scheduler: str | None = None,
    pool: Pool | None = None,
    trust: bool = False,
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
        pool: Processes that are there already and stay, instead of ``n_workers`` new ones.
        trust: Use a cache that nothing vouches for.
        callback: Told how it goes.

    Raises:
        ConfigError: the cluster does not answer, has no worker, or a worker misses a folder.
        ContractError: the folder's results are damaged, or another process works in it.
    """
    out.mkdir(parents=True, exist_ok=True)
    refusal = ContractError(
        f"{out} is in use: another 'dmft experiment' is writing to it. Wait for it, "
        "or name another folder."
    )
    with held(out / LOCK_FILE, refusal):
        done = {r.key for r in load_results(out)} if (out / RESULTS_FILE).exists() else set()
        left = [row for row in rows if row.key not in done]
        outcome = Outcome(n_rows=len(rows), n_found=len(rows) - len(left))
        if callback is not None:
            callback.start(left, outcome.n_found)
        queue = _Queue(left, done, together)
        task_of = functools.partial(
            Task, cache=cache.resolve(), out=out.resolve(), experiment=experiment, trust=trust
        )
        if not left:
            endings: Iterator[Ending] = iter(())
        elif pool is not None:
            endings = _in_a_pool(queue, task_of, contextlib.nullcontext(pool), callback)
        elif scheduler is None and n_workers == 0:
            endings = _in_this_process(queue, task_of, callback)
        elif scheduler is None:
            opened = Pool(min(n_workers, len(left)), do_rows)
            endings = _in_a_pool(queue, task_of, opened, callback)
        else:
            # Imported here: training on one machine needs no Dask.
            from dmft.experiments.cluster import Cluster

            cluster = Cluster(scheduler, do_rows, [cache.resolve(), out.resolve()])
            endings = _in_a_pool(queue, task_of, cluster, callback)
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


class _Queue:
    """Rows that wait, and which of them come next."""

    def __init__(self, rows: Sequence[PlannedRow], done: set[str], together: int) -> None:
        self.waiting = list(rows)
        self.done, self.together = done, together
        self.deaths: dict[str, int] = {}

    def take(self) -> tuple[PlannedRow, ...]:
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
            if first.network is None  # of ours we know that they can be computed as one
            and not self.deaths.keys() & {first.key, row.key}
            and _shape(row) == _shape(first)
        ]
        taken = (first, *alike[: self.together - 1])
        keys = {row.key for row in taken}
        self.waiting = [row for row in self.waiting if row.key not in keys]
        return taken

    def died(self, row: PlannedRow) -> bool:
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


def _shape(row: PlannedRow) -> tuple[object, ...]:
    """What rows that are computed as one have in common."""
    return row.model, row.network, row.modalities, row.device, row.config


def _in_this_process(
    queue: _Queue, task_of: Callable[..., Task], callback: RunCallback | None
) -> Iterator[Ending]:
    while rows := queue.take():
        by_key = {row.key: row for row in rows}
        try:
            results = do_rows(task_of(rows=rows), functools.partial(_tell, callback, by_key))
        except DmftError as error:
            results = dict.fromkeys(by_key, str(error))
        yield from ((by_key[key], result) for key, result in results.items())


def _tell(
    callback: RunCallback | None, rows: Mapping[str, PlannedRow], progress: tuple[str, int]
) -> None:
    key, n_epochs = progress
    if callback is not None:
        callback.epoch(rows[key], n_epochs)


def _in_a_pool(
    queue: _Queue,
    task_of: Callable[..., Task],
    opened: AbstractContextManager[Pool | Cluster],
    callback: RunCallback | None,
) -> Iterator[Ending]:
    running: dict[str, dict[str, PlannedRow]] = {}
    warned: set[str] = set()
    with opened as pool:
        while True:
            while pool.n_idle and (rows := queue.take()):
                running[rows[0].key] = {row.key: row for row in rows}
                pool.give(rows[0].key, task_of(rows=rows))
            if not running:
                return
            for event in pool.wait(timeout_s=60):
                if event.what == "progress":
                    _tell(callback, running[event.ticket], event.content)
                    continue
                if event.what == "said":
                    if event.content not in warned:
                        warned.add(event.content)
                        log.warning("%s", event.content)
                    continue
                by_key = running.pop(event.ticket)
                if event.what == "done":
                    yield from ((by_key[key], result) for key, result in event.content.items())
                elif event.what == "failed":
                    yield from ((row, event.content) for row in by_key.values())
                else:
                    yield from _after_death(queue, by_key.values(), event.content)


def _after_death(queue: _Queue, rows: Iterable[PlannedRow], how: str) -> Iterator[Ending]:
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
