"""A cache as Parquet that Hugging Face ``datasets`` opens with its classes.

A row a record, in ``train-*.parquet``: the columns of the record table and a matrix a modality. The
library itself is not needed to write it: what it wants to know stands in the schema of each file
and in the head of the README.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.cache.record_table import Columns
from pipeline.contract import CacheSpec

SHARD_RECORDS = 1000
DATA_FILES = "train-*.parquet"
"""Which of the files are the data, whatever else lies beside them."""
_TYPES: dict[type, str] = {bool: "bool", int: "int64", float: "float64"}


def write_hf_datasets(
    folder: Path,
    spec: CacheSpec,
    columns: Columns,
    patches: Callable[[str, int], NDArray[Any] | None],
    on_progress: Callable[[int, int], None],
) -> None:
    """Write the files.

    Args:
        folder: Where to.
        spec: What the cache says of itself.
        columns: Its record table.
        patches: Modality and row to what is stored, (P, D), None where the record has none.
        on_progress: Told how many records are written, and of how many.
    """
    n = len(columns["record"])
    metadata = {"huggingface": json.dumps({"info": {"features": _features(spec, columns)}})}
    n_shards = -(-n // SHARD_RECORDS)
    for shard in range(n_shards):
        rows = range(shard * SHARD_RECORDS, min((shard + 1) * SHARD_RECORDS, n))
        table = {name: values[rows.start : rows.stop] for name, values in columns.items()}
        for name, own in spec.modalities.items():
            found = [patches(name, row) for row in rows]
            table[name] = _matrices(found, own.n_features, own.dtype)
        path = folder / f"train-{shard:05}-of-{n_shards:05}.parquet"
        pq.write_table(pa.table(table).replace_schema_metadata(metadata), path)
        on_progress(rows.stop, n)


def _features(spec: CacheSpec, columns: Columns) -> dict[str, Any]:
    features: dict[str, Any] = {
        name: {"dtype": _TYPES.get(type(values[0]), "string"), "_type": "Value"}
        for name, values in columns.items()
    }
    features["label"] = {"names": list(spec.classes), "_type": "ClassLabel"}
    for name, own in spec.modalities.items():
        shape = [own.n_patches, own.n_features]
        features[name] = {"shape": shape, "dtype": own.dtype, "_type": "Array2D"}
    return features


def _matrices(rows: Sequence[NDArray[Any] | None], n_features: int, dtype: str) -> Any:
    """Lists of lists, null where there is no matrix."""
    present = [row for row in rows if row is not None]
    flat = np.concatenate([row.ravel() for row in present] or [np.empty(0, dtype)])
    inner = pa.ListArray.from_arrays(
        pa.array(np.arange(0, len(flat) + 1, n_features, dtype=np.int32)), pa.array(flat)
    )
    ends = np.cumsum([0, *(0 if row is None else len(row) for row in rows)])
    is_none = [*(row is None for row in rows), False]
    offsets = pa.array(ends.astype(np.int32), mask=np.array(is_none))
    return pa.ListArray.from_arrays(offsets, inner)
