"""What an encode is asked: what cannot work is refused before anything is touched."""

from __future__ import annotations

import pytest
import torch
from click.testing import CliRunner
from torchvision import models

from cli import dmft
from pipeline.contract import ConfigError
from pipeline.encode.options import EncodeOptions, set_up
from pipeline.encoders.config import load_config
from pipeline.encoders.weights import load_weights
from tests.fabricate import (
    encode_here,
    manifest_of,
    record_ids,
    rehearse_here,
    save_manifest_of,
    write_raw,
)

IDS = record_ids(4)


@pytest.fixture
def raw(tmp_path):
    return write_raw(tmp_path / "raw", IDS)


def test_a_gpu_that_is_not_there_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    raw = write_raw(tmp_path / "raw", IDS[:1], ("depth",), n_frames=2)
    with pytest.raises(ConfigError, match="--device cuda: PyTorch finds no GPU here"):
        rehearse_here(raw, tmp_path / "c", device="cuda", weights="random:0")
    # On a user's cluster the GPUs are elsewhere: it is for the workers to say.
    options = EncodeOptions(device="cuda", scheduler="tcp://there:1", weights="random:0")
    assert set_up(manifest_of(raw), str(raw), str(tmp_path / "c"), options).device == "cuda"


def test_modalities_that_there_are_none_of_are_refused(raw, tmp_path):
    with pytest.raises(ConfigError, match=r"no reader for modality 'smell' of utd-mhad"):
        rehearse_here(raw, tmp_path / "c", modalities=("smell",))
    with pytest.raises(ConfigError, match=r"the manifest has no rgb: its modalities are inertial"):
        rehearse_here(raw, tmp_path / "c", modalities=("rgb",))


def test_imagenet_without_a_network_ends_the_command_with_what_to_do(tmp_path, monkeypatch):
    def no_network(*_, **__):
        raise OSError("Name or service not known")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", no_network)
    raw = write_raw(tmp_path / "raw", IDS[:1], ("depth",), n_frames=2)
    with pytest.raises(ConfigError, match=r"could not be downloaded from https.*--weights FILE"):
        rehearse_here(raw, tmp_path / "c", measure=True)


def test_what_is_refused_leaves_no_trace(raw, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "letter.txt").write_text("mine")
    with pytest.raises(ConfigError, match="file is a file: wanted a folder for the cache"):
        encode_here(raw, tmp_path / "file")
    with pytest.raises(ConfigError, match=r"is not a cache \(it holds letter\.txt\)"):
        encode_here(raw, tmp_path / "folder")
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("how", [(), ("--dry-run",)])
def test_a_modality_that_the_manifest_lists_and_no_reader_reads_ends_the_command(
    raw, tmp_path, how
):
    """Setting up once left it out and exited with 0."""
    path = save_manifest_of(raw, tmp_path / "m.jsonl")
    path.write_text(path.read_text().replace('"skeleton":[', '"radar":['))
    command = ["encode", str(path), "--raw", str(raw), "--out", str(tmp_path / "c.zarr"), *how]
    with pytest.raises(ConfigError, match=r"no reader for modality 'radar' of utd-mhad: have rgb"):
        CliRunner().invoke(dmft, command, catch_exceptions=False)
    assert not (tmp_path / "c.zarr").exists()
    named = [*command, "--modalities", "inertial", "--workers", "0"]
    assert CliRunner().invoke(dmft, named).exit_code == 0


def test_two_modalities_pass_networks_of_their_own(tmp_path):
    raw = write_raw(tmp_path / "raw", IDS[:1], ("rgb", "depth"), n_frames=2)
    file = tmp_path / "r18.pth"
    torch.save(models.resnet18(weights=None).state_dict(), file)
    changes = [f"{m}.{c}" for m in ("rgb", "depth") for c in ("image_size=32", "patches=2")]
    config = load_config(None, ["rgb.network=resnet18", "depth.network=resnet34", *changes])
    asked = f"random:1,rgb={file}"
    done = encode_here(raw, tmp_path / "c", config=config, weights=asked)
    noted = {name: spec.encoding for name, spec in done.spec.modalities.items()}
    assert noted["rgb"]["weights_sha256"] == load_weights(str(file), "resnet18").sha256
    assert noted["depth"]["weights_sha256"] == load_weights("random:1", "resnet34").sha256
    assert done.spec.provenance["weights"]["name"] == "random:1,rgb=r18.pth"
    again = encode_here(raw, tmp_path / "c", config=config, weights=asked)
    assert sum(len(task.todo) for task in again.plan.tasks) == 0
    with pytest.raises(ConfigError, match=r"names 'sound': modalities whose frames pass a network"):
        encode_here(raw, tmp_path / "c", config=config, weights="sound=random:1")
