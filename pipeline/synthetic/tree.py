"""Writes raw trees of fabricated trials, whatever data set they imitate.

A data set's module says how one trial is written; here trials are handed to processes. No file
may depend on their order or number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from pipeline.common.cores import n_cores
from pipeline.synthetic.irregular import Irregular

Progress = Callable[[int], None]
"""Called after each trial with its bytes."""


@dataclass(slots=True)
class Written:
    """What writing came to."""

    n_bytes: int = 0
    irregular: list[Irregular] = field(default_factory=list)
    """What was done wrong to which file."""

    def put(self, tree: Path, path: str, content: bytes) -> None:
        """Write one file, its folder with it, and count it."""
        target = tree / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)  # it may be a hard link to a film that others share
        target.write_bytes(content)
        self.n_bytes += len(content)

    def note(self, irregularity: str, path: str, detail: str) -> None:
        """Remember what was done to a file."""
        self.irregular.append(Irregular(irregularity=irregularity, path=path, detail=detail))


def write_trials(
    write: Callable[..., Written],
    jobs: Sequence[tuple[Any, ...]],
    *,
    n_jobs: int = 1,
    progress: Progress = lambda n_bytes: None,
) -> Written:
    """Write trials and add up what that came to.

    Args:
        write: Writes one trial; a function of a module, so that other processes find it.
        jobs: Its arguments, one tuple a trial.
        n_jobs: Processes at most; no more than there are cores and trials.
        progress: See :data:`Progress`.
    """
    total = Written()
    for trial in _each(write, jobs, min(n_jobs, len(jobs))):
        total.n_bytes += trial.n_bytes
        total.irregular += trial.irregular
        progress(trial.n_bytes)
    return total


def _each(
    write: Callable[..., Written], jobs: Sequence[tuple[Any, ...]], n_jobs: int
) -> Iterator[Written]:
    """What each trial came to, in the order in which they are done."""
    if n_jobs <= 1:
        yield from (write(*job) for job in jobs)
        return
    with ProcessPoolExecutor(min(n_jobs, n_cores()), mp_context=get_context("spawn")) as pool:
        for trial in as_completed([pool.submit(write, *job) for job in jobs]):
            yield trial.result()
