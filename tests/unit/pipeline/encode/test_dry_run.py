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
    assert run.seconds is None
    assert rehearse_here(raw, tmp_path / "c", measure=True).seconds > 0
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
    assert "time not measured (--measure). Nothing was changed." in text
    assert "about" in CliRunner().invoke(command, [*asked, "--measure"]).output
    alone = CliRunner().invoke(command, [a for a in asked if a != "--dry-run"] + ["--measure"])
    assert alone.exit_code == 2
    assert "--measure goes with --dry-run" in alone.output


def test_frames_are_estimated_by_their_known_counts(tmp_path):
    raw = write_raw(tmp_path / "raw", IDS[:2], ("depth",), n_frames=2)
    config = EncodingConfig(depth=DepthEncoding(**SMALL_FRAMES))
    run = rehearse_here(raw, tmp_path / "c", weights="random:0", config=config, measure=True)
    needs = run.modalities["depth"]
    assert (needs.n_frames, needs.n_unknown_frames) == (0, 2)
    assert needs.seconds > 0


def test_weights_that_are_not_here_are_named_and_not_downloaded(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("pipeline.encoders.weights._imagenet", lambda _: pytest.fail("downloaded"))
    raw = write_raw(tmp_path / "raw", IDS[:2], ("depth",), n_frames=2)
    config = EncodingConfig(depth=DepthEncoding(**SMALL_FRAMES))
    run = rehearse_here(raw, tmp_path / "c", config=config)
    assert [url.rpartition("/")[2] for url in run.downloads] == ["resnet50-11ad3fa6.pth"]
    assert run.modalities["depth"].n_pending == 2
    encode_here(raw, tmp_path / "c", weights="random:0", config=config)
    again = rehearse_here(raw, tmp_path / "c", config=config)
    assert (again.modalities["depth"].n_pending, len(again.downloads)) == (0, 1)


def test_a_gpu_that_is_not_there_is_missed_also_where_no_network_runs(raw, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match="--device cuda: PyTorch finds no GPU here"):
        rehearse_here(raw, tmp_path / "c", device="cuda")


def test_a_gpu_that_has_nothing_to_do_is_said_so(raw, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert rehearse_here(raw, tmp_path / "c", device="cuda").device == "cpu"
    assert "skeleton, inertial pass no network and are encoded on the CPU" in caplog.text
