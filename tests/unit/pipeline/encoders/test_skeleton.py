"""Skeletons to patches: place, heading and size are taken out where asked, shape never."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.contract import RecordingError
from pipeline.encoders.config import SkeletonEncoding
from pipeline.encoders.skeleton import BODIES, encode_skeleton

HIP_CENTRE, SHOULDER_CENTRE = BODIES[20].hips[0], BODIES[20].shoulders[0]
LEFT_SHOULDER, RIGHT_SHOULDER = BODIES[20].left_shoulder, BODIES[20].right_shoulder
PLAIN = SkeletonEncoding(recentre="none", scale="none", face=False, patches=30)


def person(n_frames: int = 30) -> np.ndarray:
    """Someone who sways: shape (T, 20, 3)."""
    random = np.random.default_rng(5)
    joints = random.normal(0, 0.2, (1, 20, 3))
    joints[0, HIP_CENTRE], joints[0, SHOULDER_CENTRE] = [0, 0, 2.5], [0, 0.5, 2.5]
    joints[0, LEFT_SHOULDER], joints[0, RIGHT_SHOULDER] = [-0.2, 0.5, 2.5], [0.2, 0.5, 2.5]
    sway = np.sin(np.linspace(0, 5, n_frames))[:, None, None] * random.normal(0, 0.1, (1, 20, 3))
    return (joints + sway).astype(np.float32)


def turned(joints: np.ndarray, angle: float) -> np.ndarray:
    cosine, sine = np.cos(angle), np.sin(angle)
    return (joints @ np.array([[cosine, 0, -sine], [0, 1, 0], [sine, 0, cosine]])).astype("f4")


def test_without_options_the_joints_are_the_columns():
    joints = person()
    patches = encode_skeleton(joints, PLAIN)
    assert patches.shape == (30, 60)
    np.testing.assert_allclose(patches[10], joints[10].ravel(), atol=0.02)


def test_where_someone_stands_does_not_show():
    far = person() + np.array([1.5, 0.2, 1.0], np.float32)
    for recentre in ("first", "frame"):
        encoding = SkeletonEncoding(recentre=recentre)
        np.testing.assert_allclose(
            encode_skeleton(far, encoding), encode_skeleton(person(), encoding), atol=1e-5
        )


def test_recentring_by_the_first_frame_keeps_walks_and_by_each_frame_does_not():
    walk = person() + np.linspace(0, 2, 30, dtype=np.float32)[:, None, None]
    hip = slice(3 * HIP_CENTRE, 3 * HIP_CENTRE + 3)
    first = encode_skeleton(walk, SkeletonEncoding(scale="none", face=False))[:, hip]
    each = encode_skeleton(walk, SkeletonEncoding(recentre="frame", scale="none"))[:, hip]
    assert np.ptp(first[:, 0]) > 1.5
    np.testing.assert_allclose(each, 0, atol=1e-6)


def test_how_tall_someone_is_does_not_show():
    encoding = SkeletonEncoding()
    np.testing.assert_allclose(
        encode_skeleton(person() * 1.2, encoding), encode_skeleton(person(), encoding), atol=1e-5
    )


@pytest.mark.parametrize("angle", [-1.4, -0.3, 0.8, 1.5])
def test_where_someone_faces_does_not_show(angle):
    centred = SkeletonEncoding(recentre="frame", scale="none", face=True)
    np.testing.assert_allclose(
        encode_skeleton(turned(person(), angle), centred),
        encode_skeleton(person(), centred),
        atol=1e-4,
    )


def test_heights_are_never_turned_away():
    encoding = SkeletonEncoding(recentre="none", scale="none", face=True, patches=30)
    heights = encode_skeleton(turned(person(), 0.7), encoding).reshape(30, 20, 3)[:, :, 1]
    plain = encode_skeleton(person(), PLAIN).reshape(30, 20, 3)[:, :, 1]
    np.testing.assert_allclose(heights, plain, atol=1e-5)


def test_shoulders_in_one_point_are_not_turned():
    joints = person()
    joints[:, LEFT_SHOULDER] = joints[:, RIGHT_SHOULDER]
    assert np.isfinite(encode_skeleton(joints, SkeletonEncoding())).all()


def test_a_torso_without_length_cannot_be_scaled_by():
    joints = person()
    joints[:, SHOULDER_CENTRE] = joints[:, HIP_CENTRE]
    with pytest.raises(RecordingError, match=r"torso length is 0\.000 m"):
        encode_skeleton(joints, SkeletonEncoding())
    assert np.isfinite(encode_skeleton(joints, SkeletonEncoding(scale="none"))).all()


def test_coordinates_beyond_a_single_are_refused():
    joints = person()
    joints[0, 7], joints[0, HIP_CENTRE] = 3e38, -3e38
    with pytest.raises(RecordingError, match=r"a coordinate is 6e\+38"):
        encode_skeleton(joints, SkeletonEncoding(scale="none", face=False))


@pytest.mark.parametrize("shape", [(5, 19, 3), (5, 20, 2), (20, 3)])
def test_another_shape_is_refused(shape):
    with pytest.raises(RecordingError, match=rf"skeleton of shape \({shape[0]}, {shape[1]}"):
        encode_skeleton(np.zeros(shape, np.float32), SkeletonEncoding())
