"""Objects in folders and behind URLs: whole or not there."""

from __future__ import annotations

import uuid

import pytest

from pipeline.cache.objects import Objects
from pipeline.contract import ConfigError, ContractError


@pytest.fixture(params=["folder", "file", "memory", "s3"])
def objects(request, tmp_path):
    if request.param == "s3":
        return Objects(request.getfixturevalue("s3"))
    return Objects(
        {
            "folder": str(tmp_path / "cache"),
            "file": f"file://{tmp_path}/cache",
            "memory": f"memory://{uuid.uuid4().hex}",
        }[request.param]
    )


def test_what_is_written_is_read_listed_and_deleted(objects):
    assert objects.read("a/b.json") is None
    assert objects.sizes() == {}
    objects.write("a/b.json", b"12")
    objects.write("a/b.json", b"123")
    objects.write("a/c/d", b"")
    objects.write("e", b"4")
    assert objects.read("a/b.json") == b"123"
    assert objects.sizes() == {"a/b.json": 3, "a/c/d": 0, "e": 1}
    assert objects.sizes("a") == {"a/b.json": 3, "a/c/d": 0}
    objects.delete("a")
    objects.delete("nothing")
    assert objects.sizes() == {"e": 1}
    assert objects.sizes("a") == {}


def test_a_folder_is_no_object(objects):
    objects.write("a/b", b"1")
    assert objects.read("a") is None


def test_zarr_sees_the_same_objects(objects):
    import zarr

    objects.write("first", b"1")
    group = zarr.open_group(objects.zarr_store(), mode="a")
    group.create_array("x", shape=(4,), dtype="int32")[:] = 7
    assert "x/zarr.json" in objects.sizes()
    objects.flush()


def test_what_is_put_over_another_state_than_was_seen_is_refused_where_there_are_versions(objects):
    objects.write("a/b", b"1")
    objects.write("c", b"1")
    seen = objects.versions()
    assert set(seen) in ({"a/b", "c"}, set())
    assert all(objects.version(key) == version for key, version in seen.items())
    objects.write("a/b", b"2")
    written = objects.write_over("a/b", b"3", seen.get("a/b", ""))
    assert (written is None) == bool(seen)
    assert objects.read("a/b") == (b"2" if seen else b"3")
    assert objects.write_over("c", b"4", seen.get("c", "")) == objects.version("c")
    assert objects.read("c") == b"4"


def test_what_a_folder_has_already_is_not_written_again(tmp_path):
    objects = Objects(str(tmp_path))
    objects.write("a", b"1")
    before = (tmp_path / "a").stat().st_ino
    objects.write_over("a", b"1", "")
    assert (tmp_path / "a").stat().st_ino == before
    objects.write_over("a", b"2", "")
    assert (tmp_path / "a").read_bytes() == b"2"


def test_what_a_kill_left_half_written_is_not_listed_and_is_swept(tmp_path):
    objects = Objects(str(tmp_path))
    objects.write("a/b", b"1")
    (tmp_path / "a" / "b.4711.partial").write_bytes(b"half")
    (tmp_path / "c.partial").write_bytes(b"half")
    assert objects.sizes() == {"a/b": 1}
    assert objects.sweep() == 2
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["b"]


def test_a_write_that_fails_leaves_the_old_object(tmp_path, monkeypatch):
    objects = Objects(str(tmp_path))
    objects.write("a", b"old")

    def no_disk(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_disk)
    with pytest.raises(OSError, match="No space left"):
        objects.write("a", b"new")
    assert objects.read("a") == b"old"


def test_a_file_is_not_a_store(tmp_path):
    (tmp_path / "cache").write_text("x")
    with pytest.raises(ContractError, match=r"cache is a file: wanted a cache's folder"):
        Objects(str(tmp_path / "cache")).zarr_store()


def test_a_url_of_an_unknown_kind_is_refused():
    with pytest.raises(ConfigError, match=r"'nowhere://bucket/x' cannot be opened"):
        Objects("nowhere://bucket/x").read("a")
