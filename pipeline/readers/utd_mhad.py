"""UTD-MHAD: its four modalities, each to physical units with a time axis.

MAT files hold no times and the nominal rates are not the real ones: 181 inertial rows at 50 Hz
and 52 colour frames at 15 Hz are both about 3.5 s, in which depth and skeleton, nominally at
30 Hz, hold some 68 frames (about 19 Hz). The times given here are nominal; align the modalities
of a record by the fraction of its length, never by these times.

Refused: values that are not finite or that their unit does not allow, leading frames of zeros,
lengths that no trial has, counts other than the manifest's.
Not judged: whether the person in it does what the label says.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import StreamRef, refuse
from pipeline.readers.matfile import read_array
from pipeline.readers.units import Unit, check_begins, check_unit
from pipeline.signals.recording import Frames, Signal

JOINTS = (
    "head", "shoulder_center", "spine", "hip_center",
    "left_shoulder", "left_elbow", "left_wrist", "left_hand",
    "right_shoulder", "right_elbow", "right_wrist", "right_hand",
    "left_hip", "left_knee", "left_ankle", "left_foot",
    "right_hip", "right_knee", "right_ankle", "right_foot",
)  # fmt: skip
"""The skeleton's joints, in the order of the files."""
AXES = ("x", "y", "z")
"""The axes of a joint: metres, y upwards."""
INERTIAL_COLUMNS = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
"""Accelerometer in g (clips at 8), gyroscope in degrees a second (clips at 1000.5)."""

ACCELERATION = Unit(name="g", limit=8.01, still=(0.5, 2.0))
"""A trial's largest is 8, and the median of its magnitude 0.96 to 1.21."""
ROTATION = Unit(name="degrees a second", limit=1001.0, least_peak=17.5)
"""A trial's largest is 46 to 1000.55; in radians a second none would be above 17.5."""
POSITION = Unit(name="metres", limit=10.0)
"""From the camera; a trial's largest is 2.9 to 4.1."""
MAX_DEPTH_MM = 10_000
"""From the camera; a trial's largest is below 4,000."""

INERTIAL_RATE_HZ = 50.0
SKELETON_RATE_HZ = 30.0
"""Nominal, as published; about 19 in truth."""
DEPTH_RATE_HZ = 30.0
"""Nominal, as published; about 19 in truth."""

DEPTH_HEIGHT, DEPTH_WIDTH = 240, 320
DEPTH_BLOCK_FRAMES = 16
INERTIAL_LENGTHS = range(2, 30_001)
"""Rows that a trial may have: up to ten minutes; the published ones have 107 to 326."""
FRAME_LENGTHS = range(2, 2_001)
"""Frames that a trial may have; the published ones have 41 to 125. 2,000 are 307 MB of depth."""


def read_inertial(content: bytes, ref: StreamRef) -> Signal:
    """Accelerometer and gyroscope, :data:`INERTIAL_COLUMNS`, from ``d_iner``.

    Shapes: values (T, 6) in g and degrees a second, times_s (T,) at a nominal 50 Hz.

    Raises:
        RecordingError: damaged, of another shape, not finite, or not ``ref.n_frames`` rows.
    """
    values = read_array(content, "d_iner", shape=(INERTIAL_LENGTHS, 6), path=ref.path)
    signal = _signal(values, ref, INERTIAL_RATE_HZ)
    check_begins(values, "rows", ref.path)
    check_unit(values[:, :3], ACCELERATION, "an acceleration", ref.path)
    check_unit(values[:, 3:], ROTATION, "a rotation", ref.path)
    return signal


def read_skeleton(content: bytes, ref: StreamRef) -> Signal:
    """Positions of the 20 :data:`JOINTS`, from ``d_skel``, which holds (20, 3, T).

    Shapes: values (T, 20, 3) in metres, times_s (T,) at a nominal 30 Hz.

    Raises:
        RecordingError: damaged, of another shape, not finite, or not ``ref.n_frames`` frames.
    """
    values = read_array(content, "d_skel", shape=(20, 3, FRAME_LENGTHS), path=ref.path)
    signal = _signal(values.transpose(2, 0, 1), ref, SKELETON_RATE_HZ)
    check_begins(signal.values, "frames", ref.path)
    check_unit(signal.values.reshape(len(signal.values), -1), POSITION, "positions", ref.path)
    return signal


def read_depth(content: bytes, ref: StreamRef) -> Frames:
    """Depth frames, 0 where the person is not, from ``d_depth``, which holds (240, 320, T).

    Shapes: blocks of frames (n, 240, 320) uint16 millimetres, times_s (n,) at a nominal 30 Hz.

    Raises:
        RecordingError: damaged, of another shape, or not ``ref.n_frames`` frames; from a block,
            a depth that is no whole number of millimetres up to 10,000.
    """
    shape = (DEPTH_HEIGHT, DEPTH_WIDTH, FRAME_LENGTHS)
    values = read_array(content, "d_depth", shape=shape, path=ref.path)
    n_frames = values.shape[2]
    _check_length(n_frames, ref)
    return Frames(n_frames=n_frames, every=partial(_depth_blocks, values, ref))


def _signal(values: NDArray[Any], ref: StreamRef, rate_hz: float) -> Signal:
    _check_length(len(values), ref)
    limit = float(np.finfo(np.float32).max)
    good = np.abs(values) <= limit  # false where NaN
    if not good.all():
        first = tuple(int(i) for i in np.argwhere(~good)[0])
        raise refuse(
            ref.path,
            f"holds {int((~good).sum())} values that are not finite among "
            f"{values.size}: the first is {values[first]} at {first}",
        )
    return Signal(
        values=np.ascontiguousarray(values, dtype=np.float32),
        times_s=np.arange(len(values)) / rate_hz,
    )


def _check_length(n_frames: int, ref: StreamRef) -> None:
    if ref.n_frames is not None and n_frames != ref.n_frames:
        raise refuse(ref.path, f"holds {n_frames} frames where the manifest lists {ref.n_frames}")


def _depth_blocks(
    values: NDArray[Any], ref: StreamRef, every: int
) -> Iterator[tuple[NDArray[np.uint16], NDArray[np.float64]]]:
    for start in range(0, values.shape[2], DEPTH_BLOCK_FRAMES):
        block = values[:, :, start : start + DEPTH_BLOCK_FRAMES].transpose(2, 0, 1)
        whole = (block >= 0) & (block <= MAX_DEPTH_MM)
        if block.dtype != np.uint16:
            whole &= block == np.floor(block)
        if not whole.all():
            frame, row, column = (int(i) for i in np.argwhere(~whole)[0])
            raise refuse(
                ref.path,
                f"holds depth {block[frame, row, column]} in frame {start + frame} at row {row}, "
                f"column {column}: wanted whole millimetres from 0 to {MAX_DEPTH_MM}",
            )
        if start == 0:
            check_begins(block, "frames", ref.path)
        kept = np.arange(-start % every, len(block), every)
        if len(kept):
            frames = np.ascontiguousarray(block[kept], dtype=np.uint16)
            yield frames, (start + kept) / DEPTH_RATE_HZ
