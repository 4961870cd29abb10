"""How far an encode is, for those who look from outside while it runs.

Whoever holds a cache leaves a small object in it every few seconds (:mod:`pipeline.cache.lock`);
whoever asks adds what the ledgers say. When the object has grown old, no encode is running.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

from pipeline.cache.checksums import PROGRESS
from pipeline.cache.verify import count_states
from pipeline.cache.writer import CacheStore

STALE_AFTER_S = 15.0


@dataclass(slots=True)
class ProgressNote:
    """How far an encode is."""

    n_pending: int
    _n_done: int = 0
    _started: float = field(default_factory=time.monotonic)

    def add(self, n_records: int) -> None:
        """Count records that are done."""
        self._n_done += n_records

    def figures(self) -> dict[str, Any]:
        """What :func:`read_status` tells of a running encode."""
        elapsed = time.monotonic() - self._started
        return {"n_done": self._n_done, "n_pending": self.n_pending, "elapsed_s": elapsed}


def read_status(location: str) -> dict[str, Any]:
    """Counts by modality, whether an encode runs, its rate in records a second and time left.

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
    running = bool(note) and time.time() - note["written_at"] < STALE_AFTER_S
    n_done = note.get("n_done", 0)  # nothing yet, while it plans
    rate = n_done / max(note["elapsed_s"], 1e-9) if running and n_done else 0.0
    left = (note["n_pending"] - n_done) / rate if rate > 0 else None
    return {
        "cache": location,
        "state": str(store.spec.state),
        "n_records": store.spec.n_records,
        "modalities": modalities,
        "running": running,
        "rate": rate,
        "seconds_left": left,
    }
