"""One encode from end to end: what is there, what is to do, doing it, finishing.

This is the function behind ``dmft encode`` and the encoder's Python interface.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pipeline.cache.card import LICENCE, licence_of
from pipeline.cache.description import encoding_difference
from pipeline.cache.edit.history import check_not_undone
from pipeline.cache.edit.rearrange import finish_interrupted
from pipeline.cache.edit.source import check_no_edit
from pipeline.cache.ledger import Failure
from pipeline.cache.lock import Claim, locked
from pipeline.cache.objects import Objects
from pipeline.cache.repair import repair
from pipeline.cache.seal import finish, is_finished
from pipeline.cache.verify import count_states
from pipeline.cache.writer import CacheStore
from pipeline.common.cores import n_cores
from pipeline.common.spawning import forking, quicker_here
from pipeline.common.stages import StageReport
from pipeline.contract import CacheSpec, ConfigError
from pipeline.encode.dry_run import DryRun, check_disk, dry_run
from pipeline.encode.length_check import quarantine_disagreements
from pipeline.encode.options import EncodeOptions, Setup, set_up
from pipeline.encode.plan import Plan, make_plan
from pipeline.encode.processes import ALLOCATOR, OF_FRAMES, OF_SIGNALS, ONE_THREAD
from pipeline.encode.progress import ProgressNote
from pipeline.encode.worker import OnProgress, TaskReport, WorkerSettings, environment, run_here
from pipeline.encoders.kinds import WEIGHTS
from pipeline.encoders.weights import shown_names
from pipeline.manifests import Manifest
from pipeline.raw.tree import RawTree

GPU_READ_BYTES_AHEAD = 1 << 30
CPU_READ_BYTES_AHEAD = 128 << 20
GPU_FILES_AT_A_TIME = 4
"""Files that are read at a time for a GPU: a disk behind a network answers late, but many at once.
"""
GPU_READ_THREADS = 4
"""Decoding threads of a worker of the user's own cluster, whose cores we do not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How an encode ended."""

    location: str
    spec: CacheSpec
    plan: Plan
    counts: Mapping[str, Mapping[str, int]]
    """Modality to present, absent and failed records."""
    failures: tuple[tuple[str, str, Failure], ...]
    """Record id, modality and reason of everything in quarantine."""
    stopped: bool = False
    """Ended at the first failure, as asked."""
    stages: Mapping[str, StageReport] = field(default_factory=dict)
    """Where the time went, by modality that was encoded now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """How a caller follows an encode."""

    on_repair: Callable[[int], None] = lambda n_findings: None
    on_plan: Callable[[Plan], None] = lambda plan: None
    on_progress: OnProgress = lambda n_records: None
    on_report: Callable[[TaskReport], None] = lambda report: None
    on_dashboard: Callable[[str], None] = lambda address: None


def encode(
    manifest: Manifest,
    raw: str,
    location: str,
    options: EncodeOptions,
    callbacks: Callbacks | None = None,
) -> Summary:
    """Encode a manifest's records into a cache, or go on with one.

    What is up to date is left alone, byte for byte; what failed is quarantined and listed.

    Args:
        manifest: The records, in order.
        raw: The raw tree.
        location: The cache: a folder or a URL.
        options: What is asked.
        callbacks: How to follow it.

    Raises:
        ConfigError: it cannot work as asked.
        ContractError: the cache there is damaged.
    """
    callbacks = callbacks or Callbacks()
    setup = set_up(manifest, raw, location, options)
    with locked(setup.location) as claim:
        finish_interrupted(Objects(setup.location), claim.session, seal=False)
        if options.check_stored:
            callbacks.on_repair(repair(setup.location, manifest, setup.specs))
        store, plan = _look(setup)
        check_disk(store, plan)
        if not plan.tasks and is_finished(store) and not _is_licence_new(setup, store):
            if claim.was_left:  # by one that was killed in its last instant
                store.objects.sweep()
            callbacks.on_plan(plan)
            return _summary(store, plan)
        store.begin(claim.session)
        callbacks.on_plan(plan)
        settings = worker_settings(store, setup, plan, claim.session)
        stages: dict[str, StageReport] = {}
        if plan.tasks and _run(settings, setup, plan, callbacks, claim, stages):
            return _summary(store, plan, stopped=True, stages=stages)
        quarantine_disagreements(store, claim.session)
        finish(store, {**store.spec.provenance, **_provenance(setup)}, claim.session)
    return _summary(store, plan, stages=stages)


def rehearse(
    manifest: Manifest, raw: str, location: str, options: EncodeOptions, *, measure: bool = False
) -> DryRun:
    """What :func:`encode` would do with the same arguments, changing and downloading nothing.

    ``measure``: encode three recordings of each modality to tell how long all would take, for which
    weights are downloaded.

    Raises:
        ConfigError: it cannot work as asked.
        ContractError: the cache there is damaged.
    """
    setup = set_up(manifest, raw, location, options, fetch=measure)
    check_no_edit(Objects(setup.location))
    store, plan = _look(setup)
    settings = worker_settings(store, setup, plan, session="")
    return dry_run(setup, store, plan, settings, measure=measure)


def _look(setup: Setup) -> tuple[CacheStore, Plan]:
    """The cache as it will be arranged, and what it lacks."""
    if not setup.options.despite_edits:
        check_not_undone(Objects(setup.location), setup.manifest)
    store = CacheStore.preview(setup.location, setup.manifest, setup.specs)
    for name, stored in store.dropped.items():
        if not setup.options.replace:
            difference = encoding_difference(stored, setup.specs[name])
            raise ConfigError(
                f"{setup.location} holds {name} encoded otherwise ({difference}): give --replace "
                "to drop what is stored and encode it again, which a training that reads it would "
                "not survive, or name another --out"
            )
    retry = setup.options.retry_failed
    return store, make_plan(store, tuple(setup.specs), RawTree(setup.raw), retry_failed=retry)


def worker_settings(store: CacheStore, setup: Setup, plan: Plan, session: str) -> WorkerSettings:
    """What every worker is told."""
    on_cuda = setup.device == "cuda"
    n_decoders = 1
    if on_cuda:
        n_each = n_cores() // max(setup.n_workers(len(plan.tasks)), 1)
        n_decoders = GPU_READ_THREADS if setup.options.scheduler else max(1, n_each)
    return WorkerSettings(
        location=setup.location,
        raw=setup.raw,
        spec=store.spec,
        weights=setup.options.weights,
        device=setup.device,
        session=session,
        # On a CPU the bits of a convolution depend on how many threads share it, and a cache must
        # not depend on how many workers there were: a worker has one, and a core has a worker.
        n_torch_threads=1,
        n_read_threads=n_decoders,
        n_readers=GPU_FILES_AT_A_TIME if on_cuda else 1,
        max_bytes_ahead=GPU_READ_BYTES_AHEAD if on_cuda else CPU_READ_BYTES_AHEAD,
    )


def _run(
    settings: WorkerSettings,
    setup: Setup,
    plan: Plan,
    callbacks: Callbacks,
    claim: Claim,
    stages: dict[str, StageReport],
) -> bool:
    """Do the plan, adding up ``stages``; True if it stopped at a failure as asked."""
    note = ProgressNote(plan.n_pending)
    claim.figures = note.figures

    def on_progress(n_records: int) -> None:
        note.add(n_records)
        callbacks.on_progress(n_records)

    is_wary = claim.was_left
    with closing(_reports(settings, setup, plan, callbacks, on_progress, is_wary)) as reports:
        for report in reports:
            callbacks.on_report(report)
            before = stages.get(report.modality, StageReport())
            stages[report.modality] = before + report.stages
            if report.n_failed and setup.options.fail_fast:
                return True
    return False


def _reports(
    settings: WorkerSettings,
    setup: Setup,
    plan: Plan,
    callbacks: Callbacks,
    on_progress: OnProgress,
    is_wary: bool,
) -> Generator[TaskReport, None, None]:
    """The report of each task as it is done, here or on a cluster.

    ``is_wary``: the encode before this one was killed, maybe by a file that would end this process
    as well; a worker that it ends costs that file alone.
    """
    n_workers, scheduler = setup.n_workers(len(plan.tasks)), setup.options.scheduler
    tasks = deque(plan.tasks)
    if scheduler is None and (n_workers == 0 or (setup.may_stay and not is_wary)):
        in_process = quicker_here(tasks, n_workers, lambda task: len(task.todo))
        yield from run_here(in_process, settings, on_progress)
        if not tasks:
            return
    modules = OF_FRAMES if setup.has_network else OF_SIGNALS
    started = forking(modules, {**ALLOCATOR, **ONE_THREAD}) if scheduler is None else None
    with started or nullcontext("spawn") as method:
        from pipeline.encode.dask_run import cluster, run_tasks  # while the process imports too

        with cluster(n_workers, scheduler, setup.options.dashboard, method=method) as client:
            callbacks.on_dashboard(client.dashboard_link)
            yield from run_tasks(client, tasks, settings, on_progress)


def _is_licence_new(setup: Setup, store: CacheStore) -> bool:
    return setup.options.licence not in ("", licence_of(store.spec))


def _provenance(setup: Setup) -> dict[str, Any]:
    frames = next((s.encoding for s in setup.specs.values() if WEIGHTS in s.encoding), {})
    provenance: dict[str, Any] = {
        "manifest_sha256": setup.manifest.sha256,
        "environment": environment(setup.device, frames),
    }
    if setup.manifest.fabricated:
        provenance["fabricated"] = True
    if setup.options.licence:  # else what the cache says stands
        provenance[LICENCE] = setup.options.licence
    if frames:  # else the weights of an earlier encode stand
        name = shown_names(setup.options.weights)
        provenance["weights"] = {"name": name, "sha256": frames[WEIGHTS]}
    return provenance


def _summary(
    store: CacheStore,
    plan: Plan,
    *,
    stopped: bool = False,
    stages: Mapping[str, StageReport] = MappingProxyType({}),
) -> Summary:
    entries = {name: store.entries(name) for name in store.spec.modalities}
    return Summary(
        location=store.objects.location,
        spec=store.spec,
        plan=plan,
        counts=count_states(entries),
        failures=tuple(
            (record.id, name, entry.failure)
            for name, by_id in entries.items()
            for record in store.records
            if (entry := by_id.get(record.id)) is not None and entry.failure is not None
        ),
        stopped=stopped,
        stages=stages,
    )
