"""Processes that each do one task at a time; one that dies costs its own task and no other.

``concurrent.futures`` gives up all its tasks when one process is killed, so this does not use it.
Processes are not forked from this one, because torch's threads do not survive a fork, but from one
that has imported what they do and done nothing else; where that is not to be had, they are spawned.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from pipeline.common.spawning import ctrl_c_left_to_the_parent, forking, spawning
from pipeline.contract import DmftError

Report = Callable[[Any], None]
"""What a task tells while it runs."""
Work = Callable[[Any, Report], Any]
"""A task and its :data:`Report` to a result; importable by name."""


class OrphanedError(Exception):
    """The process that gave out the task is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEvent:
    """Something that happened to a task."""

    what: str
    """progress, said (a warning), done, failed (the task raised) or died (its process did)."""
    ticket: str
    """Which task."""
    content: Any
    """What it told, its warning, its result, its error in words, or how the process died."""


class _WorkerProcess:
    """One process and the task that it has."""

    def __init__(self, context: Any, work: Work) -> None:
        self.connection, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_serve, args=(theirs, work), daemon=True)
        with ctrl_c_left_to_the_parent(), spawning():
            self.process.start()
        theirs.close()
        self.ticket: str | None = None


class Pool:
    """A fixed number of processes."""

    def __init__(self, n_workers: int, work: Work) -> None:
        self._work = work
        with contextlib.ExitStack() as stack:
            method = stack.enter_context(forking([work.__module__]))
            self._context = multiprocessing.get_context(method)
            stack.callback(self._end)
            self._workers: list[_WorkerProcess] = []
            for _ in range(n_workers):
                self._workers.append(_WorkerProcess(self._context, work))
            self._stack = stack.pop_all()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _end(self) -> None:
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(timeout=10)
            worker.connection.close()

    @property
    def n_idle(self) -> int:
        """Processes without a task."""
        return sum(worker.ticket is None for worker in self._workers)

    def give(self, ticket: str, task: Any) -> None:
        """Hand a task to an idle process."""
        worker = next(worker for worker in self._workers if worker.ticket is None)
        worker.ticket = ticket
        # One that has died in between is found by wait().
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            worker.connection.send(task)

    def wait(self, timeout_s: float) -> Sequence[TaskEvent]:
        """Return what has happened, or nothing after ``timeout_s``."""
        by_channel = {worker.connection: worker for worker in self._workers}
        events = []
        for channel in wait(list(by_channel), timeout_s):
            worker = by_channel[channel]
            try:
                what, content = worker.connection.recv()
            except (EOFError, ConnectionResetError):
                events += self._bury(worker)
                continue
            ticket = worker.ticket
            assert ticket is not None
            if what not in ("progress", "said"):
                worker.ticket = None
            events.append(TaskEvent(what=what, ticket=ticket, content=content))
        return events

    def _bury(self, worker: _WorkerProcess) -> list[TaskEvent]:
        """Replace a dead process."""
        worker.process.join(timeout=10)
        how, ticket = f"exit code {worker.process.exitcode}", worker.ticket
        worker.connection.close()
        self._workers[self._workers.index(worker)] = _WorkerProcess(self._context, self._work)
        return [] if ticket is None else [TaskEvent(what="died", ticket=ticket, content=how)]


class WarningForwarder(logging.Handler):
    """Hands warnings to whoever gave out the task, who says each once."""

    def __init__(self, tell: Callable[[str, Any], None]) -> None:
        super().__init__(logging.WARNING)
        self.tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        """Send one."""
        self.tell("said", record.getMessage())


@contextmanager
def each_said_once() -> Iterator[None]:
    """While this lasts, a message that was logged already is not shown again."""
    logged: set[str] = set()

    def is_new(record: logging.LogRecord) -> bool:
        message = record.getMessage()
        new = message not in logged
        logged.add(message)
        return new

    handlers = [*logging.getLogger().handlers, logging.lastResort]
    for handler in handlers:
        if handler is not None:
            handler.addFilter(is_new)
    try:
        yield
    finally:
        for handler in handlers:
            if handler is not None:
                handler.removeFilter(is_new)


def attempt(work: Work, task: Any, report: Report) -> tuple[str, Any]:
    """Do a task; return ``done`` and its result, or ``failed`` and why.

    Raises:
        OrphanedError: nobody waits for it any more.
        BrokenPipeError: the same.
    """
    try:
        return "done", work(task, report)
    except (OrphanedError, BrokenPipeError):
        raise
    except DmftError as error:
        return "failed", str(error)
    except Exception as error:
        return "failed", f"{type(error).__name__}: {error}"


def _serve(connection: Connection, work: Work) -> None:
    """Do tasks until the other side closes; runs in the spawned process."""
    parent = multiprocessing.parent_process()

    def report(content: Any) -> None:
        if parent is not None and not parent.is_alive():
            raise OrphanedError
        connection.send(("progress", content))

    logging.getLogger().addHandler(WarningForwarder(lambda *told: connection.send(told)))
    with contextlib.suppress(EOFError, OrphanedError, BrokenPipeError):
        while True:
            connection.send(attempt(work, connection.recv(), report))
