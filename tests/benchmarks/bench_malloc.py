"""What glibc's allocator settings, the nanny's too, do to a ResNet-50 forward pass in a thread.

Dask runs tasks in threads, and glibc treats a thread's memory otherwise than the main thread's.

python -m tests.benchmarks.bench_malloc
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests.benchmarks.bench_frames import BARE
from tests.benchmarks.common import busy_cores, say

SETTINGS = {
    "glibc's own": {},
    "Dask's nanny": {"MALLOC_TRIM_THRESHOLD_": "65536"},
    "trim raised alone": {"MALLOC_TRIM_THRESHOLD_": "4294967296"},
    "trim raised, no mapping": {
        "MALLOC_TRIM_THRESHOLD_": "4294967296",
        "MALLOC_MMAP_MAX_": "0",
    },
    "and one arena (ours)": {
        "MALLOC_TRIM_THRESHOLD_": "4294967296",
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_ARENA_MAX": "1",
    },
}


def main() -> None:
    """Measure and print."""
    busy_cores()
    rates = {}
    for name, settings in SETTINGS.items():
        done = subprocess.run(
            [sys.executable, "-c", BARE, "cpu", "1"],
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
            check=True,
        )
        rates[name] = float(done.stdout)
        say(name, rates[name], "images/s")
    say("ours / Dask's nanny", rates["and one arena (ours)"] / rates["Dask's nanny"], "")


if __name__ == "__main__":
    main()
