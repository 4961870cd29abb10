"""Joints to patches: recentring, turning and scaling, then pooling and alignment (paper 3.1).

Deviation: the paper feeds raw coordinates. Recentring on the hip of the first frame, turning to
face the camera and dividing by the torso's length take the person's place, heading and size out,
and are options (``recentre = "none"``, ``face = false``, ``scale = "none"`` is the paper).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import RecordingError
from pipeline.encoders.config import Body, SkeletonEncoding
from pipeline.signals.segments import median

BODIES: Mapping[int, Body] = MappingProxyType(
    {
        20: Body(hips=(3,), shoulders=(1,), left_shoulder=4, right_shoulder=8),
        34: Body(hips=(11, 12), shoulders=(5, 6), left_shoulder=5, right_shoulder=6),
    }
)
"""Number of joints to body: the Kinect's, and two persons in COCO's order, of whom the first
counts."""


def encode_skeleton(joints: NDArray[np.float32], encoding: SkeletonEncoding) -> NDArray[np.float32]:
    """Normalise, pool and align a skeleton.

    Shapes: joints (T, J, 3) in metres or pixels, +y up, of one of :data:`BODIES` or of that which
    the settings name; returns (P, 3 J), joint after joint (x, y, z), in torso lengths where scaled.

    Raises:
        RecordingError: the shape is not a known body's, or scaling a torso without length.
    """
    body = encoding.body or (BODIES.get(joints.shape[1]) if joints.ndim == 3 else None)
    if joints.ndim != 3 or joints.shape[2] != 3 or (body is None and encoding.wants_body):
        known = " or ".join(map(str, BODIES))
        raise RecordingError(
            f"skeleton of shape {joints.shape}: wanted (T, {known}, 3)", stage="encode"
        )
    normal = joints.astype(np.float64)
    if body is None:
        return encoding.pool(normal.reshape(len(normal), -1).astype(np.float32))
    hips = normal[:, body.hips].mean(axis=1, keepdims=True)
    if encoding.recentre == "first":
        normal = normal - hips[:1]
    elif encoding.recentre == "frame":
        normal = normal - hips
    if encoding.face:
        normal = normal @ _facing(normal[0], body)
    if encoding.scale == "torso":
        torso = normal[:, body.shoulders].mean(axis=1) - normal[:, body.hips].mean(axis=1)
        length = median(np.linalg.norm(torso, axis=1))
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
    return encoding.pool(normal.reshape(len(normal), -1).astype(np.float32))


def _facing(frame: NDArray[np.float64], body: Body) -> NDArray[np.float64]:
    """Rotation about +y that lays the line of the shoulders along x.

    Shapes: frame (J, 3); returns (3, 3), to be multiplied from the right.
    """
    across = frame[body.right_shoulder] - frame[body.left_shoulder]
    length = float(np.hypot(across[0], across[2]))
    if length < 1e-6:
        return np.eye(3)
    cosine, sine = across[0] / length, across[2] / length
    if cosine < 0:  # A mirrored labelling or a back to the camera: turn the short way.
        cosine, sine = -cosine, -sine
    return np.array([[cosine, 0.0, -sine], [0.0, 1.0, 0.0], [sine, 0.0, cosine]])
