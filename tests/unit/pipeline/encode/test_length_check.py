"""Streams of one record against each other: who disagrees is set aside, and set free again."""

from __future__ import annotations

from pipeline.encoders.config import DepthEncoding, EncodingConfig
from tests.fabricate import SMALL_FRAMES, encode_here, path_of, record_ids, write_raw

IDS = record_ids(3)
BAD = IDS[1]


def small() -> EncodingConfig:
    return EncodingConfig(depth=DepthEncoding(**SMALL_FRAMES))


def test_depth_and_skeleton_of_different_lengths_are_both_quarantined(tmp_path):
    raw = write_raw(tmp_path / "raw", IDS, ("skeleton", "inertial", "depth"), n_frames=6)
    write_raw(raw, [BAD], ("skeleton",), n_frames=5)
    cache = tmp_path / "c"
    summary = encode_here(raw, cache, config=small())
    assert {(r, m, f.stage) for r, m, f in summary.failures} == {
        (BAD, "depth", "agree"),
        (BAD, "skeleton", "agree"),
    }
    assert all("depth has 6 frames and skeleton has 5" in f.message for *_, f in summary.failures)
    assert summary.counts["inertial"]["present"] == 3
    # It ends: nothing is encoded again until one of the two files is another.
    assert encode_here(raw, cache, config=small()).plan.tasks == ()
    retried = encode_here(raw, cache, config=small(), retry_failed=True)
    assert len(retried.failures) == 2
    write_raw(raw, [BAD], ("skeleton",), n_frames=6)
    mended = encode_here(raw, cache, config=small())
    assert mended.failures == ()
    assert {(t.modality, *t.todo) for t in mended.plan.tasks} == {("depth", BAD), ("skeleton", BAD)}


def test_a_partner_that_fails_otherwise_sets_the_other_free(tmp_path):
    raw = write_raw(tmp_path / "raw", IDS, ("skeleton", "depth"), n_frames=6)
    write_raw(raw, [BAD], ("skeleton",), n_frames=5)
    cache = tmp_path / "c"
    encode_here(raw, cache, config=small(), modalities=("depth",))
    assert len(encode_here(raw, cache, config=small()).failures) == 2
    (raw / path_of(BAD, "skeleton")).write_bytes(b"rubbish")
    summary = encode_here(raw, cache, config=small())
    assert [(r, m, f.stage != "agree") for r, m, f in summary.failures] == [(BAD, "skeleton", True)]
    assert encode_here(raw, cache, config=small()).plan.tasks == ()
