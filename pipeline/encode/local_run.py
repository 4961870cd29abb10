"""An encode in this process, without Dask: for debugging, and for stores in memory."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipeline.encode.plan import ChunkTask
from pipeline.encode.records import Encoded
from pipeline.encode.worker import Event, OnEvent, OnReport, Worker, WorkerSettings


def run_here(
    tasks: Sequence[ChunkTask],
    settings: WorkerSettings,
    *,
    on_event: OnEvent,
    on_report: OnReport,
    fail_fast: bool = False,
) -> None:
    """Run every task, one after another.

    Args:
        tasks: What to do.
        settings: As any worker gets them.
        on_event: Told of each record.
        on_report: Told of each task.
        fail_fast: Stop after the first task with a failure.
    """
    worker = Worker(settings)
    n_threads = _torch_threads()

    def on_record(modality: str, encoded: Encoded) -> None:
        on_event(Event(modality=modality, n_records=1, n_frames=encoded.length))

    try:
        for task in tasks:
            report = worker.run(task, on_record)
            on_report(report)
            if fail_fast and report.failures:
                return
    finally:
        if n_threads is not None:
            sys.modules["torch"].set_num_threads(n_threads)


def _torch_threads() -> int | None:
    """Threads of the caller's PyTorch, which a worker's wish must not outlive; None without it."""
    torch = sys.modules.get("torch")
    return torch.get_num_threads() if torch is not None else None
