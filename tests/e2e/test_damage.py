"""Whatever is flipped, cut or deleted in a finished cache is found, named, and mended."""

from __future__ import annotations

import random
import re
import shutil

import pytest

from pipeline.cache.verify import verify
from pipeline.cache.writer import CacheStore
from pipeline.contract import COMPANIONS, ContractError
from tests.fabricate import (
    arrays_of,
    assert_same_arrays,
    encode_here,
    manifest_of,
    record_ids,
    write_raw,
)

N_RECORDS, PER_CHUNK = 7, 3
UNLISTED = {".ledger/lock"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A raw tree, its manifest and its cache of several chunks, the last one not full."""
    folder = tmp_path_factory.mktemp("finished")
    raw = write_raw(folder / "raw", record_ids(N_RECORDS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.cache.writer.MAX_CHUNK_RECORDS", PER_CHUNK)
        encode_here(raw, folder / "cache")
    return raw, manifest_of(raw), folder / "cache"


def objects(cache) -> list[str]:
    found = (p.relative_to(cache).as_posix() for p in cache.rglob("*") if p.is_file())
    return sorted(set(found) - UNLISTED)


def expected(cache, key: str, bit: int | None) -> set[str]:
    """Ids of the records that damage to an object hits; a bit of None is all of the object."""
    store = CacheStore.read(str(cache))
    everyone = {record.id for record in store.records}
    if key in COMPANIONS:
        return set()  # nothing is read from it
    if match := re.fullmatch(r"(\w+)/c/(\d+)/0/0", key):
        rows = store.rows_of(match[1], int(match[2]))
        if bit is not None:
            row = rows.start + bit // 8 // store.spec.modalities[match[1]].row_bytes
            if row in rows:
                return {store.records[row].id}
        return {store.records[row].id for row in rows}
    if match := re.fullmatch(r"\.ledger/(\w+)/(\d+)\.json", key):
        return {store.records[row].id for row in store.rows_of(match[1], int(match[2]))}
    return everyone


def hit_by(report, key: str) -> set[str]:
    return {i for found in report.findings if found.where == key for i in found.record_ids}


def assert_found(cache, key: str, wanted: set[str], what: str) -> None:
    report = verify(str(cache), full=True)
    assert report.findings, f"{what} of {key} was not found"
    hit = hit_by(report, key)
    if key == ".ledger/manifest.jsonl":  # the ids themselves are what is damaged
        assert hit, what
        return
    assert hit == wanted, f"{what} of {key}"
    others = {i for found in report.findings for i in found.record_ids} - wanted
    assert not others or wanted >= others, f"{what} of {key} blames {others}"


def flip(path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(bytes(content))


def torture(cache, seed: int, n_flips_each: int) -> dict[str, int]:
    """Damage every object in every way, once at a time, and put it right again."""
    choose = random.Random(seed)
    counts = {"flip": 0, "deletion": 0, "truncation": 0}
    for key in objects(cache):
        path = cache / key
        content = path.read_bytes()
        for _ in range(n_flips_each):
            bit = choose.randrange(len(content) * 8)
            wanted = expected(cache, key, bit)
            flip(path, bit)
            assert_found(cache, key, wanted, f"flip of bit {bit}")
            path.write_bytes(content)
            counts["flip"] += 1
        wanted = expected(cache, key, None)
        path.unlink()
        assert_found(cache, key, wanted, "deletion")
        counts["deletion"] += 1
        path.write_bytes(content[: choose.randrange(len(content))])
        report = verify(str(cache), full=True)
        assert any(found.where == key for found in report.findings), f"truncation of {key}"
        assert hit_by(report, key) or not wanted, f"truncation of {key}"
        assert hit_by(report, key) <= wanted or key == ".ledger/manifest.jsonl"
        counts["truncation"] += 1
        path.write_bytes(content)
    assert verify(str(cache), full=True).findings == ()
    return counts


def test_every_flip_deletion_and_truncation_is_found_with_the_right_records(finished):
    counts = torture(finished[2], seed=0, n_flips_each=3)
    assert counts["deletion"] == len(objects(finished[2])) > 20


@pytest.mark.slow
def test_a_thousand_flips_are_found_with_the_right_records(finished):
    counts = torture(finished[2], seed=1, n_flips_each=40)
    print(f"{counts}: all found, each with the right records")  # noqa: T201
    assert counts["flip"] > 1000


def test_a_quick_look_misses_no_deletion_and_no_truncation_of_a_chunk(finished):
    cache = finished[2]
    for key in objects(cache):
        content = (cache / key).read_bytes()
        (cache / key).unlink()
        assert verify(str(cache)).findings, key
        if "/c/" in key and key.endswith("/0/0"):
            (cache / key).write_bytes(content[:-1])
            assert hit_by(verify(str(cache)), key), key
        (cache / key).write_bytes(content)


def kinds_of_damage(content: bytes, choose: random.Random):
    bit = choose.randrange(len(content) * 8)
    flipped = bytearray(content)
    flipped[bit // 8] ^= 1 << bit % 8
    yield bytes(flipped)
    yield content[: len(content) // 2]
    yield None


def test_one_command_mends_whatever_is_damaged(finished, tmp_path):
    """Of every kind of object one is flipped, cut and deleted; --check-stored mends each."""
    raw, manifest, cache = finished
    whole, choose, seen = arrays_of(cache), random.Random(3), set()
    for key in objects(cache):
        kind = re.sub(r"\d+", "0", key.replace("inertial", "skeleton"))
        if kind in seen:
            continue
        seen.add(kind)
        for damaged in kinds_of_damage((cache / key).read_bytes(), choose):
            copy = tmp_path / "copy"
            shutil.copytree(cache, copy)
            if damaged is None:
                (copy / key).unlink()
            else:
                (copy / key).write_bytes(damaged)
            encode_here(raw, copy, manifest, check_stored=True)
            assert verify(str(copy), full=True).findings == (), key
            assert_same_arrays(arrays_of(copy), whole)
            shutil.rmtree(copy)


def test_mending_encodes_only_what_was_hit(finished, tmp_path):
    raw, manifest, cache = finished
    copy = shutil.copytree(cache, tmp_path / "copy")
    flip(copy / "skeleton/c/1/0/0", 8 * 64 * 60 * 4 + 5)
    summary = encode_here(raw, copy, manifest, check_stored=True)
    assert summary.plan.n_pending == 1
    assert summary.plan.tasks[0].todo == {manifest.records[4].id}


def test_mending_a_sound_cache_changes_nothing(finished, tmp_path):
    raw, manifest, cache = finished
    copy = shutil.copytree(cache, tmp_path / "copy")
    before = {key: (copy / key).stat().st_mtime_ns for key in objects(copy)}
    assert encode_here(raw, copy, manifest, check_stored=True).plan.tasks == ()
    assert {key: (copy / key).stat().st_mtime_ns for key in objects(copy)} == before


def test_damage_is_never_sealed(finished, tmp_path):
    """Records are appended to a cache that was damaged meanwhile: no checksum may bless it."""
    raw, _, cache = finished
    copy = shutil.copytree(cache, tmp_path / "copy")
    more = shutil.copytree(raw, tmp_path / "raw")
    write_raw(more, [f"a{action}_s9_t1" for action in (1, 2)])
    flip(copy / "inertial/c/0/0/0", 77)
    with pytest.raises(ContractError, match=r"inertial/c/0/0/0: record a1_s1_t1 is not .*--check"):
        encode_here(more, copy)
    assert CacheStore.read(str(copy)).spec.state == "building"
    encode_here(more, copy, check_stored=True)
    assert verify(str(copy), full=True).findings == ()


def test_an_unlisted_object_is_named(finished, tmp_path):
    copy = shutil.copytree(finished[2], tmp_path / "copy")
    (copy / "stray.txt").write_text("x")
    (found,) = verify(str(copy)).findings
    assert (found.kind, found.where) == ("extra", "stray.txt")
