"""The raw tree: folders or archives, and nothing outside."""

from __future__ import annotations

import gzip
import hashlib
import os
import pickle
import re
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.contract import RecordingError, leads_out
from pipeline.raw.tree import RawTree

CONTENT = b"recorded" * 1000
INSIDE = "Inertial/a1_s1_t1_inertial.mat"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "raw"
    (root / "Inertial").mkdir(parents=True)
    (root / INSIDE).write_bytes(CONTENT)
    return root


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    root = tmp_path / "zipped"
    root.mkdir()
    with zipfile.ZipFile(root / "Inertial.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(zipfile.ZipInfo("Inertial/"), b"")
        file.writestr(INSIDE, CONTENT, zipfile.ZIP_DEFLATED)
    return root


@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_a_file_reads_the_same_from_a_folder_and_from_an_archive(
    kind: str, request: pytest.FixtureRequest
) -> None:
    tree = RawTree(request.getfixturevalue(kind))

    assert tree.walk() == [INSIDE]
    assert tree.read(INSIDE) == CONTENT
    assert tree.size(INSIDE) == len(CONTENT)
    assert tree.digest(INSIDE) == (len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


def test_a_tree_that_has_read_is_still_small_to_pickle(archive: Path) -> None:
    tree = RawTree(archive, max_bytes=9000)
    tree.read(INSIDE)

    assert len(pickle.dumps(tree)) < 500
    again = pickle.loads(pickle.dumps(tree))  # noqa: S301
    assert repr(again) == repr(tree)
    assert again.read(INSIDE) == CONTENT


def test_members_without_the_top_folder_are_found_under_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "Inertial.zip", "w") as file:
        file.writestr("a1_s1_t1_inertial.mat", CONTENT)

    assert RawTree(tmp_path).read(INSIDE) == CONTENT


def test_a_root_that_is_no_folder_is_refused(folder: Path) -> None:
    with pytest.raises(RecordingError, match=r"a1_s1_t1_inertial.mat is not a folder"):
        RawTree(folder / INSIDE)


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "", "a\\b", "C:/x", "a\0b"])
def test_a_path_out_of_the_tree_is_refused_by_its_name(folder: Path, path: str) -> None:
    assert leads_out(path)
    with pytest.raises(RecordingError, match=re.escape(f"{path} leads out of the raw tree")) as met:
        RawTree(folder).read(path)
    assert (met.value.stage, met.value.path) == ("open", path)


def test_a_link_out_of_the_tree_is_neither_read_nor_listed(folder: Path) -> None:
    outside = folder.parent / "secret"
    outside.write_bytes(b"secret")
    (folder / "Inertial" / "link.mat").symlink_to(outside)
    (folder / "Depth").symlink_to(folder.parent, target_is_directory=True)
    tree = RawTree(folder)

    for path in ("Inertial/link.mat", "Depth/secret"):
        with pytest.raises(RecordingError, match=f"{path} is a link out of the raw tree"):
            tree.read(path)
    survey = tree.survey()
    assert survey.paths == (INSIDE,)
    assert [(r.path, r.escapes) for r in survey.refused] == [
        ("Depth", True),
        ("Inertial/link.mat", True),
    ]


def test_an_archive_that_is_a_link_out_of_the_tree_is_refused(folder: Path, archive: Path) -> None:
    (folder / "Depth.zip").symlink_to(archive / "Inertial.zip")

    with pytest.raises(RecordingError, match=r"Depth.zip is a link out of the raw tree"):
        RawTree(folder).read("Depth/x.mat")


def test_links_inside_the_tree_are_read_once(folder: Path) -> None:
    (folder / "Inertial" / "same.mat").symlink_to(folder / INSIDE)
    (folder / "Again").symlink_to(folder / "Inertial", target_is_directory=True)
    (folder / "loop").symlink_to(folder / "loop")
    tree = RawTree(folder)

    assert tree.read("Inertial/same.mat") == CONTENT
    assert tree.walk() == [INSIDE, "Inertial/same.mat"]
    reasons = {r.path: r.reason for r in tree.survey().refused}
    assert reasons["Again"] == "a link to a folder of the same tree"
    assert "loop" in reasons
    with pytest.raises(RecordingError, match="loop"):
        tree.read("loop")


def test_what_is_not_a_plain_file_is_refused_without_waiting_for_it(folder: Path) -> None:
    os.mkfifo(folder / "Inertial" / "pipe.mat")
    tree = RawTree(folder)

    for path in ("Inertial/pipe.mat", "Inertial"):
        with pytest.raises(RecordingError, match=f"{path} is not a plain file"):
            tree.read(path)
    assert tree.walk() == [INSIDE]


def test_a_file_that_is_not_there_is_named_with_where_it_was_looked_for(
    folder: Path, archive: Path
) -> None:
    with pytest.raises(RecordingError, match=r"Depth/x.mat no such file .* no archive Depth.zip"):
        RawTree(folder).read("Depth/x.mat")
    with pytest.raises(RecordingError, match=r"Inertial/x.mat no such file in Inertial.zip"):
        RawTree(archive).read("Inertial/x.mat")


