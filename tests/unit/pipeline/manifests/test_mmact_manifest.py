"""MMAct's trees and lists: folders in any order, sensors shared by the views of a trial."""

from __future__ import annotations

import importlib.resources
import tarfile
import tomllib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli import dmft
from pipeline.contract import ConfigError, ContractError, Record
from pipeline.manifests import (
    Manifest,
    ProblemKind,
    build,
    check,
    compare,
    load_manifest,
    save_manifest,
    shipped_manifest,
)
from pipeline.manifests.layout import LAYOUTS, layout_of
from pipeline.manifests.mmact import MMACT_CLASSES, MMACT_CLASSES_37
from pipeline.manifests.shipped import manifest_of_clips
from pipeline.raw.tree import RawTree
from pipeline.readers.registry import READERS, modalities_of

PROTOCOLS = Path(str(importlib.resources.files("data_manifests"))) / "protocols"
SENSORS = ("acc_phone", "acc_watch", "gyro", "orientation")
TRIAL = "subject1/scene1/session1"


def write(root: Path, path: str, content: bytes | None = None) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(path.encode() if content is None else content)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two trials, one seen by four cameras and one by two, and what lies about."""
    raw = tmp_path / "raw"
    for camera in range(1, 5):
        write(raw, f"trainval/subject1/cam{camera}/scene1/session1/walking.mp4")
    for camera in (1, 3):
        write(raw, f"trainval/cam{camera}/Subject02/scene3/Session_01/Using_Phone.mp4")
    for sensor in SENSORS:
        write(raw, f"{sensor}_clip/{TRIAL}/walking.csv")
    write(raw, "gyro_clip/subject02/scene3/session1/using_phone.csv", b"")
    write(raw, "trainval/readme.txt")
    write(raw, "gyro_clip/subject1/scene1/session1/._walking.csv")
    return raw


@pytest.fixture(scope="module")
def published() -> Manifest:
    return shipped_manifest("mmact")


def build_from(root: Path, **options: object) -> Manifest:
    return build("mmact", RawTree(root), jobs=1, **options).manifest  # type: ignore[arg-type]


def test_a_record_is_a_clip_and_its_trials_sensors(root: Path) -> None:
    found = build_from(root)
    assert [r.id for r in found.records] == [
        "subject1_cam1_scene1_session1_walking",
        "subject1_cam2_scene1_session1_walking",
        "subject1_cam3_scene1_session1_walking",
        "subject1_cam4_scene1_session1_walking",
        "subject2_cam1_scene3_session1_using_phone",
        "subject2_cam3_scene3_session1_using_phone",
    ]
    first = found.records[0]
    assert dict(first.attributes) == {"subject": 1, "camera": 1, "scene": 1, "session": 1}
    assert found.classes[first.label] == "walking"
    assert [s.name for s in first.streams["inertial"]] == list(SENSORS)
    assert all(r.streams["inertial"] == first.streams["inertial"] for r in found.records[:4])
    assert [s.name for s in found.records[5].streams["inertial"]] == ["gyro"]
    assert len(list(found.streams())) == 6 + 4 + 1


def test_a_shared_file_is_hashed_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: Counter[str] = Counter()
    digest = RawTree.digest

    def counting(tree: RawTree, path: str) -> tuple[int, str]:
        hashed[path] += 1
        return digest(tree, path)

    monkeypatch.setattr(RawTree, "digest", counting)
    manifest = build_from(root)
    assert set(hashed.values()) == {1}
    hashed.clear()
    assert check(manifest, RawTree(root)) == []
    assert len(hashed) == 11
    assert set(hashed.values()) == {1}


def test_a_manifest_with_shared_files_survives_its_file(root: Path, tmp_path: Path) -> None:
    manifest = build_from(root)
    save_manifest(manifest, tmp_path / "m.jsonl")
    assert load_manifest(tmp_path / "m.jsonl") == manifest


def test_archives_list_as_the_folders_that_they_hold(root: Path) -> None:
    from_folders = build_from(root)
    for sensor in SENSORS:
        with tarfile.open(root / f"{sensor}_clip.tar.gz", "w:gz") as tar:
            for path in sorted((root / f"{sensor}_clip").rglob("*.csv")):
                tar.add(path, path.relative_to(root).as_posix())
                path.unlink()
        for folder in sorted((root / f"{sensor}_clip").rglob("*"), reverse=True):
            folder.rmdir()
        (root / f"{sensor}_clip").rmdir()
    assert build_from(root) == from_folders
    assert check(from_folders, RawTree(root)) == []


def test_only_the_views_of_one_trial_share_and_only_sensors(root: Path) -> None:
    first, second, *_, other = build_from(root).records

    def claimed(one: Record, two: Record) -> None:
        Manifest(dataset="mmact", classes=MMACT_CLASSES, records=(one, two))

    claimed(first, second)
    with pytest.raises(ContractError, match=r"gyro_clip/.* is claimed by record subject2_cam3"):
        claimed(first, replace(other, streams=first.streams))
    with pytest.raises(ContractError, match=r"trainval/subject1/cam1/.* is claimed by record"):
        claimed(first, replace(second, streams={"rgb": first.streams["rgb"]}))
    with pytest.raises(ContractError, match=r"is claimed by record subject1_cam2"):
        claimed(replace(first, streams={"wifi": first.streams["inertial"][:1]}), second)
    gyro = replace(first.streams["inertial"][2], n_frames=7)
    with pytest.raises(ContractError, match=r"has size, hash or frames other than subject1_cam1"):
        claimed(first, replace(second, streams={"inertial": (gyro,)}))
    with pytest.raises(ContractError, match="is claimed by record"):
        Manifest(dataset="utd-mhad", classes=MMACT_CLASSES, records=(first, second))


def test_equal_files_are_still_found_and_empty_ones_are_not_equal(root: Path) -> None:
    write(root, "acc_watch_clip/subject2/scene3/session1/using_phone.csv", b"")
    assert check(build_from(root), RawTree(root)) == []
    copied = (root / f"gyro_clip/{TRIAL}/walking.csv").read_bytes()
    write(root, f"acc_phone_clip/{TRIAL}/walking.csv", copied)
    (problem,) = check(build_from(root), RawTree(root))
    assert (problem.kind, problem.where) == (
        ProblemKind.DUPLICATED, "subject1_cam1_scene1_session1_walking",
    )  # fmt: skip


def test_trials_that_no_camera_filmed_are_left_out_and_reported(root: Path) -> None:
    write(root, "gyro_clip/subject5/scene1/session1/walking.csv")
    built = build("mmact", RawTree(root))
    assert built.unfilmed == ("subject5_cam0_scene1_session1_walking",)
    assert len(built.manifest.records) == 6
    assert check(built.manifest, RawTree(root)) == []
    kept = build_from(root, keep_unfilmed=True)
    assert kept.records[-1].id == "subject5_cam0_scene1_session1_walking"
    assert kept.records[-1].attributes["camera"] == 0


def test_a_sensor_file_of_a_filmed_trial_that_no_record_lists_is_found(root: Path) -> None:
    manifest = build_from(root)
    write(root, "acc_phone_clip/subject2/scene3/session1/using_phone.csv")
    (problem,) = check(manifest, RawTree(root))
    assert problem.kind == ProblemKind.EXTRA


def test_in_a_tree_without_videos_a_trial_is_a_record(root: Path) -> None:
    for file in (root / "trainval").rglob("*.mp4"):
        file.unlink()
    built = build("mmact", RawTree(root))
    assert [r.id for r in built.manifest.records] == [
        "subject1_cam0_scene1_session1_walking",
        "subject2_cam0_scene3_session1_using_phone",
    ]
    assert built.unfilmed == ()
    assert check(built.manifest, RawTree(root)) == []


def test_two_files_for_one_stream_stop_the_build_with_both_named(root: Path) -> None:
    write(root, "gyro_clip/subject01/scene1/session1/Walking.csv")
    with pytest.raises(ContractError, match=r"has 2 inertial files: gyro_clip/subject01/.*one"):
        build_from(root)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (
            "trainval/subject1/scene1/session1/walking.mp4",
            "no folder that names its cam: wanted",
        ),
        ("trainval/subject1/cam0/scene1/session1/walking.mp4", "has no folder that names its cam"),
        ("gyro_clip/subject1/walking.csv", "names its scene and session: wanted subjectN/sceneN"),
        (
            "trainval/subject1/cam1/scene1/session1/flying.mp4",
            "activity 'flying': wanted one of",
        ),
        ("trainval/subject1/subject2/cam1/scene1/session1/fall.mp4", "is subject 1 and 2: wanted"),
    ],
)
def test_a_name_that_is_almost_a_recordings_is_refused(path: str, says: str) -> None:
    with pytest.raises(ContractError, match=f"^{path} .*{says}"):
        layout_of("mmact").place(path)


@pytest.mark.parametrize(
    "path",
    ["intro.mp4", "notes/subject1/scene1/session1/fall.csv", "x/subject1/cam1/scene1/fall.json",
     "trainval/subject1/cam1/scene1/session1/fall.txt"],
)  # fmt: skip
def test_other_files_are_no_recordings(path: str) -> None:
    assert layout_of("mmact").place(path) is None


def test_the_desks_two_names_are_told_apart_where_37_classes_are_counted(root: Path) -> None:
    usual, apart = build_from(root), build_from(root, n_classes=37)
    assert (usual.classes, apart.classes) == (MMACT_CLASSES, MMACT_CLASSES_37)
    assert (len(MMACT_CLASSES), len(MMACT_CLASSES_37)) == (35, 37)
    assert [usual.classes[r.label] for r in usual.records[-2:]] == ["using_phone"] * 2
    assert [apart.classes[r.label] for r in apart.records[-2:]] == ["using_phone_desk"] * 2
    assert [r.id for r in usual.records] == [r.id for r in apart.records]
    with pytest.raises(ConfigError, match="mmact has no 36 classes: wanted 35 or 37"):
        build_from(root, n_classes=36)


def test_the_command_counts_each_file_once_and_names_what_it_left_out(
    root: Path, tmp_path: Path
) -> None:
    write(root, "gyro_clip/subject5/scene1/session1/walking.csv")
    output = tmp_path / "m.jsonl"
    options = ["manifest", "build", "mmact", str(root), "-o", str(output)]
    result = CliRunner().invoke(dmft, [*options, "--classes", "37"])
    assert result.exit_code == 0, result.output
    for part in (
        "6 records of mmact",
        "inertial        5 files",
        "rgb             6 files",
        "no files of skeleton, wifi, pressure",
        "1 trials that no camera filmed, left out:\n  subject5_cam0_scene1_session1_walking",
    ):
        assert part in result.stdout
    agreed = CliRunner().invoke(dmft, ["manifest", "check", str(output), "--against", "mmact"])
    assert agreed.exit_code == 0, agreed.output
    assert "6 of them in both manifests and in agreement" in agreed.stdout
    wrong = CliRunner().invoke(dmft, [*options, "--force", "--classes", "7"])
    assert (wrong.exit_code, "mmact has no 7 classes" in wrong.stderr) == (2, True)


def test_paths_in_another_order_agree_and_other_places_do_not(
    root: Path, published: Manifest
) -> None:
    manifest = build_from(root)
    assert compare(manifest, published) == []
    records = list(manifest.records)
    moved = replace(records[0].streams["rgb"][0], path="trainval/cam1/elsewhere.mp4")
    records[0] = replace(records[0], streams={**records[0].streams, "rgb": (moved,)})
    (problem,) = compare(replace(manifest, records=tuple(records)), published)
    assert problem.message.startswith("path of rgb is 'trainval/cam1/elsewhere.mp4'")


# --- what ships ------------------------------------------------------------------------------


def test_the_shipped_manifest_has_every_published_clip(published: Manifest) -> None:
    assert len(published.records) == 35_117
    assert published.classes == MMACT_CLASSES
    assert {r.label for r in published.records} == set(range(35))
    streams = [stream for _, _, stream in published.streams()]
    assert all(s.n_frames and s.n_bytes is None and s.sha256 is None for s in streams)
    trials = Counter(r.id.replace(f"_cam{r.attributes['camera']}_", "_") for r in published.records)
    assert Counter(trials.values()) == {4: 8323, 3: 564, 2: 53, 1: 27}
    heavy = {
        r.attributes["subject"]
        for r in published.records
        if published.classes[r.label] in ("carrying_heavy", "carrying_light")
    }
    assert heavy == set(range(11, 21))


def test_views_of_a_trial_are_neighbours(published: Manifest) -> None:
    seen: set[tuple[int, ...]] = set()
    last = None
    for record in published.records:
        of = record.attributes
        trial = (of["subject"], of["scene"], of["session"], record.label)
        assert trial == last or trial not in seen
        seen.add(trial)
        last = trial


def test_scene_three_has_nine_classes_and_the_others_28(published: Manifest) -> None:
    apart = shipped_manifest("mmact", 37)
    scenes = [r.attributes["scene"] for r in apart.records]
    desk = {r.label for r, scene in zip(apart.records, scenes, strict=True) if scene == 3}
    rest = {r.label for r, scene in zip(apart.records, scenes, strict=True) if scene != 3}
    assert (len(desk), len(rest), desk & rest) == (9, 28, set())
    assert len({r.label for r in published.records if r.attributes["scene"] == 2}) == 28


@pytest.mark.parametrize(
    ("name", "n_train", "n_test"),
    [
        ("mmact-cross-subject", 27_718, 7_399),
        ("mmact-cross-session", 28_194, 6_923),
        ("mmact-cross-scene", 25_046, 10_071),
        ("mmact-cross-view", 26_415, 8_702),
    ],
)
def test_a_shipped_protocol_splits_the_clips_as_published(
    published: Manifest, name: str, n_train: int, n_test: int
) -> None:
    table = tomllib.loads((PROTOCOLS / f"{name}.toml").read_text())
    assert (table["name"], table["dataset"], table["metric"]) == (name, "mmact", "macro_f1")
    (fold,) = table["folds"]
    sides = [
        {
            r.id
            for r in published.records
            if all(r.attributes[column] in values for column, values in fold[side].items())
        }
        for side in ("train", "test")
    ]
    assert [len(side) for side in sides] == [n_train, n_test]
    assert not sides[0] & sides[1]


def test_a_list_of_clips_that_contradicts_itself_is_refused() -> None:
    header = "subject,camera,scene,session,file_stem,n_frames\n"
    made = manifest_of_clips("mmact", header + "14,1,1,2,Carrying_light,9\n")
    assert made.records[0].id == "subject14_cam1_scene1_session2_carrying_light"
    assert made.records[0].streams["rgb"][0].n_frames == 9
    for lines, says in (
        ("1,1,1,1,fall,many\n", "line 2 of the clips cannot be read: ValueError"),
        ("1,1,1,1,flying,9\n", "line 2 of the clips cannot be read: ContractError"),
        ("1,1,1,1,fall,9\n1,1,1,1,Fall,9\n", "line 3 of the clips is .*Fall.mp4: wanted .* line 2"),
        ("", "the list of clips names no clip"),
    ):
        with pytest.raises(ContractError, match=says):
            manifest_of_clips("mmact", header + lines)


def test_a_layout_places_what_the_readers_of_its_data_set_read() -> None:
    assert {name: LAYOUTS[name].modalities for name in READERS} == {
        name: modalities_of(name) for name in READERS
    }
