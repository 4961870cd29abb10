"""One named numeric array out of a MAT file's bytes, as if the file came from an enemy.

MAT v5 (what UTD-MHAD is published in) and v7.3 (HDF5) are read. The headers are parsed and held
against the wanted shape before anything of the declared size is allocated; of a variable that
was not asked for no more is inflated than may hold its header. Cells, structures, objects,
characters, functions and sparse arrays are refused unparsed, so nothing in a file is ever executed
or followed.

What is unusual: a v5 array is inflated with isal (whose Adler-32 check finds damage) and then
viewed in place, which ``scipy.io.loadmat`` would copy. The stored integer type is kept: MATLAB
stores depth as uint16 even where it calls the array double.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import RecordingError

DEFAULT_MAX_BYTES = 1 << 30
"""The limit for the array as stored."""
_HEADER = 128
_PEEK = 1 << 16
"""Bytes inflated to read a variable's class, dimensions and name; a smaller one is whole then."""
_TAG = 8
"""Bytes before each element: its type and size."""
_MATRIX, _COMPRESSED = 14, 15
_STORED = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
_CLASSES = {
    1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse", 16: "function",
}  # fmt: skip
_NUMERIC = range(6, 16)
_MAX_DIMENSIONS = 32

Shape = Sequence[int | range | None] | None
"""One entry a dimension: a length, a range of lengths, or None for any; None for any shape."""