def test_a_folder_hides_the_archive_beside_it_and_says_so(archive: Path) -> None:
    (archive / "Inertial").mkdir()
    tree = RawTree(archive)

    with pytest.raises(RecordingError, match=r"Inertial.zip beside it is not read while"):
        tree.read(INSIDE)
    assert tree.walk() == []
    assert [(r.path, r.reason) for r in tree.survey().refused] == [
        ("Inertial.zip", "not read while the folder Inertial is beside it")
    ]


@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_a_file_above_the_limit_is_refused_before_it_is_read(
    kind: str, request: pytest.FixtureRequest
) -> None:
    tree = RawTree(request.getfixturevalue(kind), max_bytes=7999)

    with pytest.raises(RecordingError, match="declares 8000 bytes: the limit is 7999"):
        tree.read(INSIDE)


def test_a_member_that_declares_less_than_it_holds_is_refused(archive: Path) -> None:
    path = archive / "Inertial.zip"
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02")
    content[at + 24 : at + 28] = (100).to_bytes(4, "little")
    path.write_bytes(content)

    with pytest.raises(RecordingError, match=r"a1_s1_t1_inertial.mat"):
        RawTree(archive).read(INSIDE)


def test_a_flipped_bit_in_an_archive_is_found(archive: Path) -> None:
    path = archive / "Inertial.zip"
    content = bytearray(path.read_bytes())
    content[content.index(INSIDE.encode()) + len(INSIDE) + 10] ^= 4
    path.write_bytes(content)

    with pytest.raises(RecordingError, match=r"a1_s1_t1_inertial.mat is damaged in its archive"):
        RawTree(archive).read(INSIDE)


def test_an_encrypted_member_is_refused(archive: Path) -> None:
    path = archive / "Inertial.zip"
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.rindex(signature) + offset] |= 1
    path.write_bytes(content)

    with pytest.raises(RecordingError, match=r"cannot be read out of Inertial.zip: .*encrypted"):
        RawTree(archive).read(INSIDE)


def test_a_truncated_archive_is_refused(archive: Path) -> None:
    path = archive / "Inertial.zip"
    path.write_bytes(path.read_bytes()[:-30])

    with pytest.raises(RecordingError, match=r"Inertial.zip is not a whole zip archive"):
        RawTree(archive).read(INSIDE)


def test_a_member_whose_name_escapes_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "Inertial.zip", "w") as file:
        file.writestr("../../x.mat", b"x")
    survey = RawTree(tmp_path).survey()

    assert survey.paths == ()
    assert [r.escapes for r in survey.refused] == [True]


def test_an_archive_that_holds_one_name_twice_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "Inertial.zip", "w") as file:
        file.writestr(INSIDE, b"x")
        file.writestr(INSIDE.partition("/")[2], b"y")

    with pytest.raises(RecordingError, match=f"Inertial.zip holds {INSIDE} twice"):
        RawTree(tmp_path).walk()


def test_threads_read_one_archive_at_once(tmp_path: Path) -> None:
    wanted = {f"Depth/{i}.mat": bytes([i]) * 100_000 for i in range(40)}
    with zipfile.ZipFile(tmp_path / "Depth.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for path, content in wanted.items():
            file.writestr(path, content)
    tree = RawTree(tmp_path)

    with ThreadPoolExecutor(8) as pool:
        assert dict(zip(wanted, pool.map(tree.read, wanted), strict=True)) == wanted


def test_a_member_of_a_zip_without_a_name_is_refused_alone(tmp_path: Path) -> None:
    """It was a traceback."""
    with zipfile.ZipFile(tmp_path / "Inertial.zip", "w") as packed:
        packed.writestr("Inertial/good.mat", b"good")
        packed.writestr("Inertial/" + "x" * 2000, b"long")
        packed.writestr("x", b"")
    content = (tmp_path / "Inertial.zip").read_bytes()
    at = content.rindex(b"PK\x01\x02")
    nameless = bytearray(content)
    nameless[at + 28 : at + 30] = b"\0\0"
    del nameless[at + 46]
    end = nameless.rindex(b"PK\x05\x06")
    size = int.from_bytes(nameless[end + 12 : end + 16], "little") - 1
    nameless[end + 12 : end + 16] = size.to_bytes(4, "little")
    (tmp_path / "Inertial.zip").write_bytes(nameless)
    survey = RawTree(tmp_path).survey()
    assert survey.paths == ("Inertial/good.mat",)
    assert [r.reason for r in survey.refused] == [
        f"its name in Inertial.zip has {n} characters: wanted 1 to 1000" for n in (0, 2009)
    ]
    assert all(r.is_unread and len(r.path) <= 200 for r in survey.refused)


def test_a_tar_that_claims_more_than_it_can_hold_is_refused_at_once(tmp_path: Path) -> None:
    """It was read on for minutes."""
    header = tarfile.TarInfo("Inertial/a.mat")
    header.size = 10**14
    content = gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    (tmp_path / "Inertial.tar.gz").write_bytes(content)
    with pytest.raises(RecordingError, match=r"declares 100000000000000 bytes, more than the arch"):
        RawTree(tmp_path).survey()
