"""A Dask cluster that is already there, as a pool for experiments.

The only importer of Dask in the trainer, and imported only where a cluster is asked for: training
on one machine needs no Dask. It starts no scheduler and no worker.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from pathlib import Path
from typing import Any

from distributed import Client, Future, KilledWorker, get_worker
from distributed.comm.core import CommClosedError

from dmft.experiments.pool import Event, OrphanedError, Report, Work
from pipeline.common.dask_cluster import (
    check_answers,
    no_scheduler,
    no_worker_came,
    no_worker_left,
    scheduler_gone,
)
from pipeline.contract import ConfigError, DmftError

CONNECT_TIMEOUT = "20s"
NO_WORKERS_AFTER_S = 60.0
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
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        check_answers(address)
        try:
            self._client = Client(address, timeout=CONNECT_TIMEOUT, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise no_scheduler(address, error) from error
        self._work = work
        self._topic = TOPIC + uuid.uuid4().hex
        self._given: dict[str, Future[Any]] = {}
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._alone_since: float | None = None
        try:
            self._look(folders)
            self._client.subscribe_topic(self._topic, self._hear)
        except BaseException:
            self._client.close()
            raise

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *error: object) -> None:
        # A scheduler that is gone cannot be told; whatever stopped us is what is said.
        with suppress(Exception):
            self._client.cancel(list(self._given.values()), force=True)
            self._client.unsubscribe_topic(self._topic)
        with suppress(Exception):
            self._client.close()

    def _look(self, folders: Sequence[Path]) -> None:
        try:
            self._client.wait_for_workers(1, timeout=NO_WORKERS_AFTER_S)
        except TimeoutError as error:
            raise no_worker_came(NO_WORKERS_AFTER_S) from error
        for worker, missed in self._client.run(_missed, [str(path) for path in folders]).items():
            if missed is not None:
                raise ConfigError(
                    f"worker {worker} does not see {missed}: wanted cache and --out on a file "
                    "system that all workers share, under the same paths"
                )

    def _hear(self, event: tuple[float, tuple[str, str, Any]]) -> None:
        what, ticket, content = event[1]
        self._events.put(Event(what=what, ticket=ticket, content=content))

    @property
    def _n_workers(self) -> int:
        return len(self._client.scheduler_info(n_workers=-1)["workers"])

    @property
    def n_idle(self) -> int:
        """Workers without a task, as many as there are now."""
        return max(self._n_workers - len(self._given), 0)

    def give(self, ticket: str, task: Any) -> None:
        """Hand a task to a worker."""
        future = self._client.submit(
            _serve, self._work, task, self._topic, ticket, pure=False, retries=0
        )
        self._given[ticket] = future
        # The future's own state is read in wait(): callbacks run in a thread of Dask's.
        future.add_done_callback(
            lambda _: self._events.put(Event(what="ended", ticket=ticket, content=None))
        )

    def wait(self, timeout_s: float) -> Sequence[Event]:
        """Return what has happened, or nothing after ``timeout_s``.

        Raises:
            ConfigError: the scheduler is gone, or no worker has been there for a while.
        """
        until = time.monotonic() + timeout_s
        while True:
            try:
                event = self._events.get(timeout=min(1.0, max(until - time.monotonic(), 0.0)))
            except queue.Empty:
                self._see_that_someone_is_there()
                if time.monotonic() >= until:
                    return ()
                continue
            if event.what == "ended":
                return (self._ending(event.ticket),)
            if event.ticket in self._given:
                return (event,)

    def _ending(self, ticket: str) -> Event:
        future = self._given.pop(ticket)
        try:
            what, content = future.result()
        except KilledWorker:
            return Event(what="died", ticket=ticket, content="its Dask worker was lost")
        except (CancelledError, CommClosedError) as error:
            raise scheduler_gone() from error
        except Exception as error:
            return Event(what="failed", ticket=ticket, content=f"{type(error).__name__}: {error}")
        return Event(what=what, ticket=ticket, content=content)

    def _see_that_someone_is_there(self) -> None:
        if self._n_workers:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = time.monotonic()
        elif time.monotonic() - self._alone_since > NO_WORKERS_AFTER_S:
            raise no_worker_left(NO_WORKERS_AFTER_S)


def _missed(folders: Sequence[str]) -> str | None:
    """Runs in a worker: the first folder that it does not see."""
    return next((path for path in folders if not os.path.isdir(path)), None)  # noqa: PTH112


class _Forwarder(logging.Handler):
    """Hands warnings of the thread that made it to the client."""

    def __init__(self, tell: Report) -> None:
        super().__init__(logging.WARNING)
        self.tell, self.thread = tell, threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        """Send one."""
        if record.thread == self.thread:
            self.tell(record.getMessage())


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
        forwarder = _Forwarder(lambda message: tell("said", message))
        logging.getLogger().addHandler(forwarder)
        try:
            return "done", work(task, report)
        except OrphanedError:
            return "failed", "the experiment that asked for it was stopped"
        except DmftError as error:
            return "failed", str(error)
        except Exception as error:
            return "failed", f"{type(error).__name__}: {error}"
        finally:
            logging.getLogger().removeHandler(forwarder)
