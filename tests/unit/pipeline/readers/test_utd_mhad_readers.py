"""UTD-MHAD as its description reads it: physical units, T first, no number that is not one."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.contract import ConfigError, RecordingError, StreamRef
from pipeline.readers.registry import READERS, readable
from pipeline.signals.recording import Frames, Signal
from tests.real_recordings import utd_mhad_root

scipy_io = pytest.importorskip("scipy.io")

REF = StreamRef(name="x", path="Some/a1_s1_t1.mat")
INERTIAL_COLUMNS = readable("utd-mhad", "inertial").columns
JOINTS = [name.removesuffix("_x") for name in readable("utd-mhad", "skeleton").columns[::3]]


def reader_of(modality: str) -> Any:
    return lambda content, ref: readable("utd-mhad", modality).read([(content, ref)])


read_inertial, read_skeleton, read_depth = map(reader_of, ("inertial", "skeleton", "depth"))


def known(n_frames: int) -> StreamRef:
    return StreamRef(name="x", path="Some/a1_s1_t1.mat", n_frames=n_frames)


def mat(key: str, values: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    scipy_io.savemat(buffer, {key: values}, do_compression=True)
    return buffer.getvalue()


def inertial(n: int = 7) -> NDArray[np.float64]:
    values = np.linspace(-1, 1, n * 6).reshape(n, 6)
    return values * ([1.0] * 3 + [1000.0] * 3)


def skeleton(n: int = 5) -> NDArray[np.float64]:
    return np.linspace(-1, 3, 60 * n).reshape(20, 3, n)


def depth(n: int = 20) -> NDArray[np.uint16]:
    values = np.zeros((240, 320, n), np.uint16)
    values[100, 200] = 2000 + np.arange(n)
    return values


def test_inertial_rows_keep_their_columns_and_units() -> None:
    found = read_inertial(mat("d_iner", inertial()), known(7))

    assert len(INERTIAL_COLUMNS) == 6
    np.testing.assert_array_equal(found.values, inertial().astype(np.float32))
    np.testing.assert_allclose(found.times_s, np.arange(7) * 0.02)


@pytest.mark.parametrize(
    ("scale", "says"),
    [
        ([9.81] * 3 + [1.0] * 3, "an acceleration of -9.81, beyond -8.01 to 8.01 g from row 1 on"),
        (
            [4.0] * 3 + [1.0] * 3,
            "an acceleration of [0-9.]+ in the median: wanted g, in which it is 0.5 to 2",
        ),
        ([1.0] * 3 + [np.pi / 180] * 3, "a rotation of at most 17.45: wanted degrees a second"),
        ([1.0] * 3 + [57.3] * 3, "a rotation of 5.73e\\+04, beyond -1001 to 1001 degrees"),
    ],
)
def test_another_unit_of_a_sensor_is_refused(scale: list[float], says: str) -> None:
    with pytest.raises(RecordingError, match=f"a1_s1_t1.mat holds {says}"):
        read_inertial(mat("d_iner", inertial() * scale), known(7))


def test_a_recording_that_begins_before_its_sensor_is_refused() -> None:
    rows = inertial()
    rows[:3] = 0
    with pytest.raises(RecordingError, match="begins with 3 rows of zeros alone"):
        read_inertial(mat("d_iner", rows), known(7))
    frames = skeleton()
    frames[:, :, :2] = 0
    with pytest.raises(RecordingError, match="begins with 2 rows of zeros alone"):
        read_skeleton(mat("d_skel", frames), known(5))
    with pytest.raises(
        RecordingError, match=r"holds -1000 in row 1, column 1, and .*wanted -10 to 10 m"
    ):
        read_skeleton(mat("d_skel", skeleton() * 1000), known(5))


def test_skeletons_come_with_time_first() -> None:
    found = read_skeleton(mat("d_skel", skeleton()), known(5))

    assert found.values.shape == (5, len(JOINTS), 3)
    assert found.values.flags.c_contiguous
    np.testing.assert_array_equal(found.values[3], skeleton()[:, :, 3].astype(np.float32))
    np.testing.assert_allclose(found.times_s, np.arange(5) / 30)


@pytest.mark.parametrize("dtype", ["u2", "f8", "i4"])
def test_depth_frames_come_in_blocks_of_millimetres(dtype: str) -> None:
    found = read_depth(mat("d_depth", depth().astype(dtype)), known(20))
    blocks = list(found.blocks)

    assert found.n_frames == 20
    assert [frames.shape for frames, _ in blocks] == [(16, 240, 320), (4, 240, 320)]
    assert all(f.dtype == np.uint16 and f.flags.c_contiguous for f, _ in blocks)
    frames = np.concatenate([f for f, _ in blocks])
    np.testing.assert_array_equal(frames, depth().transpose(2, 0, 1))
    np.testing.assert_allclose(np.concatenate([t for _, t in blocks]), np.arange(20) / 30)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_values_that_are_not_finite_are_counted_and_the_first_is_named(bad: float) -> None:
    rows, joints = inertial(), skeleton()
    rows[3, 2] = rows[5, 0] = bad
    joints[4, 1, 2] = bad

    says = re.escape(f"holds {bad} in row 4, column acc_z, and 2 such numbers in all")
    with pytest.raises(RecordingError, match=says) as met:
        read_inertial(mat("d_iner", rows), REF)
    assert (met.value.stage, met.value.path) == ("check", REF.path)
    says = re.escape(f"holds {bad} in row 3, column 14, and 1 such")
    with pytest.raises(RecordingError, match=says):
        read_skeleton(mat("d_skel", joints), REF)


@pytest.mark.parametrize("bad", [-1.0, 65536.0, 10001.0, 0.5])
def test_depth_that_is_no_whole_number_of_millimetres_is_refused(bad: float) -> None:
    values = depth().astype(float)
    values[7, 8, 17] = bad

    with pytest.raises(RecordingError, match=f"depth {bad} in frame 17 at row 7, column 8"):
        list(read_depth(mat("d_depth", values), REF).blocks)


@pytest.mark.parametrize(
    ("read", "key", "values", "shape"),
    [
        (read_inertial, "d_iner", inertial(1), "1 rows: wanted 2 to 30000"),
        (read_inertial, "d_iner", np.ones((30001, 6)), "30001 rows: wanted 2 to 30000"),
        (read_inertial, "d_iner", np.zeros((7, 9)), "9 numbers at a time: wanted 6"),
        (read_skeleton, "d_skel", np.zeros((20, 3)), "an array of shape (20, 3): wanted joint x"),
        (read_skeleton, "d_skel", np.zeros((25, 3, 9)), "25 x 3 numbers at a time: wanted 20 x 3"),
        (read_depth, "d_depth", np.zeros((320, 240, 2)), "320 x 240 numbers at a time: wanted 240"),
        (read_depth, "d_depth", np.zeros((240, 320)), "an array of shape (240, 320): wanted row x"),
        (read_depth, "d_depth", np.zeros((240, 320, 1)), "1 frames: wanted 2 to 2000, as the desc"),
    ],
)
def test_lengths_and_shapes_that_no_trial_has_are_refused(
    read: Any, key: str, values: NDArray[Any], shape: str
) -> None:
    with pytest.raises(RecordingError, match=re.escape(f"holds {shape}")):
        read(mat(key, values), REF)


@pytest.mark.parametrize(
    ("read", "content", "found"),
    [
        (read_inertial, mat("d_iner", inertial()), 7),
        (read_skeleton, mat("d_skel", skeleton()), 5),
        (read_depth, mat("d_depth", depth()), 20),
    ],
)
def test_a_length_other_than_the_manifests_is_refused(
    read: Any, content: bytes, found: int
) -> None:
    with pytest.raises(RecordingError, match=rf"holds {found} \w+ where the manifest lists 99"):
        read(content, known(99))


@pytest.mark.parametrize("read", [read_inertial, read_skeleton, read_depth, reader_of("rgb")])
def test_an_empty_file_is_refused_by_every_reader(read: Any) -> None:
    with pytest.raises(RecordingError, match="the file is empty") as met:
        read(b"", REF)
    assert met.value.path == REF.path


def test_a_file_of_another_modality_is_refused_with_what_it_holds() -> None:
    with pytest.raises(RecordingError, match=re.escape("no variable 'd_iner': found ['d_skel']")):
        read_inertial(mat("d_skel", skeleton()), REF)


def test_the_registry_finds_every_reader_and_names_what_there_is() -> None:
    assert readable("utd-mhad", "inertial").read is READERS["utd-mhad"]["inertial"].read
    assert sorted(READERS["utd-mhad"]) == ["depth", "inertial", "rgb", "skeleton"]
    with pytest.raises(ConfigError, match=r"no readers for data set 'ntu': there are .*utd-mhad"):
        readable("ntu", "rgb")
    with pytest.raises(ConfigError, match=r"modality 'sound' of utd-mhad: there are .*'depth'"):
        readable("utd-mhad", "sound")


def test_importing_the_registry_imports_no_decoder() -> None:
    code = (
        "import sys, pipeline.readers.registry;"
        "sys.exit(bool({'av', 'scipy', 'h5py', 'isal'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.real
def test_real_recordings_are_in_the_published_units() -> None:
    root = utd_mhad_root()
    for trial in ("a1_s1_t1", "a22_s7_t4", "a27_s3_t2"):
        path = f"Inertial/{trial}_inertial.mat"
        ref = StreamRef(name="inertial", path=path)
        moved = readable("utd-mhad", "inertial").read([((root / path).read_bytes(), ref)])
        path = f"Skeleton/{trial}_skeleton.mat"
        ref = StreamRef(name="skeleton", path=path)
        joints = readable("utd-mhad", "skeleton").read([((root / path).read_bytes(), ref)])
        path = f"Depth/{trial}_depth.mat"
        ref = StreamRef(name="depth", path=path)
        seen = readable("utd-mhad", "depth").read([((root / path).read_bytes(), ref)])
        assert isinstance(moved, Signal)
        assert isinstance(joints, Signal)
        assert isinstance(seen, Frames)

        assert 107 <= len(moved.values) <= 326
        gravity_g = np.median(np.linalg.norm(moved.values[:, :3], axis=1))
        assert 0.7 < gravity_g < 1.4
        assert np.abs(moved.values[:, 3:]).max() <= 1001
        head, foot = JOINTS.index("head"), JOINTS.index("left_foot")
        assert 1.0 < np.median(joints.values[:, head, 1] - joints.values[:, foot, 1]) < 2.0
        assert seen.n_frames == len(joints.values)
        for frames, _ in seen.blocks:
            assert frames[frames > 0].min() > 1500
            assert frames.max() < 4100
