"""Every irregularity of a fabricated MMAct tree is really there, and listed where it is."""

from __future__ import annotations

import contextlib
import json
import tarfile
from collections import defaultdict
from datetime import datetime
from pathlib import Path

import av
import pytest
from click.testing import CliRunner

from cli import dmft
from pipeline.contract import ConfigError
from pipeline.synthetic.irregular import (
    IRREGULARITIES,
    ORIENTATION_HZ,
    STRAY_FILES,
    TREE_WIDE,
    assign,
    chosen,
)
from pipeline.synthetic.mmact import plan, write_tree
from pipeline.synthetic.mmact_trial import Form

SINGLE = [name for name in IRREGULARITIES if name not in TREE_WIDE]
COUNTS = {
    "seed": 3,
    "subjects": (1, 2),
    "scenes": (1,),
    "sessions": (1, 2),
    "cameras": (1, 2),
    "classes": ("fall", "jumping", "kicking"),
    "seconds": 1.0,
}
FORM = Form(width=32, height=18)
Listed = dict[str, dict[str, str]]


def fabricate(out: Path, *names: str) -> Listed:
    """Write a tree; what was done, by irregularity and path."""
    written = write_tree(out, plan(**COUNTS), FORM, irregular=names, share=0.0)
    listed: Listed = defaultdict(dict)
    for item in written.irregular:
        listed[item.irregularity][item.path] = item.detail
    return listed


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("plain")
    fabricate(out)
    return out


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Listed]:
    out = tmp_path_factory.mktemp("spoilt")
    return out, fabricate(out, *SINGLE)


def n_frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return len(list(container.decode(video=0)))


def moment(line: str) -> datetime:
    stamp = line.split(",")[0]
    return datetime.strptime(stamp, "%Y%m%d_%H:%M:%S" + (".%f" if "." in stamp else ""))


def test_every_irregularity_of_single_trials_is_done_and_listed_at_least_once(
    spoilt: tuple[Path, Listed],
) -> None:
    assert set(spoilt[1]) == set(SINGLE)


def test_a_file_that_is_not_listed_is_the_regular_one(
    plain: Path, spoilt: tuple[Path, Listed]
) -> None:
    out, listed = spoilt
    touched = {path for paths in listed.values() for path in paths}
    n_same = 0
    for path in out.rglob("*.*"):
        name = path.relative_to(out).as_posix()
        if path.is_file() and name not in touched:
            assert path.read_bytes() == (plain / name).read_bytes(), name
            n_same += 1
    assert n_same > 40
    missing = {path.relative_to(plain).as_posix() for path in plain.rglob("*.*") if path.is_file()}
    missing = {name for name in missing if not (out / name).exists() and name not in touched}
    # What is not there under its own name is there in another letter case, or in that listed.
    renamed = {name.lower() for name in listed["letter-case"]}
    assert {name.lower() for name in missing} <= renamed


def test_lost_views_and_films_are_not_there_while_their_sensors_are(
    spoilt: tuple[Path, Listed],
) -> None:
    out, listed = spoilt
    assert len(listed["missing-view"]) == 1
    assert len(listed["no-video"]) == 2
    for name in ("missing-view", "no-video"):
        for path in listed[name]:
            assert not (out / path).exists()
            subject, _, scene, session, stem = path.split("/")[1:]
            for sensor in ("acc_phone", "gyro"):
                folder = out / f"{sensor}_clip" / subject / scene / session
                assert (folder / stem.replace(".mp4", ".csv")).is_file()
    view = next(iter(listed["missing-view"]))
    other = view.replace("cam1", "cam?").replace("cam2", "cam?")
    assert sum((out / other.replace("?", camera)).exists() for camera in "12") == 1


def test_one_camera_has_a_frame_less_than_the_other(spoilt: tuple[Path, Listed]) -> None:
    out, listed = spoilt
    (path,) = listed["frame-count"]
    twin = path.replace("cam1", "cam?").replace("cam2", "cam1").replace("cam?", "cam2")
    assert n_frames(out / path) == n_frames(out / twin) - 1


def test_a_truncated_film_cannot_be_decoded_to_its_end(
    plain: Path, spoilt: tuple[Path, Listed]
) -> None:
    out, listed = spoilt
    ((path, detail),) = listed["truncated-video"].items()
    whole = (plain / path).read_bytes()
    assert whole.startswith((out / path).read_bytes())
    assert detail == f"{(out / path).stat().st_size} of {len(whole)} bytes"
    n_left = 0
    with contextlib.suppress(av.FFmpegError), av.open(str(out / path)) as container:
        # The index of an .mp4 stands at its end: without it, there may be no stream at all.
        for stream in container.streams.video:
            n_left = len(list(container.decode(stream)))
    assert n_left < n_frames(plain / path)


