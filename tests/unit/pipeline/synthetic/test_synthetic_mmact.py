"""A fabricated MMAct tree: what is where, the same bytes twice, lists of clips, refusals."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import av
import pytest
from click.testing import CliRunner

from cli import dmft, main
from pipeline.contract import ConfigError
from pipeline.synthetic import mmact
from pipeline.synthetic.mmact import choose, is_done, plan, read_structure, some_classes, write_tree
from pipeline.synthetic.mmact_trial import CLASSES, SPREAD, Form, MmactTrial, scene_of

SMALL = Form(kinds=("rgb", "inertial", "skeleton", "wifi", "pressure"), width=64, height=36)
COUNTS = {
    "seed": 0,
    "subjects": (1, 11),
    "scenes": (1, 3),
    "sessions": (5,),
    "cameras": (2, 4),
    "classes": ("carrying_heavy", "drinking", "using_phone"),
    "seconds": 0.5,
}


def files_of(tree: Path) -> dict[str, str]:
    return {
        path.relative_to(tree).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(tree.rglob("*.*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mmact")
    write_tree(out, plan(**COUNTS), SMALL)
    return out


def test_every_trial_has_its_clips_poses_and_sensors_where_mmact_has_them(tree: Path) -> None:
    folders = {path.rpartition("/")[0] for path in files_of(tree)}
    trials = [f"subject{subject}/scene{scene}/session5" for subject in (1, 11) for scene in (1, 3)]
    for trial in trials:
        subject, rest = trial.split("/", 1)
        for sensor in ("acc_phone_clip", "acc_watch_clip", "gyro_clip", "orientation_clip"):
            assert f"{sensor}/{trial}" in folders
        for top in ("wifi", "pressure"):
            assert f"{top}/{trial}" in folders
        for camera in (2, 4):
            for top in ("trainval", "pose"):
                assert f"{top}/{subject}/cam{camera}/{rest}" in folders
    assert len(folders) == 4 * (4 + 2 + 2 * 2)


def test_scene_3_has_the_desks_classes_and_only_some_people_carry_heavy_things(tree: Path) -> None:
    names = {
        (path.parts[-4], path.parts[-3], path.stem) for path in (tree / "gyro_clip").rglob("*.csv")
    }
    assert names == {
        ("subject1", "scene1", "using_phone"),
        ("subject1", "scene3", "drinking"),
        ("subject1", "scene3", "using_phone"),
        ("subject11", "scene1", "carrying_heavy"),
        ("subject11", "scene1", "using_phone"),
        ("subject11", "scene3", "drinking"),
        ("subject11", "scene3", "using_phone"),
    }


def test_a_tree_of_everything_has_mmacts_classes_in_mmacts_scenes() -> None:
    people = range(1, 21)
    held = {
        scene: {name for name in CLASSES if any(is_done(name, scene, who) for who in people)}
        for scene in (1, 2, 3, 4)
    }
    assert [len(held[scene]) for scene in (1, 2, 3, 4)] == [28, 28, 9, 28]
    assert held[1] & held[3] == {"talking_on_phone", "using_phone"}
    assert len(held[1] | held[3]) == 35
    assert {who for who in people if is_done("carrying_light", 2, who)} == set(range(11, 21))


def test_clips_of_a_trial_have_as_many_frames_as_its_performance_lasts(tree: Path) -> None:
    for trial in plan(**COUNTS):
        duration = scene_of(trial).performance.duration_s
        for camera, stem in trial.clips:
            path = tree / SMALL.clip("trainval", trial, camera, f"{stem}.mp4")
            with av.open(str(path)) as container:
                stream = container.streams.video[0]
                frames = list(container.decode(stream))
                assert float(stream.average_rate or 0) == pytest.approx(29.97, abs=0.01)
            assert len(frames) == round(duration * 29.97)
            assert (frames[0].width, frames[0].height) == (64, 36)
            poses = json.loads(
                (tree / SMALL.clip("pose", trial, camera, f"{stem}.json")).read_text()
            )
            assert [pose["frame"] for pose in poses] == list(range(len(frames)))
            points = next(pose for pose in poses if pose["persons"])["persons"][0]["keypoints"]
            assert [len(point) for point in points] == [3] * 17


def test_classes_last_in_the_proportion_of_the_real_ones() -> None:
    lengths = {
        trial.action: scene_of(trial).performance.duration_s
        for trial in plan(**{**COUNTS, "classes": CLASSES, "seconds": 7.0})
    }
    assert 1.6 < lengths["carrying_heavy"] / lengths["using_phone"] < 3.2
    assert 2.5 < lengths["jumping"] < 5.5


def test_the_same_seed_writes_the_same_bytes_by_any_number_of_processes(
    tree: Path, tmp_path: Path
) -> None:
    write_tree(tmp_path, plan(**COUNTS)[::-1], SMALL, n_jobs=2)
    assert files_of(tmp_path) == files_of(tree)


def test_another_seed_subject_or_session_writes_other_bytes(tmp_path: Path) -> None:
    base = {**COUNTS, "classes": ("using_phone",), "subjects": (1,), "scenes": (1,)}
    others = [{}, {"seed": 1}, {"subjects": (2,)}, {"sessions": (4,)}, {"scenes": (3,)}]
    contents = set()
    for number, other in enumerate(others):
        out = tmp_path / str(number)
        write_tree(out, plan(**{**base, **other}), Form(kinds=("inertial",)))
        contents |= set(files_of(out).values())
    assert len(contents) == 4 * len(others)


@pytest.mark.parametrize(
    ("value", "numbers"),
    [
        ("2", (1, 17)),
        ("4", (1, 2, 11, 17)),
        ("21", tuple(range(1, 22))),
        ("4,", (4,)),
        ("1-3,17", (1, 2, 3, 17)),
    ],
)
def test_numbers_are_given_by_how_many_or_which(value: str, numbers: tuple[int, ...]) -> None:
    assert choose(value, *mmact.CHOICES["subjects"]) == numbers


@pytest.mark.parametrize("value", ["0", "1000", "3-x", "", ",", "5-2", "0-3", "998-1001"])
def test_numbers_that_are_neither_are_refused(value: str) -> None:
    with pytest.raises(ConfigError, match=rf"^'{value}': wanted how many, or which"):
        choose(value, *mmact.CHOICES["subjects"])


def test_a_count_of_classes_takes_those_that_the_scenes_have() -> None:
    assert sorted(SPREAD) == sorted(CLASSES)
    assert some_classes(3, (1,), (1,)) == ("pushing", "using_phone", "walking")
    assert some_classes(99, (3,), (1,)) == tuple(
        name for name in CLASSES if name in mmact.DESK | mmact.ANYWHERE
    )
    assert "carrying_heavy" not in some_classes(99, (1,), (1, 2))


def clip_list(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(["subject,camera,scene,session,file_stem,n_frames", *rows]) + "\n")
    return path


def test_a_tree_of_a_list_has_its_clips_and_a_sensor_file_a_trial(tmp_path: Path) -> None:
    listed = clip_list(
        tmp_path / "clips.csv",
        "1,1,1,1,walking,200",
        "1,2,1,1,walking,201",
        "14,1,1,2,Carrying_light,400",
        "14,4,1,2,Carrying_light,400",
        "3,4,2,5,walking,190",
    )
    trials = read_structure(listed, seed=0, seconds=1.0)
    assert [(t.subject, t.action, len(t.clips)) for t in trials] == [
        (1, "walking", 2),
        (3, "walking", 1),
        (14, "carrying_light", 2),
    ]
    out = tmp_path / "raw"
    write_tree(out, trials, Form(width=64, height=36), link_films=True)
    clips = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.mp4"))
    assert clips == [
        "trainval/subject1/cam1/scene1/session1/walking.mp4",
        "trainval/subject1/cam2/scene1/session1/walking.mp4",
        "trainval/subject14/cam1/scene1/session2/Carrying_light.mp4",
        "trainval/subject14/cam4/scene1/session2/Carrying_light.mp4",
        "trainval/subject3/cam4/scene2/session5/walking.mp4",
    ]
    assert len({(out / clip).stat().st_ino for clip in clips}) == 2
    sensors = list((out / "acc_watch_clip").rglob("*.csv"))
    assert len(sensors) == 3
    assert len({path.read_bytes() for path in sensors}) == 3
    assert not (out / ".films").exists()
    with av.open(str(out / clips[0])) as container:
        assert len(list(container.decode(video=0))) > 10


def test_writing_over_a_linked_clip_leaves_the_other_clips_of_its_film_alone(
    tmp_path: Path,
) -> None:
    """Once the new film went through the hard link into every clip of the class."""
    rows = ("1,1,1,1,walking,200", "1,2,1,1,walking,200")
    trials = read_structure(clip_list(tmp_path / "clips.csv", *rows), seed=0, seconds=0.5)
    out, form = tmp_path / "raw", Form(kinds=("rgb",), width=32, height=18)
    (out / ".films").mkdir(parents=True)  # as a run that was stopped leaves it
    write_tree(out, trials, form, link_films=True)
    first, second = sorted(out.rglob("*.mp4"))
    before = second.read_bytes()
    write_tree(out, [replace(trials[0], seed=1, clips=((1, "walking"),))], form)
    assert first.read_bytes() != before
    assert second.read_bytes() == before


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,1,1,one,walking,9", r"clips\.csv: line 2 is \['1', '1', '1', 'one', .*wanted numbers"),
        ("1,1,1,1,flying,9", r"clips\.csv: line 2 has file stem 'flying': wanted one of carrying"),
        ("1,5,1,1,walking,9", "camera 5: wanted 1 to 4"),
    ],
)
def test_a_list_with_a_wrong_row_is_refused(row: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        read_structure(clip_list(tmp_path / "clips.csv", row), seed=0, seconds=1.0)


def test_a_list_without_rows_or_with_other_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"clips\.csv: has no rows"):
        read_structure(clip_list(tmp_path / "clips.csv"), seed=0, seconds=1.0)
    other = tmp_path / "other.csv"
    other.write_text("subject,file\n1,walking\n")
    with pytest.raises(ConfigError, match=r"other\.csv: columns are \['subject', 'file'\]: wanted"):
        read_structure(other, seed=0, seconds=1.0)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("action", "flying", "class 'flying': wanted one of carrying"),
        ("subject", 0, "subject 0: wanted 1 to 9999"),
        ("scene", 5, "scene 5: wanted 1 to 4"),
        ("session", 100, "session 100: wanted 1 to 99"),
        ("seconds", 0.1, r"seconds is 0\.1: wanted 0\.5 to 60"),
        ("clips", ((6, "walking"),), "camera 6: wanted 1 to 4"),
    ],
)
def test_a_trial_out_of_range_is_refused(field: str, value: object, message: str) -> None:
    right = {"seed": 0, "subject": 1, "scene": 1, "session": 1, "seconds": 1.0}
    with pytest.raises(ConfigError, match=message):
        MmactTrial(**{**right, "action": "walking", "clips": (), field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("kinds", ("rgb", "smell"), r"kinds are \['rgb', 'smell'\]: wanted some of"),
        ("kinds", (), r"kinds are \[\]: wanted some of"),
        ("width", 65, "width is 65: wanted 16 or more, even"),
        ("height", 8, "height is 8: wanted 16 or more, even"),
    ],
)
def test_a_form_that_cannot_be_written_is_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Form(**{field: value})  # type: ignore[arg-type]


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(dmft, ["synth", "mmact", *arguments])
    return result.exit_code, result.output


TINY = ["--subjects", "1", "--sessions", "1", "--classes", "1", "--seconds", "0.5", "--jobs", "1"]


def test_the_command_writes_a_tree_and_says_what_to_run_next(tmp_path: Path) -> None:
    out = tmp_path / "raw"
    code, output = run(str(out), *TINY, "--cameras", "2", "--size", "64x36")
    assert code == 0
    assert f"1 trials, 2 views (rgb, inertial; 0.0 MB) in {out}" in output
    assert f"dmft manifest build mmact {out} -o raw.jsonl" in output
    assert len(list(out.rglob("*.mp4"))) == 2
    assert len(list(out.rglob("*.csv"))) == 4
    assert not (tmp_path / "raw.irregular.jsonl").exists()


def test_the_command_writes_the_tree_of_a_list(tmp_path: Path) -> None:
    listed = clip_list(tmp_path / "clips.csv", "1,1,1,1,walking,200", "2,2,4,3,fall,150")
    code, output = run(str(tmp_path / "raw"), "--structure", str(listed), "--jobs", "1")
    assert code == 0
    assert "2 trials, 2 views" in output
    assert (tmp_path / "raw/trainval/subject2/cam2/scene4/session3/fall.mp4").is_file()


def test_the_command_refuses_a_folder_that_holds_something_unless_forced(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    code, output = run(str(tmp_path), *TINY, "--modalities", "inertial")
    assert code == 2
    assert f"{tmp_path} exists and is not empty" in output
    code, _ = run(str(tmp_path), *TINY, "--modalities", "inertial", "--force")
    assert code == 0
    assert (tmp_path / "precious.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "640"], "'640': wanted WIDTHxHEIGHT, such as 1920x1080"),
        (["--modalities", "rgb,sound"], "'rgb,sound': wanted some of rgb,inertial,skeleton"),
        (["--scenes", "3,", "--classes", "walking"], "nobody of --subjects 4 does any of"),
    ],
)
def test_the_command_refuses_what_it_cannot_read(
    options: list[str], message: str, tmp_path: Path
) -> None:
    code, output = run(str(tmp_path / "raw"), *options)
    assert code == 2
    assert message in " ".join(output.split())
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "641x480"], "width is 641: wanted 16 or more, even"),
        (["--subjects", "0"], "'0': wanted how many, or which as in 1-3,5; 1 to 999"),
        (["--classes", "walking,flying"], "class 'flying': wanted one of carrying"),
        (["--irregular", "ghosts"], "irregularity 'ghosts': wanted all or some of zero-padded"),
        (["--irregular", "all"], "1 trials for 12 irregularities of single trials"),
    ],
)
def test_the_command_refuses_what_it_cannot_make_and_makes_no_folder(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["synth", "mmact", str(tmp_path / "raw"), *TINY, *options])
    assert message in capsys.readouterr().err
    assert not (tmp_path / "raw").exists()
