"""Writes raw trees of fabricated trials, whatever data set they imitate.

A data set's module says how one trial is written; here trials are handed to processes. No file
may depend on their order or number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from pipeline.common.cores import n_cores
from pipeline.common.spawning import spawning

Progress = Callable[[int], None]
"""Called after each trial with its bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Irregular:
    """One thing that was done to one file, or to what lies under one folder."""

    irregularity: str
    path: str
    """Relative to the tree."""
    detail: str


@dataclass(slots=True)
class Written:
    """What writing came to."""

    n_bytes: int = 0
    irregular: list[Irregular] = field(default_factory=list)
    """What was done wrong to which file."""

    def put(self, tree: Path, path: str, content: bytes) -> None:
        """Write one file, its folder with it, and count it."""
        make_way(tree / path).write_bytes(content)
        self.n_bytes += len(content)

    def note(self, irregularity: str, path: str, detail: str) -> None:
        """Remember what was done to a file."""
        self.irregular.append(Irregular(irregularity=irregularity, path=path, detail=detail))


def make_way(target: Path) -> Path:
    """The same path, in a folder that is there, with nothing under that name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)  # it may be a hard link to a film that others share
    return target


def write_trials(
    write: Callable[..., Written],
    jobs: Sequence[tuple[Any, ...]],
    *,
    n_jobs: int = 1,
    progress: Progress = lambda n_bytes: None,
) -> Written:
    """Write trials by at most ``n_jobs`` processes and add up what that came to.

    ``write`` writes one trial, given its job's arguments; it is a function of a module, so that
    other processes find it.
    """
    total = Written()
    n_jobs = min(n_jobs, len(jobs), n_cores())
    with ExitStack() as stack:
        written = (write(*job) for job in jobs)
        if n_jobs > 1:
            pool = ProcessPoolExecutor(n_jobs, mp_context=get_context("spawn"))
            stack.enter_context(spawning())
            stack.enter_context(pool)
            tasks = [pool.submit(write, *job) for job in jobs]
            written = (task.result() for task in as_completed(tasks))
        for trial in written:
            total.n_bytes += trial.n_bytes
            total.irregular += trial.irregular
            progress(trial.n_bytes)
    return total
