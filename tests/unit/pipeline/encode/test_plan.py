"""The plan: what there is to do, by each record's key against what is stored."""

from __future__ import annotations

import pytest

from pipeline.encode.options import EncodeOptions, set_up
from pipeline.encode.plan import MISSING, expected_keys
from pipeline.encoders.config import EncodingConfig, SkeletonEncoding
from pipeline.raw.tree import RawTree
from tests.fabricate import encode_here, manifest_of, path_of, record_ids, rehearse_here, write_raw

IDS = record_ids(4)


@pytest.fixture
def raw(tmp_path):
    return write_raw(tmp_path / "raw", IDS)


def test_a_file_that_cannot_be_read_has_a_key_that_its_return_changes(raw):
    from dataclasses import replace

    record = manifest_of(raw).records[0]
    (ref,) = record.streams["skeleton"]
    unknown = replace(record, streams={"skeleton": (replace(ref, sha256=None),)})

    def key(rec):
        spec = set_up(manifest_of(raw), str(raw), "c", EncodeOptions()).specs["skeleton"]
        return expected_keys((rec,), spec, RawTree(raw))[rec.id]

    there = key(unknown)
    (raw / ref.path).unlink()
    lost = replace(record, streams={"skeleton": (replace(ref, sha256=MISSING),)})
    assert key(unknown) == key(lost) != there == key(record)
    assert key(replace(record, streams={})) == "absent"


def test_a_modality_that_starts_anew_has_nothing_done_and_nothing_absent_yet(raw, tmp_path):
    """Planned once, before what is stored of it goes: absent records are written down again."""
    (raw / path_of(IDS[1], "skeleton")).unlink()
    encode_here(raw, tmp_path / "c")
    config = EncodingConfig(skeleton=SkeletonEncoding(patches=8))
    asked = {"config": config, "replace": True}
    needs = rehearse_here(raw, tmp_path / "c", **asked).modalities["skeleton"]
    assert (needs.n_pending, needs.n_done, needs.n_absent) == (3, 0, 1)
    summary = encode_here(raw, tmp_path / "c", **asked)
    assert summary.spec.state == "complete"
    assert summary.counts["skeleton"] == {"present": 3, "absent": 1, "failed": 0}
    assert encode_here(raw, tmp_path / "c", config=config).plan.tasks == ()
