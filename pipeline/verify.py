"""A cache against itself, its checksums, its raw files and its own encoder.

Everything that is wrong is a :class:`Finding` that names the object and the records it hits;
nothing is repaired. A damaged row is encoded again by the next ``dmft encode`` after its chunk's
object, or its ledger, has been removed.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.config import (
    FramesEncoding,
    InertialEncoding,
    ModalityEncoding,
    SkeletonEncoding,
)
from pipeline.contract import (
    LEDGER_PREFIX,
    CacheState,
    ConfigError,
    ContractError,
    Presence,
    RecordingError,
)
from pipeline.ledger import Entry
from pipeline.objects import Objects
from pipeline.rawtree import RawTree
from pipeline.store import SUMS, TRANSIENT, CacheStore

if TYPE_CHECKING:
    from pipeline.encode import Encoder

OnStep = Callable[[int, int], None]
"""Told of objects done and in all."""

ALL_RECORDS = ("(every record)",)
TOLERANCE = 2e-2
"""Relative error up to which a row encoded on another machine counts as the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong."""

    kind: str
    """``state``, ``missing``, ``extra``, ``size``, ``changed``, ``damaged``, ``source``,
    ``recompute``."""
    where: str
    """The object of the cache, or the raw file."""
    message: str
    record_ids: tuple[str, ...] = ()
    """Records that are not to be trusted because of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a verification looked at and found."""

    state: str
    counts: Mapping[str, Mapping[str, int]]
    n_objects: int
    n_bytes: int
    """Bytes read and compared."""
    n_sources: int
    n_recomputed: int
    findings: tuple[Finding, ...]


def verify(
    location: str,
    *,
    full: bool = False,
    source: str | None = None,
    recompute: int = 0,
    weights: str | None = None,
    seed: int = 0,
    on_step: OnStep | None = None,
) -> Report:
    """Verify a cache.

    Always: its state, its ledgers, and that every object is there in its size. ``full`` also
    compares every byte with its checksum and every row with its digest.

    Args:
        location: The cache.
        full: Read every byte.
        source: A raw tree whose files are hashed and compared with what was encoded.
        recompute: Records to encode again and compare, chosen by ``seed``; wants ``source``.
        weights: For recomputing colour and depth, the weights that were used.
        seed: Chooses the records to encode again.
        on_step: Told of progress.

    Raises:
        ContractError: there is no cache, or too little of its description to go by.
        ConfigError: ``recompute`` without ``source``.
    """
    if recompute and source is None:
        raise ConfigError("--recompute encodes raw files again: give their tree with --source RAW")
    objects = Objects(location)
    findings: list[Finding] = []
    sums = _read_sums(objects, findings)
    sizes = {key: n for key, n in objects.sizes().items() if key not in TRANSIENT}
    n_bytes = 0
    keys = sorted(sums.keys() | sizes.keys())
    wrong: set[str] = set()
    for index, key in enumerate(keys):
        if key not in sizes:
            wrong.add(key)
        elif key not in sums:
            if sums:
                findings.append(
                    Finding(kind="extra", where=key, message="is not in the list of checksums")
                )
        elif full:
            content = objects.read(key) or b""
            n_bytes += len(content)
            if hashlib.sha256(content).hexdigest() != sums[key]:
                wrong.add(key)
        if on_step is not None:
            on_step(index + 1, len(keys))
    try:
        store = CacheStore.read(location)
    except ContractError:
        # Without its description the cache cannot say which records it holds.
        if not wrong:
            raise
        findings += [_plain_finding(key, key in sizes, ALL_RECORDS) for key in sorted(wrong)]
        return Report(
            state="unreadable", counts={}, n_objects=len(keys), n_bytes=n_bytes,
            n_sources=0, n_recomputed=0, findings=tuple(findings),
        )  # fmt: skip
    entries = _entries(store, findings)
    findings += [_locate(store, key, key in sizes, entries) for key in sorted(wrong)]
    findings += _states(store, entries)
    findings += _chunk_sizes(store, entries, sizes, wrong)
    if full and not sums:
        findings += _rows(store, entries)
    n_sources = 0
    if source is not None:
        tree = RawTree(source)
        n_sources, drift = _sources(tree, entries)
        findings += drift
        if recompute:
            recompute, differences = _recompute(store, tree, entries, recompute, weights, seed)
            findings += differences
    return Report(
        state=str(store.spec.state),
        counts=count_states(entries),
        n_objects=len(keys),
        n_bytes=n_bytes,
        n_sources=n_sources,
        n_recomputed=recompute,
        findings=tuple(findings),
    )


def count_states(entries: Mapping[str, Mapping[str, Entry]]) -> dict[str, dict[str, int]]:
    """Modality to how many records are present, absent and failed."""
    return {
        modality: {
            presence.name.lower(): sum(e.presence == presence for e in of.values())
            for presence in (Presence.PRESENT, Presence.ABSENT, Presence.FAILED)
        }
        for modality, of in entries.items()
    }


def _read_sums(objects: Objects, findings: list[Finding]) -> dict[str, str]:
    """Object to checksum, from a list that vouches for itself."""
    content = objects.read(SUMS)
    if content is None:
        findings.append(
            Finding(
                kind="missing",
                where=SUMS,
                message="there is no list of checksums: the cache was never finished, or the list "
                "was deleted. 'dmft encode' finishes it",
                record_ids=ALL_RECORDS,
            )
        )
        return {}
    body, _, last = content.rpartition(b"# sha256 of the lines above: ")
    if hashlib.sha256(body).hexdigest().encode() + b"\n" != last:
        findings.append(
            Finding(
                kind="changed",
                where=SUMS,
                message="the list of checksums is not what was written",
                record_ids=ALL_RECORDS,
            )
        )
        return {}
    lines = (line.split("  ", 1) for line in body.decode().splitlines())
    return {key: digest for digest, key in lines}


def _entries(store: CacheStore, findings: list[Finding]) -> dict[str, dict[str, Entry]]:
    """What the ledgers say, passing over those that cannot be read."""
    from pipeline.ledger import ledger_key, read_ledger

    found: dict[str, dict[str, Entry]] = {}
    for modality in store.spec.modalities:
        found[modality] = {}
        for chunk in range(store.n_chunks(modality)):
            try:
                ledger = read_ledger(store.objects, modality, chunk)
            except ContractError as error:
                rows = store.rows_of(modality, chunk)
                findings.append(
                    Finding(
                        kind="damaged",
                        where=ledger_key(modality, chunk),
                        message=str(error),
                        record_ids=tuple(store.records[row].id for row in rows),
                    )
                )
                continue
            if ledger is not None:
                found[modality].update((entry.record_id, entry) for entry in ledger.entries)
    return found


def _plain_finding(key: str, there: bool, record_ids: tuple[str, ...]) -> Finding:
    if not there:
        return Finding(
            kind="missing", where=key, message="the object is gone", record_ids=record_ids
        )
    return Finding(
        kind="changed",
        where=key,
        message="the object's bytes are not what was written",
        record_ids=record_ids,
    )


def _locate(
    store: CacheStore, key: str, there: bool, entries: Mapping[str, Mapping[str, Entry]]
) -> Finding:
    """Which records an object that is gone or changed takes with it."""
    everyone = tuple(record.id for record in store.records)
    chunk_match = re.fullmatch(r"([a-z0-9_]+)/c/(\d+)/0/0", key)
    ledger_match = re.fullmatch(rf"{re.escape(LEDGER_PREFIX)}/([a-z0-9_]+)/(\d+)\.json", key)
    match = chunk_match or ledger_match
    if match is None or match.group(1) not in store.spec.modalities:
        return _plain_finding(key, there, everyone)
    modality, chunk = match.group(1), int(match.group(2))
    here = [store.records[row].id for row in store.rows_of(modality, chunk)]
    if chunk_match and there:
        hit = _hit_rows(store, modality, chunk, entries.get(modality, {}))
        if hit:
            return _plain_finding(key, there, hit)
    return _plain_finding(key, there, tuple(here))


def _hit_rows(
    store: CacheStore, modality: str, chunk: int, entries: Mapping[str, Entry]
) -> tuple[str, ...]:
    """Records of a chunk whose rows are not what was written."""
    stored = store.raw_rows(modality, chunk)
    rows = store.rows_of(modality, chunk)
    hit = []
    for row in rows:
        entry = entries.get(store.records[row].id)
        if entry is None or entry.presence != Presence.PRESENT:
            continue
        at = row - rows.start
        if (
            stored is None
            or at >= len(stored)
            or hashlib.sha256(stored[at].tobytes()).hexdigest() != entry.digest
        ):
            hit.append(entry.record_id)
    return tuple(hit)


def _states(store: CacheStore, entries: Mapping[str, Mapping[str, Entry]]) -> Iterator[Finding]:
    if store.spec.state != CacheState.COMPLETE:
        yield Finding(
            kind="state",
            where="zarr.json",
            message=f"the cache is {store.spec.state}, not complete: run 'dmft encode' again",
        )
        return
    for modality, of in entries.items():
        missing = [record.id for record in store.records if record.id not in of]
        if missing:
            yield Finding(
                kind="state",
                where=modality,
                message=f"the cache is complete and {len(missing)} records have no ledger entry",
                record_ids=tuple(missing),
            )


def _chunk_sizes(
    store: CacheStore,
    entries: Mapping[str, Mapping[str, Entry]],
    sizes: Mapping[str, int],
    known: Iterable[str],
) -> Iterator[Finding]:
    """Chunks that are not there, or not in their size."""
    known = set(known)
    for modality, spec in store.spec.modalities.items():
        wanted = spec.records_per_chunk * spec.row_bytes + 4
        for chunk in range(store.n_chunks(modality)):
            key = store.chunk_key(modality, chunk)
            here = [
                store.records[row].id
                for row in store.rows_of(modality, chunk)
                if (entry := entries[modality].get(store.records[row].id)) is not None
                and entry.presence == Presence.PRESENT
            ]
            if not here or key in known or sizes.get(key) == wanted:
                continue
            found = sizes.get(key)
            yield Finding(
                kind="size" if found is not None else "missing",
                where=key,
                message=f"holds {found} bytes: wanted {wanted}" if found is not None
                else "the object is gone",
                record_ids=tuple(here),
            )  # fmt: skip


def _rows(store: CacheStore, entries: Mapping[str, Mapping[str, Entry]]) -> Iterator[Finding]:
    """Every row against its digest, where there is no list of checksums to go by."""
    for modality in store.spec.modalities:
        for chunk in range(store.n_chunks(modality)):
            hit = _hit_rows(store, modality, chunk, entries[modality])
            if hit:
                yield _plain_finding(store.chunk_key(modality, chunk), True, hit)


def _sources(
    tree: RawTree, entries: Mapping[str, Mapping[str, Entry]]
) -> tuple[int, list[Finding]]:
    """Raw files against what was encoded, each once."""
    wanted: dict[str, tuple[str, list[str]]] = {}
    for of in entries.values():
        for entry in of.values():
            for source in entry.sources:
                wanted.setdefault(source.path, (source.sha256, []))[1].append(entry.record_id)
    findings = []
    for path, (digest, record_ids) in wanted.items():
        try:
            message = "has changed since it was encoded" if tree.digest(path)[1] != digest else None
        except RecordingError as error:
            message = str(error)
        if message is not None:
            findings.append(
                Finding(kind="source", where=path, message=message, record_ids=tuple(record_ids))
            )
    return len(wanted), findings


def _recompute(
    store: CacheStore,
    tree: RawTree,
    entries: Mapping[str, Mapping[str, Entry]],
    n_records: int,
    weights: str | None,
    seed: int,
) -> tuple[int, list[Finding]]:
    """Encode some records again and compare them with what is stored."""
    by_id = {record.id: record for record in store.records}
    pool = sorted(
        (modality, entry.record_id)
        for modality, of in entries.items()
        for entry in of.values()
        if entry.presence == Presence.PRESENT
    )
    chosen = random.Random(seed).sample(pool, min(n_records, len(pool)))
    findings = []
    for modality in sorted({modality for modality, _ in chosen}):
        encoder = _encoder(store, tree, modality, weights)
        records = [by_id[record_id] for which, record_id in chosen if which == modality]
        for encoded in encoder.encode(records):
            entry = entries[modality][encoded.record_id]
            size = store.spec.modalities[modality].records_per_chunk
            stored = store.raw_rows(modality, entry.row // size)
            problem = (
                encoded.failure.message
                if encoded.failure is not None
                else _difference(encoded.patches, stored, entry.row % size)
            )
            if problem is not None:
                findings.append(
                    Finding(
                        kind="recompute",
                        where=modality,
                        message=f"encoded again it {problem}",
                        record_ids=(encoded.record_id,),
                    )
                )
    return len(chosen), findings


def _difference(fresh: Any, stored: Any, at: int) -> str | None:
    if stored is None or at >= len(stored):
        return "has no stored row to compare with"
    left, right = fresh.astype(np.float64), stored[at].astype(np.float64)
    error = float(np.linalg.norm(left - right) / max(float(np.linalg.norm(right)), 1e-12))
    return None if error <= TOLERANCE else f"differs by {error:.3g} (relative)"


def _encoder(store: CacheStore, tree: RawTree, modality: str, weights: str | None) -> Encoder:
    """The encoder that a cache's own description asks for."""
    from pipeline.encode import Encoder

    spec = store.spec.modalities[modality]
    encoding = encoding_of(modality, spec.encoding)
    network = None
    if isinstance(encoding, FramesEncoding):
        import torch

        from pipeline.encoders.frames import FrameNetwork
        from pipeline.encoders.weights import load_weights

        name = weights or str(store.spec.provenance.get("weights", {}).get("name"))
        loaded = load_weights(name)
        if loaded.sha256 != spec.encoding["weights_sha256"]:
            raise ConfigError(
                f"weights {name!r} are not those that {modality} was encoded with: give them "
                "with --weights"
            )
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        assert encoding.dtype != "auto"
        network = FrameNetwork(loaded, device=device, dtype=encoding.dtype)
    return Encoder(
        dataset=store.spec.dataset, modality=modality, tree=tree, encoding=encoding, network=network
    )


def encoding_of(modality: str, stored: Mapping[str, Any]) -> ModalityEncoding:
    """The configuration that a cache's metadata holds, as it was."""
    from dataclasses import fields

    kind: type[ModalityEncoding] = {
        "rgb": FramesEncoding,
        "depth": FramesEncoding,
        "skeleton": SkeletonEncoding,
        "inertial": InertialEncoding,
    }[modality]
    names = {field.name for field in fields(kind)}
    return kind(**{name: value for name, value in stored.items() if name in names})
