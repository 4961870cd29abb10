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


def chunk_content(rows: NDArray[Any], spec: ModalitySpec) -> bytes:
    """The rows of a chunk, NaN up to its length, and the CRC-32C of all that.

    Shapes: rows (n, P, D), n at most the records of a chunk.
    """
    shape = (spec.records_per_chunk, spec.n_patches, spec.n_features)
    whole = np.full(shape, np.nan, np.dtype(spec.dtype).newbyteorder("<"))
    whole[: len(rows)] = rows
    content = whole.tobytes()
    checksum: int = google_crc32c.value(content)
    return content + checksum.to_bytes(CRC_BYTES, "little")
