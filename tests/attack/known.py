"""The items of issue 15 that a command line shows: a minimal reproduction of each, open or closed.

A probe that raises counts as open, with what it raised. An item leaves this list for a test of
its own when it is closed.
"""

from __future__ import annotations

import importlib
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.attack.bench import Bench
from tests.attack.command import Answer

Probe = Callable[[Bench, Path], tuple[bool, str]]
"""Of what is attacked and an empty folder: whether the failure is still there, what was seen."""
ITEMS: dict[str, tuple[str, Probe]] = {}
"""Name, such as ``A1a``, to what is wrong and its probe."""
MODULES = ("known_wrong",)
"""Where the probes are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What a probe found."""

    name: str
    what: str
    is_open: bool
    observed: str


def item(name: str, what: str) -> Callable[[Probe], Probe]:
    """List a probe."""

    def listed(probe: Probe) -> Probe:
        assert name not in ITEMS, name
        ITEMS[name] = (what, probe)
        return probe

    return listed


def look(bench: Bench, folder: Path, only: set[str] | None = None) -> list[Item]:
    """Try all items, or those whose names begin with one that is given."""
    for module in MODULES:
        importlib.import_module(f"tests.attack.{module}")
    found = []
    for name, (what, probe) in ITEMS.items():
        if only is not None and not name.startswith(tuple(only)):
            continue
        place = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=folder))
        place.chmod(0o755)
        try:
            is_open, observed = probe(bench, place)
        except Exception as error:  # the others are tried all the same
            where = traceback.extract_tb(error.__traceback__)[-1]
            is_open, observed = True, f"the probe itself: {error!r} at {where.name}:{where.lineno}"
        found.append(Item(name=name, what=what, is_open=is_open, observed=observed))
    return found


def silent(answer: Answer) -> tuple[bool, str]:
    """Open where a command ends as if nothing were wrong, or with a traceback."""
    return answer.code == 0 or answer.traceback, told(answer)


def ugly(answer: Answer) -> tuple[bool, str]:
    """Open where a command ends with a traceback, by a signal, or too slow or large."""
    bad = answer.traceback or answer.code not in (0, 1, 2)
    return bad or answer.timed_out or answer.too_large, told(answer)


def told(answer: Answer) -> str:
    """One line on how a command ended."""
    last = (answer.err.strip() or answer.out.strip()).splitlines()[-1:] or [""]
    shown = f"traceback: {last[0][:200]}" if answer.traceback else answer.said
    large = f", {answer.peak_bytes >> 20} MiB" if answer.peak_bytes > 600 << 20 else ""
    slow = f", {answer.seconds:.0f} s" if answer.seconds > 20 else ""
    return shown + large + slow
