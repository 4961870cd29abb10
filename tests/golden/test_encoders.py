"""Encoded numbers of fixed, analytic inputs: who changes them must raise an encoder's version.

Signals are double-precision sums and agree everywhere; the network's arithmetic differs from
processor to processor, so its numbers have a tolerance.
"""

from __future__ import annotations

import numpy as np
import torch

from pipeline.encoders import frames, series, skeleton
from pipeline.encoders.config import (
    ColourEncoding,
    DepthEncoding,
    SeriesEncoding,
    SkeletonEncoding,
)
from pipeline.encoders.kinds import kind_of
from pipeline.encoders.weights import load_weights

RAISE = "the numbers changed: raise the version of the kind, and pin the new ones"


def waves() -> np.ndarray:
    """Six sines of one to six periods. Shapes: returns (107, 6)."""
    at = np.linspace(0, 1, 107)[:, None]
    return np.sin(2 * np.pi * at * np.arange(1, 7)).astype(np.float32)


def test_inertial_patches_are_as_they_were():
    assert kind_of(SeriesEncoding()).version == 1
    plain = series.encode_series(waves(), SeriesEncoding(patches=8))
    wanted = [[0.349731, 0.235727], [0.892557, 0.179478], [0.903693, -0.216494]]
    np.testing.assert_allclose(plain[:3, [0, 5]], wanted, atol=2e-6, err_msg=RAISE)
    pooled = series.encode_series(waves(), SeriesEncoding(window=10, stride=5, patches=8))
    wanted = [[0.395547, 0.221526], [0.873850, 0.074148], [0.884244, -0.093820]]
    np.testing.assert_allclose(pooled[:3, [0, 5]], wanted, atol=2e-6, err_msg=RAISE)


def test_skeleton_patches_are_as_they_were():
    assert kind_of(SkeletonEncoding()).version == 1
    joint, axis = np.arange(20)[None, :, None], np.arange(3)[None, None, :]
    at = np.arange(41)[:, None, None] / 41
    joints = np.sin(joint * 1.3 + axis * 0.7) * (0.5 + 0.1 * np.cos(6 * at)) + axis
    patches = skeleton.encode_skeleton(joints.astype(np.float32), SkeletonEncoding(patches=4))
    wanted = [
        [-0.742312, 0.020808, 0.276964, 0.717150, 0.162160],
        [-0.656122, 0.107851, 0.309066, 0.630806, 0.194852],
        [-0.637563, 0.126594, 0.315978, 0.612214, 0.201892],
        [-0.721075, 0.042255, 0.284874, 0.695876, 0.170215],
    ]
    np.testing.assert_allclose(patches[:, [0, 10, 22, 35, 59]], wanted, atol=5e-6, err_msg=RAISE)


def test_frame_features_are_as_they_were():
    assert kind_of(ColourEncoding()).version == kind_of(DepthEncoding()).version == 1
    y, x = np.mgrid[0:48, 0:64]
    pixels = np.stack([(x * 3 + y * 2 + k * 17) % 256 for k in range(3)]).astype(np.uint8)
    cpu = torch.device("cpu")
    network = frames.FrameNetwork(load_weights("random:0"), device=cpu, dtype="float32", batch=4)
    encoding = ColourEncoding(image_size=64, dtype="float32", patches=2)
    ((_, patches),) = frames.encode_frames([("record", iter([pixels]))], network, encoding)
    wanted = [[13.3517, 10.2236, 12.9022, 5.6637], [12.7033, 10.1576, 12.1445, 6.5307]]
    np.testing.assert_allclose(patches[:, :4], wanted, rtol=5e-3, err_msg=RAISE)
    np.testing.assert_allclose(np.linalg.norm(patches), 500.622, rtol=2e-3, err_msg=RAISE)
