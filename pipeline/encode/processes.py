"""What the processes of an encode's own workers begin with: variables and modules.

Light to import: the process that they are forked from starts before Dask is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

ALLOCATOR: Mapping[str, str] = MappingProxyType(
    {
        # Dask's nanny sets 65536, which makes glibc give back and fault again every activation's
        # pages: a ResNet forward at half its speed. Setting it at all also stops glibc from
        # learning a larger size for mapped blocks, with the same effect, so mapping is turned off
        # as well (tests/benchmarks/bench_malloc.py).
        "MALLOC_TRIM_THRESHOLD_": "4294967296",
        "MALLOC_MMAP_MAX_": "0",
        # A Dask task runs in a thread of its own, whose arena glibc unmaps whenever it is empty,
        # which is after every forward pass: one arena for all threads keeps its pages.
        "MALLOC_ARENA_MAX": "1",
    }
)
"""Read by glibc when a process begins."""
ONE_THREAD: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
)
"""Of every numerical library, as Dask sets it: a core has a worker."""
OF_SIGNALS = ("distributed", "pipeline.encode.worker", "zarr")
OF_FRAMES = (*OF_SIGNALS, "torch", "torchvision", "av", "pipeline.encoders.frames")
"""Importing these starts no thread and touches no GPU."""
