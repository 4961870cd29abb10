"""An export: the graph is the run, its files are what was written, and nothing is unpickled."""

import importlib
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from dmft.config import load_config
from dmft.data import open_cache
from dmft.export.build import check_agreement, export, gather_records, quantise
from dmft.export.folder import (
    ARCHIVE_FILE,
    CARD_FILE,
    EXPORT_FILE,
    GRAPH_FILE,
    INT8_FILE,
    open_export,
    read_export,
)
from dmft.export.graph import RunModule, example_inputs
from dmft.runs.files import file_sha256, read_file, write_json
from dmft.runs.trained import load_run
from dmft.training.train import train
from pipeline.contract import ConfigError, ContractError
from tests.factories import write_cache
from tests.trained import shared_export, shared_place


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return shared_place(tmp_path_factory, kind="teacher")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return shared_export(tmp_path_factory, kind="teacher")


@pytest.fixture
def folder(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / "export"))


def arrays(run, n):
    patches, present = example_inputs(run, n)
    return {name: values.numpy() for name, values in patches.items()}, present.numpy()


def test_the_graph_of_a_teacher_agrees_with_it_for_any_number_of_records(trained, whole):
    run, graph = load_run(trained.run), open_export(whole)
    module = RunModule(run).eval()
    for n in (1, 2, 5):
        patches, present = example_inputs(run, n)
        present[-1, 0] = False
        with torch.no_grad():
            wanted = module(patches, present)
        found = graph({name: p.numpy() for name, p in patches.items()}, present.numpy())
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one, other.numpy(), rtol=0, atol=1e-5)


@pytest.fixture(scope="module", params=["teacher", "student"])
def of_kind(request, tmp_path_factory):
    """A run of each kind and its export."""
    place = shared_place(tmp_path_factory, kind=request.param)
    return place.run, shared_export(tmp_path_factory, kind=request.param)


@pytest.mark.parametrize("column", [0, 1])
def test_what_an_absent_modality_holds_changes_nothing(of_kind, column):
    """As a cache stores it, that is NaN; in torch, in ONNX, in int8 and in the archive."""
    folder, exported = of_kind
    run = load_run(folder)
    patches, present = arrays(run, 3)
    present[1, column] = False
    name = list(patches)[column]
    module, archive = RunModule(run).eval(), torch.export.load(str(exported / ARCHIVE_FILE))

    def in_torch(model, given):
        tensors = {key: torch.from_numpy(array) for key, array in given.items()}
        with torch.no_grad():
            return [v.numpy() for v in model(tensors, torch.from_numpy(present))]

    ways = [lambda given: in_torch(module, given), lambda given: in_torch(archive.module(), given)]
    for file in (GRAPH_FILE, INT8_FILE):
        graph = open_export(exported, file=file)
        ways.append(lambda given, graph=graph: graph(given, present))
    for way in ways:
        first = way(patches)
        for value in (np.nan, np.inf, -np.inf, 1e30):
            hurt = {key: array.copy() for key, array in patches.items()}
            hurt[name][1] = value
            for one, other in zip(first, way(hurt), strict=True):
                np.testing.assert_array_equal(one, other)
        assert np.isfinite(first[0]).all()
        assert (first[1][1, column] == 0).all()
        assert first[2][1, column] == 0
        assert (first[2][0] > 0).all()


def test_an_export_says_what_it_is_inside_the_graph_and_beside_it(trained, whole):
    info = read_export(whole)
    assert set(info.files) == {ARCHIVE_FILE, CARD_FILE, GRAPH_FILE, INT8_FILE}
    assert all(file_sha256(whole / name) == each.sha256 for name, each in info.files.items())
    assert info.run_identity == load_run(trained.run).info.spec.identity
    for name in (GRAPH_FILE, INT8_FILE):
        facts = {p.key: p.value for p in onnx.load(str(whole / name)).metadata_props}
        assert facts["classes"].split("\n") == list(info.classes)
        assert json.loads(facts["dmft"])["encodings"]["skeleton"]["recentre"] == "first"
    card = (whole / CARD_FILE).read_text()
    assert "| ONNX, 8-bit weights |" in card
    assert "(batch, 64, 60)" in card


def test_no_file_of_an_export_names_a_folder_of_this_machine(trained, whole):
    here = str(Path(__file__).resolve().parents[3]).encode()
    for file in whole.iterdir():
        content = file.read_bytes()
        assert here not in content, file.name
        assert str(trained.run.parent).encode() not in content, file.name


