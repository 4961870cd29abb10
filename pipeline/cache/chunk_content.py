"""A chunk's object, byte for byte as Zarr writes it.

It is put together here and not through Zarr so that a put under a condition can carry it: Zarr's
stores have none.
"""

from __future__ import annotations

from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from pipeline.common.checksums import CRC_BYTES
from pipeline.contract import ModalitySpec

_COUNT_BYTES = 4
"""Before texts, their number, and before each, its bytes."""


def chunk_content(rows: NDArray[Any], spec: ModalitySpec) -> bytes:
    """The rows of a chunk, NaN up to its length, and the CRC-32C of all that.

    Shapes: rows (n, P, D), n at most the records of a chunk.
    """
    shape = (spec.records_per_chunk, spec.n_patches, spec.n_features)
    whole = np.full(shape, np.nan, np.dtype(spec.dtype).newbyteorder("<"))
    whole[: len(rows)] = rows
    return _summed(whole.tobytes())


def column_content(values: NDArray[Any]) -> bytes:
    """A column of the record table, numbers or texts, and the CRC-32C of it.

    Shapes: values (N,), of Python's texts where they are objects.
    """
    if values.dtype != object:
        return _summed(values.astype(values.dtype.newbyteorder("<")).tobytes())
    texts = [str(value).encode() for value in values]
    parts = (part for text in texts for part in (_count(len(text)), text))
    return _summed(b"".join((_count(len(texts)), *parts)))


def _count(number: int) -> bytes:
    return number.to_bytes(_COUNT_BYTES, "little")


def _summed(content: bytes) -> bytes:
    checksum: int = google_crc32c.value(content)
    return content + checksum.to_bytes(CRC_BYTES, "little")
