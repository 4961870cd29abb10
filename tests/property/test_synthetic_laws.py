"""Laws of fabricated motion: a rigid body, and sensors that obey mechanics."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pipeline.synthetic.body import JOINT
from pipeline.synthetic.motion import GRID_HZ
from pipeline.synthetic.sensors import STANDARD_GRAVITY, ideal_inertial
from pipeline.synthetic.utd_mhad import SKELETON_HZ, UtdTrial, inertial, scene_of

BONES = (
    (0, 1), (1, 2), (2, 3),
    (1, 4), (4, 5), (5, 6), (6, 7),
    (1, 8), (8, 9), (9, 10), (10, 11),
    (3, 12), (12, 13), (13, 14), (14, 15),
    (3, 16), (16, 17), (17, 18), (18, 19),
)  # fmt: skip
"""Pairs of joints whose distance is one bone of the body, 19 of them."""

trials = st.builds(
    UtdTrial,
    seed=st.integers(0, 10**6),
    action=st.integers(1, 27),
    subject=st.integers(1, 30),
    trial=st.integers(1, 9),
)


@settings(max_examples=25, deadline=None)
@given(trials)
def test_bones_keep_their_length_and_frames_stay_rotations(trial: UtdTrial) -> None:
    view = scene_of(trial)
    moving = view.pose(view.performance.grid_s)
    start, end = np.array(BONES).T
    lengths = np.linalg.norm(moving.joints[:, end] - moving.joints[:, start], axis=-1)
    np.testing.assert_allclose(lengths, np.broadcast_to(lengths[0], lengths.shape), atol=1e-9)
    for frame in (moving.forearm, moving.thigh):
        product = frame @ np.swapaxes(frame, 1, 2)
        np.testing.assert_allclose(product, np.broadcast_to(np.eye(3), product.shape), atol=1e-9)
        np.testing.assert_allclose(np.linalg.det(frame), 1.0, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(trials)
def test_a_body_stays_in_front_of_the_camera_and_a_record_is_as_long_as_real_ones(
    trial: UtdTrial,
) -> None:
    view = scene_of(trial)
    assert 41 <= len(view.frame_times_s(SKELETON_HZ)) <= 125
    joints = view.pose(view.performance.grid_s).joints
    assert np.isfinite(joints).all()
    assert joints[:, :, 2].min() > 1.2
    assert joints[:, :, 2].max() < 4.2
    assert np.abs(joints[:, :, 0]).max() < 1.6


@settings(max_examples=15, deadline=None)
@given(trials)
def test_an_accelerometer_at_rest_reads_one_g(trial: UtdTrial) -> None:
    view = scene_of(trial)
    rows = inertial(view)
    assert np.abs(rows[:, :3]).max() <= 8.0
    assert np.abs(rows[:, 3:]).max() <= 1000.5
    at_rest = np.linalg.norm(rows[:2, :3].mean(axis=0))
    assert at_rest == pytest.approx(1.0, abs=0.15)
    moving = view.pose(np.full(9, 0.5))
    still = ideal_inertial(moving.joints[:, 10], moving.forearm, GRID_HZ)
    np.testing.assert_allclose(np.linalg.norm(still[:, :3], axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(still[:, 3:], 0.0, atol=1e-4)


@settings(max_examples=15, deadline=None)
@given(trials)
def test_a_gyroscope_integrates_to_the_change_of_orientation(trial: UtdTrial) -> None:
    view = scene_of(trial)
    moving = view.pose(view.performance.grid_s)
    place = moving.joints[:, JOINT["right_wrist"]]
    reading = ideal_inertial(place, moving.forearm, GRID_HZ)
    turned = Rotation.from_matrix(moving.forearm[0])
    for before, after in zip(reading[:-1, 3:], reading[1:, 3:], strict=True):
        step = np.radians((before + after) / 2) / GRID_HZ
        turned = turned * Rotation.from_rotvec(step)
    error = turned.inv() * Rotation.from_matrix(moving.forearm[-1])
    assert np.degrees(error.magnitude()) < 4.0


@settings(max_examples=15, deadline=None)
@given(trials)
def test_an_accelerometer_turned_back_and_without_gravity_is_the_second_derivative(
    trial: UtdTrial,
) -> None:
    view = scene_of(trial)
    moving = view.pose(view.performance.grid_s)
    place = moving.joints[:, JOINT["right_wrist"]]
    felt = ideal_inertial(place, moving.forearm, GRID_HZ)[:, :3]
    world = np.einsum("tij,tj->ti", moving.forearm, felt) - np.array([0.0, 1.0, 0.0])
    push = world * STANDARD_GRAVITY
    speed = (np.cumsum(push, axis=0) - push / 2) / GRID_HZ
    seen = np.gradient(place, axis=0) * GRID_HZ
    np.testing.assert_allclose(speed - speed[5], seen - seen[5], atol=0.15)
