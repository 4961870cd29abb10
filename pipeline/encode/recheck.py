"""A cache against what lies outside it: its raw files, and its own encoder on some of them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.cache.verify import Finding, Report
from pipeline.cache.writer import CacheStore
from pipeline.contract import Presence, RecordingError
from pipeline.encode.records import Encoders
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
    by_path: dict[str, tuple[str, list[str]]] = {}
    for by_id in report.entries.values():
        for record_id, entry in by_id.items():
            for source in entry.sources:
                by_path.setdefault(source.path, (source.sha256, []))[1].append(record_id)
    findings = []
    for path, (digest, record_ids) in by_path.items():
        try:
            if tree.digest(path)[1] == digest:
                continue
            message = "has changed since it was encoded"
        except RecordingError as error:
            message = str(error)
        findings.append(
            Finding(kind="source", where=path, message=message, record_ids=tuple(record_ids))
        )
    pool = sorted(
        (modality, entry.record_id)
        for modality, by_id in report.entries.items()
        for entry in by_id.values()
        if entry.presence == Presence.PRESENT
    )
    chosen = random.Random(seed).sample(pool, min(n_records, len(pool)))
    findings += _differences(report.store, tree, chosen, weights)
    return Recheck(n_sources=len(by_path), n_recomputed=len(chosen), findings=tuple(findings))


def _differences(
    store: CacheStore, tree: RawTree, chosen: Sequence[tuple[str, str]], weights: str | None
) -> Iterator[Finding]:
    """Modalities of records that differ from what is stored when they are encoded again."""
    rows = {record.id: row for row, record in enumerate(store.records)}
    noted = str(store.spec.provenance.get("weights", {}).get("name"))
    encoders = Encoders(dataset=store.spec.dataset, weights=weights or noted)
    for modality in sorted({modality for modality, _ in chosen}):
        spec = store.spec.modalities[modality]
        encoder = encoders.encoder(modality, spec.encoding, tree)
        records = [store.records[rows[record_id]] for name, record_id in chosen if name == modality]
        for encoded in encoder.encode(records):
            chunk, at = divmod(rows[encoded.record_id], spec.records_per_chunk)
            problem = (
                encoded.failure.message
                if encoded.failure is not None
                else _difference(encoded.patches, store.sound_rows(modality, chunk)[1], at)
            )
            if problem is not None:
                yield Finding(
                    kind="recompute",
                    where=modality,
                    message=f"encoded again it {problem}",
                    record_ids=(encoded.record_id,),
                )


def _difference(fresh: Any, stored: Any, at: int) -> str | None:
    if np.isnan(stored[at]).any():
        return "has no sound stored row to compare with"
    left, right = fresh.astype(np.float64), stored[at].astype(np.float64)
    error = float(np.linalg.norm(left - right) / max(float(np.linalg.norm(right)), 1e-12))
    return None if error <= TOLERANCE else f"differs by {error:.3g} (relative)"
