"""Bodies, motions and sensors of fabricated recordings."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.synthetic.body import JOINT, JOINTS, TRACKS, Body, Stance, pose
from pipeline.synthetic.motion import Motion
from pipeline.synthetic.sensors import measure_inertial, track_joints
from pipeline.synthetic.utd_mhad import ACTIONS, MOTIONS, UtdTrial, scene_of


def still(n: int = 5) -> dict[str, np.ndarray]:
    return {name: np.tile(np.array(rest), (n, 1)) for name, rest in TRACKS.items()}


def test_the_vocabulary_has_27_motions_and_no_two_have_the_same_keys() -> None:
    assert len(MOTIONS) == 27
    assert len({repr((m.cycle, m.begin, m.finish)) for m in MOTIONS.values()}) == 27


def test_a_person_at_rest_stands_upright_with_right_joints_at_greater_x() -> None:
    joints = pose(Body(), Stance(), still()).joints[0]
    place = dict(zip(JOINTS, joints, strict=True))
    assert place["head"][1] > place["shoulder_center"][1] > place["hip_center"][1]
    assert place["left_foot"][1] < place["left_ankle"][1] < place["left_knee"][1]
    for pair in ("shoulder", "wrist", "hip", "ankle"):
        assert place[f"right_{pair}"][0] > place[f"left_{pair}"][0]
    # Facing the camera, a hand reached forward comes nearer to it.
    tracks = still()
    tracks["right_hand"][:] = (0.0, 0.0, 0.9)
    reached = pose(Body(), Stance(), tracks).joints[0]
    assert reached[JOINT["right_wrist"]][2] < place["right_wrist"][2] - 0.3


def test_leaning_forward_brings_the_head_nearer_and_lower() -> None:
    tracks = still()
    tracks["trunk"][:, 1] = 40.0
    leaning = pose(Body(), Stance(), tracks).joints[0, JOINT["head"]]
    upright = pose(Body(), Stance(), still()).joints[0, JOINT["head"]]
    assert leaning[2] < upright[2] - 0.2
    assert leaning[1] < upright[1] - 0.05


def test_a_body_without_length_is_refused_by_name() -> None:
    with pytest.raises(AssertionError, match=r"thigh is 0\.0: wanted a positive length"):
        Body(thigh=0.0)


@pytest.mark.parametrize(
    ("cycle", "message"),
    [
        ({"tail": ((0.0, 0.0, 0.0, 0.0),)}, "no track 'tail'"),
        (
            {"pelvis": ((0.5, 0.0, 0.0, 0.0), (0.2, 0.0, 0.0, 0.0))},
            "keys of pelvis are not in order",
        ),
        ({"pelvis": ((-0.1, 0.0, 0.0, 0.0),)}, "pelvis begins before its cycle"),
        ({"pelvis": ((1.1, 0.0, 0.0, 0.0),)}, "pelvis ends after its cycle"),
    ],
)
def test_a_motion_with_wrong_keys_is_refused(cycle: dict, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        Motion(name="strange", cycle=cycle)


def test_every_action_begins_and_ends_at_rest() -> None:
    for action in range(1, len(ACTIONS) + 1):
        view = scene_of(UtdTrial(seed=3, action=action, subject=2, trial=1))
        joints = view.pose(view.performance.grid_s).joints
        speed = np.linalg.norm(np.diff(joints, axis=0), axis=-1) * 200.0
        assert speed[:5].max() < 0.2, ACTIONS[action - 1]
        assert speed[-5:].max() < 0.2, ACTIONS[action - 1]
        assert speed.max() > 0.3, ACTIONS[action - 1]


def test_a_circle_turns_the_way_its_name_says() -> None:
    """The drawer sees x to the right and y up; clockwise has negative area there."""
    for name, sign in (("draw_circle_cw", -1), ("draw_circle_ccw", 1)):
        for subject in (1, 2, 3):
            view = scene_of(
                UtdTrial(seed=0, action=ACTIONS.index(name) + 1, subject=subject, trial=1)
            )
            joints = view.pose(view.performance.grid_s).joints
            x, y = (joints[:, JOINT["right_wrist"]] - joints[:, JOINT["hip_center"]]).T[:2]
            area = 0.5 * np.sum(x[:-1] * np.diff(y) - y[:-1] * np.diff(x))
            assert np.sign(area) == sign, (name, subject, area)


def test_an_inertial_unit_clips_and_counts_in_its_own_steps() -> None:
    ideal = np.zeros((400, 6))
    ideal[:, 0], ideal[:, 5] = 30.0, -9000.0
    draw = np.random.default_rng(0)
    rows = measure_inertial(ideal, 100, mount=draw, noise=draw)
    assert rows.shape == (100, 6)
    assert np.all(rows[:, 0] == 8.0)
    assert np.all(rows[:, 5] == -1000.5)
    counts = rows[:, 1] * 4096
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-6)


def test_a_tracker_is_off_by_about_its_drift_and_by_more_at_the_hands() -> None:
    joints = np.zeros((400, 20, 3))
    tracked = track_joints(joints, 19.0, 0.007, np.random.default_rng(0))
    assert 0.004 < tracked[:, JOINT["spine"]].std() < 0.012
    assert tracked[:, JOINT["right_hand"]].std() > 1.3 * tracked[:, JOINT["head"]].std()
    assert np.abs(np.diff(tracked, axis=0)).max() < 0.02
