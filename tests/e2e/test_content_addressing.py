"""What is up to date is decided by content: what users do between two encodes, and its cost."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import zarr

from pipeline.cache.lock import locked
from pipeline.cache.seal import finish
from pipeline.cache.verify import verify
from pipeline.cache.writer import CacheStore
from pipeline.contract import ConfigError, ContractError, Presence
from pipeline.encode.job import Callbacks
from pipeline.encode.recheck import recheck
from pipeline.encoders.config import ColourEncoding, DepthEncoding, EncodingConfig, SeriesEncoding
from pipeline.manifests import parse_manifest
from tests.fabricate import (
    SMALL_FRAMES,
    arrays_of,
    assert_same_arrays,
    encode_here,
    file_bytes,
    manifest_of,
    objects_of,
    path_of,
    record_ids,
    write_raw,
)
from tests.factories import claim

IDS = record_ids(5)
SMALL = EncodingConfig(rgb=ColourEncoding(**SMALL_FRAMES), depth=DepthEncoding(**SMALL_FRAMES))


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr("pipeline.cache.writer.MAX_CHUNK_RECORDS", 2)


@pytest.fixture
def raw(tmp_path):
    return write_raw(tmp_path / "raw", IDS)


@pytest.fixture
def cache(raw, tmp_path):
    encode_here(raw, tmp_path / "cache")
    return tmp_path / "cache"


def encoded(summary) -> set[tuple[str, str]]:
    """What an encode had to do: record and modality."""
    return {(record_id, task.modality) for task in summary.plan.tasks for record_id in task.todo}


def changed(before, after) -> set[str]:
    """Objects with other bytes or written again."""
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def test_the_same_command_again_finds_all_done_and_touches_nothing(raw, cache):
    before = objects_of(cache)
    summary = encode_here(raw, cache)
    assert encoded(summary) == set()
    assert changed(before, objects_of(cache)) <= {".ledger/lock"}


def test_moving_the_raw_tree_encodes_nothing(raw, cache, tmp_path):
    moved = raw.rename(tmp_path / "elsewhere")
    before = objects_of(cache)
    assert encoded(encode_here(moved, cache)) == set()
    assert changed(before, objects_of(cache)) <= {".ledger/lock"}


def test_files_that_move_within_the_tree_encode_nothing(raw, cache):
    (raw / "Inertial").rename(raw / "Sensors")
    assert encoded(encode_here(raw, cache)) == set()
    assert "Sensors" in str(CacheStore.read(str(cache)).records[0].streams["inertial"])


def test_one_changed_file_encodes_one_record(raw, cache):
    (raw / path_of(IDS[2], "inertial")).write_bytes(file_bytes("a1_s7_t1", "inertial"))
    before = objects_of(cache)
    assert encoded(encode_here(raw, cache)) == {(IDS[2], "inertial")}
    after = changed(before, objects_of(cache))
    row = CacheStore.read(str(cache)).entries("inertial")[IDS[2]].row
    assert {key for key in after if key.endswith("/0/0")} == {f"inertial/c/{row // 2}/0/0"}
    report = verify(str(cache), full=True)
    assert report.findings == recheck(report, str(raw), n_records=9).findings == ()


def test_a_file_that_changed_after_its_manifest_is_quarantined_and_says_so(raw, tmp_path):
    manifest = manifest_of(raw)
    (raw / path_of(IDS[2], "inertial")).write_bytes(file_bytes("a1_s7_t1", "inertial"))
    summary = encode_here(raw, tmp_path / "c", manifest)
    ((record_id, modality, failure),) = summary.failures
    assert (record_id, modality, failure.stage) == (IDS[2], "inertial", "open")
    record = next(record for record in manifest.records if record.id == IDS[2])
    wanted = record.streams["inertial"][0].sha256[:12]
    assert f"the manifest wants {wanted}" in failure.message
    # Again: still the wrong file, and nothing is decoded or written.
    before = objects_of(tmp_path / "c")
    assert encoded(encode_here(raw, tmp_path / "c", manifest)) == set()
    assert changed(before, objects_of(tmp_path / "c")) <= {".ledger/lock"}
    # The right file comes back.
    (raw / path_of(IDS[2], "inertial")).write_bytes(file_bytes(IDS[2], "inertial"))
    assert encoded(encode_here(raw, tmp_path / "c", manifest)) == {(IDS[2], "inertial")}


def test_missing_files_are_tried_again_only_when_they_are_there(raw, tmp_path):
    manifest = manifest_of(raw)
    lost = raw / path_of(IDS[0], "skeleton")
    content = lost.read_bytes()
    lost.unlink()
    summary = encode_here(raw, tmp_path / "c", manifest)
    assert [(r, m, f.stage) for r, m, f in summary.failures] == [(IDS[0], "skeleton", "open")]
    assert encoded(encode_here(raw, tmp_path / "c", manifest)) == set()
    lost.write_bytes(content)
    assert encoded(encode_here(raw, tmp_path / "c", manifest)) == {(IDS[0], "skeleton")}
    encode_here(raw, tmp_path / "whole", manifest)
    assert_same_arrays(arrays_of(tmp_path / "c"), arrays_of(tmp_path / "whole"))


def test_retry_failed_runs_just_what_failed(raw, tmp_path):
    (raw / path_of(IDS[1], "skeleton")).write_bytes(b"not a MAT file")
    encode_here(raw, tmp_path / "c")
    assert encoded(encode_here(raw, tmp_path / "c")) == set()
    again = encode_here(raw, tmp_path / "c", retry_failed=True)
    assert encoded(again) == {(IDS[1], "skeleton")}
    assert len(again.failures) == 1


def test_fail_fast_stops_at_the_first_and_the_next_encode_goes_on(raw, tmp_path):
    (raw / path_of(IDS[0], "skeleton")).write_bytes(b"not a MAT file")
    stopped = encode_here(raw, tmp_path / "c", fail_fast=True)
    assert stopped.stopped
    assert CacheStore.read(str(tmp_path / "c")).spec.state == "building"
    summary = encode_here(raw, tmp_path / "c")
    assert not summary.stopped
    assert len(summary.failures) == 1
    assert summary.counts["inertial"]["present"] == len(IDS)


def test_another_window_encodes_one_modality_and_touches_no_other(tmp_path):
    raw = write_raw(tmp_path / "raw", IDS[:2], ("depth", "inertial"), n_frames=3)
    cache = tmp_path / "cache"
    encode_here(raw, cache, config=SMALL)
    before = objects_of(cache)
    other = EncodingConfig(
        rgb=SMALL.rgb, depth=SMALL.depth, inertial=SeriesEncoding(window=4, stride=2, patches=128)
    )
    summary = encode_here(raw, cache, config=other, replace=True)
    assert encoded(summary) == {(record_id, "inertial") for record_id in IDS[:2]}
    after = objects_of(cache)
    kept = {key for key in before if key.startswith(("depth/", ".ledger/depth"))}
    assert len(kept) >= 3
    assert not changed(before, after) & kept
    assert verify(str(cache), full=True).findings == ()


def test_appended_records_rewrite_no_chunk_but_the_last(raw, cache):
    old = arrays_of(cache)
    before = objects_of(cache)
    write_raw(raw, record_ids(9))
    summary = encode_here(raw, cache)
    assert len(encoded(summary)) == 2 * 4
    touched = changed(before, objects_of(cache)) & before.keys()
    assert {key for key in touched if key.endswith("/0/0")} == {
        "inertial/c/2/0/0",
        "skeleton/c/2/0/0",
    }
    new = arrays_of(cache)
    rows = {record_id: row for row, record_id in enumerate(new["record_id"])}
    for row, record_id in enumerate(old["record_id"]):
        assert rows[record_id] == row
        assert new["skeleton"][row].tobytes() == old["skeleton"][row].tobytes()


def test_another_modality_joins_a_cache_that_is_there(raw, tmp_path):
    cache = tmp_path / "c"
    encode_here(raw, cache, modalities=("skeleton",))
    before = objects_of(cache)
    summary = encode_here(raw, cache, modalities=("inertial",))
    assert {modality for _, modality in encoded(summary)} == {"inertial"}
    assert not {k for k in changed(before, objects_of(cache)) if k.startswith("skeleton/")}
    encode_here(raw, tmp_path / "whole")
    assert_same_arrays(arrays_of(cache), arrays_of(tmp_path / "whole"))
    assert summary.spec.fingerprint == CacheStore.read(str(tmp_path / "whole")).spec.fingerprint


def test_weights_stay_named_when_a_modality_without_them_joins(tmp_path):
    raw = write_raw(tmp_path / "raw", IDS[:2], ("depth", "inertial"), n_frames=3)
    encode_here(raw, tmp_path / "c", config=SMALL, modalities=("depth",))
    encode_here(raw, tmp_path / "c", config=SMALL, modalities=("inertial",))
    provenance = CacheStore.read(str(tmp_path / "c")).spec.provenance
    assert provenance["weights"]["name"] == "random:0"
    report = verify(str(tmp_path / "c"))
    assert report.findings == recheck(report, str(raw), n_records=9).findings == ()


def test_other_weights_encode_the_frames_again(tmp_path):
    raw = write_raw(tmp_path / "raw", IDS[:1], ("depth", "inertial"), n_frames=3)
    encode_here(raw, tmp_path / "c", config=SMALL)
    summary = encode_here(raw, tmp_path / "c", config=SMALL, weights="random:1", replace=True)
    assert encoded(summary) == {(IDS[0], "depth")}


def test_a_manifest_that_learns_frame_counts_encodes_nothing_but_what_they_refute(raw, tmp_path):
    manifest = manifest_of(raw)
    encode_here(raw, tmp_path / "c", manifest)
    lengths = CacheStore.read(str(tmp_path / "c")).entries("skeleton")

    def learnt(wrong_by: int):
        lines = [json.loads(line) for line in manifest.lines()]
        for line in lines[1:]:
            stream, by = line["streams"]["skeleton"][0], wrong_by if line["id"] == IDS[3] else 0
            stream["n_frames"] = lengths[line["id"]].length + by
        return parse_manifest("\n".join(map(json.dumps, lines)).encode())[0]

    assert encoded(encode_here(raw, tmp_path / "c", learnt(0))) == set()
    summary = encode_here(raw, tmp_path / "c", learnt(1))
    assert encoded(summary) == {(IDS[3], "skeleton")}
    assert [(r, f.stage) for r, _, f in summary.failures] == [(IDS[3], "check")]
    assert encoded(encode_here(raw, tmp_path / "c", learnt(1))) == set()
    assert encoded(encode_here(raw, tmp_path / "c", learnt(0))) == {(IDS[3], "skeleton")}


def test_a_manifest_that_lacks_records_of_the_cache_is_refused(raw, cache):
    (raw / path_of(IDS[0], "skeleton")).unlink()
    (raw / path_of(IDS[0], "inertial")).unlink()
    before = objects_of(cache)
    with pytest.raises(ConfigError, match=r"holds 1 records that the manifest lacks \(a1_s1_t1"):
        encode_here(raw, cache)
    assert changed(before, objects_of(cache)) <= {".ledger/lock"}


def test_an_out_that_is_a_file_is_refused(raw, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match=r"file is a file: wanted a folder"):
        encode_here(raw, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_an_out_that_is_someone_elses_folder_is_refused_and_left_as_it_is(raw, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "cat.jpg").write_text("mine")
    for options in ({}, {"check_stored": True}):
        with pytest.raises(ConfigError, match=r"photos exists and is not a cache .*cat\.jpg"):
            encode_here(raw, folder, **options)
    assert [p.name for p in folder.iterdir()] == ["cat.jpg"]


def test_an_out_that_is_another_zarr_group_is_refused(raw, tmp_path):
    zarr.create_group(str(tmp_path / "other"))
    with pytest.raises(ContractError, match="other is not a feature cache"):
        encode_here(raw, tmp_path / "other")


def test_a_cache_of_other_classes_is_refused(raw, cache):
    manifest = manifest_of(raw)
    manifest = replace(manifest, classes=(*manifest.classes, "juggle"))
    with pytest.raises(ConfigError, match=r"27 classes; the manifest is of utd-mhad with 28"):
        encode_here(raw, cache, manifest)


def test_two_encodes_of_one_cache_do_not_meet(raw, cache):
    with (
        locked(str(cache)),
        pytest.raises(ConfigError, match=r"is being written by another encode"),
    ):
        encode_here(raw, cache)


def test_a_worker_of_an_encode_that_was_taken_over_stops(raw, tmp_path):
    def take_over(plan):
        claim(tmp_path / "c", "another", number=2)

    with pytest.raises(ContractError, match=r"c was taken over by another encode"):
        encode_here(raw, tmp_path / "c", callbacks=Callbacks(on_plan=take_over))


def test_a_cache_without_its_checksums_gets_them_back(raw, cache):
    sums = (cache / "SHA256SUMS").read_bytes()
    for damaged in (None, b"rubbish", sums[:-3]):
        if damaged is None:
            (cache / "SHA256SUMS").unlink()
        else:
            (cache / "SHA256SUMS").write_bytes(damaged)
        assert encoded(encode_here(raw, cache)) == set()
        assert (cache / "SHA256SUMS").read_bytes() == sums


def test_half_a_cache_cannot_be_finished_by_its_other_half(raw, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        encode_here(raw, tmp_path / "c", callbacks=Callbacks(on_report=_interrupt))
    with pytest.raises(ContractError, match=r"skeleton has 3 records to do .*--modalities skele"):
        encode_here(raw, tmp_path / "c", modalities=("inertial",))
    assert len(encoded(encode_here(raw, tmp_path / "c"))) == 3


def _interrupt(report):
    raise KeyboardInterrupt


def test_a_record_without_a_modality_is_absent_and_costs_nothing(raw, tmp_path):
    (raw / path_of(IDS[0], "skeleton")).unlink()
    summary = encode_here(raw, tmp_path / "c")
    assert summary.counts["skeleton"] == {"present": 4, "absent": 1, "failed": 0}
    arrays = arrays_of(tmp_path / "c")
    row = list(arrays["record_id"]).index(IDS[0])
    assert arrays["skeleton_presence"][row] == Presence.ABSENT
    assert encoded(encode_here(raw, tmp_path / "c")) == set()


@pytest.mark.parametrize("url", ["memory://a-cache", "file://{}/c"])
def test_a_cache_behind_a_url_is_the_same(url, raw, cache, tmp_path):
    url = url.format(tmp_path)
    encode_here(raw, url)
    assert encoded(encode_here(raw, url)) == set()
    assert verify(url, full=True).findings == ()
    group = zarr.open_group(url, mode="r")
    assert group["skeleton"][...].tobytes() == arrays_of(cache)["skeleton"].tobytes()


def test_memory_that_workers_cannot_reach_is_refused(raw):
    with pytest.raises(ConfigError, match=r"memory://x lies in the memory of one process"):
        encode_here(raw, "memory://x", n_workers=2)


def test_a_row_that_is_wrong_at_the_end_is_not_sealed(raw, cache):
    store = CacheStore.read(str(cache))
    path = cache / "skeleton/c/0/0/0"
    path.write_bytes(b"\1" + path.read_bytes()[1:])
    with pytest.raises(ContractError, match=r"skeleton/c/0/0/0: record a1_s1_t1 is not"):
        finish(store, {}, "")


def test_files_whose_hash_the_manifest_does_not_know_are_hashed(raw, tmp_path):
    manifest = manifest_of(raw)
    lines = [json.loads(line) for line in manifest.lines()]
    for line in lines[1:]:
        line["streams"]["skeleton"][0].update(sha256=None, n_bytes=None)
    unknown = parse_manifest("\n".join(map(json.dumps, lines)).encode())[0]
    encode_here(raw, tmp_path / "c", unknown)
    assert encoded(encode_here(raw, tmp_path / "c", manifest)) == set()
    shutil.copyfile(raw / path_of(IDS[1], "skeleton"), raw / path_of(IDS[0], "skeleton"))
    assert encoded(encode_here(raw, tmp_path / "c", unknown)) == {(IDS[0], "skeleton")}
