"""A Dask cluster that is already there, as a pool for experiments.

Imported only where a cluster is asked for: training on one machine needs no Dask. It starts no
scheduler and no worker.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from distributed import Future, KilledWorker, get_worker

from dmft.experiments.pool import OrphanedError, TaskEvent, WarningForwarder, Work, attempt
from pipeline.common.dask_cluster import WorkerWatch, connect, error_of, leave
from pipeline.contract import ConfigError

TOPIC = "dmft-experiment-"
"""With the session behind it: several experiments may share a cluster."""

_ALONE = threading.Lock()
"""PyTorch's settings are a process's: a worker with several threads trains one task at a time."""


class Cluster:
    """The workers of a cluster, one task each; used as :class:`dmft.experiments.pool.Pool` is."""

    def __init__(self, address: str, work: Work, folders: Sequence[Path]) -> None:
        """Connect, and see that every worker finds what the tasks name.

        Args:
            address: Of the scheduler.
            work: What is done with a task; importable by name on the workers.
            folders: What every worker must see under the same path.

        Raises:
            ConfigError: no scheduler answers, it has no worker, or a worker misses a folder.
        """
        self._client = connect(address)
        self._watch = WorkerWatch(self._client)
        self._work = work
        self._topic = TOPIC + uuid.uuid4().hex
        self._given: dict[str, Future[Any]] = {}
        self._events: queue.SimpleQueue[TaskEvent] = queue.SimpleQueue()
        try:
            self._check_folders(folders)
            self._client.subscribe_topic(self._topic, self._hear)
        except BaseException:
            self._client.close()
            raise

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *error: object) -> None:
        leave(self._client, self._given.values(), self._topic)
        with suppress(Exception):
            self._client.close()

    def _check_folders(self, folders: Sequence[Path]) -> None:
        self._watch.wait_for_one()
        for worker, missed in self._client.run(_missed, [str(path) for path in folders]).items():
            if missed is not None:
                raise ConfigError(
                    f"worker {worker} does not see {missed}: wanted cache and --out on a file "
                    "system that all workers share, under the same paths"
                )

    def _hear(self, event: tuple[float, tuple[str, str, Any]]) -> None:
        what, ticket, content = event[1]
        self._events.put(TaskEvent(what=what, ticket=ticket, content=content))

    @property
    def n_idle(self) -> int:
        """Workers without a task, as many as there are now."""
        return max(len(self._watch.addresses) - len(self._given), 0)

    def give(self, ticket: str, task: Any) -> None:
        """Hand a task to a worker."""
        future = self._client.submit(
            _serve, self._work, task, self._topic, ticket, pure=False, retries=0
        )
        self._given[ticket] = future
        # The future's own state is read in wait(): callbacks run in a thread of Dask's.
        future.add_done_callback(
            lambda _: self._events.put(TaskEvent(what="ended", ticket=ticket, content=None))
        )

    def wait(self, timeout_s: float) -> Sequence[TaskEvent]:
        """Return what has happened, or nothing after ``timeout_s``.

        Raises:
            ConfigError: the scheduler is gone, or no worker has been there for a while.
        """
        until = time.monotonic() + timeout_s
        while True:
            try:
                event = self._events.get(timeout=min(1.0, max(until - time.monotonic(), 0.0)))
            except queue.Empty:
                self._watch.check()
                if time.monotonic() >= until:
                    return ()
                continue
            if event.what == "ended":
                return (self._ending(event.ticket),)
            if event.ticket in self._given:
                return (event,)

    def _ending(self, ticket: str) -> TaskEvent:
        future = self._given.pop(ticket)
        error = error_of(future)
        if isinstance(error, KilledWorker):
            return TaskEvent(what="died", ticket=ticket, content="its Dask worker was lost")
        if error is not None:
            return TaskEvent(
                what="failed", ticket=ticket, content=f"{type(error).__name__}: {error}"
            )
        what, content = future.result()
        return TaskEvent(what=what, ticket=ticket, content=content)


def _missed(folders: Sequence[str]) -> str | None:
    """Runs in a worker: the first folder that it does not see."""
    return next((path for path in folders if not os.path.isdir(path)), None)  # noqa: PTH112


def _serve(work: Work, task: Any, topic: str, ticket: str) -> tuple[str, Any]:
    """Runs in a worker: do one task, telling the client how it goes."""
    worker = get_worker()
    key = worker.get_current_task()

    def tell(what: str, content: Any) -> None:
        worker.log_event(topic, (what, ticket, content))

    def report(content: Any) -> None:
        state = worker.state.tasks.get(key)
        if state is None or state.state == "cancelled":
            raise OrphanedError
        tell("progress", content)

    with _ALONE:
        forwarder, thread = WarningForwarder(tell), threading.get_ident()
        forwarder.addFilter(lambda record: record.thread == thread)
        logging.getLogger().addHandler(forwarder)
        try:
            return attempt(work, task, report)
        except OrphanedError:
            return "failed", "the experiment that asked for it was stopped"
        finally:
            logging.getLogger().removeHandler(forwarder)
