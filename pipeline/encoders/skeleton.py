"""Joints to patches: recentring, turning and scaling, then pooling and alignment (paper 3.1).

Deviation: the paper feeds raw coordinates. Recentring on the hip of the first frame, turning to
face the camera and dividing by the torso's length take the person's place, heading and size out,
and are options (``recentre = "none"``, ``face = false``, ``scale = "none"`` is the paper).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.config import SkeletonEncoding
from pipeline.contract import RecordingError
from pipeline.segments import to_patches

VERSION = 1
"""Raise when the numbers change; records encoded by an older version are encoded again."""

SHOULDER_CENTRE, HIP_CENTRE = 1, 3
LEFT_SHOULDER, RIGHT_SHOULDER = 4, 8
N_JOINTS = 20
"""The Kinect's joints in their published order; indices are 0-based."""


def encode_skeleton(joints: NDArray[np.float32], encoding: SkeletonEncoding) -> NDArray[np.float32]:
    """Normalise, pool and align a skeleton.

    Shapes: joints (T, 20, 3) in metres, +y up; returns (P, 60), joint after joint (x, y, z), in
    torso lengths where scaled.

    Raises:
        RecordingError: the shape is not a Kinect skeleton, or scaling a torso without length.
    """
    if joints.ndim != 3 or joints.shape[1:] != (N_JOINTS, 3):
        raise RecordingError(
            f"skeleton of shape {joints.shape}: wanted (T, {N_JOINTS}, 3)", stage="encode"
        )
    normal = joints.astype(np.float64)
    if encoding.recentre == "first":
        normal = normal - normal[:1, HIP_CENTRE : HIP_CENTRE + 1]
    elif encoding.recentre == "frame":
        normal = normal - normal[:, HIP_CENTRE : HIP_CENTRE + 1]
    if encoding.face:
        normal = normal @ _facing(normal[0])
    if encoding.scale == "torso":
        torso = normal[:, SHOULDER_CENTRE] - normal[:, HIP_CENTRE]
        length = float(np.median(np.linalg.norm(torso, axis=1)))
        if length < 0.05:
            raise RecordingError(
                f"median torso length is {length:.3f} m: wanted at least 0.05 m to scale by; "
                'encode with scale = "none" to keep such records',
                stage="encode",
            )
        normal = normal / length
    if np.abs(normal).max() > np.finfo(np.float32).max:
        raise RecordingError(
            f"a coordinate is {np.abs(normal).max():.3g}: wanted metres", stage="encode"
        )
    flat = normal.reshape(len(normal), -1).astype(np.float32)
    return to_patches(
        flat, window=encoding.window, stride=encoding.stride, n_patches=encoding.patches
    )


def _facing(frame: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation about +y that lays the line of the shoulders along x.

    Shapes: frame (20, 3); returns (3, 3), to be multiplied from the right.
    """
    across = frame[RIGHT_SHOULDER] - frame[LEFT_SHOULDER]
    length = float(np.hypot(across[0], across[2]))
    if length < 1e-6:
        return np.eye(3)
    cosine, sine = across[0] / length, across[2] / length
    if cosine < 0:  # A mirrored labelling or a back to the camera: turn the short way.
        cosine, sine = -cosine, -sine
    return np.array([[cosine, 0.0, -sine], [0.0, 1.0, 0.0], [sine, 0.0, cosine]])
