"""Manifests: the list, its file, and what it is held against."""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import os
import re
import shutil
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.contract import ConfigError, ContractError, Record, StreamRef
from pipeline.manifests import (
    Build,
    Manifest,
    ProblemKind,
    build,
    check,
    compare,
    load_manifest,
    parse_manifest,
    save_manifest,
    shipped_manifest,
)
from pipeline.manifests.facts import utd_mhad_from_facts
from pipeline.manifests.layout import layout_of
from pipeline.manifests.utd_mhad import UTD_MHAD_CLASSES
from pipeline.raw.tree import RawTree
from tests.real_recordings import utd_mhad_root

FOLDERS = {
    "Inertial": "inertial.mat",
    "Skeleton": "skeleton.mat",
    "Depth": "depth.mat",
    "RGB": "color.avi",
}
DATA_MANIFESTS = Path(str(importlib.resources.files("data_manifests")))
TRIALS = ((2, 1, 1), (10, 1, 1), (2, 3, 2))


def content(folder: str, name: str) -> bytes:
    return f"{folder} {name}".encode() * 10


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three records of four modalities and a stray file."""
    raw = tmp_path / "raw"
    for folder, ending in FOLDERS.items():
        (raw / folder).mkdir(parents=True)
        for action, subject, trial in TRIALS:
            name = f"a{action}_s{subject}_t{trial}_{ending}"
            (raw / folder / name).write_bytes(content(folder, name))
    (raw / "Skeleton" / "Skeleton_joint_order.txt").write_text("head")
    return raw


def record(name: str = "a1", **changes: Any) -> Record:
    streams = {"inertial": (StreamRef(name="inertial", path=f"Inertial/{name}.mat"),)}
    fields = {"id": name, "label": 0, "attributes": {"subject": 1}, "streams": streams}
    return Record(**(fields | changes))


def manifest(*records: Record, classes: tuple[str, ...] = ("wave", "clap")) -> Manifest:
    return Manifest(dataset="utd-mhad", classes=classes, records=records or (record(),))


# --- build -----------------------------------------------------------------------------------


def test_a_tree_is_listed_in_the_order_of_action_subject_and_trial(root: Path) -> None:
    calls: list[tuple[int, int]] = []
    built = build("utd-mhad", RawTree(root), progress=lambda *at: calls.append(at), jobs=2)

    found = built.manifest
    assert [r.id for r in found.records] == ["a2_s1_t1", "a2_s3_t2", "a10_s1_t1"]
    assert found.classes == UTD_MHAD_CLASSES
    assert [found.classes[r.label] for r in found.records] == [
        "swipe_right",
        "swipe_right",
        "draw_circle_CCW",
    ]
    assert dict(found.records[1].attributes) == {"action": 2, "subject": 3, "trial": 2}
    assert found.modalities == ("depth", "inertial", "rgb", "skeleton")
    stream = found.records[0].streams["rgb"][0]
    wanted = content("RGB", "a2_s1_t1_color.avi")
    assert (stream.path, stream.n_bytes) == ("RGB/a2_s1_t1_color.avi", len(wanted))
    assert stream.sha256 == hashlib.sha256(wanted).hexdigest()
    assert built.ignored == (
        ("Skeleton/Skeleton_joint_order.txt", "not a recording's name in utd-mhad"),
    )
    assert (built.incomplete, built.absent) == ((), ())
    assert calls == [(n, 12) for n in range(1, 13)]


def test_records_that_lack_a_modality_and_absent_modalities_are_told_apart(root: Path) -> None:
    (root / "Depth" / "a2_s1_t1_depth.mat").unlink()
    for file in (root / "RGB").iterdir():
        file.unlink()
    built = build("utd-mhad", RawTree(root))

    assert built.incomplete == (("a2_s1_t1", ("depth",)),)
    assert built.absent == ("rgb",)
    assert "depth" not in built.manifest.records[0].streams


def test_archives_list_as_the_folders_that_they_hold(root: Path) -> None:
    from_folders = build("utd-mhad", RawTree(root)).manifest
    for folder in FOLDERS:
        with zipfile.ZipFile(root / f"{folder}.zip", "w", zipfile.ZIP_DEFLATED) as file:
            for path in sorted((root / folder).iterdir()):
                file.write(path, f"{folder}/{path.name}")
                path.unlink()
        (root / folder).rmdir()

    assert build("utd-mhad", RawTree(root)).manifest == from_folders


def test_an_archive_beside_its_folder_is_reported_and_not_listed_twice(root: Path) -> None:
    before = build("utd-mhad", RawTree(root)).manifest
    with zipfile.ZipFile(root / "Depth.zip", "w") as file:
        file.writestr("Depth/a2_s1_t1_depth.mat", b"other")
    built = build("utd-mhad", RawTree(root))

    assert built.manifest == before
    assert ("Depth.zip", "not read while the folder Depth is beside it") in built.ignored


def test_two_files_for_one_record_stop_the_build_with_both_named(root: Path) -> None:
    (root / "Inertial" / "A02_S1_T01_inertial.mat").write_bytes(b"x")

    with pytest.raises(
        ContractError,
        match=r"record a2_s1_t1 has 2 inertial files: Inertial/A02_S1_T01_inertial.mat, "
        r"Inertial/a2_s1_t1_inertial.mat; keep one",
    ):
        build("utd-mhad", RawTree(root))


@pytest.mark.parametrize(
    "name", ["a28_s1_t1_depth.mat", "a0_s1_t1_depth.mat", "a1_s0_t1_depth.mat"]
)
def test_a_name_of_no_possible_trial_stops_the_build(root: Path, name: str) -> None:
    (root / "Depth" / name).write_bytes(b"x")

    with pytest.raises(ContractError, match=rf"1 problems:\n.*Depth/{name} is action"):
        build("utd-mhad", RawTree(root))


def test_a_folder_that_cannot_be_looked_into_stops_the_build(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its recordings were missing without a word."""
    scan = os.scandir

    def refusing(path: Any) -> Any:
        if Path(path).name == "Skeleton":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr("os.scandir", refusing)
    with pytest.raises(ContractError, match="Skeleton: cannot be looked into: Permission denied"):
        build("utd-mhad", RawTree(root))


