"""How far an encode is, for those who look from outside while it runs.

The encode leaves a small object in the cache every few seconds; whoever asks adds what the
ledgers say. When the object has grown old, no encode is running.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

from pipeline.cache.checksums import PROGRESS
from pipeline.cache.objects import Objects
from pipeline.cache.verify import count_states
from pipeline.cache.writer import CacheStore

EVERY_S = 2.0
STALE_AFTER_S = 15.0


@dataclass(slots=True)
class ProgressNote:
    """Writes how far an encode is, now and then."""

    objects: Objects
    n_pending: int
    _n_done: int = 0
    _started: float = field(default_factory=time.monotonic)
    _written: float = 0.0

    def __enter__(self) -> ProgressNote:
        self.write()
        return self

    def __exit__(self, *_: object) -> None:
        self.objects.delete(PROGRESS)

    def add(self, n_records: int) -> None:
        """Count records that are done, and say so if it is time."""
        self._n_done += n_records
        if time.monotonic() - self._written >= EVERY_S:
            self.write()

    def write(self) -> None:
        """Say how far it is."""
        self._written = time.monotonic()
        elapsed = self._written - self._started
        content = {
            "n_done": self._n_done,
            "n_pending": self.n_pending,
            "elapsed_s": elapsed,
            "written_at": time.time(),
        }
        self.objects.write(PROGRESS, json.dumps(content).encode())


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
    rate = note["n_done"] / max(note["elapsed_s"], 1e-9) if running else 0.0
    left = (note["n_pending"] - note["n_done"]) / rate if rate > 0 else None
    return {
        "cache": location,
        "state": str(store.spec.state),
        "n_records": store.spec.n_records,
        "modalities": modalities,
        "running": running,
        "rate": rate,
        "seconds_left": left,
    }
