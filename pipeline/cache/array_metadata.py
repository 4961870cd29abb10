"""The ``zarr.json`` of a modality's array, as Zarr writes it for an array of that shape.

Zarr makes it, in memory: a cache puts it in place whole and flushed, which Zarr itself does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from pipeline.contract import ModalitySpec, feature_array


def array_metadata(spec: ModalitySpec, n_records: int, columns: Sequence[str]) -> bytes:
    """What Zarr would write for the array of a modality.

    Args:
        spec: The modality.
        n_records: Rows.
        columns: Attributes of the records, which the array has as coordinates.
    """
    return _made(
        (n_records, spec.n_patches, spec.n_features), spec.records_per_chunk, spec.dtype,
        spec.name, " ".join(columns),
    )  # fmt: skip


@lru_cache(maxsize=64)
def _made(
    shape: tuple[int, int, int], n_chunk: int, dtype: str, name: str, coordinates: str
) -> bytes:
    import zarr
    from zarr.codecs import Crc32cCodec
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    store = zarr.storage.MemoryStore()
    zarr.create_array(
        store,
        name=feature_array(name),
        shape=shape,
        chunks=(n_chunk, *shape[1:]),
        dtype=dtype,
        fill_value=float("nan"),
        filters=None,
        compressors=[Crc32cCodec()],
        dimension_names=("record", f"{name}_patch", f"{name}_feature"),
        attributes={"coordinates": f"record_id label {coordinates}"},
    )
    content = sync(store.get(f"{feature_array(name)}/zarr.json", default_buffer_prototype()))
    assert content is not None
    return content.to_bytes()