def test_an_archive_with_backslashes_in_its_names_stops_the_build(root: Path) -> None:
    path = root / "Skeleton.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for file in (root / "Skeleton").iterdir():
            packed.writestr(f"Skeleton/{file.name}", file.read_bytes())
    path.write_bytes(path.read_bytes().replace(b"Skeleton/a", b"Skeleton\\a"))
    shutil.rmtree(root / "Skeleton")
    with pytest.raises(ContractError, match=r"its name in Skeleton.zip has a backslash: want"):
        build("utd-mhad", RawTree(root))


def test_what_is_no_recording_is_named_where_nothing_else_is(tmp_path: Path) -> None:
    (tmp_path / "Skeleton.7z").write_bytes(b"7z")
    (tmp_path / "link").symlink_to("/etc/hostname")
    with pytest.raises(ContractError, match=r"(?s)2 other files are there:.*Skeleton.7z: not a r"):
        build("utd-mhad", RawTree(tmp_path))


def test_an_empty_tree_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")

    with pytest.raises(ContractError, match=r"holds no recordings of utd-mhad: 1 other files"):
        build("utd-mhad", RawTree(tmp_path))


def test_an_unknown_data_set_is_named_with_those_there_are(root: Path) -> None:
    there = "data set 'ntu': there are ['mmact', 'utd-mhad']"
    with pytest.raises(ConfigError, match=re.escape(there)):
        build("ntu", RawTree(root))


def test_files_too_large_to_read_are_all_named(root: Path) -> None:
    with pytest.raises(ContractError, match=r"12 problems:\n.*the limit is 9"):
        build("utd-mhad", RawTree(root, max_bytes=9))


# --- the list and its file -------------------------------------------------------------------


def test_a_manifest_survives_its_file_and_its_hash_is_the_files(root: Path, tmp_path: Path) -> None:
    made = build("utd-mhad", RawTree(root)).manifest
    path = tmp_path / "m.jsonl"
    save_manifest(made, path)

    assert load_manifest(path) == made
    assert made.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["m.jsonl"]