def test_a_sensor_is_lost_and_another_empty(spoilt: tuple[Path, Listed]) -> None:
    out, listed = spoilt
    (lost,) = listed["missing-sensor"]
    assert not (out / lost).exists()
    assert (out / lost).parent.is_dir()
    (empty,) = listed["empty-sensor"]
    assert (out / empty).read_bytes() == b""


def test_a_clock_is_off_by_the_hours_that_are_listed(
    plain: Path, spoilt: tuple[Path, Listed]
) -> None:
    out, listed = spoilt
    ((path, detail),) = listed["clock"].items()
    now = [moment(line) for line in (out / path).read_text().splitlines()]
    right = [moment(line) for line in (plain / path).read_text().splitlines()]
    hours = {(a - b).total_seconds() / 3600 for a, b in zip(now, right, strict=True)}
    assert hours == {float(detail.removesuffix(" h"))}
    assert abs(hours.pop()) >= 3


def test_rows_at_whole_seconds_lose_their_fraction_and_stay_in_order(
    plain: Path, spoilt: tuple[Path, Listed]
) -> None:
    out, listed = spoilt
    ((path, detail),) = listed["no-fraction"].items()
    lines = (out / path).read_text().splitlines()
    right = (plain / path).read_text().splitlines()
    bare = [index for index, line in enumerate(lines) if "." not in line.split(",")[0]]
    assert detail == f"{len(bare)} rows"
    assert bare
    for index in range(len(right)):
        assert lines[index].split(",")[1:] == right[index].split(",")[1:]
        off = (moment(right[index]) - moment(lines[index])).total_seconds()
        assert 0 <= off < (0.09 if index in bare else 1e-9)


def test_unsorted_rows_are_the_same_rows_in_another_order(
    plain: Path, spoilt: tuple[Path, Listed]
) -> None:
    out, listed = spoilt
    ((path, detail),) = listed["unsorted-rows"].items()
    lines = (out / path).read_text().splitlines()
    right = (plain / path).read_text().splitlines()
    assert sorted(lines) == sorted(right)
    moved = sum(a != b for a, b in zip(lines, right, strict=True))
    assert detail == f"{moved} rows"
    assert moved > len(right) / 8


def test_duplicate_rows_follow_themselves(plain: Path, spoilt: tuple[Path, Listed]) -> None:
    out, listed = spoilt
    ((path, detail),) = listed["duplicate-rows"].items()
    lines = (out / path).read_text().splitlines()
    right = (plain / path).read_text().splitlines()
    assert detail == f"{len(lines) - len(right)} rows"
    assert list(dict.fromkeys(lines)) == right
    assert len(lines) > len(right)


def test_garbage_stands_between_rows_that_are_all_there(
    plain: Path, spoilt: tuple[Path, Listed]
) -> None:
    out, listed = spoilt
    ((path, detail),) = listed["garbage"].items()
    lines = (out / path).read_text().splitlines()
    right = (plain / path).read_text().splitlines()
    kept = set(right)
    assert [line for line in lines if line in kept] == right
    assert detail == f"{len(lines) - len(right)} rows"
    assert "time,x,y,z" in lines
    assert "" in lines


def test_letter_case_differs_in_films_and_in_folders_of_sensors(
    plain: Path, spoilt: tuple[Path, Listed]
) -> None:
    out, listed = spoilt
    films = [path for path in listed["letter-case"] if path.startswith("trainval/")]
    sensors = [path for path in listed["letter-case"] if not path.startswith("trainval/")]
    assert len(films) == 2
    assert len(sensors) == 4
    for path in films:
        assert Path(path).stem[0].isupper()
    for path in sensors:
        assert "/Subject" in path
    for path in films + sensors:
        assert not (plain / path).exists()
        lower = path.lower()
        assert (out / path).read_bytes() == (plain / lower).read_bytes()


