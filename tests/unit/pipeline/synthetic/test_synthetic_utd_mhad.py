"""A fabricated UTD-MHAD tree: names, formats, agreement of the modalities, refusals."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner
from scipy.io import loadmat

from cli import dmft
from pipeline.contract import ConfigError
from pipeline.synthetic import utd_mhad
from pipeline.synthetic.body import JOINT
from pipeline.synthetic.films import AVI_HZ
from pipeline.synthetic.render import COLOUR_CAMERA, DEPTH_CAMERA, LIMBS, see
from pipeline.synthetic.utd_mhad import SPREAD, UtdTrial, plan, scene_of, write_tree

WAVE = UtdTrial(seed=0, action=3, subject=1, trial=1)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("raw")
    write_tree(out, [WAVE])
    return out


def test_files_have_the_names_keys_shapes_and_types_of_the_real_ones(tree: Path) -> None:
    found = sorted(path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file())
    assert found == [
        "Depth/a3_s1_t1_depth.mat",
        "FABRICATED",
        "Inertial/a3_s1_t1_inertial.mat",
        "RGB/a3_s1_t1_color.avi",
        "Skeleton/a3_s1_t1_skeleton.mat",
    ]
    n = round(scene_of(WAVE).performance.duration_s * utd_mhad.SKELETON_HZ)
    skeleton = loadmat(tree / found[4])["d_skel"]
    depth = loadmat(tree / found[0])["d_depth"]
    inertial = loadmat(tree / found[2])["d_iner"]
    assert (skeleton.shape, skeleton.dtype) == ((20, 3, n), np.float64)
    assert (depth.shape, depth.dtype) == ((240, 320, n), np.uint16)
    assert inertial.shape[1] == 6
    assert inertial.dtype == np.float64
    assert 2.4 < len(inertial) / n < 2.9
    assert 0.9 < (depth == 0).mean() < 0.96
    assert depth[depth > 0].min() > 1500
    assert depth.max() < 4000


def test_mat_files_are_version_5_compressed_and_undated(tree: Path) -> None:
    content = (tree / "Depth/a3_s1_t1_depth.mat").read_bytes()
    assert content.startswith(b"MATLAB 5.0 MAT-file, fabricated by dmft synth")
    assert b"Created on" not in content[:128]
    assert content[124:128] == b"\x00\x01IM"
    assert int.from_bytes(content[128:132], "little") == 15  # miCOMPRESSED


def test_the_colour_video_holds_the_frames_that_its_header_promises(tree: Path) -> None:
    with av.open(str(tree / "RGB/a3_s1_t1_color.avi")) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert stream.frames == len(frames)
        assert stream.average_rate == 15
    assert len(frames) == round(scene_of(WAVE).performance.duration_s * 15)
    assert frames[0].shape == (480, 640, 3)


def test_the_colour_silhouette_lies_on_the_depth_silhouette() -> None:
    view = scene_of(WAVE)
    joints = view.pose(np.array([view.performance.duration_s / 2])).joints[0]
    girth = view.person.body.girth
    depth = see(joints, DEPTH_CAMERA, girth)
    colour = see(joints, COLOUR_CAMERA, girth)
    # Carry every depth pixel into the colour image through its point in space.
    row, column = np.nonzero(depth.limb >= 0)
    z = depth.depth_m[row, column].astype(np.float64)
    x = (column + 0.5 - DEPTH_CAMERA.width / 2) * z / DEPTH_CAMERA.focal_px
    y = (DEPTH_CAMERA.height / 2 - row - 0.5) * z / DEPTH_CAMERA.focal_px
    place = COLOUR_CAMERA.project(np.stack([x, y, z], axis=-1)).astype(int)
    assert (colour.limb[place[:, 1], place[:, 0]] >= 0).mean() > 0.97


def test_what_moves_in_colour_is_where_the_body_is(tree: Path) -> None:
    view = scene_of(WAVE)
    with av.open(str(tree / "RGB/a3_s1_t1_color.avi")) as container:
        frames = np.stack([f.to_ndarray(format="gray") for f in container.decode(video=0)])
    spread = frames[:, :-1, :-1].astype(np.float32).std(axis=0)
    joints = view.pose(view.frame_times_s(float(AVI_HZ))).joints
    ever = np.zeros(spread.shape, dtype=bool)
    for frame in joints:
        ever |= see(frame, COLOUR_CAMERA, view.person.body.girth).limb[:-1, :-1] >= 0
    assert ever[spread > 25].mean() > 0.95
    assert (spread > 25).sum() > 300


def test_depth_at_a_joint_is_the_joints_depth_less_at_most_a_limbs_radius(tree: Path) -> None:
    depth = loadmat(tree / "Depth/a3_s1_t1_depth.mat")["d_depth"]
    view = scene_of(WAVE)
    joints = view.pose(view.frame_times_s(utd_mhad.SKELETON_HZ)).joints
    widest = 1000 * view.person.body.girth * max(limb.end_radius_m for limb in LIMBS)
    step = 40  # a Kinect's depth step at this distance, and its noise
    pixels = DEPTH_CAMERA.project(joints).astype(int)
    for name in ("shoulder_center", "left_elbow", "left_knee", "right_knee"):
        joint = JOINT[name]
        for t in range(len(joints)):
            seen = int(depth[pixels[t, joint, 1], pixels[t, joint, 0], t])
            assert seen > 0, name
            assert -step < 1000 * joints[t, joint, 2] - seen < widest + step, name


def test_the_same_numbers_write_the_same_bytes_in_any_order_by_any_number_of_processes(
    tmp_path: Path,
) -> None:
    records = [UtdTrial(seed=5, action=a, subject=s, trial=1) for a in (1, 22) for s in (1, 2)]
    small = ["skeleton", "inertial"]
    write_tree(tmp_path / "one", records, small)
    write_tree(tmp_path / "two", records[::-1], small, n_jobs=2)
    for path in sorted((tmp_path / "one").rglob("*.mat")):
        twin = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert path.read_bytes() == twin.read_bytes(), path.name


def test_images_are_the_same_bytes_twice(tree: Path, tmp_path: Path) -> None:
    write_tree(tmp_path, [WAVE], ["rgb", "depth"])
    for name in ("RGB/a3_s1_t1_color.avi", "Depth/a3_s1_t1_depth.mat"):
        assert (tmp_path / name).read_bytes() == (tree / name).read_bytes()


def test_subjects_trials_and_seeds_differ() -> None:
    base = {"seed": 0, "action": 3, "subject": 1, "trial": 1}
    first = utd_mhad.skeleton(scene_of(UtdTrial(**base)))
    for name in base:
        other = utd_mhad.skeleton(scene_of(UtdTrial(**{**base, name: base[name] + 1})))
        n = min(first.shape[2], other.shape[2])
        assert np.abs(first[:, :, :n] - other[:, :, :n]).max() > 0.02, name


def test_records_of_a_subject_share_one_body() -> None:
    one, two = (scene_of(UtdTrial(seed=0, action=a, subject=4, trial=2)).person for a in (1, 22))
    assert one == two
    assert one.body != scene_of(UtdTrial(seed=0, action=1, subject=5, trial=2)).person.body


def test_a_plan_has_every_record_once_and_a_smaller_one_is_part_of_a_greater() -> None:
    every = plan(seed=0, n_actions=27, n_subjects=8, n_trials=4)
    assert len({trial.id for trial in every}) == 864
    few = plan(seed=0, n_actions=8, n_subjects=4, n_trials=2)
    assert len(few) == 64
    assert set(few) < set(every)
    assert sorted(SPREAD) == list(range(1, 28))


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"n_actions": 28}, "actions is 28: wanted 1 to 27"),
        ({"n_subjects": 0}, "subjects is 0: wanted 1 to 999"),
        ({"n_trials": 1000}, "trials is 1000: wanted 1 to 999"),
    ],
)
def test_a_plan_out_of_range_is_refused(counts: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan(**{"seed": 0, "n_actions": 1, "n_subjects": 1, "n_trials": 1, **counts})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("action", 28, "action 28: wanted 1 to 27"),
        ("subject", 0, "subject 0: wanted 1 or more"),
        ("trial", -1, "trial -1: wanted 1 or more"),
        ("seed", -2, "seed -2: wanted 0 or more"),
    ],
)
def test_a_trial_out_of_range_is_refused(field: str, value: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        UtdTrial(**{"seed": 0, "action": 1, "subject": 1, "trial": 1, field: value})


@pytest.mark.parametrize("names", [["rgb", "sound"], []])
def test_unknown_modalities_are_refused(names: list[str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"modalities are \[.*\]: wanted some of"):
        write_tree(tmp_path, [WAVE], names)


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(dmft, ["synth", "utd-mhad", *arguments])
    return result.exit_code, result.output


def test_the_command_writes_a_tree_and_says_what_to_run_next(tmp_path: Path) -> None:
    out = tmp_path / "raw"
    options = ["--subjects", "2", "--actions", "1", "--trials", "1", "--jobs", "1"]
    code, output = run(str(out), *options, "--modalities", "inertial")
    assert code == 0
    assert f"2 records (inertial; 0.0 MB) in {out}" in output
    assert f"dmft manifest build utd-mhad {out} -o raw.jsonl" in output
    assert len(list((out / "Inertial").iterdir())) == 2
    assert not (out / "RGB").exists()


def test_the_command_refuses_a_folder_that_holds_something_unless_forced(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    options = [str(tmp_path), "--subjects", "1", "--actions", "1", "--trials", "1"]
    code, output = run(*options)
    assert code == 2
    assert f"{tmp_path} exists and is not empty" in output
    assert "--force" in output
    code, _ = run(*options, "--force", "--modalities", "skeleton")
    assert code == 0
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_the_command_refuses_an_unknown_modality(tmp_path: Path) -> None:
    code, output = run(str(tmp_path / "raw"), "--modalities", "rgb,sound")
    assert code == 2
    assert "'rgb,sound': wanted some of rgb,depth,skeleton,inertial" in output
