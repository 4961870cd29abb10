"""Where a pipeline's time goes: what each stage does, waits for, and whether it holds up the rest.

A stage is one kind of work: reading files, decoding them. Stages that take turns in the same
threads form a loop, and loops run beside each other. A loop that is always at work bounds the
whole; the others wait, for something to work on or for somebody to take what they made. Times are
of the wall, so a thread that waits for a core counts as working: where there are more threads than
cores, shares add up to more than there is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

Item = TypeVar("Item")

TABLE_AFTER_S = 5.0
"""What is quicker is said in one sentence; for machines all is said always."""
MAIN = "main"
"""The loop of a stage of which nothing else is said; it has one thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What one stage did; seconds are summed over its threads."""

    name: str
    """A verb's noun, such as ``decoding``."""
    loop: str = MAIN
    """Stages of the same loop take turns in its threads."""
    n_threads: int = 1
    """Threads of the loop, in one worker."""
    busy_s: float = 0.0
    """At work."""
    input_s: float = 0.0
    """Waiting for something to work on."""
    output_s: float = 0.0
    """Waiting for room to put what was made."""
    n_items: int = 0
    """Files, frames or records: what the stage counts."""

    def with_more(self, other: Stage) -> Stage:
        """Both together."""
        return replace(
            self,
            n_threads=max(self.n_threads, other.n_threads),
            busy_s=self.busy_s + other.busy_s,
            input_s=self.input_s + other.input_s,
            output_s=self.output_s + other.output_s,
            n_items=self.n_items + other.n_items,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StageReport:
    """What all stages of a pipeline did in some time."""

    seconds: float = 0.0
    """Of the wall, summed over the workers."""
    stages: tuple[Stage, ...] = ()
    """In the order in which things pass them."""

    def __add__(self, other: StageReport) -> StageReport:
        """The report of two workers, or of two tasks of one."""
        mine = {stage.name: stage for stage in self.stages}
        for stage in other.stages:
            mine[stage.name] = mine[stage.name].with_more(stage) if stage.name in mine else stage
        return StageReport(seconds=self.seconds + other.seconds, stages=tuple(mine.values()))

    def busy(self, stage: Stage) -> float:
        """Part of the time that a stage's threads were at work on it, from 0 to about 1."""
        return self._share(stage.busy_s, stage)

    def busy_loop(self, loop: str) -> float:
        """Part of the time that a loop's threads were at work on any of its stages."""
        return sum(self.busy(stage) for stage in self.stages if stage.loop == loop)

    @property
    def bound_by(self) -> Stage | None:
        """The stage that takes most of the loop that rests least; None where nothing was done."""
        if not self.stages or self.seconds <= 0:
            return None
        busiest = max((stage.loop for stage in self.stages), key=self.busy_loop)
        return max((s for s in self.stages if s.loop == busiest), key=lambda stage: stage.busy_s)

    def sentence(self, advice: Mapping[str, str]) -> str:
        """What bounds it, how far, and what would help.

        Args:
            advice: What would help, by the stage's name.
        """
        bound = self.bound_by
        if bound is None:
            return "bound by nothing: there was nothing to do"
        busy = self.busy_loop(bound.loop)
        sentence = f"bound by {bound.name}: "
        if bound.n_threads > 1:
            sentence += f"{busy * bound.n_threads:.1f} of {bound.n_threads} threads busy"
        else:
            sentence += f"its thread is busy {_percent(busy)} of the time"
        if (own := self.busy(bound)) < 0.9 * busy:
            sentence += f", {_percent(own)} with this"
        waiting = [
            f"{stage.name} waits {_percent(self._share(stage.input_s, stage))} of it for input"
            for stage in self.stages
            if stage.loop != bound.loop and self._share(stage.input_s, stage) >= 0.05
        ]
        sentence += "".join(f", {text}" for text in waiting[-1:])
        return sentence + (f"; {advice[bound.name]}" if bound.name in advice else "")

    def rows(self) -> list[dict[str, Any]]:
        """A table: shares of the time from 0 to 1, items a second of all workers' time."""
        return [
            {
                "stage": stage.name,
                "loop": stage.loop,
                "threads": stage.n_threads,
                "busy": round(self.busy(stage), 4),
                "waits_for_input": round(self._share(stage.input_s, stage), 4),
                "waits_for_output": round(self._share(stage.output_s, stage), 4),
                "items": stage.n_items,
                "items_per_second": round(stage.n_items / max(self.seconds, 1e-9), 3),
            }
            for stage in self.stages
        ]

    def to_json(self, advice: Mapping[str, str]) -> dict[str, Any]:
        """For machines: the seconds, what bounds it, the sentence and the table."""
        return {
            "seconds": round(self.seconds, 3),
            "bound_by": self.bound_by.name if self.bound_by else None,
            "says": self.sentence(advice),
            "stages": self.rows(),
        }

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> StageReport:
        """The same again, but for what was rounded off."""
        seconds, stages = float(content["seconds"]), []
        for row in content["stages"]:
            each = seconds * row["threads"]
            stages.append(
                Stage(
                    name=row["stage"],
                    loop=row["loop"],
                    n_threads=row["threads"],
                    busy_s=row["busy"] * each,
                    input_s=row["waits_for_input"] * each,
                    output_s=row["waits_for_output"] * each,
                    n_items=row["items"],
                )
            )
        return cls(seconds=seconds, stages=tuple(stages))

    def summary_lines(self, advice: Mapping[str, str]) -> Iterator[str]:
        """For people: what bounds it, and the table where it took long enough to matter."""
        yield f"was {self.sentence(advice)}"
        if self.seconds >= TABLE_AFTER_S:
            yield from (f"  {line}" for line in self.lines())

    def lines(self) -> Iterator[str]:
        """The same for people."""
        yield "stage        threads   busy  waits in waits out  a second"
        for row in self.rows():
            shares = (row["busy"], row["waits_for_input"], row["waits_for_output"])
            busy, waits_in, waits_out = (_percent(share) for share in shares)
            yield (
                f"{row['stage']:12} {row['threads']:7} {busy:>6} {waits_in:>9} {waits_out:>9} "
                f"{row['items_per_second']:9.1f}"
            )

    def _share(self, seconds: float, stage: Stage) -> float:
        return seconds / max(self.seconds * stage.n_threads, 1e-9)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


@dataclass(slots=True)
class Meter:
    """Measures stages while they run, from any thread."""

    loops: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """Stage to its loop and the loop's threads, where it is not the main one."""
    order: tuple[str, ...] = ()
    """Stages that are reported in this order, before others."""
    _sums: dict[str, list[float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(
        self,
        name: str,
        *,
        busy_s: float = 0.0,
        input_s: float = 0.0,
        output_s: float = 0.0,
        n_items: int = 0,
    ) -> None:
        """Count what a stage did."""
        with self._lock:
            sums = self._sums.setdefault(name, [0.0, 0.0, 0.0, 0])
            sums[0] += busy_s
            sums[1] += input_s
            sums[2] += output_s
            sums[3] += n_items

    @contextmanager
    def busy(self, name: str, n_items: int = 0) -> Iterator[None]:
        """A block is work of a stage; its items count if it ends well."""
        started, n_done = time.perf_counter(), 0
        try:
            yield
            n_done = n_items
        finally:
            self.add(name, busy_s=time.perf_counter() - started, n_items=n_done)

    def pulled(self, name: str, items: Iterable[Item]) -> Iterator[Item]:
        """Items, the time until each comes counted as a stage's wait for input."""
        return self._timed(items, lambda seconds, _: self.add(name, input_s=seconds))

    def made(
        self, name: str, items: Iterable[Item], size_of: Callable[[Item], int] = lambda _: 1
    ) -> Iterator[Item]:
        """Items, the time until each comes counted as a stage's work."""

        def count(seconds: float, item: Item | None) -> None:
            self.add(name, busy_s=seconds, n_items=0 if item is None else size_of(item))

        return self._timed(items, count)

    @staticmethod
    def _timed(
        items: Iterable[Item], count: Callable[[float, Item | None], None]
    ) -> Iterator[Item]:
        coming = iter(items)
        while True:
            started, item = time.perf_counter(), None
            try:
                item = next(coming)
            except StopIteration:
                return
            finally:
                count(time.perf_counter() - started, item)
            yield item

    def report(self, seconds: float) -> StageReport:
        """What was measured, in so much time."""
        with self._lock:
            sums = {name: tuple(those) for name, those in self._sums.items()}
        stages = []
        for name in sorted(sums, key=[*self.order, *sums].index):
            loop, n_threads = self.loops.get(name, (MAIN, 1))
            busy_s, input_s, output_s, n_items = sums[name]
            stages.append(
                Stage(
                    name=name,
                    loop=loop,
                    n_threads=n_threads,
                    busy_s=busy_s,
                    input_s=input_s,
                    output_s=output_s,
                    n_items=int(n_items),
                )
            )
        return StageReport(seconds=seconds, stages=tuple(stages))
