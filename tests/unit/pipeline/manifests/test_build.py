"""From a tree to a list: what is a record, and what stops the build."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pipeline.contract import ConfigError, ContractError
from pipeline.manifests import (
    build,
)
from pipeline.manifests.utd_mhad import UTD_MHAD_CLASSES
from pipeline.raw.tree import RawTree
from tests.unit.pipeline.manifests.small import FOLDERS, content


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
