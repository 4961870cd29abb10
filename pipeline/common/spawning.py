"""Child processes that do not run their parent's script again.

Python starts a spawned process by importing the script that the parent runs, so that a script
without an ``if __name__ == "__main__":`` guard would do everything once more in each. What our
processes do is imported by its own name, so the script is left out.
"""

from __future__ import annotations

import multiprocessing.spawn
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_LOCK = threading.Lock()
_original = multiprocessing.spawn.get_preparation_data
_n_inside = 0


def _without_script(name: str) -> dict[str, Any]:
    data = _original(name)
    for key in ("init_main_from_name", "init_main_from_path"):
        data.pop(key, None)
    return data


@contextmanager
def spawning() -> Iterator[None]:
    """While this lasts, processes that are spawned leave the parent's script alone."""
    global _n_inside
    with _LOCK:
        _n_inside += 1
        multiprocessing.spawn.get_preparation_data = _without_script
    try:
        yield
    finally:
        with _LOCK:
            _n_inside -= 1
            if not _n_inside:
                multiprocessing.spawn.get_preparation_data = _original
