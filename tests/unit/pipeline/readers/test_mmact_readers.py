"""MMAct's sensors and poses: what is read, what is missing, what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipeline.contract import RecordingError, StreamRef
from pipeline.encoders.config import SkeletonEncoding
from pipeline.encoders.skeleton import encode_skeleton
from pipeline.readers.mmact import INERTIAL_COLUMNS, SENSORS, read_inertial
from pipeline.readers.pose import COLUMNS, JOINTS, read_pose
from pipeline.readers.registry import readable
from pipeline.signals.resample import join
from tests.real_recordings import mmact_sensor_file


def ref(name: str, **more: int) -> StreamRef:
    return StreamRef(name=name, path=f"{name}_clip/x.csv", **more)


def lines(*rows: str) -> bytes:
    return "\n".join(rows).encode()


def two(x: float = 0.0) -> bytes:
    return lines(f"20181016_13:37:28.0,{x},1,4", f"20181016_13:37:29.0,{x},1,4")


def test_four_sensors_give_twelve_columns_and_four_that_say_which_are_there() -> None:
    found = read_inertial([(two(i), ref(name)) for i, name in enumerate(SENSORS)])
    values = join(found, 10).values
    assert values.shape == (11, 16)
    np.testing.assert_allclose(
        values[0], [0, 1, 4, 1, 1, 4, 2, 1, 4, 3, 1, 4, 1, 1, 1, 1], atol=1e-6
    )
    assert readable("mmact", "inertial").columns == INERTIAL_COLUMNS
    assert INERTIAL_COLUMNS[9:13] == (
        "orientation_azimuth", "orientation_pitch", "orientation_roll", "has_acc_phone",
    )  # fmt: skip


def test_a_file_without_rows_is_a_stream_that_is_missing() -> None:
    found = read_inertial(
        [(b"", ref("acc_phone")), (two(), ref("acc_watch")), (b"\n", ref("gyro"))]
    )
    assert list(found.signals) == ["acc_watch"]
    assert join(found, 10).values[0].tolist() == [0, 0, 0, 0, 1, 4, *[0] * 6, 0, 1, 0, 0]


@pytest.mark.parametrize(
    ("sensor", "row", "says"),
    [
        ("acc_watch", "0.1,-0.9,0.2", "acc_watch values of 0.9274 in the median: wanted m/s\\^2"),
        ("acc_phone", "0,9000,10", "acc_phone values up to 9000, beyond 160 m/s\\^2 from row 0 on"),
        ("gyro", "1,57,2", "gyro values up to 57, beyond 35 radians a second"),
        ("orientation", "180,1,2", "orientation values up to 180, beyond 6.3 radians"),
    ],
)
def test_another_unit_is_refused(sensor: str, row: str, says: str) -> None:
    content = lines(f"20181016_13:37:28.0,{row}", f"20181016_13:37:29.0,{row}")
    with pytest.raises(RecordingError, match=f"{sensor}_clip/x.csv holds {says}"):
        read_inertial([(content, ref(sensor))])


def test_no_rows_in_any_file_is_a_recording_that_cannot_be_read() -> None:
    with pytest.raises(RecordingError, match=r"no rows in gyro_clip/x.csv, acc_phone_clip/x.csv"):
        read_inertial([(b"", ref("gyro")), (b"", ref("acc_phone"))])


def test_angles_go_on_past_a_full_turn() -> None:
    turns = (3.0, -3.0, -2.0)
    content = lines(*(f"20181016_13:37:2{i}.0,{turn},0,0" for i, turn in enumerate(turns)))
    angles = read_inertial([(content, ref("orientation"))]).signals["orientation"].values[:, 0]
    np.testing.assert_allclose(angles, [3, 2 * np.pi - 3, 2 * np.pi - 2], atol=1e-6)


def test_a_stream_of_no_sensor_is_refused() -> None:
    with pytest.raises(RecordingError, match="is the stream 'heart': wanted one of acc_phone"):
        read_inertial([(two(), ref("heart"))])


def test_a_count_of_rows_other_than_the_manifests_is_refused() -> None:
    with pytest.raises(RecordingError, match=r"holds 2 rows .* the manifest lists 3"):
        read_inertial([(two(), ref("gyro", n_frames=3))])


def test_a_series_is_one_number_over_time() -> None:
    content = lines("20181016_13:37:28,-50", "20181016_13:37:30.0,-60")
    wifi = readable("mmact", "wifi")
    assert wifi.columns == ("wifi",)
    assert join(wifi.read([(content, ref("wifi"))]), 1).values.tolist() == [[-50], [-55], [-60]]
    with pytest.raises(RecordingError, match=r"no rows in wifi_clip/x.csv: wanted some"):
        wifi.read([(b"", ref("wifi"))])


@pytest.mark.real
def test_the_real_sensor_file_has_every_row_in_the_published_unit() -> None:
    content = mmact_sensor_file().read_bytes()
    signal = read_inertial([(content, ref("acc_phone"))]).signals["acc_phone"]
    steps = np.diff(signal.times_s)
    assert content.count(b"\n") >= 889
    assert len(signal.values) == len({line.split(b",")[0] for line in content.split()})
    assert (steps > 0).all()
    assert np.median(steps) == pytest.approx(0.01, abs=1e-6)
    assert 9 < np.median(np.linalg.norm(signal.values, axis=1)) < 11


# --- poses -----------------------------------------------------------------------------------


POSE = StreamRef(name="skeleton", path="pose/x.json")


def person(x: float, y: float = 100.0, size: float = 1.0) -> dict[str, object]:
    """Someone upright whose hips are at (x, y)."""
    points = np.random.default_rng(3).normal(0, 20 * size, (17, 2)) + np.array([x, y])
    points[5:7] = [[x - 10 * size, y - 50 * size], [x + 10 * size, y - 50 * size]]
    points[11:13] = [[x - 5 * size, y], [x + 5 * size, y]]
    return {"keypoints": [[float(px), float(py), 1.0] for px, py in points]}


def pose(*frames: list[dict[str, object]]) -> bytes:
    listed = [{"frame": i, "persons": persons} for i, persons in enumerate(frames)]
    return json.dumps(listed).encode()


def test_a_pose_is_two_persons_of_joints_with_y_upwards() -> None:
    values = read_pose(pose([person(50), person(200, size=0.5)]), POSE).values
    assert values.shape == (1, 34, 3)
    assert len(COLUMNS) == 102
    assert values[0, 11:13, 0].mean() == 50
    assert values[0, 28:30, 0].mean() == 200
    assert values[0, 5, 1] > values[0, 11, 1]
    assert not values[:, :, 2].any()


def test_persons_are_followed_however_a_detector_numbers_them() -> None:
    left, right = person(50, size=2), person(300)
    values = read_pose(pose([left, right], [right, left], [right], [left, right]), POSE).values
    np.testing.assert_allclose(values[:, 11:13, 0].mean(axis=1), 50)
    np.testing.assert_allclose(values[:, 28:30, 0].mean(axis=1), 300)


def test_what_was_not_seen_is_interpolated_over_time() -> None:
    hidden = person(70)
    hidden["keypoints"][0][2] = 0.0  # type: ignore[index]
    values = read_pose(pose([person(50)], [], [hidden], [person(80)]), POSE).values
    np.testing.assert_allclose(values[:, 11:13, 0].mean(axis=1), [50, 60, 70, 80])
    np.testing.assert_allclose(np.diff(values[:, 0, 0]), 10, atol=1e-4)


def test_a_second_person_who_is_not_there_lies_on_the_first_ones_hips() -> None:
    values = read_pose(pose([person(50)], [person(60)]), POSE).values
    np.testing.assert_allclose(values[1, 17:], np.tile([60, -100, 0], (17, 1)))
    patches = encode_skeleton(values, SkeletonEncoding(recentre="frame", patches=4))
    assert patches.shape == (4, 102)
    assert not patches[:, 51:].any()
    torso = patches[0, 3 * 5 : 3 * 5 + 3] + patches[0, 3 * 6 : 3 * 6 + 3]
    np.testing.assert_allclose(torso / 2, [0, 1, 0], atol=1e-6)


def test_a_joint_that_is_never_seen_lies_amid_the_others() -> None:
    one = person(50)
    one["keypoints"][16] = [0, 0, 0]  # type: ignore[index]
    values = read_pose(pose([one]), POSE).values
    np.testing.assert_allclose(values[0, 16], values[0, :16].mean(axis=0), rtol=1e-5)
    assert len(JOINTS) == 17


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"{}", "holds dict: wanted a list of 1 to"),
        (b"[]", "holds 0 entries: wanted a list of 1 to"),
        (b"[7]", "has no list of persons in frame 0"),
        (pose([], []), "shows no person in any of its 2 frames"),
        (pose([person(1)] * 3), "has 3 persons in frame 0: wanted 0 to 2"),
        (pose([person(1)], [{"keypoints": [[1, 2]]}]), r"shape \(1, 1, 2\) in frame 1: wanted"),
        (pose([{"keypoint": []}]), "person in frame 0 that cannot be read: KeyError"),
        (pose([{"keypoints": [["a", 2, 3]] * 17}]), "person in frame 0 that cannot be read"),
        (pose([{"keypoints": [[float("nan"), 2, 3]] * 17}]), "in frame 0: wanted"),
        (pose([{"keypoints": [[1e9, 2, 3]] * 17}]), "in frame 0: wanted"),
        (pose([{"keypoints": [[1, 2, 0]] * 17}]), "shows no person in any of its 1 frames"),
    ],
)
def test_a_pose_that_is_none_is_refused_by_its_frame(content: bytes, says: str) -> None:
    with pytest.raises(RecordingError, match=rf"pose/x\.json {says}|pose/x\.json .*{says}"):
        read_pose(content, POSE)


def test_frames_of_a_pose_are_taken_by_their_numbers() -> None:
    moving = json.loads(pose(*([person(1 + i)] for i in range(4))))
    in_order = read_pose(json.dumps(moving).encode(), ref("skeleton"))
    turned = read_pose(json.dumps(moving[2:] + moving[:2]).encode(), ref("skeleton"))
    np.testing.assert_array_equal(turned.values, in_order.values)
    gap = read_pose(json.dumps([moving[0], *moving[2:]]).encode(), ref("skeleton"))
    assert len(gap.values) == 4
    with pytest.raises(RecordingError, match="has the frame 1 twice: wanted each number once"):
        read_pose(json.dumps([*moving, moving[1]]).encode(), ref("skeleton"))
    del moving[3]["frame"]
    with pytest.raises(RecordingError, match="has the number None at entry 3: wanted one from 0"):
        read_pose(json.dumps(moving).encode(), ref("skeleton"))


def test_a_pose_of_another_length_than_the_manifests_is_refused() -> None:
    wanted = StreamRef(name="skeleton", path="pose/x.json", n_frames=3)
    with pytest.raises(RecordingError, match="holds 1 frames where the manifest lists 3"):
        read_pose(pose([person(1)]), wanted)
