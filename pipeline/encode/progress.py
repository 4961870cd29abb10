"""How far an encode is, for those who look from outside while it runs.

Whoever holds a cache leaves a small object in it every few seconds (:mod:`pipeline.cache.lock`);
whoever asks adds what the ledgers say. On the holder's machine its process tells whether an encode
is running, however slow its records are; elsewhere none is when the object has grown old.
"""

from __future__ import annotations

import json
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from pipeline.cache.checksums import PROGRESS
from pipeline.cache.lock import WATCH_S, is_held
from pipeline.cache.verify import count_states
from pipeline.cache.writer import CacheStore

RECENT_S = 60.0
"""Over which the rate is taken: what came before may have been records of another kind."""
FEWEST = 5
"""Records at least that it is taken over, where they are slow."""


@dataclass(slots=True)
class ProgressNote:
    """How far an encode is."""

    n_pending: int
    _n_done: int = 0
    _started: float = field(default_factory=time.monotonic)
    _recent: deque[tuple[float, int]] = field(default_factory=deque)
    """When some were done, and how many were done before them."""

    def add(self, n_records: int) -> None:
        """Count records that are done."""
        self._recent.append((time.monotonic(), self._n_done))
        self._n_done += n_records
        while len(self._recent) > FEWEST and self._recent[-1][0] - self._recent[0][0] > RECENT_S:
            self._recent.popleft()

    def figures(self) -> dict[str, Any]:
        """What :func:`read_status` tells of a running encode."""
        since, n_before = self._started, 0
        if len(self._recent) >= FEWEST:
            since, n_before = self._recent[0]
        return {
            "n_done": self._n_done,
            "n_pending": self.n_pending,
            "n_recent": self._n_done - n_before,
            "recent_s": time.monotonic() - since,
        }


def read_status(location: str) -> dict[str, Any]:
    """Counts by modality, whether an encode runs, its rate in records a second and time left.

    A record of one modality takes another time than one of the next, so there is a time left only
    where something is stored of every modality that is pending; ``not_begun`` names the others.

    Raises:
        ContractError: there is no cache.
    """
    store = CacheStore.read(location)
    modalities = {}
    entries = {name: store.entries(name) for name in store.spec.modalities}
    for name, counts in count_states(entries).items():
        n_pending = store.spec.n_records - sum(counts.values())
        modalities[name] = {"done": counts.pop("present"), **counts, "pending": n_pending}
    note = json.loads(store.objects.read(PROGRESS) or b"{}")
    running = is_held(store.objects)
    if running is None:
        running = bool(note) and time.time() - note["written_at"] < WATCH_S
    n_recent = note.get("n_recent", 0)  # nothing yet, while it plans
    rate = n_recent / max(note["recent_s"], 1e-9) if running and n_recent else 0.0
    waiting = {name: count for name, count in modalities.items() if count["pending"]}
    begun = {name for name, count in modalities.items() if count["done"] + count["failed"]}
    not_begun = [name for name in waiting if name not in begun]
    if not begun:  # the first of all is what is being done
        not_begun = not_begun[1:]
    left = None
    if rate > 0 and not not_begun:
        left = (note["n_pending"] - note["n_done"]) / rate
    return {
        "cache": location,
        "state": str(store.spec.state),
        "n_records": store.spec.n_records,
        "modalities": modalities,
        "running": running,
        "rate": rate,
        "seconds_left": left,
        "not_begun": not_begun if running else [],
    }
