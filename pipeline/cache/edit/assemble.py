"""A new cache of rows of finished ones: what ``subset`` and ``merge`` write.

It is begun, committed chunk by chunk and sealed as an encode does it, so a kill at any instant
leaves a cache that says ``building``, the same command goes on with it, and what is taken from is
never touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cache.description import read_records
from pipeline.cache.edit.source import Source
from pipeline.cache.ledger import ChunkLedger, Entry, read_ledger
from pipeline.cache.lock import locked
from pipeline.cache.objects import Objects
from pipeline.cache.seal import finish, is_finished
from pipeline.cache.writer import CacheStore, spec_or_nothing
from pipeline.contract import CacheSpec, ConfigError, ModalitySpec, Presence
from pipeline.manifests import Manifest

OnProgress = Callable[[int, int], None]
"""Told how many rows are in place, and of how many."""
ABSENT_KEY = "absent"
"""Key of a record without a modality, as an encode gives it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """A cache to be, and where its rows lie now."""

    manifest: Manifest
    """Its records, in the order of their rows."""
    modalities: Mapping[str, ModalitySpec]
    origins: Mapping[str, tuple[Source, str]]
    """Record id to the cache that has its rows, and its id there."""
    provenance: Mapping[str, Any]


def assemble(
    location: str, wanted: Assembly, on_progress: OnProgress = lambda done, total: None
) -> CacheSpec:
    """Write a cache, or go on with one that a kill left half written.

    Raises:
        ConfigError: something else is there.
        ContractError: a row that is taken is not what was written.
    """
    if location in {source.location for source, _ in wanted.origins.values()}:
        raise ConfigError(f"{location} is what is taken from: name another place for the result")
    _check_free(location, wanted)
    with locked(location) as claim:
        store = CacheStore.preview(location, wanted.manifest, dict(wanted.modalities))
        lacking = [
            (name, chunk, entries)
            for name in store.spec.modalities
            for chunk in range(store.n_chunks(name))
            if not _is_there(store, name, chunk, entries := _entries(store, wanted, name, chunk))
        ]
        if not lacking and is_finished(store):
            return store.spec
        store.begin(claim.session)
        done, total = 0, sum(len(entries) for _, _, entries in lacking)
        for name, chunk, entries in lacking:
            block = np.stack(list(_rows(store, wanted, name, entries)))
            ledgers = _ledgers(wanted, name, entries)
            environment = joined_environments(ledgers)
            store.commit(
                name, chunk, block, entries, environment=environment, session=claim.session
            )
            done += len(entries)
            on_progress(done, total)
        return finish(store, wanted.provenance, claim.session)


def _check_free(location: str, wanted: Assembly) -> None:
    """Refuse a place where another cache is.

    Raises:
        ConfigError: there is one.
    """
    objects = Objects(location)
    spec = spec_or_nothing(objects)
    if spec is None:
        return
    is_same = spec.classes == wanted.manifest.classes and (
        read_records(objects) == wanted.manifest.records
    )
    if not is_same or any(wanted.modalities.get(n) != s for n, s in spec.modalities.items()):
        raise ConfigError(
            f"{location} is another cache ({spec.n_records} records of {spec.dataset}): choose "
            "another place for the result, or remove it"
        )


def _entries(store: CacheStore, wanted: Assembly, name: str, chunk: int) -> list[Entry]:
    """What the ledger of a chunk will say."""
    entries = []
    for row in store.rows_of(name, chunk):
        record_id = store.records[row].id
        source, known_as = wanted.origins[record_id]
        of_modality = source.entries.get(name)
        if of_modality is None:
            entry = Entry(record_id=record_id, row=row, presence=Presence.ABSENT, key=ABSENT_KEY)
        else:
            entry = _moved(of_modality[known_as], store, wanted, row)
        entries.append(entry)
    return entries


def _moved(entry: Entry, store: CacheStore, wanted: Assembly, row: int) -> Entry:
    """An entry in another row, its files called as the new list calls them."""
    record = store.records[row]
    source, known_as = wanted.origins[record.id]
    before = source.store.records[source.rows[known_as]]
    renamed = {
        old.path: new.path
        for modality, streams in before.streams.items()
        for old, new in zip(streams, record.streams.get(modality, ()), strict=False)
    }
    failure = entry.failure
    if failure is not None and failure.path is not None:
        path = renamed.get(failure.path, failure.path)
        message = failure.message.replace(failure.path, path)
        failure = replace(failure, path=path, message=message)
    return replace(
        entry,
        record_id=record.id,
        row=row,
        sources=tuple(replace(s, path=renamed.get(s.path, s.path)) for s in entry.sources),
        failure=failure,
    )


def _is_there(store: CacheStore, name: str, chunk: int, entries: list[Entry]) -> bool:
    """Whether a chunk was committed with these very entries."""
    if name in store.anew:
        return False
    ledger = read_ledger(store.objects, name, chunk)
    if ledger is None or list(ledger.entries) != entries:
        return False
    return not store.unsound(name, chunk, entries, store.objects.read(store.chunk_key(name, chunk)))


def _rows(
    store: CacheStore, wanted: Assembly, name: str, entries: list[Entry]
) -> Iterator[NDArray[Any]]:
    spec = store.spec.modalities[name]
    empty = np.full((spec.n_patches, spec.n_features), np.nan, np.dtype(spec.dtype))
    for entry in entries:
        source, known_as = wanted.origins[entry.record_id]
        yield source.row(name, known_as) if entry.presence == Presence.PRESENT else empty


def _ledgers(wanted: Assembly, name: str, entries: list[Entry]) -> Iterator[ChunkLedger]:
    for entry in entries:
        source, known_as = wanted.origins[entry.record_id]
        if name in source.entries:
            yield source.ledger(name, known_as)


def joined_environments(ledgers: Iterable[ChunkLedger]) -> Mapping[str, Any]:
    """What the workers say that wrote some chunks; where they differ, all of it."""
    joined: dict[str, Any] = {}
    for ledger in ledgers:
        for name, value in ledger.environment.items():
            before = joined.setdefault(name, value)
            if value != before and str(value) not in str(before).split(" and "):
                joined[name] = f"{before} and {value}"
    return joined