def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ContractError, match=r"m.jsonl cannot be written: No space left"):
        save_manifest(manifest(), path)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("m.jsonl", "old")]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: manifest(record(), record()), "record a1 is there twice"),
        (lambda: manifest(record(label=2)), "record a1 has label 2: wanted 0 to 1"),
        (lambda: manifest(record(streams={})), "record a1 has no streams"),
        (lambda: manifest(classes=()), "classes is empty"),
        (lambda: manifest(classes=("a", "a")), "class name 'a' is there twice"),
        (lambda: manifest(classes=("a", "")), "class name '' is empty"),
        (
            lambda: Manifest(dataset="UTD MHAD", classes=("a",), records=()),
            "dataset is 'UTD MHAD'",
        ),
        (
            lambda: manifest(record(), record("a2", attributes={"camera": 1})),
            re.escape("record a2 has attributes ['camera']: wanted ['subject'] as a1 has"),
        ),
        (
            lambda: manifest(record(), record("a2", streams=record().streams)),
            "file Inertial/a1.mat is claimed by record a2 and by record a1",
        ),
        (
            lambda: manifest(
                record(streams={"depth": (StreamRef(name="depth", path="./D//x.mat"),)})
            ),
            "path './D//x.mat' of record a1: write 'D/x.mat'",
        ),
    ],
)
def test_a_list_that_contradicts_itself_cannot_be_made(
    make: Callable[[], Manifest], reason: str
) -> None:
    with pytest.raises(ContractError, match=reason):
        make()


HEADER: dict[str, Any] = {
    "format": "dmft-manifest",
    "version": 1,
    "dataset": "utd-mhad",
    "classes": ["wave", "clap"],
    "n_records": 1,
}
STREAM: dict[str, Any] = {
    "name": "depth",
    "path": "Depth/a1.mat",
    "n_bytes": 7,
    "sha256": None,
    "n_frames": None,
}
RECORD: dict[str, Any] = {
    "id": "a1",
    "label": 1,
    "attributes": {"subject": 1},
    "streams": {"depth": [STREAM]},
}


def lines(*objects: Any) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in objects)


def with_stream(**changes: Any) -> dict[str, Any]:
    return RECORD | {"streams": {"depth": [STREAM | changes]}}


@pytest.mark.parametrize(
    ("text", "where", "reason"),
    [
        (b"", "line 1", "is not JSON"),
        (b"\xff\xfe\n", "line 1", "is not JSON"),
        (b"[" * 100_000, "line 1", "is not JSON"),
        (b"[]\n", "line 1", re.escape("the header is []: wanted an object with format")),
        (lines(HEADER | {"extra": 1}), "line 1", "the header has the unknown key 'extra'"),
        (lines({"format": "dmft-manifest"}), "line 1", "the header lacks the key 'version'"),
        (lines(HEADER | {"version": 2}), "line 1", "is format 'dmft-manifest' version 2"),
        (lines(HEADER | {"dataset": 3}), "line 1", "dataset is 3"),
        (lines(HEADER | {"dataset": "Ä"}), "line 1", "dataset is 'Ä'"),
        (lines(HEADER | {"classes": ["a", "a"]}), "line 1", "class name 'a' is there twice"),
        (lines(HEADER | {"n_records": "1"}, RECORD), "line 1", "n_records is '1'"),
        (lines(HEADER), "line 1", "n_records is 1 and 0 record lines follow"),
        (lines(HEADER, RECORD)[:-20], "line 2", "is not JSON"),
        (lines(HEADER) + b'{"id":"a","id":"b"}\n', "line 2", re.escape("the keys ['id'] repeat")),
        (lines(HEADER) + b'{"id":NaN}\n', "line 2", "NaN is not a number of JSON"),
        (lines(HEADER, 7), "line 2", "the record is 7: wanted an object with id, label"),
        (lines(HEADER, RECORD | {"note": 1}), "line 2", "the record has the unknown key 'note'"),
        (lines(HEADER, RECORD | {"label": 2}), "line 2", "record a1 has label 2: wanted 0 to 1"),
        (
            lines(HEADER, RECORD | {"label": True}),
            "line 2",
            "label is True: wanted",
        ),
        (lines(HEADER, RECORD | {"id": "a 1"}), "line 2", "record id 'a 1'"),
        (
            lines(HEADER, RECORD | {"attributes": 1}),
            "line 2",
            "attributes is 1: wanted",
        ),
        (
            lines(HEADER, RECORD | {"attributes": {"x": "1"}}),
            "line 2",
            "attributes.x is '1'",
        ),
        (
            lines(HEADER, RECORD | {"streams": {"depth": {}}}),
            "line 2",
            "streams.depth is {}",
        ),
        (lines(HEADER, RECORD | {"streams": {}}), "line 2", "record a1 has no streams"),
        (lines(HEADER, with_stream(size=1)), "line 2", "depth.0 has the unknown key 'size'"),
        (lines(HEADER, with_stream(n_bytes=-1)), "line 2", "n_bytes of 'Depth/a1.mat' is -1"),
        (lines(HEADER, with_stream(sha256="ab")), "line 2", "sha256 of 'Depth/a1.mat' is 'ab'"),
        (lines(HEADER, with_stream(path="../a")), "line 2", "path '../a' leads out of the raw"),
        (lines(HEADER, with_stream(path="/a")), "line 2", "path '/a' leads out of the raw"),
        (lines(HEADER, RECORD, RECORD), "line 3", "record a1 is there twice"),
        (
            lines(HEADER, RECORD, RECORD | {"id": "a2"}),
            "line 3",
            "file Depth/a1.mat is claimed by record a2 and by record a1",
        ),
    ],
)
def test_every_mistake_in_a_file_is_named_with_its_line(
    text: bytes, where: str, reason: str, tmp_path: Path
) -> None:
    found, problems = parse_manifest(text)
    assert found is None
    assert any(p.where == where and re.search(reason, p.message) for p in problems), problems
    path = tmp_path / "m.jsonl"
    path.write_bytes(text)
    with pytest.raises(ContractError, match=reason):
        load_manifest(path)