def test_a_whole_tree_can_be_padded_in_another_order_packed_and_littered(
    plain: Path, tmp_path: Path
) -> None:
    out = tmp_path / "raw"
    listed = fabricate(out, *TREE_WIDE)
    assert set(listed) == set(TREE_WIDE)
    for subject in (1, 2):
        for camera in (1, 2):
            right = plain / f"trainval/subject{subject}/cam{camera}/scene1/session2/fall.mp4"
            moved = out / f"trainval/cam0{camera}/scene01/subject0{subject}/session02/fall.mp4"
            assert moved.read_bytes() == right.read_bytes()
    for sensor in ("acc_phone", "acc_watch", "gyro", "orientation"):
        assert not (out / f"{sensor}_clip").exists()
        with tarfile.open(out / f"{sensor}_clip.tar.gz") as archive:
            names = archive.getnames()
            assert len(names) == 12
            assert names[0] == f"{sensor}_clip/subject1/scene1/session1/fall.csv"
            if sensor != "orientation":
                member = archive.extractfile(names[0])
                assert member is not None
                assert member.read() == (plain / names[0]).read_bytes()
            else:
                assert set(names) == set(listed["orientation-rate"])
                assert len(set(listed["orientation-rate"].values())) > 1
                for name in names:
                    member = archive.extractfile(name)
                    assert member is not None
                    lines = member.read().decode().splitlines()
                    rate = float(listed["orientation-rate"][name].removesuffix(" Hz"))
                    assert rate in ORIENTATION_HZ
                    regular = (plain / name).read_text().splitlines()
                    assert len(lines) == pytest.approx(len(regular) * rate / 50, abs=1)
    for path, content in STRAY_FILES.items():
        assert (out / path).read_bytes() == content


def test_the_same_seed_does_the_same_wrongs_to_the_same_bytes(
    spoilt: tuple[Path, Listed], tmp_path: Path
) -> None:
    out, listed = spoilt
    again = tmp_path / "again"
    names = [*SINGLE, "tar-gz"]
    assert fabricate(again, *SINGLE) == listed
    for path in out.rglob("*.*"):
        if path.is_file():
            assert (again / path.relative_to(out)).read_bytes() == path.read_bytes()
    packed = [tmp_path / "one", tmp_path / "two"]
    for tree in packed:
        fabricate(tree, *names)
    one, two = ((tree / "gyro_clip.tar.gz").read_bytes() for tree in packed)
    assert one == two


def test_a_share_of_the_trials_suffers_each_irregularity() -> None:
    suffered = assign(("clock", "garbage", "tar-gz"), 40, 0.25, seed=0)
    for name, count in (("clock", 10), ("garbage", 10), ("tar-gz", 0)):
        assert sum(name in each for each in suffered) == count
    assert max(len(each) for each in suffered) == 1


def test_fewer_trials_than_irregularities_are_refused() -> None:
    with pytest.raises(ConfigError, match="1 trials for 2 irregularities of single trials"):
        assign(("clock", "garbage", "tar-gz"), 1, 0.1, seed=0)


def test_all_stands_for_everything_that_can_be_irregular() -> None:
    assert chosen(["all"], ("rgb", "inertial"), 4) == tuple(IRREGULARITIES)
    only_sensors = chosen(["all"], ("inertial",), 4)
    assert "truncated-video" not in only_sensors
    assert "clock" in only_sensors
    assert "missing-view" not in chosen(["all"], ("rgb", "inertial"), 1)


@pytest.mark.parametrize(
    ("name", "kinds", "n_cameras", "message"),
    [
        ("ghosts", ("rgb",), 4, "irregularity 'ghosts': wanted all or some of zero-padded"),
        ("clock", ("rgb",), 4, "irregularity 'clock' needs inertial, which the tree lacks"),
        ("missing-view", ("rgb",), 1, "'missing-view' needs a second camera, which the tree lacks"),
    ],
)
def test_what_cannot_be_irregular_is_refused_by_name(
    name: str, kinds: tuple[str, ...], n_cameras: int, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        chosen([name], kinds, n_cameras)


def test_the_command_prints_and_lists_what_it_did_to_which_file(tmp_path: Path) -> None:
    out = tmp_path / "raw"
    options = ["--subjects", "1", "--sessions", "1", "--classes", "2", "--seconds", "0.5"]
    only = ["--modalities", "inertial", "--jobs", "1", "--irregular", "empty-sensor,clock"]
    result = CliRunner().invoke(dmft, ["synth", "mmact", str(out), *options, *only])
    assert result.exit_code == 0
    listed = [
        json.loads(line) for line in (tmp_path / "raw.irregular.jsonl").read_text().splitlines()
    ]
    assert [item["irregularity"] for item in listed] == ["clock", "empty-sensor"]
    for item in listed:
        assert f"{item['irregularity']}: 1, first {item['path']} ({item['detail']})" in (
            result.output
        )
    assert (out / listed[1]["path"]).read_bytes() == b""


def test_every_irregularity_is_named_in_the_commands_help() -> None:
    output = CliRunner().invoke(dmft, ["synth", "mmact", "--help"]).output
    for name in IRREGULARITIES:
        assert name in output.replace("-\n  ", "-"), name
