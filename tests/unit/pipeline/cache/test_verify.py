"""Verification against raw files and the encoder, and what it refuses to guess."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from pipeline.cache.verify import verify
from pipeline.commands.cache import cache as command
from pipeline.contract import ConfigError, ContractError
from pipeline.encode.recheck import recheck
from pipeline.encoders import kinds
from pipeline.encoders.config import SeriesEncoding
from pipeline.encoders.series import encode_series
from tests.fabricate import encode_here, file_bytes, path_of, record_ids, write_raw

IDS = record_ids(4)


@pytest.fixture
def made(tmp_path):
    raw = write_raw(tmp_path / "raw", IDS)
    encode_here(raw, tmp_path / "c")
    return raw, tmp_path / "c"


def test_a_sound_cache_has_no_findings(made):
    raw, cache = made
    report = verify(str(cache), full=True)
    outside = recheck(report, str(raw), n_records=8)
    assert report.findings == outside.findings == ()
    assert (outside.n_sources, outside.n_recomputed) == (8, 8)
    assert report.counts["inertial"] == {"present": 4, "absent": 0, "failed": 0}
    assert report.n_objects > 8


def test_raw_files_that_changed_or_went_are_named_with_their_records(made):
    raw, cache = made
    (raw / path_of(IDS[0], "skeleton")).write_bytes(file_bytes("a1_s8_t1", "skeleton"))
    (raw / path_of(IDS[1], "inertial")).unlink()
    outside = recheck(verify(str(cache)), str(raw))
    found = {f.where: (f.kind, f.record_ids) for f in outside.findings}
    assert found == {
        path_of(IDS[0], "skeleton"): ("source", (IDS[0],)),
        path_of(IDS[1], "inertial"): ("source", (IDS[1],)),
    }


def test_a_record_that_encodes_to_other_numbers_is_found(made, monkeypatch):
    raw, cache = made
    changed = [
        replace(kind, encode=lambda v, e: encode_series(v, e) * 1.1)
        if kind.settings is SeriesEncoding
        else kind
        for kind in kinds.KINDS
    ]
    monkeypatch.setattr(kinds, "KINDS", changed)
    report = recheck(verify(str(cache)), str(raw), n_records=8)
    assert {(f.kind, f.where) for f in report.findings} == {("recompute", "inertial")}
    assert "differs by 0.1" in report.findings[0].message
    assert {i for f in report.findings for i in f.record_ids} == set(IDS)


def test_recomputing_wants_the_raw_files(made):
    arguments = ["verify", str(made[1]), "--recompute", "1"]
    with pytest.raises(ConfigError, match="--recompute encodes raw files again"):
        CliRunner().invoke(command, arguments, catch_exceptions=False)


def test_where_there_is_no_cache_it_says_so(tmp_path):
    with pytest.raises(ContractError, match=r"none: no cache there\. Make one with 'dmft encode'"):
        verify(str(tmp_path / "none"))


def test_the_command_exits_with_1_and_names_object_and_record(made):
    _, cache = made
    path = cache / "inertial/c/0/0/0"
    content = bytearray(path.read_bytes())
    content[128 * 6 * 4 * 2 + 3] ^= 1
    path.write_bytes(bytes(content))
    result = CliRunner().invoke(command, ["verify", str(cache), "--full"])
    assert result.exit_code == 1
    assert "inertial/c/0/0/0: its bytes are not what was written" in result.output
    assert "--check-stored" in result.output
    assert f"[{IDS[2]}]" in result.output
    report = json.loads(
        CliRunner().invoke(command, ["verify", str(cache), "--full", "--json"]).output
    )
    assert report["findings"][0]["record_ids"] == [IDS[2]]


def test_info_shows_what_is_inside(made):
    text = CliRunner().invoke(command, ["info", str(made[1])]).output
    assert "complete, 4 records of utd-mhad" in text
    assert "(N, 128, 6) float32, 4 present" in text
    found = json.loads(CliRunner().invoke(command, ["info", str(made[1]), "--json"]).output)
    assert found["counts"]["skeleton"]["present"] == 4
