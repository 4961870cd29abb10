"""One array of numbers out of an array file's bytes: .npy, .npz, MAT and HDF5.

Nothing is ever unpickled, no file that another names is opened, and what a header declares is held
against what is there before memory is taken for it.
"""

from __future__ import annotations

import io
import math
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import RecordingError, StreamRef, refuse
from pipeline.datasets.reading import ORDERS, TIME_UNITS, Kind, Source
from pipeline.readers.checks import check_size
from pipeline.readers.delimited import Rows, places_of
from pipeline.readers.matfile import read_array, read_hdf5
from pipeline.readers.times import is_number

MAX_BYTES = 1 << 30
"""The limit for an array."""
_HDF5 = b"\x89HDF\r\n\x1a\n"


def read_named_array(content: bytes, source: Source, key: str, ref: StreamRef) -> NDArray[Any]:
    """An array in the type and with the axes that it is stored with.

    Raises:
        RecordingError: damaged, no such array, objects or text where numbers are wanted, too large.
    """
    match source.reader:
        case "npy":
            return _npy(content, ref.path)
        case "npz":
            return _npz(content, key, ref.path)
        case "mat":
            if content.startswith(_HDF5):
                raise ref.refuse(
                    "is plain HDF5 and no MAT v7.3, whose axes MATLAB turns round: say reader = "
                    '"hdf5", and give the order of its axes',
                    "open",
                )
            return read_array(content, key, shape=None, path=ref.path, max_bytes=MAX_BYTES)
        case _:
            return read_hdf5(content, key, path=ref.path, max_bytes=MAX_BYTES)


def read_rows(content: bytes, source: Source, kind: Kind, ref: StreamRef) -> Rows:
    """Rows of a series or a skeleton, of which the joints and axes are laid side by side.

    Raises:
        RecordingError: as :func:`read_named_array`; other axes or columns than the source says.
    """
    array = oriented(read_named_array(content, source, source.key, ref), source, kind, ref)
    table = array.reshape(len(array), -1)
    names = [str(n + 1) for n in range(table.shape[1])]
    chosen, time = places_of(names, source, ref.path)
    values = table[:, chosen].astype(np.float64)
    times: NDArray[Any] | None = None if time is None else table[:, time]
    if source.time_key:
        times = read_named_array(content, source, source.time_key, ref).ravel()
        if len(times) != len(values):
            raise ref.refuse(f"has {len(times)} times for {len(values)} rows: wanted one a row")
    if times is None:
        return Rows(values=values)
    if not is_number(source.time_format):
        raise ref.refuse(f"has times that are numbers: wanted {source.time_format}", "read")
    keep = np.isfinite(times.astype(np.float64))
    if not keep.all() and source.missing == "refuse":
        raise ref.refuse(f"has the time {times[~keep][0]} in row {int(np.argmin(keep)) + 1}")
    times_s = times[keep].astype(np.float64) * TIME_UNITS[source.time_format]
    return Rows(values=values[keep], times_s=times_s)


def oriented(array: NDArray[Any], source: Source, kind: Kind, ref: StreamRef) -> NDArray[Any]:
    """An array with its axes in the order that is usual for its kind.

    Raises:
        RecordingError: it has more or fewer axes, or one of another length than is said.
    """
    array = _in_usual_order(array, source, kind, ref)
    check_size(array, source, ref)
    return array


def _in_usual_order(
    array: NDArray[Any], source: Source, kind: Kind, ref: StreamRef
) -> NDArray[Any]:
    order = source.order_of(kind)
    if kind == "series" and array.ndim == 1:
        array = np.expand_dims(array, order.index("column"))
    if array.ndim != len(order):
        if kind == "skeleton" and array.ndim == 2 and not source.order:
            return array
        raise ref.refuse(f"holds an array of shape {array.shape}: wanted {' x '.join(order)}")
    usual = ORDERS[kind] if set(order) == set(ORDERS[kind]) else ("time", "column")
    return array.transpose([order.index(axis) for axis in usual])


def _npy(content: bytes, path: str) -> NDArray[Any]:
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran, dtype = read(file)
    except KeyError as error:
        raise refuse(path, f"is .npy of version {error}: wanted 1.0 or 2.0", "open") from error
    except Exception as error:  # what its header's parser trips over is not listed anywhere
        raise refuse(path, f"is no .npy file that can be read: {error}", "open") from error
    _check(dtype, shape, path)
    n_left, wanted = len(content) - file.tell(), math.prod(shape) * dtype.itemsize
    if n_left != wanted:
        raise refuse(
            path, f"holds {n_left} bytes of an array of shape {shape}, which takes {wanted}", "read"
        )
    flat = np.frombuffer(content, dtype, count=math.prod(shape), offset=file.tell())
    return flat.reshape(shape, order="F" if fortran else "C")


def _npz(content: bytes, key: str, path: str) -> NDArray[Any]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            if key not in names and not (not key and len(names) == 1):
                wanted = repr(key) if key else "the 'key' of one"
                raise refuse(path, f"holds the arrays {names[:12]}: wanted {wanted}", "read")
            member = archive.getinfo(f"{key or names[0]}.npy")
            if member.file_size > MAX_BYTES:
                raise refuse(path, f"declares {member.file_size} bytes: the limit is {MAX_BYTES}")
            with archive.open(member) as file:
                inflated = file.read(member.file_size + 1)
    except RecordingError:
        raise
    except Exception as error:  # as many types as there are ways to damage an archive
        raise refuse(path, f"is no .npz file that can be read: {error}", "open") from error
    return _npy(inflated, path)


def _check(dtype: np.dtype[Any], shape: tuple[int, ...], path: str) -> None:
    if dtype.kind == "O":
        raise refuse(path, "holds objects, which only pickle reads: wanted an array of numbers")
    if dtype.kind not in "iuf":
        raise refuse(path, f"holds an array of {dtype}: wanted real numbers")
    if math.prod(shape) * dtype.itemsize > MAX_BYTES:
        raise refuse(path, f"holds an array of shape {shape}: the limit is {MAX_BYTES} bytes")
