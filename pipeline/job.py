"""One encode from end to end: what is asked, what is there, what is to do, doing it, finishing.

This is the function behind ``dmft encode`` and the encoder's Python interface.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.config import EncodingConfig, FramesEncoding, ModalityEncoding, to_table
from pipeline.contract import (
    CacheSpec,
    CacheState,
    ConfigError,
    ContractError,
    ModalitySpec,
    Presence,
    Record,
)
from pipeline.encode import FRAME_MODALITIES, STORED_DTYPE, encoder_version
from pipeline.ledger import Failure
from pipeline.manifests import Manifest
from pipeline.objects import Objects
from pipeline.plan import ModalityPlan, Plan, expected_keys, plan_modality
from pipeline.progress import ProgressNote
from pipeline.rawtree import RawTree
from pipeline.readers.registry import feature_names, modalities_of
from pipeline.store import CacheStore, read_spec, records_per_chunk
from pipeline.worker import Event, TaskReport, WorkerSettings, environment

GPU_READ_BYTES_AHEAD = 1 << 30
CPU_READ_BYTES_AHEAD = 128 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeOptions:
    """What a user may ask of one encode; none of it but the configuration changes a number."""

    config: EncodingConfig = field(default_factory=EncodingConfig)
    modalities: tuple[str, ...] = ()
    """Empty for every modality of the manifest."""
    weights: str = "imagenet"
    device: str = "auto"
    """``auto``, ``cpu`` or ``cuda``."""
    n_workers: int | None = None
    """None for one a core, or one a GPU; 0 to stay in this process."""
    scheduler: str | None = None
    retry_failed: bool = False
    fail_fast: bool = False


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

    on_plan: Callable[[Plan], None] = lambda plan: None
    on_event: Callable[[Any], None] = lambda event: None
    on_report: Callable[[TaskReport], None] = lambda report: None
    on_dashboard: Callable[[str], None] = lambda address: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """An encode with everything decided."""

    manifest: Manifest
    raw: str
    location: str
    options: EncodeOptions
    encodings: Mapping[str, ModalityEncoding]
    specs: Mapping[str, ModalitySpec]
    weights_sha256: str | None
    device: str

    @property
    def wants_frames(self) -> bool:
        """Whether a network is needed."""
        return any(isinstance(e, FramesEncoding) for e in self.encodings.values())


def set_up(manifest: Manifest, raw: str, location: str, options: EncodeOptions) -> Setup:
    """Decide everything that an encode needs, and refuse at once what cannot work.

    Raises:
        ConfigError: a modality that there is none of, a device that is not there, weights that
            cannot be had.
    """
    modalities = _modalities(manifest, options.modalities)
    device = "cpu"
    weights_sha256 = None
    frames = [name for name in modalities if name in FRAME_MODALITIES]
    if frames:
        device = _device(options.device)
        weights_sha256 = _weights_hash(options.weights)
    stored = read_spec(Objects(location))
    encodings: dict[str, ModalityEncoding] = {}
    for name in modalities:
        encoding = options.config.of(name)
        if isinstance(encoding, FramesEncoding) and encoding.dtype == "auto":
            encoding = replace(encoding, dtype=_stored_dtype(stored, name) or _best_dtype(device))
        encodings[name] = encoding
    specs = {
        name: _spec(manifest.dataset, name, encoding, weights_sha256)
        for name, encoding in encodings.items()
    }
    # Relative names would mean other folders to workers elsewhere.
    location = location if "://" in location else str(Path(location).absolute())
    return Setup(
        manifest=manifest,
        raw=str(Path(raw).absolute()),
        location=location,
        options=options,
        encodings=encodings,
        specs=specs,
        weights_sha256=weights_sha256,
        device=device,
    )


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
    tree = RawTree(setup.raw)
    keys = _keys(setup, tree)
    with CacheStore.locked(setup.location):
        before = _untouched(setup, keys)
        if before is not None:
            callbacks.on_plan(before[1])
            return _summary(before[0], before[1])
        session = uuid.uuid4().hex
        store = CacheStore.prepare(
            setup.location,
            dataset=manifest.dataset,
            classes=manifest.classes,
            records=manifest.records,
            modalities=setup.specs,
            provenance={},
            session=session,
        )
        keys = {name: {r.id: keys[name][r.id] for r in store.records} for name in keys}
        plan = _plan(store, setup, keys)
        callbacks.on_plan(plan)
        stopped = _run(store, setup, plan, session, callbacks) if plan.tasks else False
        if stopped:
            return _summary(store, plan, stopped=True)
        store.finish(_provenance(setup))
    return _summary(store, plan)


def _modalities(manifest: Manifest, asked: tuple[str, ...]) -> tuple[str, ...]:
    readable = modalities_of(manifest.dataset)
    there = manifest.modalities
    for name in asked:
        if name not in readable:
            raise ConfigError(
                f"no reader for modality {name!r} of {manifest.dataset}: have {', '.join(readable)}"
            )
        if name not in there:
            raise ConfigError(f"the manifest has no {name}: its modalities are {', '.join(there)}")
    chosen = asked or there
    return tuple(name for name in readable if name in chosen)


def _device(asked: str) -> str:
    import torch

    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if asked == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "--device cuda: PyTorch finds no GPU here. Use --device cpu, or give --scheduler the "
            "address of a Dask cluster whose workers have one"
        )
    return asked


def _weights_hash(name: str) -> str:
    from pipeline.encoders.weights import load_weights

    return load_weights(name).sha256


def _stored_dtype(stored: CacheSpec | None, modality: str) -> Any:
    """What ``auto`` meant when the cache was begun: going on elsewhere must not start anew."""
    if stored is None or modality not in stored.modalities:
        return None
    return stored.modalities[modality].encoding.get("dtype")


def _best_dtype(device: str) -> Any:
    import torch

    from pipeline.encoders.frames import resolve_dtype

    return resolve_dtype(torch.device(device))


def _spec(
    dataset: str, modality: str, encoding: ModalityEncoding, weights_sha256: str | None
) -> ModalitySpec:
    table = {**to_table(encoding), "encoder_version": encoder_version(modality)}
    if isinstance(encoding, FramesEncoding):
        from pipeline.encoders.frames import N_FEATURES

        n_features = N_FEATURES
        names: tuple[str, ...] = ()
        table["weights_sha256"] = weights_sha256
        if modality == "rgb":
            del table["near_mm"], table["far_mm"]
    else:
        names = feature_names(dataset, modality)
        n_features = len(names)
    spec = ModalitySpec(
        name=modality,
        n_patches=encoding.patches,
        n_features=n_features,
        dtype=STORED_DTYPE.get(modality, "float32"),
        records_per_chunk=1,
        encoding=table,
        feature_names=names,
    )
    return replace(spec, records_per_chunk=records_per_chunk(spec.row_bytes))


def _keys(setup: Setup, tree: RawTree) -> dict[str, dict[str, str]]:
    return {
        name: expected_keys(
            setup.manifest.records,
            name,
            encoding=setup.specs[name].encoding,
            version=encoder_version(name),
            weights_sha256=setup.weights_sha256 if name in FRAME_MODALITIES else None,
            tree=tree,
        )
        for name in setup.encodings
    }


def _plan(store: CacheStore, setup: Setup, keys: Mapping[str, Mapping[str, str]]) -> Plan:
    tasks, counts = [], {}
    for name in setup.encodings:
        more, counts[name] = plan_modality(
            store, name, keys[name], retry_failed=setup.options.retry_failed
        )
        tasks += more
    return Plan(tasks=tuple(tasks), counts=counts)


def _untouched(
    setup: Setup, keys: Mapping[str, Mapping[str, str]]
) -> tuple[CacheStore, Plan] | None:
    """The complete cache there, if it is already all that is asked for."""
    spec = read_spec(Objects(setup.location))
    if spec is None or spec.state != CacheState.COMPLETE:
        return None
    if any(spec.modalities.get(name) != wanted for name, wanted in setup.specs.items()):
        return None
    store = CacheStore.read(setup.location)
    same: tuple[Record, ...] = tuple(sorted(store.records, key=lambda record: record.id))
    if same != tuple(sorted(setup.manifest.records, key=lambda record: record.id)):
        return None
    if (spec.dataset, spec.classes) != (setup.manifest.dataset, setup.manifest.classes):
        return None
    plan = _plan(store, setup, keys)
    return None if plan.tasks else (store, plan)


def _run(store: CacheStore, setup: Setup, plan: Plan, session: str, callbacks: Callbacks) -> bool:
    """Do the plan; True if it stopped at a failure as asked."""
    options = setup.options
    n_cores = len(os.sched_getaffinity(0))
    n_devices = 0
    if setup.device == "cuda":
        import torch

        n_devices = torch.cuda.device_count()
    n_workers = options.n_workers
    if n_workers is None:
        n_workers = min(n_devices or n_cores, len(plan.tasks))
    on_cuda = setup.device == "cuda"
    cores_each = max(1, n_cores // max(n_workers, 1))
    settings = WorkerSettings(
        location=store.objects.location,
        raw=setup.raw,
        dataset=setup.manifest.dataset,
        spec=store.spec,
        encodings=setup.encodings,
        weights=options.weights if setup.wants_frames else None,
        weights_sha256=setup.weights_sha256,
        device=setup.device,
        session=session,
        n_torch_threads=cores_each,
        n_read_threads=cores_each if on_cuda else 1,
        max_bytes_ahead=GPU_READ_BYTES_AHEAD if on_cuda else CPU_READ_BYTES_AHEAD,
    )
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
        from pipeline.local import run_here

        run_here(
            plan.tasks,
            settings,
            on_event=on_event,
            on_report=on_report,
            fail_fast=options.fail_fast,
        )
        return failed and options.fail_fast
    from pipeline.run import cluster, run_tasks

    with cluster(n_workers, options.scheduler) as client:
        callbacks.on_dashboard(client.dashboard_link)
        run_tasks(
            client,
            plan.tasks,
            settings,
            n_devices=n_devices,
            on_event=on_event,
            on_report=on_report,
            fail_fast=options.fail_fast,
        )
    return failed and options.fail_fast


def _provenance(setup: Setup) -> dict[str, Any]:
    frames = next((s for name, s in setup.specs.items() if name in FRAME_MODALITIES), None)
    return {
        "manifest_sha256": setup.manifest.sha256,
        "weights": {
            "name": Path(setup.options.weights).name if setup.wants_frames else None,
            "sha256": setup.weights_sha256,
        },
        "environment": environment(setup.device, frames.encoding if frames else {}),
    }


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


__all__ = ["Callbacks", "ContractError", "EncodeOptions", "ModalityPlan", "Summary", "encode"]
