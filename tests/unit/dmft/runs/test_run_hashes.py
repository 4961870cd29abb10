"""A run folder's files are what was written, or are refused by name."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from dmft.data import open_cache
from dmft.reports.load import load_runs
from dmft.reports.page.html import render_report
from dmft.runs.files import file_sha256
from dmft.runs.folder import MODEL_FILE, RUN_FILE, load_run, read_info
from pipeline.contract import ContractError
from tests.trained import make_place


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return make_place(tmp_path_factory.mktemp("hashes"))


@pytest.fixture
def run(trained, tmp_path):
    return Path(shutil.copytree(trained.run, tmp_path / "run"))


def change(run, **entries):
    said = json.loads((run / RUN_FILE).read_text())
    said |= entries
    (run / RUN_FILE).write_text(json.dumps({k: v for k, v in said.items() if v is not None}))


def test_a_run_knows_how_its_cache_was_encoded(run):
    info = read_info(run)
    assert info.dataset == "utd-mhad"
    assert list(info.encodings) == list(info.modalities)
    assert info.encodings["skeleton"]["recentre"] == "first"
    assert info.model_sha256 == file_sha256(run / MODEL_FILE)
    assert info.manifest_sha256 == open_cache(info.cache_path).spec.provenance["manifest_sha256"]
    assert len(info.manifest_sha256) == 64


def test_a_changed_entry_of_a_run_is_refused(run):
    change(run, dataset="other")
    with pytest.raises(ContractError, match=r"run\.json is not what was written: .*SHA-256 '"):
        read_info(run)
    change(run, dataset="utd-mhad")
    assert read_info(run).dataset == "utd-mhad"
    change(run, sha256=None)
    with pytest.raises(ContractError, match=r"run\.json is not what was written: .*says 'None'"):
        read_info(run)


def test_a_moved_cache_may_be_noted_by_hand(run):
    change(run, cache_path="elsewhere.zarr")
    assert read_info(run).cache_path == "elsewhere.zarr"


def test_a_run_of_an_earlier_version_without_hashes_still_loads(run):
    new = ("sha256", "dataset", "encodings", "encoder_weights", "model_sha256")
    change(run, **dict.fromkeys((*new, "manifest_sha256")))
    assert load_run(run).info.encodings == {}


def test_the_manifests_hash_does_not_decide_what_a_run_is(run):
    """So that runs made before it was noted keep their identity, and their weights."""
    info = read_info(run)
    assert dataclasses.replace(info, manifest_sha256="").identity == info.identity
    (shown,), _ = load_runs([run])
    assert info.manifest_sha256 in render_report([shown])
    change(run, sha256=None, encodings=None, model_sha256=None, manifest_sha256=None)
    (shown,), _ = load_runs([run])
    assert "SHA-256</dt><dd>not recorded" in render_report([shown])


def test_tensorboard_gets_every_figure_of_an_epoch_and_the_configuration(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(run))
    board.Reload()
    names = ("loss", "accuracy", "learning_rate", "seconds", "records_per_second")
    assert sorted(board.Tags()["scalars"]) == sorted(f"train/{name}" for name in names)
    (epoch,) = [json.loads(line) for line in (run / "epochs.jsonl").read_text().splitlines()]
    for name in names[:4]:
        (scalar,) = board.Scalars(f"train/{name}")
        assert (scalar.step, scalar.value) == (1, pytest.approx(epoch[name]))
    assert board.Tags()["tensors"] == ["config/text_summary"]


def test_one_flipped_bit_of_the_weights_is_refused(run):
    content = bytearray((run / MODEL_FILE).read_bytes())
    content[-1] ^= 1
    (run / MODEL_FILE).write_bytes(content)
    found = file_sha256(run / MODEL_FILE)[:12]
    with pytest.raises(ContractError, match=rf"model\.safetensors has SHA-256 '{found}', wanted "):
        load_run(run)


def test_weights_that_are_gone_are_named(run):
    (run / MODEL_FILE).unlink()
    with pytest.raises(ContractError, match=r"model\.safetensors cannot be read"):
        load_run(run)
    with pytest.raises(ContractError, match=r"model\.safetensors cannot be read: No such file"):
        file_sha256(run / MODEL_FILE)
