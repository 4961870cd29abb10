"""Before an encode: what it will read, write and use, how long it may take, whether it can work.

``dmft encode --dry-run`` prints it and changes nothing; a real encode makes the same checks before
it starts. Raw files are looked at for their sizes only; where asked, a handful is encoded to time
them.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from pipeline.cache.objects import Objects
from pipeline.cache.writer import CacheStore, chunk_bytes
from pipeline.common.cores import n_cores
from pipeline.contract import ConfigError, ContractError, Record, RecordingError
from pipeline.encode.options import Setup
from pipeline.encode.plan import ChunkTask, ModalityPlan, Plan
from pipeline.encode.worker import Worker, WorkerSettings
from pipeline.raw.tree import RawTree

CALIBRATION_RECORDS = 3
LEDGER_BYTES = 1024
"""What a record's modality takes in a ledger, in the table and in the checksums."""
SPARE_BYTES = 16 << 20
"""Left free on the disk whatever the cache takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModalityNeeds(ModalityPlan):
    """One modality of a planned encode."""

    n_frames: int
    """Frames of the pending records, as far as the manifest knows them."""
    n_unknown_frames: int
    """Pending records of which it does not."""
    source_bytes: int
    """Size of the pending records' files that are there."""
    cache_bytes: int
    """That the cache will take more than it does."""
    seconds: float | None
    """How long one worker takes, by a calibration; None where nothing was timed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What an encode would do."""

    location: str
    modalities: Mapping[str, ModalityNeeds]
    missing: tuple[tuple[str, str, str], ...]
    """Record id, modality and reason of pending files that cannot be opened."""
    free_bytes: int | None
    """On the cache's disk; None behind a URL."""
    device: str
    n_workers: int | None
    """None on a cluster of the user's own."""
    seconds: float | None
    """Estimated, with all workers; None where nothing was timed, or it cannot be told."""
    downloads: tuple[str, ...] = ()
    """Addresses of weights that would be downloaded first."""

    @property
    def cache_bytes(self) -> int:
        """That the cache will take more than it does."""
        return sum(needs.cache_bytes for needs in self.modalities.values())


def dry_run(
    setup: Setup, store: CacheStore, plan: Plan, settings: WorkerSettings, *, measure: bool
) -> DryRun:
    """Look ahead, changing nothing, at the plan for a cache as :meth:`CacheStore.preview` shows it.

    ``measure``: also encode a few records to time them.

    Raises:
        ConfigError: the disk is too small.
    """
    check_disk(store, plan)
    tree = RawTree(setup.raw)
    missing: list[tuple[str, str, str]] = []
    modalities = {}
    for name, count in plan.counts.items():
        tasks = [task for task in plan.tasks if task.modality == name]
        sizes, lost = _source_sizes(tasks, tree)
        missing += [(record.id, name, reason) for record, reason in lost]
        pending = [record for task in tasks for record in task.pending]
        frames = [stream.n_frames for record in pending for stream in record.streams[name]]
        modalities[name] = ModalityNeeds(
            **asdict(count),
            n_frames=sum(n or 0 for n in frames),
            n_unknown_frames=frames.count(None),
            source_bytes=sum(sizes.values()),
            cache_bytes=_new_bytes(store, tasks),
            seconds=_calibrate(name, pending, sizes, settings) if measure else None,
        )
    n_workers = None if setup.options.scheduler else setup.n_workers(len(plan.tasks))
    return DryRun(
        location=store.objects.location,
        modalities=modalities,
        missing=tuple(missing),
        free_bytes=_free_bytes(store.objects),
        device=setup.device,
        n_workers=n_workers,
        seconds=_together(modalities, n_workers),
        downloads=setup.unfetched,
    )


def check_disk(store: CacheStore, plan: Plan) -> None:
    """Refuse an encode whose cache will not fit.

    Raises:
        ConfigError: the disk has less free than the cache will take.
    """
    free = _free_bytes(store.objects)
    wanted = _new_bytes(store, plan.tasks) + SPARE_BYTES
    if plan.tasks and free is not None and free < wanted:
        raise ConfigError(
            f"{store.objects.location} wants {wanted / 1e6:,.0f} MB more and its disk has "
            f"{free / 1e6:,.0f} MB free: make room, or choose an --out on another disk"
        )


def _source_sizes(
    tasks: Sequence[ChunkTask], tree: RawTree
) -> tuple[dict[str, int], list[tuple[Record, str]]]:
    """Bytes to read by record id, and records whose files cannot be opened.

    A file that several records share counts for the first of them, as it is read once.
    """
    sizes: dict[str, int] = {}
    lost = []
    seen: set[str] = set()
    for task in tasks:
        for record in task.pending:
            try:
                new = {stream.path for stream in record.streams[task.modality]} - seen
                sizes[record.id] = sum(map(tree.size, new))
                seen |= new
            except RecordingError as error:
                lost.append((record, str(error)))
    return sizes, lost


def _new_bytes(store: CacheStore, tasks: Sequence[ChunkTask]) -> int:
    """Bytes of the chunks to write, a second time where one is replaced, and of the ledgers."""
    return sum(
        chunk_bytes(store.spec.modalities[task.modality]) + LEDGER_BYTES * len(task.members)
        for task in tasks
    )


def _free_bytes(objects: Objects) -> int | None:
    if not objects.is_local:
        return None
    folder = objects.path.absolute()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _calibrate(
    modality: str, pending: Sequence[Record], sizes: Mapping[str, int], settings: WorkerSettings
) -> float | None:
    """Seconds of one worker's work, from a few records and all records' bytes."""
    readable = [record for record in pending if sizes.get(record.id)]
    if not readable:
        return None
    if settings.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            return None
    chosen = readable[:: max(1, len(readable) // CALIBRATION_RECORDS)][:CALIBRATION_RECORDS]
    try:
        encoder = Worker(settings).encoder(modality)
    except (ContractError, ConfigError):
        return None
    list(encoder.encode(chosen[:1]))  # the first pays for imports and for kernels
    started = time.perf_counter()
    list(encoder.encode(chosen))
    seconds = time.perf_counter() - started
    return seconds * sum(sizes.values()) / sum(sizes[record.id] for record in chosen)


def _together(modalities: Mapping[str, ModalityNeeds], n_workers: int | None) -> float | None:
    known = [needs.seconds for needs in modalities.values() if needs.seconds is not None]
    if n_workers is None or len(known) < sum(n.n_pending > 0 for n in modalities.values()):
        return None
    return sum(known) / max(1, min(n_workers, n_cores()))
