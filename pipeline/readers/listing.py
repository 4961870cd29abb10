"""Which arrays an array file holds, by their names and shapes, for who drafts a description.

Headers are looked at and no values are taken; what cannot be looked into holds nothing here.
"""

from __future__ import annotations

import io
import zipfile
from typing import Any

from pipeline.readers.matfile import paths_within

MAX_ARRAYS = 50
Arrays = dict[str, tuple[int, ...]]
"""Name, as a description's ``key`` has it, to shape, as MATLAB shows it of a MAT file."""


def arrays_in(content: bytes) -> Arrays:
    """The arrays of an .npz, MAT or HDF5 file, the first of them; of .npy, one without a name.

    Example:
        >>> import numpy as np
        >>> np.savez(file := io.BytesIO(), acc=np.zeros((7, 3)))
        >>> arrays_in(file.getvalue()), arrays_in(b"none")
        ({'acc': (7, 3)}, {})
    """
    try:
        found = _found(content)
    except Exception:  # as many types as there are ways to damage a file
        return {}
    return dict(list(found.items())[:MAX_ARRAYS])


def _found(content: bytes) -> Arrays:
    if content.startswith(b"\x93NUMPY"):
        return {"": _npy_shape(io.BytesIO(content))}
    if content.startswith(b"PK"):
        shapes: Arrays = {}
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.namelist()[:MAX_ARRAYS]:
                with archive.open(member) as file:
                    shapes[member.removesuffix(".npy")] = _npy_shape(file)
        return shapes
    at = content.find(b"\x89HDF\r\n\x1a\n", 0, 1024)
    if at >= 0:
        import h5py

        with h5py.File(io.BytesIO(content), "r") as file:
            shown = slice(None, None, -1 if at else 1)  # MATLAB turns the axes round
            return {path: _shape(file, path)[shown] for path in paths_within(file)}
    from scipy.io import whosmat

    numeric = {"double", "single", *(f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64))}
    return {n: tuple(shape) for n, shape, kind in whosmat(io.BytesIO(content)) if kind in numeric}


def _npy_shape(file: Any) -> tuple[int, ...]:
    import numpy as np

    np.lib.format.read_magic(file)
    shape: tuple[int, ...] = np.lib.format.read_array_header_1_0(file)[0]
    return shape


def _shape(file: Any, path: str) -> tuple[int, ...]:
    return tuple(int(n) for n in file[path].shape)
