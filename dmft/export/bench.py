"""What a model costs to use: time, bytes, memory and multiply-adds (the paper's Table 6, extended).

Each model is measured in a fresh process on one core, so that memory is its own and no thread
helps. Time is that of the graph on encoded patches: raw files, encoding and loading are not in it.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.common.spawning import spawning
from pipeline.contract import ConfigError

BATCHES = (1, 32)
SECONDS = 1.0
"""Least time that each batch size is measured for."""
WARM_UP = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One row of the table."""

    model: str
    """Run and form, such as ``student ONNX``."""
    median_ms: float
    """Median time of one record alone."""
    p99_ms: float
    """The 99th percentile of the time of one record alone."""
    records_per_s: Mapping[str, float]
    """Batch size to throughput."""
    model_bytes: int
    """Size of the file with the weights."""
    peak_bytes: int
    """Most memory that the process had, its libraries included."""
    base_bytes: int
    """Memory before the model was loaded: Python and its libraries."""
    n_parameters: int
    multiply_adds: int
    """Multiply-adds of one record; additions, norms and activations do not count."""


def bench(runs: Sequence[str | Path], *, seconds: float = SECONDS) -> list[Cost]:
    """Measure runs, each in PyTorch, as ONNX and with 8-bit weights.

    Args:
        runs: Finished runs of one fold each, such as a teacher and its student.
        seconds: Least time that each batch size is measured for.

    Raises:
        ConfigError: no run is named, or ``seconds`` is not positive.
        ContractError: a run is not finished or is damaged.
    """
    if not runs:
        raise ConfigError("runs is []: wanted at least one run folder to measure")
    if not seconds > 0:
        raise ConfigError(f"seconds is {seconds}: wanted a positive number")
    with tempfile.TemporaryDirectory() as folder:
        prepared = [_prepared(Path(run), Path(folder) / str(i)) for i, run in enumerate(runs)]
        return [
            Cost(model=model, **counts, **_in_a_process(file, seconds))
            for files, counts in prepared
            for model, file in files.items()
        ]


def multiply_adds(run: Any) -> int:
    """Multiply-adds of one record through a loaded run, matrix products alone."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    from dmft.export.graph import RunModule, example_inputs

    inputs = example_inputs(run, 1)
    # The fused kernels hide their products from the counter.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        RunModule(run).eval()(*inputs)
    return int(counter.get_total_flops()) // 2


def _prepared(run_folder: Path, folder: Path) -> tuple[dict[str, Path], dict[str, Any]]:
    """Write the graphs of a run; return the files to measure by model, and what can be counted."""
    from dmft.export.build import describe, write_graphs
    from dmft.export.folder import GRAPH_FILE, INT8_FILE
    from dmft.runs.folder import MODEL_FILE
    from dmft.runs.trained import load_run

    run = load_run(run_folder)
    folder.mkdir()
    write_graphs(run, describe(run), folder, int8=True, archive=False)
    name = f"{run_folder.name} ({run.info.spec.model_name})"
    files = {
        f"{name} PyTorch": run_folder / MODEL_FILE,
        f"{name} ONNX": folder / GRAPH_FILE,
        f"{name} int8": folder / INT8_FILE,
    }
    counts = {"n_parameters": run.info.finished.n_parameters, "multiply_adds": multiply_adds(run)}
    return files, counts


def _in_a_process(file: Path, seconds: float) -> dict[str, Any]:
    with spawning(), ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, file, seconds).result()


def measure(file: Path, seconds: float) -> dict[str, Any]:
    """Measure a graph or a run's weights in this process, on one core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    base, run, inputs = (_of_graph if file.suffix == ".onnx" else _of_run)(file)
    times = {n: _times(run, inputs(n), seconds) for n in BATCHES}
    return {
        "median_ms": float(np.median(times[1])) * 1e3,
        "p99_ms": float(np.percentile(times[1], 99)) * 1e3,
        "records_per_s": {str(n): n / float(np.median(times[n])) for n in BATCHES},
        "model_bytes": file.stat().st_size,
        "peak_bytes": peak_bytes(),
        "base_bytes": base,
    }


Loaded = tuple[int, Callable[[Any], Any], Callable[[int], Any]]
"""Memory before loading, the model, and inputs of a batch size."""


def _of_run(file: Path) -> Loaded:
    import torch

    from dmft.export.graph import RunModule, example_inputs
    from dmft.runs.trained import load_run

    torch.set_num_threads(1)
    base = peak_bytes()
    run = load_run(file.parent)
    module = RunModule(run).eval()

    def call(given: Any) -> Any:
        with torch.inference_mode():
            return module(*given)

    return base, call, lambda n: example_inputs(run, n)


def _of_graph(file: Path) -> Loaded:
    import onnxruntime

    from dmft.export.folder import start_session

    assert onnxruntime.__version__
    base = peak_bytes()
    session = start_session(file.read_bytes())
    *patches, present = session.get_inputs()
    random = np.random.default_rng(0)

    def inputs(n: int) -> Any:
        made = {p.name: random.normal(size=(n, *p.shape[1:])).astype(np.float32) for p in patches}
        return made | {present.name: np.ones((n, present.shape[1]), dtype=bool)}

    return base, lambda given: session.run(None, given), inputs


def _times(run: Callable[[Any], Any], given: Any, seconds: float) -> list[float]:
    for _ in range(WARM_UP):
        run(given)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < WARM_UP or time.perf_counter() < end:
        started = time.perf_counter()
        run(given)
        times.append(time.perf_counter() - started)
    return times


def peak_bytes() -> int:
    """Most memory that this process has had; 0 where the system does not say."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux, whose getrusage counts what the parent had before the exec
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        return int(found[1]) * 1024 if found else 0
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024
