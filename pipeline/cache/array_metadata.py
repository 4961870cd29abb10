"""The ``zarr.json`` of a cache's arrays and of its group, as Zarr writes them.

Zarr makes those of arrays, in memory: a cache puts them in place whole, flushed and under its
owner's condition, which Zarr itself does not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from pipeline.contract import ModalitySpec


def array_metadata(spec: ModalitySpec, n_records: int, columns: Sequence[str]) -> bytes:
    """What Zarr would write for the array of a modality.

    Args:
        spec: The modality.
        n_records: Rows.
        columns: Attributes of the records, which the array has as coordinates.
    """
    patches = (spec.n_patches, spec.n_features)
    return _made(
        (n_records, *patches),
        (spec.records_per_chunk, *patches),
        spec.dtype,
        ("record", f"{spec.name}_patch", f"{spec.name}_feature"),
        f"record_id label {' '.join(columns)}",
    )


def column_metadata(n_records: int, dtype: str) -> bytes:
    """What Zarr would write for a column of the record table, which is one chunk.

    Args:
        n_records: Rows.
        dtype: Of the numbers; ``str`` for texts.
    """
    return _made((n_records,), (max(n_records, 1),), dtype, ("record",), "")


def consolidated(arrays: Mapping[str, bytes]) -> dict[str, Any]:
    """What the group's metadata says beside its attributes, with its arrays' own metadata in it.

    Args:
        arrays: Name to the array's ``zarr.json``.
    """
    return {
        "zarr_format": 3,
        "consolidated_metadata": {
            "kind": "inline",
            "must_understand": False,
            "metadata": {name: json.loads(arrays[name]) for name in sorted(arrays)},
        },
        "node_type": "group",
    }


@lru_cache(maxsize=512)
def _made(
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    dtype: str,
    dimensions: tuple[str, ...],
    coordinates: str,
) -> bytes:
    import zarr
    from zarr.codecs import Crc32cCodec
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    store = zarr.storage.MemoryStore()
    of_features: dict[str, Any] = {
        "fill_value": float("nan"),
        "attributes": {"coordinates": coordinates},
    }
    zarr.create_array(
        store,
        shape=shape,
        chunks=chunks,
        dtype=str if dtype == "str" else dtype,
        filters=None,
        compressors=[Crc32cCodec()],
        dimension_names=dimensions,
        **(of_features if coordinates else {}),
    )
    content = sync(store.get("zarr.json", default_buffer_prototype()))
    assert content is not None
    return content.to_bytes()
