"""A cache, read to be looked at: its entries, lengths, and as many patches as can be held.

Of large caches it reads whole chunks, spread evenly, up to a number of bytes, and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cache.ledger import Entry
from pipeline.cache.writer import CacheStore
from pipeline.contract import ModalitySpec, Presence, Record, feature_array

READ_BYTES = 256 << 20
"""Most bytes of a modality's patches that are read."""
SORTED_VALUES = 4 << 20
"""Most values that quantiles and medians are taken of; least and most are of all that was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """What was read of one modality's patches."""

    rows: NDArray[np.int64]
    """Rows of the cache that were read and are present."""
    patches: NDArray[np.float32]
    """Shapes: (R, P, D)."""
    complete: bool
    """Whether those are all present rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheContent:
    """A cache in any state, with what a page needs of it."""

    store: CacheStore
    """The cache."""
    entries: Mapping[str, Mapping[str, Entry]]
    """Of each modality, by record; a pending record has none."""
    values: Mapping[str, Values]
    """Of each modality."""
    lengths: Mapping[str, NDArray[np.int64]]
    """Raw length of each record by modality, 0 where it is not present.  Shapes: (N,)."""

    @classmethod
    def read(cls, location: str) -> CacheContent:
        """Read a cache.

        Raises:
            ContractError: there is no cache, or its description is damaged.
        """
        store = CacheStore.read(location)
        entries = {name: store.entries(name) for name in store.spec.modalities}
        return cls(
            store=store,
            entries=entries,
            values={name: _read_values(store, name, of) for name, of in entries.items()},
            lengths={name: _lengths(store, of) for name, of in entries.items()},
        )

    def presence(self, modality: str, record: Record) -> Presence:
        """What the cache holds of one record's modality."""
        return _presence(self.entries[modality], record)

    def states(self, modality: str, records: Iterable[Record]) -> dict[Presence, int]:
        """How many of some records are in each state."""
        counts = dict.fromkeys(Presence, 0)
        for record in records:
            counts[self.presence(modality, record)] += 1
        return counts


def _read_values(store: CacheStore, modality: str, entries: Mapping[str, Entry]) -> Values:
    """Read a modality's present rows, or evenly spread chunks of them where they are too many."""
    spec = store.spec.modalities[modality]
    n_chunks = store.n_chunks(modality)
    n_read = max(1, min(n_chunks, READ_BYTES // (spec.row_bytes * spec.records_per_chunk)))
    chunks = sorted({int(k) for k in np.linspace(0, n_chunks - 1, n_read)}) if n_chunks else []
    rows: list[int] = []
    blocks = [np.zeros((0, spec.n_patches, spec.n_features), np.float32)]
    array = store.group(read_only=True)[feature_array(modality)] if entries else None
    for chunk in chunks:
        here = [
            row
            for row in store.rows_of(modality, chunk)
            if _presence(entries, store.records[row]) == Presence.PRESENT
        ]
        if here:
            assert array is not None
            block = np.asarray(array[here[0] : here[-1] + 1], np.float32)
            blocks.append(block[np.array(here) - here[0]])
            rows += here
    return Values(
        rows=np.array(rows, np.int64),
        patches=np.concatenate(blocks),
        complete=len(chunks) == n_chunks,
    )


def _presence(entries: Mapping[str, Entry], record: Record) -> Presence:
    entry = entries.get(record.id)
    return Presence.PENDING if entry is None else entry.presence


def _lengths(store: CacheStore, entries: Mapping[str, Entry]) -> NDArray[np.int64]:
    found = [
        entries[record.id].length if _presence(entries, record) == Presence.PRESENT else 0
        for record in store.records
    ]
    return np.array(found, np.int64)


def some_of(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Evenly spread rows of an array that is too large to sort."""
    step = -(-values.size // SORTED_VALUES) or 1
    # An odd step meets every patch and feature in turn where their number is a power of two.
    return values[:: step + (step > 1 and step % 2 == 0)].astype(float)


def centre(values: NDArray[np.float64], axis: int) -> tuple[Any, Any]:
    """Median, and the median distance to it scaled to a normal's standard deviation."""
    median = np.median(values, axis=axis)
    return median, 1.4826 * np.median(np.abs(values - median), axis=axis)


def feature_name(spec: ModalitySpec, column: int) -> str:
    """Name of a column of the patches."""
    return spec.feature_names[column] if spec.feature_names else f"feature {column + 1}"
