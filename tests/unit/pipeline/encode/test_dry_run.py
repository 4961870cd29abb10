"""The rehearsal: what an encode would read, write and take, and that nothing is changed."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple

import pytest
from click.testing import CliRunner

from pipeline.commands.encode import encode as command
from pipeline.contract import ConfigError
from pipeline.encoders.config import DepthEncoding, EncodingConfig
from tests.fabricate import (
    SMALL_FRAMES,
    encode_here,
    manifest_of,
    path_of,
    record_ids,
    rehearse_here,
    save_manifest_of,
    write_raw,
)

IDS = record_ids(4)


@pytest.fixture
def raw(tmp_path):
    return write_raw(tmp_path / "raw", IDS)


def test_a_rehearsal_counts_what_there_is_to_do_and_changes_nothing(raw, tmp_path):
    run = rehearse_here(raw, tmp_path / "c")
    needs = run.modalities["skeleton"]
    assert (needs.n_pending, needs.n_done) == (4, 0)
    assert needs.source_bytes == sum((raw / path_of(i, "skeleton")).stat().st_size for i in IDS)
    assert run.cache_bytes > 4 * 64 * 60 * 4
    assert run.missing == ()
    assert run.seconds > 0
    assert not (tmp_path / "c").exists()


def test_a_rehearsal_of_a_finished_cache_finds_nothing_to_do(raw, tmp_path):
    encode_here(raw, tmp_path / "c")
    run = rehearse_here(raw, tmp_path / "c")
    assert {name: (n.n_pending, n.n_done) for name, n in run.modalities.items()} == {
        "skeleton": (0, 4),
        "inertial": (0, 4),
    }
    assert run.cache_bytes == 0
    assert run.seconds == 0


def test_a_rehearsal_lists_files_that_are_not_there(raw, tmp_path):
    manifest = manifest_of(raw)
    (raw / path_of(IDS[1], "skeleton")).unlink()
    ((record_id, modality, reason),) = rehearse_here(raw, tmp_path / "c", manifest).missing
    assert (record_id, modality) == (IDS[1], "skeleton")
    assert path_of(IDS[1], "skeleton") in reason


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(raw, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2, 1, 3_000_000))
    for start in (rehearse_here, encode_here):
        with pytest.raises(ConfigError, match=r"wants \d+ MB more and its disk has 3 MB free"):
            start(raw, tmp_path / "c")
    assert not list((tmp_path / "c").glob("zarr.json"))


def test_the_command_prints_a_rehearsal_as_json(raw, tmp_path):
    manifest = save_manifest_of(raw, tmp_path / "raw.jsonl")
    asked = [str(manifest), "--raw", str(raw), "--out", str(tmp_path / "c"), "--dry-run"]
    found = json.loads(CliRunner().invoke(command, [*asked, "--json"]).stdout)
    assert found["modalities"]["inertial"]["n_pending"] == 4
    assert found["device"] == "cpu"
    text = CliRunner().invoke(command, asked).output
    assert "4 to encode" in text
    assert "Nothing was changed." in text


def test_frames_are_estimated_by_their_known_counts(tmp_path):
    raw = write_raw(tmp_path / "raw", IDS[:2], ("depth",), n_frames=2)
    config = EncodingConfig(depth=DepthEncoding(**SMALL_FRAMES))
    run = rehearse_here(raw, tmp_path / "c", weights="random:0", config=config)
    needs = run.modalities["depth"]
    assert (needs.n_frames, needs.n_unknown_frames) == (0, 2)
    assert needs.seconds > 0
