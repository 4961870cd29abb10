"""The plan and the rehearsal: what there is to do, what it takes, and what cannot be."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple

import pytest
from click.testing import CliRunner

from pipeline.commands.encode import encode as command
from pipeline.contract import ConfigError
from pipeline.encode.job import rehearse
from pipeline.encode.options import EncodeOptions, set_up
from pipeline.encode.plan import MISSING, expected_keys
from pipeline.encoders.config import DepthEncoding, EncodingConfig, SkeletonEncoding
from pipeline.raw.tree import RawTree
from tests.fabricate import (
    SMALL_FRAMES,
    encode_here,
    manifest_of,
    path_of,
    record_ids,
    save_manifest_of,
    write_raw,
)

IDS = record_ids(4)


@pytest.fixture
def raw(tmp_path):
    return write_raw(tmp_path / "raw", IDS)


def look_ahead(raw, location, manifest=None, **options):
    asked = EncodeOptions(n_workers=0, **options)
    return rehearse(manifest or manifest_of(raw), str(raw), str(location), asked)


def test_a_rehearsal_counts_what_there_is_to_do_and_changes_nothing(raw, tmp_path):
    run = look_ahead(raw, tmp_path / "c")
    needs = run.modalities["skeleton"]
    assert (needs.n_pending, needs.n_done) == (4, 0)
    assert needs.source_bytes == sum((raw / path_of(i, "skeleton")).stat().st_size for i in IDS)
    assert run.cache_bytes > 4 * 64 * 60 * 4
    assert run.missing == ()
    assert run.seconds > 0
    assert not (tmp_path / "c").exists()


def test_a_rehearsal_of_a_finished_cache_finds_nothing_to_do(raw, tmp_path):
    encode_here(raw, tmp_path / "c")
    run = look_ahead(raw, tmp_path / "c")
    assert {name: (n.n_pending, n.n_done) for name, n in run.modalities.items()} == {
        "skeleton": (0, 4),
        "inertial": (0, 4),
    }
    assert run.cache_bytes == 0
    assert run.seconds == 0


def test_a_rehearsal_lists_files_that_are_not_there(raw, tmp_path):
    manifest = manifest_of(raw)
    (raw / path_of(IDS[1], "skeleton")).unlink()
    ((record_id, modality, reason),) = look_ahead(raw, tmp_path / "c", manifest).missing
    assert (record_id, modality) == (IDS[1], "skeleton")
    assert path_of(IDS[1], "skeleton") in reason


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(raw, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2, 1, 3_000_000))
    for start in (look_ahead, encode_here):
        with pytest.raises(ConfigError, match=r"wants \d+ MB more and its disk has 3 MB free"):
            start(raw, tmp_path / "c")
    assert not list((tmp_path / "c").glob("zarr.json"))


def test_a_gpu_that_is_not_there_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    raw = write_raw(tmp_path / "raw", IDS[:1], ("depth",), n_frames=2)
    with pytest.raises(ConfigError, match="--device cuda: PyTorch finds no GPU here"):
        look_ahead(raw, tmp_path / "c", device="cuda", weights="random:0")
    # On a user's cluster the GPUs are elsewhere: it is for the workers to say.
    options = EncodeOptions(device="cuda", scheduler="tcp://there:1", weights="random:0")
    assert set_up(manifest_of(raw), str(raw), str(tmp_path / "c"), options).device == "cuda"


def test_modalities_that_there_are_none_of_are_refused(raw, tmp_path):
    with pytest.raises(ConfigError, match=r"no reader for modality 'smell' of utd-mhad"):
        look_ahead(raw, tmp_path / "c", modalities=("smell",))
    with pytest.raises(ConfigError, match=r"the manifest has no rgb: its modalities are inertial"):
        look_ahead(raw, tmp_path / "c", modalities=("rgb",))


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
    run = look_ahead(raw, tmp_path / "c", weights="random:0", config=config)
    needs = run.modalities["depth"]
    assert (needs.n_frames, needs.n_unknown_frames) == (0, 2)
    assert needs.seconds > 0


def test_imagenet_without_a_network_ends_the_command_with_what_to_do(tmp_path, monkeypatch):
    def no_network(*_, **__):
        raise OSError("Name or service not known")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", no_network)
    raw = write_raw(tmp_path / "raw", IDS[:1], ("depth",), n_frames=2)
    with pytest.raises(ConfigError, match=r"could not be downloaded from https.*--weights FILE"):
        look_ahead(raw, tmp_path / "c")


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
    needs = look_ahead(raw, tmp_path / "c", config=config).modalities["skeleton"]
    assert (needs.n_pending, needs.n_done, needs.n_absent) == (3, 0, 1)
    summary = encode_here(raw, tmp_path / "c", config=config)
    assert summary.spec.state == "complete"
    assert summary.counts["skeleton"] == {"present": 3, "absent": 1, "failed": 0}
    assert encode_here(raw, tmp_path / "c", config=config).plan.tasks == ()


def test_what_is_refused_leaves_no_trace(raw, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "letter.txt").write_text("mine")
    with pytest.raises(ConfigError, match="file is a file: wanted a folder for the cache"):
        encode_here(raw, tmp_path / "file")
    with pytest.raises(ConfigError, match=r"is not a cache \(it holds letter\.txt\)"):
        encode_here(raw, tmp_path / "folder")
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["letter.txt"]
