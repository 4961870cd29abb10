"""A cache as other libraries have their data: some of its records, a table, an xarray.

What :class:`dmft.data.Cache` offers by its methods; nothing here reads more than it was opened
with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from dmft.data.memory import size_text
from pipeline.common.condition import rows_where
from pipeline.common.words import first_of
from pipeline.contract import ConfigError, ContractError

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from dmft.data.cache import Cache


def select(cache: Cache, where: str | Iterable[str]) -> Cache:
    """See :meth:`dmft.data.Cache.select`."""
    if not all(isinstance(patches, Tensor) for patches in cache.features.values()):
        n_bytes = size_text(len(cache) * cache.row_bytes)
        raise ConfigError(
            f"{cache.path} stays on the disk, and records are selected in memory: open it with "
            f"memory for {n_bytes}, or choose records by a protocol"
        )
    rows = _rows_where(cache, where) if isinstance(where, str) else _rows_named(cache, where)
    if len(rows) == len(cache):
        return cache
    ids = tuple(cache.record_ids[row] for row in rows.tolist())
    digest = hashlib.sha256("\n".join((cache.spec.fingerprint, *ids)).encode())
    spec = replace(cache.spec, n_records=len(ids), fingerprint=digest.hexdigest())
    return replace(
        cache,
        spec=spec,
        record_ids=ids,
        labels=cache.labels[rows],
        columns={name: column[rows.numpy()] for name, column in cache.columns.items()},
        features={name: patches[rows] for name, patches in cache.features.items()},
        present=cache.present[rows],
        sources={m: tuple(own[row] for row in rows.tolist()) for m, own in cache.sources.items()},
        is_selection=True,
    )


def _rows_where(cache: Cache, condition: str) -> Tensor:
    """Rows of the records that a condition on :meth:`Cache.to_frame`'s columns holds for."""
    frame = to_frame(cache)
    table = frame.assign(record_id=frame.index)
    chosen = rows_where(table, condition, "selects no records")
    if not len(chosen):
        raise ConfigError(
            f"{condition!r} holds for none of the {len(table)} records; the columns are "
            f"{', '.join(table)}"
        )
    return torch.from_numpy(chosen)


def _rows_named(cache: Cache, ids: Iterable[str]) -> Tensor:
    wanted = {str(each) for each in ids}
    unknown = sorted(wanted - set(cache.record_ids))
    if unknown or not wanted:
        raise ContractError(
            f"{cache.path} has no record {first_of(unknown, 3) or '(none was named)'}: its first "
            f"are {first_of(list(cache.record_ids), 3)}"
        )
    rows = [row for row, record in enumerate(cache.record_ids) if record in wanted]
    return torch.tensor(rows)


def to_frame(cache: Cache) -> pd.DataFrame:
    """See :meth:`dmft.data.Cache.to_frame`."""
    import pandas as pd

    table: dict[str, Any] = {
        "label": cache.labels.numpy(),
        "class_name": [cache.spec.classes[label] for label in cache.labels.tolist()],
        **cache.columns,
    }
    for column, name in enumerate(cache.modalities):
        table[f"has_{name}"] = cache.present[:, column].numpy()
    return pd.DataFrame(table, index=pd.Index(cache.record_ids, name="record_id"))


def to_xarray(cache: Cache) -> xr.Dataset:
    """See :meth:`dmft.data.Cache.to_xarray`."""
    try:
        import xarray as xr
    except ModuleNotFoundError as error:
        raise ConfigError(
            "to_xarray needs xarray, which is not installed: pip install 'dmft[xarray]'"
        ) from error
    table = to_frame(cache)
    coordinates: dict[str, Any] = {"record": list(cache.record_ids)}
    coordinates |= {name: ("record", table[name].to_numpy()) for name in table}
    arrays = {}
    every = torch.arange(len(cache))
    for column, name in enumerate(cache.modalities):
        dimensions = ("record", f"{name}_patch", f"{name}_feature")
        patches = cache.features[name][every].numpy()
        patches[~cache.present[:, column].numpy()] = np.nan
        arrays[name] = (dimensions, patches)
        if names := cache.modality_spec(name).feature_names:
            coordinates[dimensions[2]] = list(names)
    facts = {
        "dataset": cache.spec.dataset,
        "classes": list(cache.spec.classes),
        "fingerprint": cache.spec.fingerprint,
    }
    return xr.Dataset(arrays, coords=coordinates, attrs=facts)
