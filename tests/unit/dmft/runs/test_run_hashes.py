"""A run folder's files are what was written, or are refused by name."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from dmft.config import load_config
from dmft.data import open_cache
from dmft.data.shuffle import ShuffleBuffer
from dmft.models import InputShape
from dmft.own import Own
from dmft.reports.load import load_runs
from dmft.reports.page.html import render_report
from dmft.runs.files import file_sha256
from dmft.runs.folder import MODEL_FILE, RUN_FILE, RUN_VERSION, read_info, write_info
from dmft.runs.spec import RunSpec, Validation
from dmft.runs.trained import load_run
from pipeline.contract import ContractError
from tests.trained import shared_place


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return shared_place(tmp_path_factory)


@pytest.fixture
def run(trained, tmp_path):
    return Path(shutil.copytree(trained.run, tmp_path / "run"))


def change(run, section=None, **entries):
    """Change entries of a section of run.json, or of the whole, as by hand; None takes them out."""
    content = json.loads((run / RUN_FILE).read_text())
    table = content[section] if section else content
    table |= entries
    for key in [key for key, value in entries.items() if value is None]:
        del table[key]
    (run / RUN_FILE).write_text(json.dumps(content))


def test_a_run_knows_how_its_cache_was_encoded(run):
    info = read_info(run)
    source = info.source
    assert source.dataset == "utd-mhad"
    assert list(source.encodings) == list(info.spec.modalities)
    assert source.encodings["skeleton"]["recentre"] == "first"
    assert info.finished.model_sha256 == file_sha256(run / MODEL_FILE)
    assert source.manifest_sha256 == open_cache(info.cache_path).spec.provenance["manifest_sha256"]
    assert len(source.manifest_sha256) == 64


def test_a_changed_entry_of_a_run_is_refused(run):
    change(run, "source", dataset="other")
    with pytest.raises(ContractError, match=r"run\.json is not what was written: .*SHA-256 '"):
        read_info(run)
    change(run, "source", dataset="utd-mhad")
    assert read_info(run).source.dataset == "utd-mhad"
    change(run, sha256=None)
    with pytest.raises(ContractError, match=r"run\.json is not what was written: .*says 'None'"):
        read_info(run)


def test_every_field_of_a_spec_decides_the_identity_and_nothing_else_does(run):
    info = read_info(run)
    others = {
        "kind": "teacher" if info.spec.kind != "teacher" else "student",
        "config": load_config("paper"),
        "fold": dataclasses.replace(info.spec.fold, name="other"),
        "stored": {**info.spec.stored, "other": InputShape(n_patches=1, n_features=1)},
        "classes": (*info.spec.classes, "other"),
        "shuffle_buffer": ShuffleBuffer(n_blocks=1, n_records=1),
        "teachers": ("other",),
        **{
            name: Own(name="other:Net", source_sha256="other")
            for name in ("network", "loss", "augment")
        },
        "validation": Validation(
            by="subject", rule=info.spec.fold, split_hash="other", keep="best", patience=0
        ),
        **dict.fromkeys(("split_hash", "cache_fingerprint", "device"), "other"),
        **dict.fromkeys(("n_train", "n_test", "seed"), 12345),
    }
    assert others.keys() == {field.name for field in dataclasses.fields(RunSpec)}
    for name, other in others.items():
        changed = dataclasses.replace(info.spec, **{name: other})
        assert changed.identity != info.spec.identity, name
    turned = dict(reversed(info.spec.stored.items()))
    assert dataclasses.replace(info.spec, stored=turned).identity != info.spec.identity


def test_a_run_of_another_version_is_refused(run):
    change(run, version=RUN_VERSION - 1)
    wanted = rf"has run version {RUN_VERSION - 1}; this software reads {RUN_VERSION}\. Train again"
    with pytest.raises(ContractError, match=wanted):
        load_run(run)


def test_a_moved_cache_may_be_noted_by_hand(run):
    change(run, cache_path="elsewhere.zarr")
    assert read_info(run).cache_path == "elsewhere.zarr"


def test_the_manifests_hash_stands_in_the_report(run):
    info = read_info(run)
    (shown,), _ = load_runs([run])
    assert info.source.manifest_sha256 in render_report([shown])
    source = dataclasses.replace(info.source, manifest_sha256="")
    write_info(run, dataclasses.replace(info, source=source))
    (shown,), _ = load_runs([run])
    assert "SHA-256</dt><dd>not recorded" in render_report([shown])


def test_tensorboard_gets_every_figure_of_an_epoch_and_the_configuration(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(run))
    board.Reload()
    names = ("loss", "accuracy", "learning_rate", "seconds", "records_per_second")
    reached = {"test/accuracy", "test/macro_f1", "parameters"}
    assert set(board.Tags()["scalars"]) == {f"train/{name}" for name in names} | reached
    (epoch,) = [json.loads(line) for line in (run / "epochs.jsonl").read_text().splitlines()]
    for name in names[:4]:
        (scalar,) = board.Scalars(f"train/{name}")
        assert (scalar.step, scalar.value) == (1, pytest.approx(epoch[name]))
    assert "config/text_summary" in board.Tags()["tensors"]


def test_tensorboards_table_of_runs_has_settings_and_what_was_reached(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import plugin_data_pb2

    board = EventAccumulator(str(run))
    board.Reload()
    content = board.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    asked = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    spec = read_info(run).spec
    assert asked["kind"].string_value == spec.kind
    assert asked["training.epochs"].number_value == spec.config.training.epochs
    assert asked["modalities"].string_value == "+".join(spec.modalities)
    metrics = json.loads((run / "metrics.json").read_text())
    (accuracy,) = board.Scalars("test/accuracy")
    assert accuracy.value == pytest.approx(metrics["accuracy"])


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
