"""What a list is held against: the tree, another list, and what ships."""

from __future__ import annotations

import hashlib
import importlib.resources
import re
import tomllib
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
    shipped_manifest,
)
from pipeline.manifests.facts import utd_mhad_from_facts
from pipeline.manifests.layout import layout_of
from pipeline.manifests.utd_mhad import UTD_MHAD_CLASSES
from pipeline.raw.tree import RawTree
from tests.real_recordings import utd_mhad_root
from tests.unit.pipeline.manifests.small import manifest, record

DATA_MANIFESTS = Path(str(importlib.resources.files("data_manifests")))


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
