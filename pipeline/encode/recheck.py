"""A cache against what lies outside it: its raw files, and its own encoder on some of them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.cache.ledger import Entry
from pipeline.cache.verify import Finding, Report
from pipeline.cache.writer import CacheStore
from pipeline.contract import Presence, RecordingError
from pipeline.encode.from_cache import Encoders
from pipeline.raw.tree import RawTree

TOLERANCE = 2e-2
"""Relative error up to which a row encoded on another machine counts as the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recheck:
    """What was compared with the raw files, and what differed."""

    n_sources: int = 0
    n_recomputed: int = 0
    findings: tuple[Finding, ...] = ()


def recheck(
    report: Report, raw: str, *, n_records: int = 0, weights: str | None = None, seed: int = 0
) -> Recheck:
    """A verified cache against its raw files, and some records encoded again.

    Args:
        report: What the cache's own verification says; nothing is compared with a cache whose
            description cannot be trusted.
        raw: The raw tree whose files are hashed and compared with what was encoded.
        n_records: Records to encode again and compare, chosen by ``seed``.
        weights: For colour and depth, the weights that were used; None for those recorded.
        seed: Chooses the records to encode again.
    """
    if report.store is None:
        return Recheck()
    tree = RawTree(raw)
    n_sources, findings = check_sources(tree, report.entries)
    n_recomputed = 0
    if n_records:
        n_recomputed, differences = check_by_encoding(
            report.store, tree, report.entries, n_records, weights, seed
        )
        findings += differences
    return Recheck(n_sources=n_sources, n_recomputed=n_recomputed, findings=tuple(findings))


def check_sources(
    tree: RawTree, entries: Mapping[str, Mapping[str, Entry]]
) -> tuple[int, list[Finding]]:
    """Raw files against what was encoded, each once."""
    by_path: dict[str, tuple[str, list[str]]] = {}
    for by_id in entries.values():
        for record_id, entry in by_id.items():
            for source in entry.sources:
                by_path.setdefault(source.path, (source.sha256, []))[1].append(record_id)
    findings = []
    for path, (digest, record_ids) in by_path.items():
        try:
            message = "has changed since it was encoded" if tree.digest(path)[1] != digest else None
        except RecordingError as error:
            message = str(error)
        if message is not None:
            findings.append(
                Finding(kind="source", where=path, message=message, record_ids=tuple(record_ids))
            )
    return len(by_path), findings


def check_by_encoding(
    store: CacheStore,
    tree: RawTree,
    entries: Mapping[str, Mapping[str, Entry]],
    n_records: int,
    weights: str | None,
    seed: int,
) -> tuple[int, list[Finding]]:
    """Encode some records again and compare them with what is stored."""
    records_by_id = {record.id: record for record in store.records}
    pool = sorted(
        (modality, entry.record_id)
        for modality, by_id in entries.items()
        for entry in by_id.values()
        if entry.presence == Presence.PRESENT
    )
    chosen = random.Random(seed).sample(pool, min(n_records, len(pool)))
    noted = str(store.spec.provenance.get("weights", {}).get("name"))
    encoders = Encoders(dataset=store.spec.dataset, weights=weights or noted)
    findings = []
    for modality in sorted({modality for modality, _ in chosen}):
        encoder = encoders.encoder(modality, store.spec.modalities[modality].encoding, tree)
        records = [records_by_id[record_id] for which, record_id in chosen if which == modality]
        for encoded in encoder.encode(records):
            entry = entries[modality][encoded.record_id]
            size = store.spec.modalities[modality].records_per_chunk
            _, rows = store.sound_rows(modality, entry.row // size)
            problem = (
                encoded.failure.message
                if encoded.failure is not None
                else _difference(encoded.patches, rows, entry.row % size)
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
    if stored is None or np.isnan(stored[at]).any():
        return "has no sound stored row to compare with"
    left, right = fresh.astype(np.float64), stored[at].astype(np.float64)
    error = float(np.linalg.norm(left - right) / max(float(np.linalg.norm(right)), 1e-12))
    return None if error <= TOLERANCE else f"differs by {error:.3g} (relative)"
