"""Skeletons and series in JSON and BVH: what comes out, and what is refused with which words."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from pipeline.contract import ConfigError, RecordingError
from pipeline.signals.recording import Signal, Streams
from tests.described import description, read, series

JOINTS = ["hip", "neck", "hand"]


def skeleton(**options: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"kind": "skeleton", "reader": "json", "joints": JOINTS}
    given |= {"rate_hz": 30.0} if options.get("reader") != "bvh" else {}
    return {"name": "toys", "modality": {"acc": given | options}}


def joints(document: Any, **options: Any) -> Any:
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    made = read(content, skeleton(**options))
    assert isinstance(made, Signal)
    return made.values.tolist()


FLAT = [float(n) for n in range(9)]
BODY = [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]]
NAMED = dict(zip(("x", "y", "z"), (0, 1, 2), strict=True))

# -- JSON -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "key"),
    [
        ([BODY], ""),
        ([FLAT], "*"),
        ({"frames": [{"bodies": [{"places": BODY}]}]}, "frames.*.bodies.0.places"),
        ([{"joints": dict(zip(JOINTS, BODY, strict=True)) | {"tail": [9, 9]}}], "*.joints"),
        ([[dict(zip("XYZ", point, strict=True)) | {"score": 1} for point in BODY]], ""),
        ({"a": [[{"at": {"p": point}} for point in BODY]]}, "a.*.*.at.p"),
        ([{joint: {"p": point} for joint, point in zip(JOINTS, BODY, strict=True)}], "*.*.p"),
    ],
)  # fmt: skip
def test_joints_are_found_where_a_key_says(document: Any, key: str) -> None:
    assert joints(document, key=key) == [BODY]


def test_numbers_of_joints_are_chosen_among_others() -> None:
    scored = [[x, y, 0.9] for x, y, _ in BODY]
    chosen = {"dimensions": 2, "columns": [1, 2, 4, 5, 7, 8]}
    wanted = [[[x, y, 0.0] for x, y, _ in BODY]]
    flat = [number for point in scored for number in point]
    assert joints([{"people": [{"pose": flat}]}], key="*.people.0.pose", **chosen) == wanted
    assert joints([scored], **chosen) == wanted
    with pytest.raises(
        RecordingError, match=r"of the joint 'hip' in frame 1: wanted 2 numbers, or"
    ):
        joints([scored], dimensions=2)


def test_who_is_not_there_is_a_row_without_numbers() -> None:
    document = [{"bodies": [BODY]}, {"bodies": []}, None, {"bodies": [[None, *BODY[1:]]]}]
    with pytest.raises(RecordingError, match=r"holds nan in row 2, column 1, and 21 such numbers"):
        joints(document, key="*.bodies.0")
    assert joints(document, key="*.bodies.0", missing="skip") == [BODY]


def test_a_series_is_taken_by_names_and_times() -> None:
    rows = [{"t": 10 * n, "acc": {"x": n, "y": [0, -n]}} for n in range(3)]
    table = series(reader="json", columns=["acc.x", "acc.y.1"], names=["x", "y"], key="log")
    content = json.dumps({"log": rows}).encode()
    assert read(content, table).values.tolist() == [[0, 0], [1, -1], [2, -2]]
    timed = table["modality"]["acc"]
    timed |= {"time": "t", "time_format": "milliseconds", "rate_hz": 100}
    made = read(content, table)
    assert isinstance(made, Streams)
    np.testing.assert_allclose(made.signals["acc"].times_s, [0, 0.01, 0.02])
    dates = {"rows": [[1, 2], [3, 4]], "at": ["2020-01-01T00:00:00", "2020-01-01T00:00:01.5"]}
    by_place = series(reader="json", columns=[2], key="rows", time_key="at", time_format="iso8601")
    del by_place["modality"]["acc"]["rate_hz"]
    made = read(json.dumps(dates).encode(), by_place)
    assert np.diff(made.signals["acc"].times_s) == [1.5]


@pytest.mark.parametrize(
    ("document", "options", "message"),
    [
        (b"[[1, 2", {}, r"acc\.dat is not JSON: Expecting ',' delimiter"),
        (b"\x00\x01", {}, "acc.dat is not JSON"),
        (b"[" * 100_000, {}, "acc.dat is not JSON: maximum recursion"),
        (b"[" * 8_000_001, {}, "holds 8000001 lists and objects in 8000001 bytes"),
        (b"[1" + b"0" * 5000 + b"]", {}, "acc.dat is not JSON: Exceeds the limit"),
        ({"frames": 3}, {"key": "frames"}, r"holds 3 at 'frames': wanted a list of frames"),
        ({"frame": []}, {"key": "frames"}, r"has 'frame' and no 'frames' at 'frames': wanted what"),
        ([], {}, "has no rows: wanted one or more"),
        ([BODY, BODY[:2]], {}, r"holds 2 joints in frame 2: wanted the 3 of 'joints'"),
        ([[0] * 8], {}, r"holds 8 numbers in frame 1: wanted 9, or 'columns' that choose"),
        ([[[0, 1], *BODY[1:]]], {}, r"holds a list of 2 of the joint 'hip' in frame 1: wanted 3"),
        ([[[0, 1, "2"], *BODY[1:]]], {}, r"holds \"2\" as joint 'hip' in frame 1: wanted a number"),
        ([[[0, 1, True], *BODY[1:]]], {}, r"holds true as joint 'hip' in frame 1: wanted a number"),
        ([[[0, 1, 10**400], *BODY[1:]]], {}, r"holds 10{36}\.\.\. as joint 'hip' in frame 1"),
        ([[[0, 1, 1e300], *BODY[1:]]], {}, r"holds 1e\+300 in row 1, column 3"),
        ([[[0, 1, float("inf")], *BODY[1:]]], {}, r"holds inf in row 1, column 3"),
        ([{"hip": [0, 1, 2]}], {}, r"has 'hip' and no 'neck' in frame 1: wanted what 'key' names"),
        ([[{"x": 1, "y": 2}, *BODY[1:]]], {}, r"has 'x', 'y' and no 'z' in frame 1"),
        ([[BODY]], {"key": "*.pose"}, r"holds a list of 1 in frame 1: wanted something with 'p"),
        (["none"], {}, r"holds \"none\" in frame 1: wanted joints: a list, or an object by their"),
        ([BODY], {"columns": list(range(2, 11))}, r"in frame 1 has 9 columns.*wanted a column 10"),
        ({"f": [BODY], "t": []}, {"key": "f", "time_key": "t"}, r"has 0 times for 1 rows"),
        ({"f": [BODY], "t": ["x"]}, {"key": "f", "time_key": "t"}, r"\"x\" as its time in frame 1"),
        ({"f": [BODY], "t": [None]}, {"key": "f", "time_key": "t"}, r"no finite time in frame 1"),
    ],
)  # fmt: skip
def test_json_that_is_no_recording_is_named_by_frame_and_joint(
    document: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecordingError, match=message):
        joints(document, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key": "*.a.*.b.*"}, r"key is '\*\.a\.\*\.b\.\*': wanted at most 2 '\*'"),
        (
            {"time": "t"},
            "columns and time of a skeleton in JSON: wanted numbers from 1, and a time",
        ),
        ({"separator": ";"}, r"separator means nothing to 'json': wanted columns, key"),
        ({"reader": "bvh", "dimensions": 2}, "reader 'bvh' gives no skeleton of 2 dimensions"),
        ({"reader": "bvh", "key": "a"}, r"key means nothing to 'bvh': wanted rate_hz"),
        ({"kind": "depth", "joints": []}, "reader 'json' gives no depth"),
    ],
)
def test_options_that_mean_nothing_to_a_reader_are_named(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        description(skeleton(**options))


def test_more_frames_than_a_recording_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMFT_MAX_ROWS", "2")
    with pytest.raises(RecordingError, match=r"holds 3 frames: wanted at most 2 \(DMFT_MAX_ROWS"):
        joints([BODY] * 3)
    with pytest.raises(RecordingError, match=r"holds 25 lines in \d+ bytes: wanted at most 2 \("):
        joints(BVH, reader="bvh")


# -- BVH ------------------------------------------------------------------------------------------

BVH = b"""HIERARCHY
ROOT hip
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT neck
  {
    OFFSET 0 10 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    JOINT hand
    {
      OFFSET 5 0 0
      CHANNELS 3 Zrotation Xrotation Yrotation
      End Site
      {
        OFFSET 1 0 0
      }
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.02
1 2 3 0 0 0 0 0 0 0 0 0
0 0 0 90 0 0 0 0 90 45 0 0
"""


def test_joints_lie_where_the_bones_above_them_are_turned() -> None:
    made = read(BVH, skeleton(reader="bvh", joints=["hand", "neck", "hip"]))
    np.testing.assert_allclose(
        made.values,
        [[[6, 12, 3], [1, 12, 3], [1, 2, 3]], [[-10, 0, -5], [-10, 0, 0], [0, 0, 0]]],
        atol=1e-6,
    )
    np.testing.assert_allclose(made.times_s, [0, 0.02])
    assert joints(BVH, reader="bvh", joints=["neck"], factor=0.01, rate_hz=50) == [
        [[pytest.approx(0.01), pytest.approx(0.12), pytest.approx(0.03)]],
        [[pytest.approx(-0.1), pytest.approx(0), pytest.approx(0)]],
    ]


def test_turns_follow_the_order_of_the_channels_and_positions_replace_offsets() -> None:
    """Numbers that the library bvhio 1.5.4 gives."""
    text = BVH.replace(b"CHANNELS 3 Z", b"CHANNELS 6 Xposition Yposition Zposition Z", 1)
    order = b"Zrotation Xrotation Yrotation\n    JOINT"
    text = text.replace(order, b"Yrotation Zrotation Xrotation\n    JOINT")
    head, _, _ = text.partition(b"Frames: 2")
    row = b"1 2 3 20 -30 33 4 9 -2 50 -60 70 15 25 35\n"
    made = joints(head + b"Frames: 1\nFrame Time: 0.1\n" + row, reader="bvh")
    wanted = [[1.0, 2.0, 3.0], [1.1224, 8.28731, -4.8393], [3.11561, 3.70181, -4.82317]]
    np.testing.assert_allclose(made, [wanted], atol=2e-5)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"HIERARCHY", b"<xml>", r"line 1 begins with '<xml>': wanted HIERARCHY, as BVH does"),
        (b"JOINT neck", b"JOINT hip", r"line 6 has the joint 'hip': wanted each once"),
        (b"JOINT neck", b"ROOT neck", r"line 6 says 'ROOT neck': wanted the next part of one body"),
        (b"CHANNELS 6 X", b"CHANNELS 5 X", r"line 5 says 5 channels, Xposition .*: wanted as many"),
        (b"3 Zrotation X", b"3 Xrotation X", r"line 9 says 3 channels, Xrotation Xrotation Yrota"),
        (b"3 Zrotation X", b"3 Wrotation X", r"line 9 says 3 channels, Wrotation Xrotation Yrota"),
        (b"OFFSET 0 10 0", b"OFFSET 0 ten 0", r"line 8 says '0 ten 0': wanted 3 finite numbers"),
        (b"OFFSET 0 10 0", b"OFFSET 0 nan 0", r"line 8 says '0 nan 0': wanted 3 finite numbers"),
        (b"    OFFSET 0 10 0\n", b"", r"ends a hierarchy whose joint 'neck' has no OFFSET"),
        (b"Frames: 2", b"Frames: 3", r"has 2 rows of motion: wanted the 3 that it says in Frames:"),
        (b"Frames: 2", b"Frames: 1", r"has 2 rows of motion: wanted the 1 that it says in Frames:"),
        (b"Frames: 2", b"Frames: two", r"line 22 says 'Frames: two': wanted Frames: and their num"),
        (b"Time: 0.02", b"Time: 0", r"line 23 says a frame takes 0 s: wanted 0\.00001 to 100 s"),
        (b"Time: 0.02", b"Time: nan", r"line 23 says 'nan': wanted 1 finite numbers"),
        (b"3 0 0 0 0", b"3 0 0 0", r"line 24, frame 1, says 11 values, 1 2 3 .*: wanted 12 num"),
        (b"1 2 3 0", b"1 two 3 0", r"line 24, frame 1, says 12 values, 1 two 3"),
        (b"1 2 3 0", b"1 2_0 3 0", r"line 24, frame 1, says 12 values, 1 2_0 3"),
        (b"1 2 3 0", b"nan 2 3 0", r"holds nan in row 1, column 1, and 3 such numbers"),
        (b"1 2 3 0", b"1 2 3 inf", r"holds nan in row 1, column 4, and 6 such numbers"),
        (b"1 2 3 0", b"1e39 2 3 0", r"holds 1e\+39 in row 1, column 1"),
        (b"hand", b"hnd", r"has no joint 'hand': it has hip, neck, hnd"),
        (b"hand", b"\xff", r"is no BVH, but bytes that are no text"),
        (b"MOTION", b"}", r"line 21 says '}': wanted the next part of one body"),
    ],
)  # fmt: skip
def test_bvh_that_is_no_recording_is_named_by_its_line(
    old: bytes, new: bytes, message: str
) -> None:
    assert old in BVH
    with pytest.raises(RecordingError, match=message):
        joints(BVH.replace(old, new, 1), reader="bvh")


@pytest.mark.parametrize("n_lines", range(1, 24))
def test_a_bvh_that_is_cut_short_is_refused_wherever_it_ends(n_lines: int) -> None:
    cut = b"\n".join(BVH.split(b"\n")[:n_lines])
    with pytest.raises(RecordingError, match=r"is the last: wanted|rows of motion: wanted the 2"):
        joints(cut, reader="bvh")


def test_a_bvh_says_when_its_frames_are_and_a_rate_is_held_against_it() -> None:
    many = BVH.replace(b"Frames: 2", b"Frames: 4").rstrip() + b"\n" + BVH.split(b"0.02\n")[1]
    with pytest.raises(RecordingError, match=r"has rows at 50 Hz by its times: wanted 30 Hz"):
        joints(many, reader="bvh", rate_hz=30)


def test_a_bvh_that_asks_for_the_world_takes_no_memory() -> None:
    bones = b"".join(b"JOINT j%d\n{\nOFFSET 0 0 0\n}\n" % n for n in range(2000))
    with pytest.raises(RecordingError, match=r"has the joint 'j999': wanted each once, and at mo"):
        joints(BVH.replace(b"  JOINT neck", bones + b"  JOINT neck", 1), reader="bvh")
    few = re.sub(rb"CHANNELS 3 .*\n", b"", BVH).replace(b"Frames: 2", b"Frames: 99999999")
    with pytest.raises(RecordingError, match="holds 3 joints in 99999999 frames: wanted at most"):
        joints(few, reader="bvh")
