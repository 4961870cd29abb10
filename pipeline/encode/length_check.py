"""Streams of one record against each other: lengths that a data set says are always equal.

A file that was cut short can decode without an error. Where the other modality shows it, both are
quarantined: nothing tells which of the two is the damaged one. Lengths come from the ledgers, so
it does not matter in which run, or in which order, the two were encoded.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace

import numpy as np

from pipeline.cache.description import DESCRIPTION
from pipeline.cache.ledger import Entry, Failure, read_ledger
from pipeline.cache.writer import CacheStore
from pipeline.contract import CacheSpec, Presence
from pipeline.datasets import described
from pipeline.readers.registry import EQUAL_LENGTHS

STAGE = "agree"


Entries = Mapping[str, Mapping[str, Entry]]
"""Modality to the committed entries of its records, by record id."""


def quarantine_disagreements(store: CacheStore, session: str) -> None:
    """Set aside both modalities of every record that has them in different lengths."""
    entries = {name: store.entries(name) for name in store.spec.modalities}
    reasons: dict[str, dict[str, str]] = {}
    for left, right in _pairs(store.spec, entries):
        for record_id, one in entries[left].items():
            other = entries[right].get(record_id, one)
            if one.presence == other.presence == Presence.PRESENT and one.length != other.length:
                reason = (
                    f"{left} has {one.length} frames and {right} has {other.length}: in this data "
                    "set they are always equal, so one of the two files is damaged or is another "
                    "record's. Restore them and encode again"
                )
                for name in (left, right):
                    reasons.setdefault(name, {})[record_id] = reason
    for name, by_record in reasons.items():
        for chunk in range(store.n_chunks(name)):
            _set_aside(store, name, chunk, by_record, session)


def records_to_recheck(
    spec: CacheSpec, entries: Entries, todo: Mapping[str, Set[str]]
) -> dict[str, set[str]]:
    """Records set aside by a disagreement whose other side is another now, or is about to be.

    Disagreements come in pairs. Where both sides stand and neither is encoded anew there is
    nothing to settle, so encoding again ends.

    Args:
        spec: Whose modalities may come in pairs.
        entries: What has become of every record so far.
        todo: Modality to the records that will be encoded anyway.
    """
    again: dict[str, set[str]] = {}
    for pair in _pairs(spec, entries):
        for name, other in (pair, pair[::-1]):
            for record_id, entry in entries[name].items():
                is_settled = _is_set_aside(entries[other].get(record_id)) and (
                    record_id not in todo.get(other, frozenset())
                )
                if _is_set_aside(entry) and not is_settled:
                    again.setdefault(name, set()).add(record_id)
    return again


def _pairs(spec: CacheSpec, entries: Entries) -> list[tuple[str, ...]]:
    own = described(spec.provenance.get(DESCRIPTION))
    pairs = own.top.equal_lengths if own is not None else EQUAL_LENGTHS.get(spec.dataset, ())
    return [pair for pair in pairs if entries.keys() >= set(pair)]


def _is_set_aside(entry: Entry | None) -> bool:
    return entry is not None and entry.failure is not None and entry.failure.stage == STAGE


def _set_aside(
    store: CacheStore,
    modality: str,
    chunk: int,
    reasons: Mapping[str, str],
    session: str,
) -> None:
    ledger = read_ledger(store.objects, modality, chunk)
    if ledger is None or not any(entry.record_id in reasons for entry in ledger.entries):
        return
    kept, rows = store.sound_rows(modality, chunk)
    entries = []
    for entry in kept.values():
        if entry.record_id in reasons:
            rows[entry.row - store.rows_of(modality, chunk).start] = np.nan
            failure = Failure(
                stage=STAGE,
                type="RecordingError",
                message=reasons[entry.record_id],
                path=entry.sources[0].path if entry.sources else None,
            )
            entry = replace(entry, presence=Presence.FAILED, digest="", failure=failure)
        entries.append(entry)
    store.commit(modality, chunk, rows, entries, environment=ledger.environment, session=session)
