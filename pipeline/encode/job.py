"""One encode from end to end: what is there, what is to do, doing it, finishing.

This is the function behind ``dmft encode`` and the encoder's Python interface.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.cache.checksums import read_sums
from pipeline.cache.description import read_spec
from pipeline.cache.ledger import Failure
from pipeline.cache.lock import locked
from pipeline.cache.objects import Objects
from pipeline.cache.repair import is_cache, repair
from pipeline.cache.seal import finish
from pipeline.cache.writer import CacheStore
from pipeline.contract import CacheSpec, CacheState, ContractError, Presence, Record
from pipeline.encode.dry_run import DryRun, check_disk, dry_run
from pipeline.encode.length_check import quarantine_disagreements, to_settle
from pipeline.encode.options import EncodeOptions, Setup, n_cores, set_up
from pipeline.encode.plan import ModalityPlan, Plan, expected_keys, plan_modality
from pipeline.encode.progress import ProgressNote
from pipeline.encode.worker import Event, TaskReport, WorkerSettings, environment
from pipeline.encoders.kinds import VERSION, WEIGHTS
from pipeline.manifests import Manifest
from pipeline.raw.tree import RawTree

GPU_READ_BYTES_AHEAD = 1 << 30
CPU_READ_BYTES_AHEAD = 128 << 20
GPU_READ_THREADS = 4
"""Of a worker of a cluster of the user's own, whose cores we do not know."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """How a caller follows an encode."""

    on_repair: Callable[[int], None] = lambda n_findings: None
    on_plan: Callable[[Plan], None] = lambda plan: None
    on_event: Callable[[Any], None] = lambda event: None
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
    keys = _keys(setup)
    if not (options.check_stored and is_cache(Objects(setup.location))):
        setup.preview()  # refuses before a folder or a lock is made
    with locked(setup.location):
        if options.check_stored:
            callbacks.on_repair(repair(setup.location, manifest, setup.specs))
        store = setup.preview()
        plan = _plan(store, setup, keys)
        if _is_up_to_date(store, plan):
            callbacks.on_plan(plan)
            return _summary(CacheStore.read(setup.location), plan)
        check_disk(store, plan)
        session = uuid.uuid4().hex
        store = CacheStore.prepare(setup.location, manifest, setup.specs, session=session)
        plan = _plan(store, setup, keys)
        callbacks.on_plan(plan)
        stopped = _run(store, setup, plan, session, callbacks) if plan.tasks else False
        if stopped:
            return _summary(store, plan, stopped=True)
        quarantine_disagreements(store, session)
        finish(store, {**store.spec.provenance, **_provenance(setup)})
    return _summary(store, plan)


def rehearse(manifest: Manifest, raw: str, location: str, options: EncodeOptions) -> DryRun:
    """What :func:`encode` would do with the same arguments, changing nothing.

    Raises:
        ConfigError: it cannot work as asked.
        ContractError: the cache there is damaged.
    """
    setup = set_up(manifest, raw, location, options)
    store = setup.preview()
    plan = _plan(store, setup, _keys(setup))
    return dry_run(setup, store, plan, _settings(store, setup, plan, session=""))


def _keys(setup: Setup) -> dict[str, dict[str, str]]:
    tree = RawTree(setup.raw)
    return {
        name: expected_keys(
            setup.manifest.records,
            name,
            encoding=setup.specs[name].encoding,
            version=setup.specs[name].encoding[VERSION],
            weights_sha256=setup.specs[name].encoding.get(WEIGHTS),
            tree=tree,
        )
        for name in setup.encodings
    }


def _plan(store: CacheStore, setup: Setup, keys: Mapping[str, Mapping[str, str]]) -> Plan:
    tree = RawTree(setup.raw)

    def of(name: str, again: set[str]) -> tuple[Any, ModalityPlan]:
        return plan_modality(
            store,
            name,
            keys[name],
            tree=tree,
            retry_failed=setup.options.retry_failed,
            again=again,
        )

    planned = {name: of(name, set()) for name in setup.encodings}
    todo = {name: {i for task in tasks for i in task.todo} for name, (tasks, _) in planned.items()}
    for name, again in to_settle(store, todo).items():
        if name in planned:
            planned[name] = of(name, again)
    return Plan(
        tasks=tuple(task for tasks, _ in planned.values() for task in tasks),
        counts={name: counts for name, (_, counts) in planned.items()},
    )


