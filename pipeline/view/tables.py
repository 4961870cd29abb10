"""The tables of a cache's page: what there is, what is missing, of what values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.view.content import PRESENT, CacheContent, feature_name, lacking, some_of

MANY_FEATURES = 128
"""Up to so many features each has a line of its own."""
MOST_GROUPS = 200
"""A column with more values than these is no group, but an identity."""
STATES = ("failed", "pending", "absent")
"""Those that leave a gap, the worst first."""


def counts(content: CacheContent) -> Iterator[tuple[str, pd.DataFrame]]:
    """Records, and those present of each modality, by class and by columns of the record table."""
    spec, records = content.store.spec, content.store.records
    present = (content.states == PRESENT).set_axis(range(len(records)))
    present.insert(0, "records", True, allow_duplicates=True)
    by_class = present.groupby(np.array([record.label for record in records])).sum()
    yield "class", by_class.reindex(range(len(spec.classes)), fill_value=0).set_axis(spec.classes)
    for column in spec.columns:
        keys = [str(record.attributes.get(column, "none")) for record in records]
        by_value = present.groupby(np.array(keys)).sum()
        pairs = {(record.label, key) for record, key in zip(records, keys, strict=True)}
        is_the_class = len(pairs) == len(by_value) == len({label for label, _ in pairs})
        if len(by_value) <= MOST_GROUPS and not is_the_class:
            numbers_first = lambda key: (not key.lstrip("-").isdigit(), len(key), key)  # noqa: E731
            yield column, by_value.loc[sorted(by_value.index, key=numbers_first)]


def gaps(content: CacheContent) -> pd.DataFrame:
    """Records that are not present, with the reason: record, modality, state, reason, file."""
    states = content.states.melt(var_name="modality", value_name="state", ignore_index=False)
    found = states[states["state"] != PRESENT].rename_axis("record").reset_index()
    found = found.sort_values("state", key=lambda s: s.map(STATES.index), kind="stable")
    entries = [content.entries[gap.modality].get(gap.record) for gap in found.itertuples()]
    failures = [entry.failure if entry else None for entry in entries]
    return found.assign(
        reason=[f"{failure.stage}: {failure.message}" if failure else "" for failure in failures],
        file=[(failure and failure.path) or "" for failure in failures],
    )


def streams(content: CacheContent) -> pd.DataFrame:
    """Records that have each stream of a modality of several: modality, stream, has, lacks.

    Counted are records in which the modality is present, and so has one stream at least.
    """
    rows = []
    for modality, names in content.streams.items():
        held = content.states[modality].to_numpy() == PRESENT
        files = [r.streams.get(modality, ()) for r in content.store.records]
        for name in names if len(names) > 1 else ():
            has = [any(stream.name == name for stream in each) for each in files]
            n = int((np.array(has) & held).sum())
            rows.append((modality, name, n, int(held.sum()) - n))
    return pd.DataFrame(rows, columns=["modality", "stream", "has", "lacks"])


def partial(content: CacheContent) -> pd.DataFrame:
    """Records that have a modality with a part of its streams: record, modality, without."""
    rows = []
    for modality, names in content.streams.items():
        states = content.states[modality].to_numpy()
        for record, state in zip(content.store.records, states, strict=True):
            if state == PRESENT and (lacks := lacking(names, record.streams.get(modality, ()))):
                rows.append((record.id, modality, ", ".join(lacks)))
    return pd.DataFrame(rows, columns=["record", "modality", "without"])


def ranges(content: CacheContent) -> Iterator[dict[str, Any]]:
    """Quantiles of the patches, of all features and of each where they are not too many."""
    for name, values in content.values.items():
        if not len(values.rows):
            continue
        spec = content.store.spec.modalities[name]
        flat = values.patches.reshape(-1, spec.n_features)
        few = spec.n_features <= MANY_FEATURES
        yield {
            "modality": name,
            "n_records": None if values.complete else len(values.rows),
            "whole": _quantiles(flat.ravel()),
            "features": {
                feature_name(spec, column): _quantiles(flat[:, column])
                for column in range(spec.n_features if few else 0)
            },
        }


def _quantiles(values: NDArray[np.float32]) -> list[float]:
    """Least, 1 %, median, 99 % and most."""
    return [values.min(), *np.quantile(some_of(values), [0.01, 0.5, 0.99]), values.max()]
