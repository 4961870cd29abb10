"""A raw tree whose folders are ``.tar.gz`` archives, as MMAct's sensors are distributed."""

from __future__ import annotations

import gzip
import io
import pickle
import random
import tarfile
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.contract import RecordingError
from pipeline.raw import seekable_gzip
from pipeline.raw.seekable_gzip import SeekableGzip
from pipeline.raw.tree import RawTree


def content_of(name: str, n_bytes: int = 30_000) -> bytes:
    """Half noise, half alike: it packs, but not to nothing."""
    return random.Random(name).randbytes(n_bytes // 2) + name.encode() * (n_bytes // 2 // len(name))


def write_tar(path: Path, names: list[str], prefix: str = "") -> dict[str, bytes]:
    wanted = {name: content_of(name) for name in names}
    with tarfile.open(path, "w:gz") as tar:
        for name, content in wanted.items():
            info = tarfile.TarInfo(prefix + name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return wanted


NAMES = [f"gyro_clip/subject{i}/scene1/session1/walking.csv" for i in range(1, 120)]


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seekable_gzip, "STATE_EVERY", 100_000)
    monkeypatch.setattr(seekable_gzip, "_STEP", 10_000)


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("prefix", ["", "./"])
def test_members_are_read_in_any_order(tmp_path: Path, prefix: str) -> None:
    wanted = write_tar(tmp_path / "gyro_clip.tar.gz", NAMES, prefix)
    tree = RawTree(tmp_path)
    assert tree.walk() == sorted(wanted)

    names = list(wanted)
    random.Random(0).shuffle(names)
    for name in names:
        assert tree.read(name) == wanted[name]
    assert pickle.loads(pickle.dumps(tree)).read(names[0]) == wanted[names[0]]  # noqa: S301


@pytest.mark.usefixtures("small_steps")
def test_threads_read_one_tar_at_once(tmp_path: Path) -> None:
    wanted = write_tar(tmp_path / "gyro_clip.tar.gz", NAMES)
    tree = RawTree(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        assert dict(zip(wanted, pool.map(tree.read, wanted), strict=True)) == wanted
        digests = list(pool.map(tree.digest, wanted))
    assert [n_bytes for n_bytes, _ in digests] == [len(content) for content in wanted.values()]


def test_members_without_the_folder_in_their_names_are_put_into_it(tmp_path: Path) -> None:
    wanted = write_tar(tmp_path / "gyro_clip.tar.gz", ["subject1/scene1/session1/walking.csv"])
    assert RawTree(tmp_path).walk() == [f"gyro_clip/{name}" for name in wanted]


def test_a_far_member_does_not_cost_the_memory_of_those_before_it(tmp_path: Path) -> None:
    content = random.Random(1).randbytes(1 << 20)
    with gzip.open(tmp_path / "x.gz", "wb", compresslevel=1) as file:
        for _ in range(64):
            file.write(content)
    gz = SeekableGzip((tmp_path / "x.gz").open("rb"))
    while gz.read(1 << 20):
        pass
    tracemalloc.start()
    gz.seek(63 << 20)
    assert gz.read(100) == content[:100]
    gz.seek(5)
    assert gz.read(100) == content[5:105]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20


def test_gzips_one_behind_the_other_are_one_file(tmp_path: Path) -> None:
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"one") + gzip.compress(b"two") + b"\0" * 512)
    gz = SeekableGzip((tmp_path / "x.gz").open("rb"))
    assert gz.read(100) == b"onetwo"
    gz.seek(2)
    assert (gz.tell(), gz.read(3)) == (2, b"etw")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda b: b[:-30], "gyro_clip.tar.gz is not a whole tar.gz archive"),
        (lambda b: b[: len(b) // 2], "gyro_clip.tar.gz is not a whole tar.gz archive"),
        (lambda b: b[:-6] + b"\1\2" + b[-4:], "incorrect data check"),
        (lambda b: b"no gzip at all" * 9, "incorrect header check"),
        (
            lambda b: gzip.compress(b"no tar" * 999),
            "gyro_clip.tar.gz is not a whole tar.gz archive",
        ),
    ],
)
def test_a_damaged_tar_is_refused(tmp_path: Path, damage, says: str) -> None:
    path = tmp_path / "gyro_clip.tar.gz"
    write_tar(path, NAMES)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RecordingError, match=says):
        RawTree(tmp_path).walk()


def test_links_and_names_that_lead_out_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "gyro_clip.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../../etc/x.csv"))
        link = tarfile.TarInfo("gyro_clip/link.csv")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    survey = RawTree(tmp_path).survey()
    assert survey.paths == ()
    assert [(r.path, r.escapes) for r in survey.refused] == [
        ("gyro_clip/../../etc/x.csv", True),
        ("gyro_clip/link.csv", False),
    ]
    with pytest.raises(
        RecordingError, match=r"gyro_clip/link.csv no such file in gyro_clip.tar.gz"
    ):
        RawTree(tmp_path).read("gyro_clip/link.csv")


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    write_tar(tmp_path / "gyro_clip.tar.gz", ["gyro_clip/a.csv", "a.csv"])
    with pytest.raises(RecordingError, match=r"gyro_clip.tar.gz holds gyro_clip/a.csv twice"):
        RawTree(tmp_path).walk()


def test_of_two_archives_and_a_folder_one_is_read_and_the_others_are_reported(
    tmp_path: Path,
) -> None:
    wanted = write_tar(tmp_path / "gyro_clip.tar.gz", NAMES[:2])
    with zipfile.ZipFile(tmp_path / "gyro_clip.zip", "w") as file:
        file.writestr(NAMES[0], b"other")
    survey = RawTree(tmp_path).survey()
    assert survey.paths == (NAMES[0],)
    assert [(r.path, r.reason) for r in survey.refused] == [
        ("gyro_clip.tar.gz", "not read while gyro_clip.zip is beside it")
    ]
    (tmp_path / NAMES[0]).parent.mkdir(parents=True)
    (tmp_path / NAMES[0]).write_bytes(wanted[NAMES[0]])
    survey = RawTree(tmp_path).survey()
    assert {r.reason for r in survey.refused} == {
        "not read while the folder gyro_clip is beside it"
    }
