"""How far long work is: a bar with the time left on a terminal, plain lines elsewhere.

Both go to standard error, so that standard output holds results alone.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

PLAIN_EVERY_S = 15.0


class ProgressBar:
    """One bar at a time; it stays still until :meth:`start` and may be started again.

    Example::

        with ProgressBar() as bar:
            bar.start("encoding", total=861, unit="records")
            bar.update(12)
    """

    is_quiet = False
    """Whether nothing is said by any bar, as the user wishes."""

    def __init__(self, *, plain_every_s: float | None = PLAIN_EVERY_S) -> None:
        """A bar that is not drawn yet.

        Args:
            plain_every_s: Without a terminal, seconds between lines that say how far it is; None
                for no such lines, where the caller says enough by :meth:`say`.
        """
        self.plain_every_s = plain_every_s
        self.title, self.unit, self.total, self.done = "", "", 0, 0
        self._said_at = self._began = time.monotonic()
        self._before = 0
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_drawn(self) -> bool:
        """Whether there is a terminal, and a bar on it."""
        return self._bar is not None

    @property
    def left(self) -> str:
        """The time left in words, as what is done took; nothing before anything is."""
        n_done = self.done - self._before
        if n_done <= 0 or self.done >= self.total:
            return ""
        seconds = (time.monotonic() - self._began) / n_done * (self.total - self.done)
        return f"{seconds:.0f} s left" if seconds < 90 else f"{seconds / 60:.0f} min left"

    def start(self, title: str, *, total: int, done: int = 0, unit: str = "") -> None:
        """Begin; what was begun before is closed."""
        self.close()
        self.title, self.unit, self.total, self.done = title, unit, total, done
        self._began, self._before = time.monotonic(), done
        if not total or self.is_quiet or not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task(title, total=total, completed=done, note="")
        self._bar.start()

    def update(self, done: int, *, note: str = "") -> None:
        """Move to ``done`` of the total."""
        self.done = done
        if self._bar is not None:
            self._bar.update(self._task, completed=done, note=note)
        elif (
            self.plain_every_s is not None
            and time.monotonic() - self._said_at >= self.plain_every_s
        ):
            self._said_at = time.monotonic()
            unit = f" {self.unit}" if self.unit else ""
            left = f", {self.left}" if self.left else ""
            self.say(f"{self.title}: {done} of {self.total}{unit}{left}")

    def follow(self, title: str, unit: str = "") -> Callable[[int, int], None]:
        """A function for work that tells how much is done, and of how much, as it goes."""

        def progress(done: int, total: int) -> None:
            if (self.title, self.total) != (title, total):
                self.start(title, total=total, unit=unit)
            self.update(done)

        return progress

    def advance(self, n: int = 1) -> None:
        """Move on by ``n``."""
        self.update(self.done + n)

    def say(self, line: str) -> None:
        """Print a line, above the bar where there is one."""
        if self.is_quiet:
            return
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)  # noqa: T201 - the one place that may

    def close(self) -> None:
        """Take the bar away, also after an error."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
