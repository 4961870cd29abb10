"""Four cameras on one fabricated trial: sides, mirrors, films and keypoints."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from pipeline.synthetic.body import JOINT
from pipeline.synthetic.cameras import COCO, View
from pipeline.synthetic.films import MP4_HZ, mp4_bytes
from pipeline.synthetic.mmact_trial import MmactTrial, film, scene_of

WAVING = MmactTrial(
    seed=0, subject=1, scene=1, session=1, action="waving_hand", seconds=1.0, clips=((1, ""),)
)


def view(number: int, width: int = 160, height: int = 90) -> View:
    return View(number=number, width=width, height=height)


def joints() -> np.ndarray:
    scene = scene_of(WAVING)
    return scene.pose(scene.frame_times_s(float(MP4_HZ))).joints


def test_all_cameras_keep_distances_and_stand_on_four_sides() -> None:
    body = joints()[:1]
    apart = np.linalg.norm(body[0, :, None] - body[0, None], axis=-1)
    ahead = []
    for number in (1, 2, 3, 4):
        seen = view(number).turned(body)[0]
        np.testing.assert_allclose(np.linalg.norm(seen[:, None] - seen[None], axis=-1), apart)
        assert seen[:, 2].min() > 2.0
        side = seen[JOINT["right_shoulder"]] - seen[JOINT["left_shoulder"]]
        ahead.append(np.degrees(np.arctan2(side[2], side[0])))
    steps = np.diff(np.unwrap(ahead, period=360.0))
    np.testing.assert_allclose(np.abs(steps), 90.0, atol=1e-6)


def test_the_camera_in_front_does_not_mirror() -> None:
    """A person who faces the camera has their right on the left of the image."""
    pixels = view(1).lens.project(view(1).turned(joints()))
    assert (pixels[:, JOINT["right_shoulder"], 0] < pixels[:, JOINT["left_shoulder"], 0]).all()
    behind = view(3).lens.project(view(3).turned(joints()))
    assert (behind[:, JOINT["right_shoulder"], 0] > behind[:, JOINT["left_shoulder"], 0]).all()


def test_keypoints_lie_on_the_joints_within_a_few_pixels() -> None:
    camera = view(2, 640, 360)
    body = joints()
    exact = camera.lens.project(camera.turned(body))
    found = camera.detect(body, np.random.default_rng(0))
    assert len(found) == len(body)
    seen = [
        (person, place) for person, place in zip(found, exact, strict=True) if person is not None
    ]
    for name in ("left_wrist", "right_knee", "left_ankle"):
        off = np.stack([p[COCO.index(name), :2] - e[JOINT[name]] for p, e in seen])
        assert np.abs(off).max() < 10
    scores = np.stack([person[:, 2] for person, _ in seen])
    assert 0.3 <= scores.min() < scores.max() <= 1.0


def test_a_detector_misses_a_person_in_about_one_frame_of_a_hundred() -> None:
    found = view(1).detect(np.repeat(joints()[:1], 3000, axis=0), np.random.default_rng(1))
    assert 10 < sum(person is None for person in found) < 60


def test_the_nose_is_before_the_ears_and_ears_on_their_sides() -> None:
    camera = view(1, 1920, 1080)
    people = list(camera.detect(joints(), np.random.default_rng(0)))
    seen = np.mean([person for person in people if person is not None], axis=0)
    place = dict(zip(COCO, seen[:, 0], strict=True))
    assert place["right_ear"] < place["nose"] < place["left_ear"]


def test_what_moves_in_a_film_is_where_its_camera_sees_the_body() -> None:
    for number in (1, 2):
        content = io.BytesIO(film(WAVING, number, 160, 90))
        with av.open(content) as container:
            frames = np.stack([f.to_ndarray(format="gray") for f in container.decode(video=0)])
        spread = frames.astype(np.float32).std(axis=0)
        row, column = np.nonzero(spread > 25)
        pixels = view(number).lens.project(view(number).turned(joints())).reshape(-1, 2)
        assert len(row) > 5
        nearest = np.linalg.norm(
            np.stack([column, row], axis=1)[:, None] + 0.5 - pixels[None], axis=-1
        ).min(axis=1)
        assert np.percentile(nearest, 95) < 8


def test_an_mp4_is_h264_at_the_real_rate_and_the_same_bytes_twice() -> None:
    draw = np.random.default_rng(0)
    images = list(draw.integers(0, 256, size=(7, 48, 64, 3), dtype=np.uint8))
    content = mp4_bytes(images)
    assert content == mp4_bytes(images)
    with av.open(io.BytesIO(content)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert float(stream.average_rate or 0) == pytest.approx(29.97, abs=0.01)
        assert stream.frames == len(list(container.decode(stream))) == 7
