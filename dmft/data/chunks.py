"""Rows of a feature array straight from its chunks' files, several chunks at a time.

A cache's chunks are raw little-endian rows and a CRC-32C (the cache format), so a chunk can be
read into the place where it is wanted and checked there. Through Zarr's general pipeline the same
bytes take 1.4 to 3 times as long (tests/benchmarks/bench_reading.py). Arrays stored in any
other way, such as a compressed copy of a cache, are read through Zarr.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from pathlib import Path
from typing import Any

import google_crc32c  # comes with zarr, whose checksum this is
import numpy as np
from numpy.typing import NDArray
from zarr.codecs import BytesCodec, Crc32cCodec

from pipeline.common.checksums import CRC_BYTES
from pipeline.common.cores import n_cores

Bring = Callable[[int], None]
LOOKS = 3
"""How often a chunk is brought that another process takes away before it is opened."""
N_THREADS = min(4, n_cores())
_NOT_FINITE: dict[Any, tuple[Any, int, int]] = {
    np.dtype("<f2"): (np.dtype("<u2"), 0x7FFF, 0x7C00),
    np.dtype("<f4"): (np.dtype("<u4"), 0x7FFFFFFF, 0x7F800000),
}
"""As whole numbers of this type, with the sign masked off: from this one on not finite."""


class ChunkError(ValueError):
    """A chunk is missing, cut short, or not what its checksum says."""


def read_rows(
    folder: Path,
    array: Any,
    wanted: NDArray[np.bool_],
    first: int = 0,
    n_threads: int = N_THREADS,
    checksums: Mapping[int, bytes] | None = None,
    bring: Bring | None = None,
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Read the chunks that hold a wanted row; rows of the other chunks are zero.

    Args:
        folder: The array's folder.
        array: Shapes: (N, P, D), chunked along its first axis alone.
        wanted: The rows from ``first`` on, as many as shall be read. Shapes: (n,).
        first: Where in the array to begin, inside a chunk or at its start.
        n_threads: Chunks that are read at a time.
        checksums: Chunk to the checksum that it must have; None to believe the one that it ends in.
        bring: Has a chunk's file here, of a cache that lies elsewhere.

    Returns:
        The rows, and which of them are finite as :func:`finite_rows` says it, looked at while a
        chunk is still in the processor's cache. Shapes: (n, P, D), (n,).

    Raises:
        ChunkError: a chunk is damaged.
    """
    rows = np.zeros((len(wanted), *array.shape[1:]), dtype=array.dtype)
    finite = np.ones(len(rows), dtype=bool)
    size = array.chunks[0]
    plain = _is_plain(array)

    def read(start: int) -> None:
        part = slice(max(start, 0), start + size)
        if plain:
            _read_chunk(folder, rows, start, size, first, checksums, bring)
        else:
            rows[part] = array[first + part.start : first + min(part.stop, len(rows))]
        finite[part] = finite_rows(rows[part], wanted[part])

    # Relative to ``first``: the first chunk may begin before it.
    starts = [
        s for s in range(-(first % size), len(rows), size) if wanted[max(s, 0) : s + size].any()
    ]
    if n_threads == 1 or len(starts) == 1:
        for start in starts:
            read(start)
        return rows, finite
    with ThreadPoolExecutor(n_threads) as pool:
        for _ in pool.map(read, starts):
            pass
    return rows, finite


def finite_rows(rows: NDArray[Any], wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether each row is finite; rows that are not wanted count as such.

    Shapes: rows (N, P, D), wanted (N,) -> (N,).
    """
    if rows.dtype not in _NOT_FINITE:
        return np.asarray(~wanted | np.isfinite(rows).all(axis=(1, 2)))
    kind, mask, limit = _NOT_FINITE[rows.dtype]
    bits = rows.reshape(len(rows), -1).view(kind)
    if bits.max() < limit:  # Features of a network: none is negative, and one look is enough.
        return np.ones(len(rows), dtype=bool)
    return np.asarray(~wanted | ((bits & kind.type(mask)).max(axis=1) < limit))


def _is_plain(array: Any) -> bool:
    codecs: Any = getattr(array.metadata, "codecs", ())
    if [type(codec) for codec in codecs] != [BytesCodec, Crc32cCodec]:
        return False
    little = getattr(codecs[0].endian, "value", codecs[0].endian) == "little"
    return little and array.chunks[1:] == array.shape[1:] and array.dtype in _NOT_FINITE


def _opened(path: Path, bring: Bring | None, chunk: int) -> FileIO:
    """A chunk's file, which is brought first where it is not here."""
    for _ in range(LOOKS if bring else 0):
        try:
            return path.open("rb", buffering=0)
        except FileNotFoundError:
            assert bring is not None
            bring(chunk)
    return path.open("rb", buffering=0)


def _read_chunk(
    folder: Path,
    rows: NDArray[Any],
    start: int,
    size: int,
    first: int,
    checksums: Mapping[int, bytes] | None,
    bring: Bring | None,
) -> None:
    """Read one chunk into its place from ``start`` on; ``rows`` may hold a part of it alone."""
    chunk = (first + start) // size
    path = folder / "c" / str(chunk) / "0" / "0"
    n_bytes = size * rows[0].nbytes
    try:
        with _opened(path, bring, chunk) as file:
            whole = start >= 0 and start + size <= len(rows)
            place: Any = rows[max(start, 0) : start + size]
            if not whole:
                place = np.empty((size, *rows.shape[1:]), rows.dtype)
            n_read = file.readinto(memoryview(place).cast("B"))
            checksum = file.read()
    except FileNotFoundError as error:
        raise ChunkError(f"{path} is missing") from error
    if n_read != n_bytes or len(checksum) != CRC_BYTES:
        found = n_read + len(checksum)
        raise ChunkError(f"{path} holds {found} bytes: wanted {n_bytes + CRC_BYTES}")
    if google_crc32c.value(place.view(np.uint8)).to_bytes(4, "little") != checksum:
        raise ChunkError(f"{path} is not what its checksum says")
    if checksums is not None and checksums.get(chunk) != checksum:
        raise ChunkError(f"{path} is not the chunk that was written: it is of another cache")
    if not whole:
        part = rows[max(start, 0) : start + size]
        part[...] = place[max(-start, 0) :][: len(part)]
