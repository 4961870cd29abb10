"""What came of a try, and the counts of a family."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.attack.command import Answer

RIGHT, REFUSED, WRONG, BROKEN = "right", "refused", "wrong", "broken"
TRACEBACK, SLOW, LARGE = "traceback", "over 60 s", "over 1 GiB"
GOOD = (RIGHT, REFUSED)
BAD = (WRONG, BROKEN, TRACEBACK, SLOW, LARGE)
"""Of these there must be none: numbers that differ without a word; what a promise says goes on
and did not; a traceback; too slow; too large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one try."""

    verdict: str
    note: str = ""
    """What was done and what was seen, for those that are bad."""


def judge(answer: Answer, what: str, is_right: Callable[[], bool]) -> Outcome:
    """Say what a command's end is worth.

    Args:
        answer: How it ended.
        what: What was done to it.
        is_right: Whether its result is that of undamaged input; asked after exit code 0.
    """
    bad = misbehaved(answer, what)
    if bad is not None:
        return bad
    if answer.code == 0:
        verdict = RIGHT if is_right() else WRONG
        return Outcome(verdict=verdict, note="" if verdict == RIGHT else f"{what}: exit 0")
    return Outcome(verdict=REFUSED, note=f"{what}: {answer.said}")


def must_end_well(answer: Answer, what: str, is_right: Callable[[], bool]) -> Outcome:
    """The same where a refusal breaks a promise: the command was to go on, or to finish."""
    outcome = judge(answer, what, is_right)
    if outcome.verdict == REFUSED:
        return Outcome(verdict=BROKEN, note=outcome.note)
    return outcome


def misbehaved(answer: Answer, what: str) -> Outcome | None:
    """What is bad about a command's end, whatever it did; None where nothing is."""
    for verdict, found in (
        (SLOW, answer.timed_out),
        (LARGE, answer.too_large),
        (TRACEBACK, answer.traceback),
        (BROKEN, answer.code not in (0, 1, 2)),
    ):
        if found:
            last = answer.err.strip().splitlines()[-1:] or [""]
            took = f"{answer.seconds:.1f} s, {answer.peak_bytes >> 20} MiB"
            return Outcome(
                verdict=verdict, note=f"{what}: exit {answer.code}, {took}: {last[0][:200]}"
            )
    return None


@dataclass(slots=True)
class Counts:
    """Of one family."""

    found: Counter[str] = field(default_factory=Counter)
    notes: list[tuple[str, str]] = field(default_factory=list)
    """Verdict and note of the bad ones."""

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Count some more."""
        for outcome in outcomes:
            self.found[outcome.verdict] += 1
            if outcome.verdict in BAD:
                self.notes.append((outcome.verdict, outcome.note))

    @property
    def tries(self) -> int:
        """All of them."""
        return self.found.total()

    @property
    def n_bad(self) -> int:
        """Those that must not be."""
        return sum(self.found[verdict] for verdict in BAD)
