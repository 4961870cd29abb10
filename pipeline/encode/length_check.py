"""Streams of one record against each other: lengths that a data set says are always equal.

A file that was cut short can decode without an error. Where the other modality shows it, both are
quarantined: nothing tells which of the two is the damaged one. Lengths come from the ledgers, so
it does not matter in which run, or in which order, the two were encoded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace

import numpy as np

from pipeline.cache.ledger import Entry, Failure, read_ledger
from pipeline.cache.writer import CacheStore
from pipeline.contract import Presence
from pipeline.readers.registry import EQUAL_LENGTHS

STAGE = "agree"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """Two modalities of one record that cannot both be whole."""

    record_id: str
    modalities: tuple[str, str]
    lengths: tuple[int, int]

    def __str__(self) -> str:
        """What was found and what was wanted."""
        (left, right), (n_left, n_right) = self.modalities, self.lengths
        return (
            f"{left} has {n_left} frames and {right} has {n_right}: in this data set they are "
            "always equal, so one of the two files is damaged or is another record's. Restore "
            "them and encode again"
        )


Entries = Mapping[str, Mapping[str, Entry]]
"""Modality to the committed entries of its records, by record id."""


def disagreements(dataset: str, entries: Entries) -> Iterator[Disagreement]:
    """Records of which both modalities of a pair are present, in different lengths."""
    for pair in _pairs(dataset, entries):
        left, right = (entries[name] for name in pair)
        for record_id, entry in left.items():
            other = right.get(record_id)
            both = other is not None and entry.presence == other.presence == Presence.PRESENT
            if other is not None and both and entry.length != other.length:
                yield Disagreement(
                    record_id=record_id, modalities=pair, lengths=(entry.length, other.length)
                )


def quarantine_disagreements(store: CacheStore, session: str) -> None:
    """Set aside both sides of every disagreement."""
    entries = {name: store.entries(name) for name in store.spec.modalities}
    by_modality: dict[str, dict[str, Disagreement]] = {}
    for disagreement in disagreements(store.spec.dataset, entries):
        for name in disagreement.modalities:
            by_modality.setdefault(name, {})[disagreement.record_id] = disagreement
    for name, by_record in by_modality.items():
        for chunk in range(store.n_chunks(name)):
            _set_aside(store, name, chunk, by_record, session)


def records_to_recheck(
    dataset: str, entries: Entries, todo: Mapping[str, Set[str]]
) -> dict[str, set[str]]:
    """Records set aside by a disagreement whose other side is another now, or is about to be.

    Disagreements come in pairs. Where both sides stand and neither is encoded anew there is
    nothing to settle, so encoding again ends.

    Args:
        dataset: Which modalities come in pairs.
        entries: What has become of every record so far.
        todo: Modality to the records that will be encoded anyway.
    """
    again: dict[str, set[str]] = {}
    for pair in _pairs(dataset, entries):
        for name, other in (pair, pair[::-1]):
            for record_id, entry in entries[name].items():
                is_settled = _is_set_aside(entries[other].get(record_id)) and (
                    record_id not in todo.get(other, frozenset())
                )
                if _is_set_aside(entry) and not is_settled:
                    again.setdefault(name, set()).add(record_id)
    return again


def _pairs(dataset: str, entries: Entries) -> list[tuple[str, str]]:
    return [pair for pair in EQUAL_LENGTHS.get(dataset, ()) if entries.keys() >= set(pair)]


def _is_set_aside(entry: Entry | None) -> bool:
    return entry is not None and entry.failure is not None and entry.failure.stage == STAGE


def _set_aside(
    store: CacheStore,
    modality: str,
    chunk: int,
    by_record: Mapping[str, Disagreement],
    session: str,
) -> None:
    ledger = read_ledger(store.objects, modality, chunk)
    if ledger is None or not any(entry.record_id in by_record for entry in ledger.entries):
        return
    kept, rows = store.sound_rows(modality, chunk)
    assert rows is not None
    entries = []
    for entry in kept.values():
        if entry.record_id in by_record:
            rows[entry.row - store.rows_of(modality, chunk).start] = np.nan
            failure = Failure(
                stage=STAGE,
                type="RecordingError",
                message=str(by_record[entry.record_id]),
                path=entry.sources[0].path if entry.sources else None,
            )
            entry = replace(entry, presence=Presence.FAILED, digest="", failure=failure)
        entries.append(entry)
    store.commit(modality, chunk, rows, entries, environment=ledger.environment, session=session)
