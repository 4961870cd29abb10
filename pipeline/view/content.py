"""A cache, read to be looked at: its entries, lengths, and as many patches as can be held.

Of large caches it reads whole chunks, spread evenly, up to a number of bytes, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.cache.ledger import Entry
from pipeline.cache.writer import CacheStore
from pipeline.contract import ModalitySpec, Presence, StreamRef, feature_array

PRESENT = Presence.PRESENT.name.lower()
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CacheContent:
    """A cache in any state, with what a page needs of it."""

    store: CacheStore
    """The cache."""
    entries: Mapping[str, Mapping[str, Entry]]
    """What the ledgers say of each modality, by record; a pending record has none."""
    states: pd.DataFrame
    """Name of what the cache holds: a row a record, by its identity, and a column a modality."""
    lengths: pd.DataFrame
    """Raw lengths in the same rows and columns, 0 where a modality is not present."""
    values: Mapping[str, Values]
    """The features of each modality, summed up."""

    @property
    def streams(self) -> Mapping[str, tuple[str, ...]]:
        """Modality to the names of all streams that a record has of it."""
        named: dict[str, dict[str, None]] = {name: {} for name in self.store.spec.modalities}
        for record in self.store.records:
            for modality, streams in record.streams.items():
                if modality in named:
                    named[modality] |= dict.fromkeys(stream.name for stream in streams)
        return {modality: tuple(sorted(names)) for modality, names in named.items()}

    @classmethod
    def read(cls, location: str) -> CacheContent:
        """Read a cache.

        Raises:
            ContractError: there is no cache, or its description is damaged.
        """
        store = CacheStore.read(location)
        ids = [record.id for record in store.records]
        entries = {name: store.entries(name) for name in store.spec.modalities}
        states, lengths = {}, {}
        for name, known in entries.items():
            words = {i: entry.presence.name.lower() for i, entry in known.items()}
            states[name] = pd.Series(words, dtype=object).reindex(ids, fill_value="pending")
            held = {i: known[i].length for i, state in words.items() if state == PRESENT}
            lengths[name] = pd.Series(held, dtype=np.int64).reindex(ids, fill_value=0)
        present = pd.DataFrame(states) == PRESENT
        return cls(
            store=store,
            entries=entries,
            states=pd.DataFrame(states, index=ids),
            lengths=pd.DataFrame(lengths, index=ids),
            values={n: _read_values(store, n, present[n].to_numpy()) for n in entries},
        )


def _read_values(store: CacheStore, modality: str, present: NDArray[np.bool_]) -> Values:
    """Read a modality's present rows, or evenly spread chunks of them where they are too many."""
    spec = store.spec.modalities[modality]
    n_chunks = store.n_chunks(modality)
    n_read = max(1, min(n_chunks, READ_BYTES // (spec.row_bytes * spec.records_per_chunk)))
    chunks: set[int] = (
        set(np.linspace(0, n_chunks - 1, n_read).astype(int).tolist()) if n_chunks else set()
    )
    rows: list[int] = []
    blocks = [np.zeros((0, spec.n_patches, spec.n_features), np.float32)]
    for chunk in sorted(chunks):
        kept = [row for row in store.rows_of(modality, chunk) if present[row]]
        if kept:
            array = store.group()[feature_array(modality)]
            block = np.asarray(array[kept[0] : kept[-1] + 1], np.float32)
            blocks.append(block[np.array(kept) - kept[0]])
            rows += kept
    return Values(
        rows=np.array(rows, np.int64),
        patches=np.concatenate(blocks),
        complete=len(chunks) == n_chunks,
    )


def lacking(names: Sequence[str], streams: Sequence[StreamRef]) -> list[str]:
    """Streams of a modality that a record lacks, though it has others of it."""
    has = {stream.name for stream in streams}
    return [name for name in names if name not in has] if has else []


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
