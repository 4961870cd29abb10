"""One worker: encodes and commits the chunks it is handed, whoever hands them over.

Built once a process: the network is loaded at its first frame and kept. The same code runs in a
Dask worker and, with ``--workers 0``, in the command's own process.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np

from pipeline.cache.ledger import Entry, Failure, Source
from pipeline.cache.objects import Objects
from pipeline.cache.writer import CacheStore, digest_rows
from pipeline.common.packages import version_of
from pipeline.common.stages import StageReport
from pipeline.contract import CacheSpec, Presence, RecordingError
from pipeline.encode.plan import ChunkTask
from pipeline.encode.records import Encoded, Encoder, Encoders
from pipeline.encoders.kinds import kind_noted
from pipeline.encoders.stage_names import STORING
from pipeline.raw.tree import RawTree

DECODER = "FFmpeg in PyAV, on the CPU, one thread"
"""What makes frames of videos: another decoder gives other pixels, so the cache says which."""
OnProgress = Callable[[int], None]
"""Told how many more records are done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What every worker of an encode is told."""

    location: str
    raw: str
    spec: CacheSpec
    """What the cache will be, with all that decides its numbers."""
    weights: str
    """Name of the weights of the network that frames pass."""
    device: str
    session: str
    n_torch_threads: int
    n_read_threads: int
    """Records decoded at a time."""
    n_readers: int
    """Files read at a time."""
    max_bytes_ahead: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskReport:
    """What a task did."""

    n_frames: int
    """Raw rows or frames encoded."""
    seconds: float
    """Time spent on it; loading the network, once a worker, is not in it."""
    n_failed: int
    """Records quarantined."""
    modality: str = ""
    """Of the task."""
    stages: StageReport = field(default_factory=StageReport)
    """Where the time went."""


class Worker:
    """Holds what is expensive to build."""

    def __init__(self, settings: WorkerSettings) -> None:
        """Prepare to encode; the network is loaded when it is first needed."""
        self.settings = settings
        self._encoders = Encoders(
            dataset=settings.spec.dataset,
            weights=settings.weights,
            device=settings.device,
            n_threads=settings.n_read_threads,
            n_readers=settings.n_readers,
            max_bytes_ahead=settings.max_bytes_ahead,
        )
        self._tree = RawTree(settings.raw)

    def encoder(self, modality: str) -> Encoder:
        """An encoder of one modality.

        Raises:
            ConfigError: this worker finds other weights than the command did.
        """
        note = self.settings.spec.modalities[modality].encoding
        if kind_noted(note).needs_network:
            import torch

            torch.set_num_threads(self.settings.n_torch_threads)
        return self._encoders.encoder(modality, note, self._tree)

    def probe(self, task: ChunkTask) -> None:
        """Encode a task's records and store nothing: shows whether they crash a worker."""
        records = [record for record in task.members if record.id in task.todo]
        for _ in self.encoder(task.modality).encode(records):
            pass

    def run(self, task: ChunkTask, on_progress: OnProgress) -> TaskReport:
        """Encode a chunk's pending records, commit the chunk, and report.

        Records of the chunk that are done are carried over byte for byte if their stored bytes are
        still what was written, and encoded again if not.
        """
        encoder = self.encoder(task.modality)
        started = time.monotonic()
        settings, spec = self.settings, self.settings.spec.modalities[task.modality]
        store = CacheStore(Objects(settings.location), settings.spec, ())
        first_row = store.rows_of(task.modality, task.chunk).start
        rows = {record.id: row for row, record in enumerate(task.members)}
        n_frames = n_failed = 0

        entries, block = store.sound_rows(task.modality, task.chunk)
        for record_id, entry in list(entries.items()):
            if record_id in task.todo or task.keys.get(record_id) != entry.key:
                del entries[record_id]
                if entry.presence == Presence.PRESENT:
                    block[entry.row - first_row] = np.nan
        to_encode = [
            record
            for record in task.members
            if record.id not in entries and record.id not in task.quarantined
        ]
        for encoded in chain(self._crashed(task), encoder.encode(to_encode)):
            encoded = _of_shape(encoded, block.shape[1:])
            row, digest = rows[encoded.record_id], ""
            if encoded.patches is not None:
                with encoder.meter.busy(STORING, n_items=1):
                    block[row] = encoded.patches
                    digest = digest_rows(encoded.patches[None])[0]
                n_frames += encoded.length
            n_failed += encoded.failure is not None
            if encoded.presence != Presence.ABSENT:
                on_progress(1)
            entries[encoded.record_id] = Entry(
                record_id=encoded.record_id,
                row=first_row + row,
                presence=encoded.presence,
                key=task.keys[encoded.record_id],
                digest=digest,
                length=encoded.length,
                sources=encoded.sources,
                failure=encoded.failure,
            )
        with encoder.meter.busy(STORING):
            store.commit(
                task.modality,
                task.chunk,
                block,
                entries.values(),
                environment=environment(settings.device, spec.encoding),
                session=settings.session,
            )
        seconds = time.monotonic() - started
        return TaskReport(
            n_frames=n_frames,
            seconds=seconds,
            n_failed=n_failed,
            modality=task.modality,
            stages=encoder.meter.report(seconds),
        )

    def _crashed(self, task: ChunkTask) -> Iterator[Encoded]:
        """The records that crash a worker, their files hashed and not decoded."""
        for record in task.members:
            if record.id not in task.quarantined:
                continue
            sources = []
            for stream in record.streams[task.modality]:
                with suppress(RecordingError):
                    n_bytes, sha256 = self._tree.digest(stream.path)
                    source = Source(
                        path=stream.path, n_bytes=n_bytes, sha256=sha256, n_frames=stream.n_frames
                    )
                    sources.append(source)
            yield Encoded(
                record_id=record.id,
                presence=Presence.FAILED,
                failure=task.quarantined[record.id],
                sources=tuple(sources),
            )


