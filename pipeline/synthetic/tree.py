"""Writes raw trees of fabricated trials, whatever data set they imitate.

A data set's module says how one trial is written; here trials are handed to processes. No file
may depend on their order or number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.common.spawning import each_done
from pipeline.raw.tree import FABRICATED

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


def mark(out: Path) -> None:
    """Have a tree say that its recordings are fabricated: manifests and caches pass it on."""
    out.mkdir(parents=True, exist_ok=True)
    (out / FABRICATED).write_text("These recordings are of nobody: 'dmft synth' wrote them.\n")


def make_way(target: Path) -> Path:
    """The same path, in a folder that is there, with nothing under that name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)  # it may be a hard link to a film that others share
    return target


def write_trials(
    write: Callable[..., Written],
    jobs: Sequence[tuple[Any, ...]],
    *,
    n_jobs: int | None = 1,
    progress: Progress = lambda n_bytes: None,
) -> Written:
    """Write trials by at most ``n_jobs`` processes, or as many as pay, and add up the outcome.

    ``write`` writes one trial, given its job's arguments; it is a function of a module.
    """
    total = Written()
    for trial in each_done(write, jobs, n_jobs):
        total.n_bytes += trial.n_bytes
        total.irregular += trial.irregular
        progress(trial.n_bytes)
    return total