def read_array(
    content: bytes,
    key: str,
    *,
    shape: Shape,
    path: str | None = None,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> NDArray[Any]:
    """The array called ``key``, in the type in which it is stored.

    Args:
        content: The whole file.
        key: Name of the variable.
        shape: What its dimensions must be.
        path: The file's path, for the errors.
        max_bytes: Refuse an array that is stored in more.

    Shapes: as declared in the file, first dimension fastest in memory; not writable.

    Raises:
        RecordingError: not a MAT file, truncated or damaged, no such variable, not numeric, of
            another shape, or too large.
    """
    is_hdf5 = b"\x89HDF\r\n\x1a\n" in (content[:8], content[512:520])
    try:
        array = (_read_hdf5 if is_hdf5 else _read_v5)(content, key, shape, max_bytes)
    except _MatError as error:
        raise RecordingError(f"{path or 'MAT file'} {error}", path=path) from error
    array.flags.writeable = False
    return array


def read_hdf5(
    content: bytes, key: str, *, path: str, max_bytes: int = DEFAULT_MAX_BYTES
) -> NDArray[Any]:
    """The array at ``key`` of a plain HDF5 file, such as ``left/acc``, its axes as HDF5 has them.

    Raises:
        RecordingError: as :func:`read_array`.
    """
    try:
        return _read_hdf5(content, key, None, max_bytes).T
    except _MatError as error:
        reason = str(error).replace("MAT v7.3 (HDF5)", "HDF5")
        raise RecordingError(f"{path} {reason}", path=path) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Variable:
    """What the header of one array says, and where its values begin."""

    name: str
    class_name: str | None = None
    """What it holds where that is not real numbers."""
    dims: tuple[int, ...] = ()
    stored: int = 0
    """Type of the stored values, as an element's type."""
    n_bytes: int = 0
    values_at: int = 0


class _MatError(Exception):
    """A MAT file that contradicts itself; becomes a RecordingError with its path."""


def _read_v5(content: bytes, key: str, shape: Shape, max_bytes: int) -> NDArray[Any]:
    order = _byte_order(content)
    names: list[str] = []
    last: tuple[_Element, _Variable] | None = None
    at = _HEADER
    while at < len(content):
        kind, n_bytes, start = _tag(content, at, order)
        if start + n_bytes > len(content):
            raise _MatError(
                f"is truncated: the variable at byte {at} declares {n_bytes} bytes and "
                f"{len(content) - start} are left"
            )
        element = _Element(memoryview(content)[start : start + n_bytes], kind, order)
        variable = _header(element.head, order, at)
        if variable.name == key:  # of several the last counts, as in MATLAB
            last = element, variable
        names.append(variable.name)
        at = start + n_bytes
    if last is not None:
        return _values(*last, order, shape, max_bytes)
    raise _MatError(f"has no variable {key!r}: found {names or 'none'}")


def _byte_order(content: bytes) -> str:
    if not content:
        raise _MatError("is empty: wanted a MAT file")
    if len(content) < _HEADER:
        raise _MatError(f"is truncated: {len(content)} bytes do not hold a MAT header of {_HEADER}")
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    version = struct.unpack((order or "<") + "H", content[124:126])[0]
    if order is None or version != 0x0100:
        raise _MatError(f"is not a MAT v5 or v7.3 file: it begins {content[:16]!r}")
    return order


def _tag(buffer: bytes | memoryview, at: int, order: str) -> tuple[int, int, int]:
    """Type, size in bytes and place of the element at ``at``."""
    if at + 8 > len(buffer):
        raise _MatError(f"is truncated: no room for an element's tag at byte {at}")
    first, n_bytes = struct.unpack_from(order + "II", buffer, at)
    if first >> 16:  # a small element: size, type and up to four bytes in eight
        if (n_bytes := first >> 16) > 4:
            raise _MatError(
                f"is damaged: a small element at byte {at} declares {first >> 16} bytes"
            )
        return first & 0xFFFF, first >> 16, at + 4
    return first, n_bytes, at + 8


def _after(start: int, n_bytes: int) -> int:
    """Where the element after one inside an array begins: at the next eight bytes."""
    return (start + n_bytes + 7) // 8 * 8


class _Element:
    """A variable as it lies in a file, inflated no further than is asked for."""

    def __init__(self, stored: memoryview, kind: int, order: str) -> None:
        self._stored, self._is_compressed = stored, kind == _COMPRESSED
        self._is_whole = False
        if self._is_compressed:
            self.head, self._is_whole = _inflate(stored, _PEEK)
        else:  # the tag was stripped: look as if it were inflated
            self.head = struct.pack(order + "II", kind, len(stored)) + bytes(stored[:_PEEK])
        """Its first bytes, tag included."""

    def values(self, start: int, n_bytes: int) -> memoryview:
        """So many bytes from ``start``, its tag counted; fewer where it ends before.

        Of what is compressed nothing but padding may follow, and its checksum must be right.
        """
        if not self._is_compressed:
            return self._stored[start - _TAG : start - _TAG + n_bytes]
        limit = start + n_bytes + 8
        known = (self.head, self._is_whole) if self._is_whole else None
        inflated = _whole(self._stored, limit, known)
        return memoryview(inflated)[start : start + n_bytes]


def _header(head: bytes, order: str, at: int) -> _Variable:
    kind, _, start = _tag(head, 0, order)
    if kind != _MATRIX:
        raise _MatError(f"is damaged: an element of type {kind} at byte {at}, wanted an array")
    kind, n_bytes, start = _tag(head, start, order)
    if (kind, n_bytes) != (6, 8) or start + 8 > len(head):
        raise _MatError(f"is damaged: the variable at byte {at} has no array flags")
    flags = struct.unpack_from(order + "I", head, start)[0]
    class_code, is_complex = flags & 0xFF, bool(flags & 0x0800)
    start = _after(start, n_bytes)
    if class_code == 17:  # an opaque object goes on differently; all that counts is to refuse it
        return _Variable(name="")
    kind, n_bytes, start = _tag(head, start, order)
    if kind != 5 or n_bytes % 4 or not 8 <= n_bytes <= 4 * _MAX_DIMENSIONS:
        raise _MatError(f"is damaged: the variable at byte {at} declares no dimensions")
    if start + n_bytes > len(head):
        raise _MatError(f"is truncated in the dimensions of the variable at byte {at}")
    dims = struct.unpack_from(f"{order}{n_bytes // 4}i", head, start)
    start = _after(start, n_bytes)
    kind, n_bytes, start = _tag(head, start, order)
    if kind != 1 or n_bytes > 63 or start + n_bytes > len(head):
        raise _MatError(f"is damaged: the variable at byte {at} has no name")
    name = head[start : start + n_bytes].decode("latin-1")
    if is_complex or class_code not in _NUMERIC:
        unknown = f"unknown ({class_code})"
        class_name = "complex" if is_complex else _CLASSES.get(class_code, unknown)
        return _Variable(name=name, class_name=class_name)
    stored, n_bytes, values_at = _tag(head, _after(start, n_bytes), order)
    return _Variable(name=name, dims=dims, stored=stored, n_bytes=n_bytes, values_at=values_at)


def _values(
    element: _Element, variable: _Variable, order: str, shape: Shape, max_bytes: int
) -> NDArray[Any]:
    name, dims = variable.name, variable.dims
    if variable.class_name is not None:
        raise _MatError(f"holds {name!r} of class {variable.class_name}: wanted real numbers")
    _check_shape(name, dims, shape)
    if variable.stored not in _STORED:
        raise _MatError(f"stores {name!r} as type {variable.stored}: wanted numbers")
    dtype = np.dtype(order + _STORED[variable.stored])
    n_values = math.prod(dims)
    wanted = n_values * dtype.itemsize
    if variable.n_bytes != wanted:
        raise _MatError(
            f"is damaged: {name!r} of shape {dims} takes {wanted} bytes and declares "
            f"{variable.n_bytes}"
        )
    if wanted > max_bytes:
        raise _MatError(f"stores {name!r} in {wanted} bytes: the limit is {max_bytes}")
    buffer = element.values(variable.values_at, wanted)
    if len(buffer) < wanted:
        raise _MatError(f"is truncated: {name!r} takes {wanted} bytes and {len(buffer)} are there")
    flat = np.frombuffer(buffer, dtype, count=n_values)
    return flat.astype(dtype.newbyteorder("="), copy=False).reshape(dims, order="F")


def _inflate(compressed: memoryview, limit: int) -> tuple[bytes, bool]:
    """At most ``limit`` inflated bytes, and whether that is all and its checksum is right."""
    from isal import igzip_lib, isal_zlib

    inflater = isal_zlib.decompressobj()
    try:
        return inflater.decompress(compressed, limit), inflater.eof
    except igzip_lib.IsalError as error:  # type: ignore[misc]
        raise _MatError(f"is damaged: its compressed data does not inflate ({error})") from error


def _whole(compressed: memoryview, limit: int, known: tuple[bytes, bool] | None = None) -> bytes:
    """All of it, which must be at most ``limit`` bytes, with its checksum."""
    inflated, is_whole = known or _inflate(compressed, limit)
    if len(inflated) > limit or (len(inflated) == limit and not is_whole):
        raise _MatError(f"inflates to more than the {limit} bytes that its shape takes")
    if not is_whole:
        raise _MatError(f"is truncated: its compressed data ends after {len(inflated)} bytes")
    return inflated


def _read_hdf5(content: bytes, key: str, shape: Shape, max_bytes: int) -> NDArray[Any]:
    import h5py

    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            item = _within(file, key)
            if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "iuf":
                kind = item.dtype if isinstance(item, h5py.Dataset) else type(item).__name__
                raise _MatError(f"holds {key!r} of class {kind}: wanted real numbers")
            if item.external or item.is_virtual:
                raise _MatError(f"keeps {key!r} in another file: wanted the numbers themselves")
            _check_shape(key, item.shape[::-1], shape)
            n_bytes = math.prod(item.shape) * item.dtype.itemsize
            if n_bytes > max_bytes:
                raise _MatError(f"stores {key!r} in {n_bytes} bytes: the limit is {max_bytes}")
            _check_chunks(item, key, max_bytes)
            array: NDArray[Any] = item[()]
    except _MatError:
        raise
    except Exception as error:  # h5py lets many types through for a damaged file
        reason = f"{type(error).__name__}: {error}"
        raise _MatError(f"is a damaged MAT v7.3 (HDF5) file: {reason}") from error
    return np.ascontiguousarray(array).astype(array.dtype.newbyteorder("="), copy=False).T


def _within(file: Any, key: str) -> Any:
    """What stands at a path of HDF5, each step of which lies in this file itself."""
    import h5py

    item = file
    for name in key.split("/"):
        link = item.get(name, getlink=True) if isinstance(item, h5py.Group) and name else None
        if not isinstance(link, h5py.HardLink):
            raise _MatError(f"has no variable {key!r}: found {paths_within(file) or 'none'}")
        item = item[name]
    return item


def paths_within(file: Any, most: int = 50) -> list[str]:
    """The paths of the first numeric arrays in an open HDF5 file; no links are followed."""
    import h5py

    found: list[str] = []

    def note(path: str, item: Any) -> bool | None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "iuf":
            found.append(path)
        return True if len(found) >= most else None

    file.visititems(note)
    return found


def _check_chunks(item: Any, key: str, max_bytes: int) -> None:
    """Refuse chunks that are, or inflate to, more than they should be, before HDF5 reads them."""
    if item.chunks is None:
        return
    stored = item.id
    filters = stored.get_create_plist()
    codes = [filters.get_filter(i)[0] for i in range(filters.get_nfilters())]
    if len(set(codes)) != len(codes) or not set(codes) <= {1, 2, 3}:
        raise _MatError(f"packs {key!r} with filters {codes}: wanted deflate (1), shuffle (2)")
    chunk_bytes = math.prod(item.chunks) * item.dtype.itemsize
    if chunk_bytes > max_bytes:
        raise _MatError(f"packs {key!r} in chunks of {chunk_bytes} bytes: the limit is {max_bytes}")
    for i in range(stored.get_num_chunks() if 1 in codes else 0):
        mask, packed = stored.read_direct_chunk(stored.get_chunk_info(i).chunk_offset)
        if not mask:
            _whole(memoryview(packed), chunk_bytes + 64)


def _check_shape(name: str, found: tuple[int, ...], wanted: Shape) -> None:
    if wanted is None and all(n >= 0 for n in found):
        return
    fits = (
        wanted is not None
        and len(found) == len(wanted)
        and all(
            n >= 0 and (w is None or (n in w if isinstance(w, range) else n == w))
            for n, w in zip(found, wanted, strict=True)
        )
    )
    if not fits:
        raise _MatError(f"holds {name!r} of shape {found}: wanted {_shape_text(wanted)}")


def _shape_text(shape: Shape) -> str:
    if shape is None:
        return "lengths from 0"
    lengths = [
        "any" if n is None else f"{n.start} to {n.stop - 1}" if isinstance(n, range) else str(n)
        for n in shape
    ]
    return f"({', '.join(lengths)})"