def _of_shape(encoded: Encoded, wanted: tuple[int, ...]) -> Encoded:
    """The same, or as failed where a cache has no room for patches of such a shape."""
    if encoded.patches is None or encoded.patches.shape == wanted:
        return encoded
    failure = Failure(
        stage="encode",
        type="RecordingError",
        message=f"patches of shape {encoded.patches.shape}: this cache wants {wanted}",
        path=encoded.sources[0].path if encoded.sources else None,
    )
    return replace(encoded, presence=Presence.FAILED, patches=None, length=0, failure=failure)


def run_here(
    tasks: Iterable[ChunkTask], settings: WorkerSettings, on_progress: OnProgress
) -> Iterator[TaskReport]:
    """Run every task in this process, without Dask: for debugging, and for stores in memory."""
    torch = sys.modules.get("torch")
    n_threads = torch.get_num_threads() if torch else None
    worker = Worker(settings)
    try:
        for task in tasks:
            yield worker.run(task, on_progress)
    finally:
        if torch:  # the caller's threads outlive a worker's wish
            torch.set_num_threads(n_threads)


def environment(device: str, encoding: Mapping[str, Any]) -> dict[str, Any]:
    """Device, arithmetic and versions: what decides the last bits of an encoding."""
    described: dict[str, Any] = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        **{name: version_of(name) for name in ("dmft", "numpy", "zarr", "scipy")},
    }
    if "dtype" in encoding:
        import torch

        described |= {name: version_of(name) for name in ("torch", "torchvision", "av")}
        described["decoder"] = DECODER
        described["device"] = device.partition(":")[0]
        described["device_name"] = (
            torch.backends.cpu.get_cpu_capability()
            if not device.startswith("cuda")
            else torch.cuda.get_device_name(device)
            if torch.cuda.is_available()
            else "on a cluster"
        )
        described["dtype"] = encoding["dtype"]
    return described