def test_the_archive_is_loaded_without_a_pickle(trained, whole, monkeypatch):
    importlib.import_module("torch._dynamo")  # which cannot be imported without an unpickler

    def refuse(*_, **__):
        raise AssertionError("something was unpickled")

    monkeypatch.setattr(pickle, "Unpickler", refuse)
    monkeypatch.setattr(pickle, "loads", refuse)
    program = torch.export.load(str(whole / ARCHIVE_FILE)).module()
    run = load_run(trained.run)
    patches, present = example_inputs(run, 4)
    with torch.no_grad():
        wanted = RunModule(run).eval()(patches, present)[0]
        torch.testing.assert_close(program(patches, present)[0], wanted, rtol=0, atol=1e-5)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", [GRAPH_FILE, INT8_FILE])
def test_a_tampered_graph_is_refused_before_it_is_parsed(folder, name):
    flip(folder / name)
    with pytest.raises(ContractError, match=rf"{name} has SHA-256 '.*', wanted '.*not what was ex"):
        open_export(folder, file=name)


def test_a_tampered_description_is_refused(folder):
    said = json.loads((folder / EXPORT_FILE).read_text())
    said["classes"][0] = "tampered"
    (folder / EXPORT_FILE).write_text(json.dumps(said))
    with pytest.raises(ContractError, match=r"export\.json is not what was written: .*it says '"):
        read_export(folder)
    (folder / EXPORT_FILE).write_text(json.dumps({"format": "dmft-export", "version": 9}))
    with pytest.raises(ContractError, match="is 'dmft-export' version 9: wanted 'dmft-export' ver"):
        read_export(folder)


def test_a_graph_that_is_not_there_is_named(folder):
    with pytest.raises(ConfigError, match=r"holds no model\.fp8\.onnx: it has README\.md, model"):
        open_export(folder, file="model.fp8.onnx")
    (folder / GRAPH_FILE).unlink()
    with pytest.raises(ContractError, match=r"model\.onnx cannot be read: No such file"):
        open_export(folder)
    with pytest.raises(ContractError, match=r"model\.onnx cannot be read: No such file"):
        read_file(folder / GRAPH_FILE)


def test_an_export_overwrites_nothing(trained, tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(ContractError, match="there exists: choose another folder"):
        export(trained.run, tmp_path / "there")


def test_several_folds_are_exported_one_by_one(trained, tmp_path):
    for name in ("fold-a", "fold-b"):
        shutil.copytree(trained.run, tmp_path / "all" / name)
    write_json(tmp_path / "all" / "folds.json", {"folds": ["a", "b"]})
    with pytest.raises(ConfigError, match=r"all holds several models, .* one of them, as .*fold-a"):
        export(tmp_path / "all", tmp_path / "out")


def test_without_a_cache_the_graph_is_checked_on_made_up_records(trained, tmp_path, caplog):
    run = Path(shutil.copytree(trained.run, tmp_path / "run"))
    said = json.loads((run / "run.json").read_text()) | {"cache_path": "/gone.zarr"}
    (run / "run.json").write_text(json.dumps(said))
    trial = gather_records(load_run(run), None)
    assert trial.labels is None
    assert not trial.present.all()
    assert "/gone.zarr is gone" in caplog.text


def test_a_cache_that_has_changed_since_the_run_is_refused(trained, tmp_path):
    """The check was promised and not made: a graph was measured on whatever lay there."""
    run = Path(shutil.copytree(trained.run, tmp_path / "run"))
    write_cache(tmp_path / "other.zarr")
    said = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(said | {"cache_path": str(tmp_path / "other.zarr")}))
    with pytest.raises(ContractError, match=r"other\.zarr has changed since the run"):
        gather_records(load_run(run), None)


def test_a_graph_that_disagrees_is_refused():
    wanted = np.array([[0.8, 0.2]], dtype=np.float32)
    figures = {"largest_difference": 0.3, "same_top1": 1.0}
    with pytest.raises(ContractError, match=r"disagrees with the run: a probability by 0\.3 "):
        check_agreement(figures, wanted)
    with pytest.raises(ContractError, match=r"and 0\.00% of 1 records have the same first place"):
        check_agreement({"largest_difference": 0.0, "same_top1": 0.0}, wanted)


def test_a_default_student_that_sums_is_exported_alone_and_small_enough_for_a_device(
    trained, tmp_path
):
    config = load_config("default", ["training.epochs=1", 'voting.rule="sum"'])
    cache = open_cache(trained.cache, ["skeleton", "inertial"])
    protocol = str(trained.cache.with_name("one-out.toml"))
    train(cache, protocol, tmp_path / "run", kind="student", config=config, device="cpu")
    info = export(tmp_path / "run", tmp_path / "out", int8=False)
    assert info.voting == "sum"
    assert info.figures[GRAPH_FILE]["same_top1"] == 1
    assert INT8_FILE not in info.files
    quantise(tmp_path / "out" / GRAPH_FILE, tmp_path / INT8_FILE, info)
    assert (tmp_path / "out" / GRAPH_FILE).stat().st_size < 5e6
    assert (tmp_path / INT8_FILE).stat().st_size < 2e6
