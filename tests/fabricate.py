"""Small raw trees in UTD-MHAD's formats, and caches of them, for tests of the encoder.

The numbers are analytic and follow from a record's id alone; the files are written by the
project's own fabricator of formats, so readers meet real .mat and .avi files.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import zarr
from numpy.typing import NDArray

from pipeline.encode.dry_run import DryRun
from pipeline.encode.job import Callbacks, Summary, encode, rehearse
from pipeline.encode.options import EncodeOptions
from pipeline.encoders.weights import load_weights
from pipeline.manifests import Manifest, build, save_manifest
from pipeline.raw.tree import RawTree
from pipeline.synthetic.films import avi_bytes
from pipeline.synthetic.utd_mhad import FOLDERS, mat_bytes

SIGNALS = ("skeleton", "inertial")
SMALL_FRAMES = {"image_size": 32, "dtype": "float32", "patches": 4}
"""Of an encoding of frames, to be quick."""


_load_weights = lru_cache(maxsize=2)(load_weights)
"""Drawing 25 million random numbers takes seconds."""


def record_ids(n: int) -> list[str]:
    """The first n ids of trees made here: four actions, then the next subject."""
    return [f"a{i % 4 + 1}_s{i // 4 + 1}_t1" for i in range(n)]


def path_of(record_id: str, modality: str) -> str:
    """Where a record's file lies in a raw tree."""
    tail = "color.avi" if modality == "rgb" else f"{modality}.mat"
    return f"{FOLDERS[modality]}/{record_id}_{tail}"


def file_bytes(record_id: str, modality: str, *, n_frames: int | None = None) -> bytes:
    """A record's file.

    Args:
        record_id: Decides every number in it.
        modality: Which of the four.
        n_frames: Rows or frames; None for a length that follows from the id.
    """
    seed = zlib.crc32(record_id.encode())
    random = np.random.default_rng(seed)
    T = n_frames or 10 + seed % 5
    if modality == "inertial":
        rows = 2 * T if n_frames is None else T
        return mat_bytes("d_iner", random.normal(0, 1, (rows, 6)) * ([1.0] * 3 + [50.0] * 3))
    if modality == "skeleton":
        base = random.normal(0, 0.3, (20, 3, 1))
        base[1], base[3] = [[0.0], [0.5], [2.5]], [[0.0], [0.0], [2.5]]
        return mat_bytes("d_skel", base + 0.02 * np.cumsum(random.normal(0, 1, (20, 3, T)), axis=2))
    if modality == "depth":
        return mat_bytes("d_depth", random.integers(0, 4000, (240, 320, T)).astype(np.uint16))
    coarse = random.integers(0, 255, (T, 6, 8, 3)).astype(np.uint8)
    return avi_bytes(np.kron(image, np.ones((80, 80, 1), np.uint8)) for image in coarse)


def write_raw(
    raw: Path,
    ids: Iterable[str],
    modalities: Sequence[str] = SIGNALS,
    *,
    n_frames: int | None = None,
) -> Path:
    """Write records into a raw tree."""
    for record_id in ids:
        for modality in modalities:
            path = raw / path_of(record_id, modality)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file_bytes(record_id, modality, n_frames=n_frames))
    return raw


def manifest_of(raw: Path) -> Manifest:
    """The manifest that ``dmft manifest build`` makes."""
    return build("utd-mhad", RawTree(raw), jobs=1).manifest


def save_manifest_of(raw: Path, path: Path) -> Path:
    """The same, in a file."""
    save_manifest(manifest_of(raw), path)
    return path


def encode_here(
    raw: Path,
    cache: Path | str,
    manifest: Manifest | None = None,
    callbacks: Callbacks | None = None,
    **options: Any,
) -> Summary:
    """Encode in this process, unless told otherwise, and without waiting for the disk."""
    asked = EncodeOptions(**{"n_workers": 0, "weights": "random:0", **options})
    with patch("os.fsync"), patch("pipeline.encoders.weights.load_weights", _load_weights):
        return encode(manifest or manifest_of(raw), str(raw), str(cache), asked, callbacks)


def rehearse_here(
    raw: Path,
    cache: Path,
    manifest: Manifest | None = None,
    *,
    measure: bool = False,
    **options: Any,
) -> DryRun:
    """What encoding in this process would do."""
    asked = EncodeOptions(n_workers=0, **options)
    wanted = manifest or manifest_of(raw)
    return rehearse(wanted, str(raw), str(cache), asked, measure=measure)


def arrays_of(cache: Path | str) -> dict[str, NDArray[Any]]:
    """Every array of a cache, by plain Zarr."""
    group = zarr.open_group(str(cache), mode="r")
    return {name: np.asarray(array[...]) for name, array in group.arrays()}


def assert_same_arrays(left: Mapping[str, NDArray[Any]], right: Mapping[str, NDArray[Any]]) -> None:
    """Bit by bit, NaN included."""
    assert left.keys() == right.keys()
    for name in left:
        assert left[name].dtype == right[name].dtype, name
        assert left[name].tobytes() == right[name].tobytes() or (
            left[name].dtype.kind in "OT" and list(left[name]) == list(right[name])
        ), name


def objects_of(cache: Path) -> dict[str, tuple[bytes, int]]:
    """Every stored object's bytes and time of change."""
    return {
        path.relative_to(cache).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(cache.rglob("*"))
        if path.is_file()
    }