def test_all_mistakes_of_a_file_come_in_one_error(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(
        lines(HEADER | {"version": 9}, with_stream(path="../x"), RECORD | {"label": 5})
    )

    with pytest.raises(ContractError) as met:
        load_manifest(path)
    for part in ("4 problems", "version 9", "line 2: path '../x'", "line 3: record a1 has label 5"):
        assert part in str(met.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"absent.jsonl cannot be read: No such file"):
        load_manifest(tmp_path / "absent.jsonl")


# --- check and compare -----------------------------------------------------------------------


@pytest.fixture
def built(root: Path) -> Build:
    return build("utd-mhad", RawTree(root))


def kinds(found: Manifest, root: Path) -> list[tuple[str, str]]:
    return [(p.kind.value, p.where) for p in check(found, RawTree(root), jobs=2)]


def test_an_unchanged_tree_has_no_problems(root: Path, built: Build) -> None:
    assert check(built.manifest) == []
    assert kinds(built.manifest, root) == []


def test_missing_changed_and_extra_files_are_all_named(root: Path, built: Build) -> None:
    (root / "Depth" / "a2_s1_t1_depth.mat").unlink()
    same_size = root / "RGB" / "a10_s1_t1_color.avi"
    same_size.write_bytes(same_size.read_bytes()[::-1])
    (root / "RGB" / "a2_s3_t2_color.avi").write_bytes(b"")
    (root / "Depth" / "a1_s1_t1_depth.mat").write_bytes(b"new")
    (root / "Depth" / "a99_s1_t1_depth.mat").write_bytes(b"new")
    (root / "Depth" / "readme.txt").write_bytes(b"stray")

    assert sorted(kinds(built.manifest, root)) == [
        ("changed", "a10_s1_t1"),
        ("changed", "a2_s3_t2"),
        ("extra", "Depth/a1_s1_t1_depth.mat"),
        ("extra", "Depth/a99_s1_t1_depth.mat"),
        ("missing", "a2_s1_t1"),
    ]


def test_links_out_of_the_tree_are_escapes_listed_or_not(root: Path, built: Build) -> None:
    listed = root / "Depth" / "a2_s1_t1_depth.mat"
    outside = root.parent / "moved.mat"
    listed.rename(outside)
    listed.symlink_to(outside)
    (root / "link").symlink_to(root.parent)

    assert kinds(built.manifest, root) == [("escaping", "a2_s1_t1"), ("escaping", "link")]


def test_a_file_that_cannot_be_read_is_a_problem_not_a_crash(root: Path, built: Build) -> None:
    problems = check(built.manifest, RawTree(root, max_bytes=9))

    assert {p.kind for p in problems} == {ProblemKind.MISSING}
    assert "the limit is 9" in problems[0].message


def test_unknown_hashes_are_not_held_against_the_files(root: Path, built: Build) -> None:
    unknown = [
        Record(
            id=r.id,
            label=r.label,
            attributes=r.attributes,
            streams={m: (StreamRef(name=m, path=s[0].path),) for m, s in r.streams.items()},
        )
        for r in built.manifest.records
    ]
    known = Manifest(dataset="utd-mhad", classes=UTD_MHAD_CLASSES, records=tuple(unknown))

    assert kinds(known, root) == []
    assert compare(built.manifest, known) == []


def test_two_files_with_the_same_content_are_named() -> None:
    def same(name: str) -> Record:
        ref = StreamRef(name="depth", path=f"Depth/{name}.mat", sha256="ab" * 32)
        return record(name, streams={"depth": (ref,)})

    (problem,) = check(manifest(same("a1"), same("a2")))
    assert (problem.kind, problem.where) == (ProblemKind.DUPLICATED, "a2")
    assert "Depth/a2.mat has the same content as Depth/a1.mat of a1" in problem.message


def test_records_in_both_manifests_must_agree() -> None:
    def other(**changes: Any) -> Manifest:
        ref = {"name": "inertial", "path": "Inertial/a1.mat", "n_bytes": 5} | changes
        return manifest(record(streams={"inertial": (StreamRef(**ref),)}))

    def messages(a: Manifest, b: Manifest) -> list[str]:
        return [p.message for p in compare(a, b)]

    assert messages(other(), manifest()) == []
    assert messages(other(), manifest(record(), record("a2"))) == []
    assert messages(other(), other(n_bytes=6)) == [
        "n_bytes of inertial is 5, and 6 in the other manifest"
    ]
    assert messages(other(sha256="a" * 64), other(sha256="b" * 64))[0].startswith("sha256 of inert")
    assert messages(other(n_frames=1), other(n_frames=2))[0].startswith("n_frames of inertial is 1")
    assert messages(other(), other(path="I/a1.mat"))[0].startswith("path of inertial is 'Inertial")
    assert messages(manifest(record(label=1)), manifest()) == [
        "label is '1 clap', and '0 wave' in the other manifest"
    ]
    assert messages(manifest(), manifest(classes=("jump", "clap")))[0].startswith(
        "label is '0 wave'"
    )
    assert messages(manifest(), manifest(record(attributes={"subject": 2})))[0].startswith(
        "attribut"
    )
    assert messages(manifest(), manifest(record("a9"))) == [
        "no record is in both manifests: there is nothing to compare"
    ]
    elsewhere = Manifest(dataset="mmact", classes=("wave",), records=(record(),))
    assert messages(manifest(), elsewhere)[0].startswith("dataset is 'utd-mhad', and 'mmact'")


# --- what ships ------------------------------------------------------------------------------


def test_the_shipped_manifest_has_every_published_record() -> None:
    found = shipped_manifest("utd-mhad")
    path = DATA_MANIFESTS / "utd-mhad.jsonl"

    wanted = {f"a{a}_s{s}_t{t}" for a in range(1, 28) for s in range(1, 9) for t in range(1, 5)}
    assert {r.id for r in found.records} == wanted - {"a8_s1_t4", "a23_s6_t4", "a27_s8_t4"}
    assert len(found.records) == 861
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.classes == UTD_MHAD_CLASSES
    assert len(found.classes) == 27
    layout = layout_of("utd-mhad")
    for entry, modality, stream in found.streams():
        place = layout.place(stream.path)
        assert place is not None
        assert (place.record_id, place.label, place.modality) == (entry.id, entry.label, modality)
        assert (stream.sha256 is None) == (modality == "rgb")
        assert (stream.n_frames is None) == (modality != "rgb")
        odd = entry.attributes["subject"] % 2 == 1
        assert (stream.n_bytes is not None) == (odd and modality != "rgb")
    orders = [tuple(r.attributes[k] for k in ("action", "subject", "trial")) for r in found.records]
    assert orders == sorted(orders)
    assert check(found) == []


def test_a_data_set_without_a_shipped_manifest_is_named() -> None:
    with pytest.raises(
        ConfigError, match=re.escape("ships for 'ntu': there are ['mmact', 'utd-mhad']")
    ):
        shipped_manifest("ntu")


def test_the_shipped_protocols_split_the_published_subjects() -> None:
    folder = DATA_MANIFESTS / "protocols"
    found = {p.stem: tomllib.loads(p.read_text()) for p in sorted(folder.glob("utd-*.toml"))}

    assert list(found) == ["utd-50-50", "utd-loso", "utd-one-in", "utd-two-out"]
    assert all(p["name"] == name and p["dataset"] == "utd-mhad" for name, p in found.items())
    (fold,) = found["utd-50-50"]["folds"]
    assert sorted(fold["train"]["subject"] + fold["test"]["subject"]) == list(range(1, 9))
    assert found["utd-loso"]["leave_one_out"] == {"attribute": "subject"}
    for name, n_folds, n_train in (("utd-one-in", 4, 1), ("utd-two-out", 6, 2)):
        folds = found[name]["folds"]
        assert len(folds) == n_folds
        for fold in folds:
            learnt, tested = fold["train"]["subject"], fold["test"]["subject"]
            assert len(learnt) == n_train
            assert sorted(learnt + tested) == [1, 3, 5, 7], "the even people take no part"


def test_the_maker_of_what_ships_refuses_lists_that_contradict(root: Path) -> None:
    path = "Depth/a2_s1_t1_depth.mat"
    good = f"{hashlib.sha256((root / path).read_bytes()).hexdigest()}  {path}"
    frames = "action,subject,trial,n_frames\n2,1,1,42\n"

    (made,) = utd_mhad_from_facts(good, frames, RawTree(root)).records
    assert made.streams["rgb"][0].n_frames == 42
    assert made.streams["depth"][0].n_bytes == (root / path).stat().st_size
    with pytest.raises(ContractError, match="line 2 of the checksums is 'nonsense'"):
        utd_mhad_from_facts(f"{good}\nnonsense", frames)
    with pytest.raises(ContractError, match="line 2 of the checksums is"):
        utd_mhad_from_facts(f"{good}\n{good}", frames)
    with pytest.raises(ContractError, match=f"{path} has SHA-256 .*: the list says {'0' * 64}"):
        utd_mhad_from_facts(f"{'0' * 64}  {path}", frames, RawTree(root))
    with pytest.raises(ContractError, match=r"x.txt is no recording's name"):
        utd_mhad_from_facts(f"{'0' * 64}  x.txt", frames)
    with pytest.raises(ContractError, match=r"'many'.* of the frame counts cannot be read"):
        utd_mhad_from_facts(good, "action,subject,trial,n_frames\n2,1,1,many\n")
    with pytest.raises(ContractError, match=r"a2_s1_t1_color.avi has two frame counts"):
        utd_mhad_from_facts(good, frames + "2,1,1,42\n")


@pytest.mark.real
def test_the_real_recordings_agree_with_the_shipped_manifest() -> None:
    built = build("utd-mhad", RawTree(utd_mhad_root()))

    assert len(built.manifest.records) == 431
    assert (built.incomplete, built.absent) == ((), ("rgb",))
    assert compare(built.manifest, shipped_manifest("utd-mhad")) == []


def test_a_manifest_becomes_a_table_with_a_row_a_record() -> None:
    ref = StreamRef(name="depth", path="Depth/a2.mat", n_bytes=5)
    made = manifest(record(), record("a2", label=1, streams={"depth": (ref,)}))
    table = made.to_frame()
    assert list(table.index) == ["a1", "a2"]
    assert table[["label", "class_name", "subject"]].to_numpy().tolist() == [
        [0, "wave", 1],
        [1, "clap", 1],
    ]
    assert table["depth_paths"].tolist() == [(), ("Depth/a2.mat",)]
    assert table["depth_bytes"].tolist() == [0, 5]
    assert table["inertial_paths"].tolist() == [("Inertial/a1.mat",), ()]
    assert table["inertial_bytes"].isna().tolist() == [True, False]