def _is_up_to_date(store: CacheStore, plan: Plan) -> bool:
    """Whether the cache there is complete, sealed, and all that is asked for."""
    spec = read_spec(store.objects)
    if spec is None or spec.state != CacheState.COMPLETE or plan.tasks:
        return False
    if spec.modalities != store.spec.modalities or spec.columns != store.spec.columns:
        return False
    stored: tuple[Record, ...] = CacheStore.read(store.objects.location).records
    return stored == store.records and _is_sealed(store.objects)


def _is_sealed(objects: Objects) -> bool:
    try:
        return read_sums(objects) is not None
    except ContractError:
        return False


def _settings(store: CacheStore, setup: Setup, plan: Plan, *, session: str) -> WorkerSettings:
    on_cuda = setup.device == "cuda"
    n_readers = 1
    if on_cuda:
        n_each = n_cores() // max(setup.n_workers(len(plan.tasks)), 1)
        n_readers = GPU_READ_THREADS if setup.options.scheduler else max(1, n_each)
    return WorkerSettings(
        location=store.objects.location,
        raw=setup.raw,
        dataset=setup.manifest.dataset,
        spec=store.spec,
        encodings=setup.encodings,
        weights=setup.options.weights if setup.needs_network else None,
        weights_sha256=setup.weights_sha256,
        device=setup.device,
        session=session,
        # On a CPU the bits of a convolution depend on how many threads share it, and a cache must
        # not depend on how many workers there were: a worker has one, and a core has a worker.
        n_torch_threads=1,
        n_read_threads=n_readers,
        max_bytes_ahead=GPU_READ_BYTES_AHEAD if on_cuda else CPU_READ_BYTES_AHEAD,
    )


def _run(store: CacheStore, setup: Setup, plan: Plan, session: str, callbacks: Callbacks) -> bool:
    """Do the plan; True if it stopped at a failure as asked."""
    options = setup.options
    settings = _settings(store, setup, plan, session=session)
    n_workers = setup.n_workers(len(plan.tasks))
    failed = False
    note = ProgressNote(store.objects, plan.n_pending)
    note.write()

    def on_event(event: Event) -> None:
        note.add(event.n_records)
        callbacks.on_event(event)

    def on_report(report: TaskReport) -> None:
        nonlocal failed
        failed = failed or bool(report.failures)
        callbacks.on_report(report)

    if n_workers == 0 and options.scheduler is None:
        from pipeline.encode.local_run import run_here

        run_here(
            plan.tasks,
            settings,
            on_event=on_event,
            on_report=on_report,
            fail_fast=options.fail_fast,
        )
        return failed and options.fail_fast
    from pipeline.encode.dask_run import cluster, run_tasks

    with cluster(n_workers, options.scheduler) as client:
        callbacks.on_dashboard(client.dashboard_link)
        run_tasks(
            client,
            plan.tasks,
            settings,
            on_event=on_event,
            on_report=on_report,
            fail_fast=options.fail_fast,
        )
    return failed and options.fail_fast


def _provenance(setup: Setup) -> dict[str, Any]:
    frames = next((s for s in setup.specs.values() if WEIGHTS in s.encoding), None)
    provenance = {
        "manifest_sha256": setup.manifest.sha256,
        "environment": environment(setup.device, frames.encoding if frames else {}),
    }
    if setup.needs_network:  # else those of an earlier encode stand
        provenance["weights"] = {
            "name": Path(setup.options.weights).name,
            "sha256": setup.weights_sha256,
        }
    return provenance


def _summary(store: CacheStore, plan: Plan, *, stopped: bool = False) -> Summary:
    counts: dict[str, dict[str, int]] = {}
    failures: list[tuple[str, str, Failure]] = []
    for name in store.spec.modalities:
        entries = store.entries(name)
        counts[name] = {
            str(presence.name).lower(): sum(e.presence == presence for e in entries.values())
            for presence in (Presence.PRESENT, Presence.ABSENT, Presence.FAILED)
        }
        for record in store.records:
            entry = entries.get(record.id)
            if entry is not None and entry.failure is not None:
                failures.append((record.id, name, entry.failure))
    return Summary(
        location=store.objects.location,
        spec=store.spec,
        plan=plan,
        counts=counts,
        failures=tuple(failures),
        stopped=stopped,
    )
