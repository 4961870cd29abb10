"""Child processes: when they pay, what they import, and that they run no script again.

Python starts a spawned process by importing the script that the parent runs, so that a script
without an ``if __name__ == "__main__":`` guard would do everything once more in each. What our
processes do is imported by its own name, so the script is left out.

What they import takes seconds. On Linux one process imports it once, and the others are forked from
that one, which has no threads that a fork could break and has touched no GPU.
"""

from __future__ import annotations

import multiprocessing.spawn
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import active_children, forkserver, get_context, resource_tracker
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from pipeline.common.cores import n_cores

WORKERS_START_S = 4.0
"""What it takes to start and stop processes that import what we need."""
Item = TypeVar("Item")

_LOCK = threading.Lock()
_original = multiprocessing.spawn.get_preparation_data
_n_inside = 0


def _without_script(name: str) -> dict[str, Any]:
    data = _original(name)
    for key in ("init_main_from_name", "init_main_from_path"):
        data.pop(key, None)
    return data


@contextmanager
def spawning() -> Iterator[None]:
    """While this lasts, processes that are spawned leave the parent's script alone."""
    global _n_inside
    with _LOCK:
        _n_inside += 1
        multiprocessing.spawn.get_preparation_data = _without_script
    try:
        yield
    finally:
        with _LOCK:
            _n_inside -= 1
            if not _n_inside:
                multiprocessing.spawn.get_preparation_data = _original


@contextmanager
def ctrl_c_left_to_the_parent() -> Iterator[None]:
    """Processes that are started meanwhile never see a Ctrl-C, also while they begin."""
    resource_tracker.ensure_running()  # starting it would unblock the signal again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def forking(
    modules: Sequence[str], environment: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Literal["forkserver", "spawn"]]:
    """While this lasts, processes are forked from one that has imported what they need.

    Gives the start method to use: ``spawn`` where that is not to be had, on other systems than
    Linux and where such a process is there already, of a block around this or of the caller's own.

    Args:
        modules: What to import; what cannot be is left to each process to fail by.
        environment: Variables that must be there before anything is imported.
    """
    server: Any = forkserver._forkserver
    if sys.platform != "linux" or getattr(server, "_forkserver_pid", 0) is not None:
        yield "spawn"
        return
    with spawning():
        kept = {name: os.environ.get(name) for name in environment}
        os.environ.update(environment)
        try:
            with ctrl_c_left_to_the_parent():
                forkserver.set_forkserver_preload(list(modules))
                forkserver.ensure_running()
        finally:
            for name, value in kept.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
        try:
            yield "forkserver"
        finally:
            # It ends with this process at the latest; waited for, it must have no children left.
            if not active_children():
                server._stop()


def quicker_here(
    items: deque[Item], n_workers: int, size_of: Callable[[Item], int] = lambda _: 1
) -> Iterator[Item]:
    """Take items for as long as starting workers would cost more than they would save.

    Each is to be worked off before the next is asked for; what is left is the workers'.

    Args:
        items: What there is to do, in order.
        n_workers: How many there would be; 0 if there are to be none whatever it takes.
        size_of: How much of the work an item is.
    """
    started, done, left = time.monotonic(), 0, sum(map(size_of, items))
    while items:
        seconds_left = (time.monotonic() - started) / max(done, 1) * left
        if n_workers and seconds_left * (1 - 1 / n_workers) > WORKERS_START_S:
            return
        item = items.popleft()
        size = size_of(item)
        done, left = done + size, left - size
        yield item


def each_done(
    work: Callable[..., Item], jobs: Sequence[tuple[Any, ...]], n_processes: int | None
) -> Iterator[Item]:
    """What ``work`` makes of each job's arguments, as it is done, in any order.

    Args:
        work: A function of a module, so that other processes find it.
        jobs: Arguments.
        n_processes: At most so many, and never more than there are cores or jobs; None for as many
            as pay, which may be none.
    """
    n = min(n_cores() if n_processes is None else n_processes, len(jobs), n_cores())
    left = deque(jobs)
    if n_processes is None or n <= 1:
        for job in quicker_here(left, n if n > 1 else 0):
            yield work(*job)
    if left:
        with spawning(), ProcessPoolExecutor(n, mp_context=get_context("spawn")) as pool:
            for task in as_completed([pool.submit(work, *job) for job in left]):
                yield task.result()
