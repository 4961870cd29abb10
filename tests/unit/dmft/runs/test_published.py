"""A run is brought elsewhere whole and finished, and answers there as here."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli import dmft
from dmft.data import open_cache
from dmft.evaluation.fault_scores import INTACT, FaultScores, SavedFaults
from dmft.evaluation.metrics import read_metrics
from dmft.evaluation.significance import wilson
from dmft.notebook import load
from dmft.protocols import FoldRule
from dmft.protocols.folds import EVERY_RECORD
from dmft.reports.card import MARK, run_card
from dmft.reports.format import hits_of, interval, percent
from dmft.runs.files import write_json
from dmft.runs.folder import read_info, write_info
from dmft.runs.published import run_checksums
from dmft.runs.trained import load_run
from pipeline.common.settings import to_table
from pipeline.contract import ContractError


def fault_scores(accuracy):
    return FaultScores(
        accuracy=accuracy,
        macro_f1=accuracy,
        n_records=4,
        confidence=0.5,
        answered={},
        wrong={"0.5": 0.1},
        reliability={},
        by_severity={},
    )


@pytest.fixture
def run(teacher, tmp_path):
    return Path(shutil.copytree(teacher, tmp_path / "run"))


def call(*arguments):
    return CliRunner().invoke(dmft, [*map(str, arguments)], catch_exceptions=False)


def test_it_comes_back_as_it_was(run, tmp_path):
    (run / ".hidden").write_text("mine")
    done = call("publish", run, tmp_path / "shared", "--json")
    assert done.exit_code == 0
    said = json.loads(done.stdout)
    assert (said["kind"], said["n_sent"]) == ("run", said["n_objects"])
    got = call("fetch", tmp_path / "shared", tmp_path / "copy", "--json")
    assert json.loads(got.stdout)["damaged"] == []
    files = {p.name: p.read_bytes() for p in run.iterdir() if p.is_file() and p.name != ".hidden"}
    came = {p.name: p.read_bytes() for p in (tmp_path / "copy").iterdir()}
    assert came.pop("README.md").decode() == run_card(run)
    assert came == files
    assert load_run(tmp_path / "copy", "cpu").info == load_run(run, "cpu").info
    again = call("publish", tmp_path / "copy", tmp_path / "shared", "--json")
    assert json.loads(again.stdout)["n_sent"] == 0


def test_its_card_says_what_it_is_for_what_it_reached_and_what_is_not_known(run, tmp_path):
    card, metrics = run_card(run), read_metrics(run / "metrics.json", read_info(run).spec.classes)
    hits, n = hits_of(metrics.confusion)
    said = f"| all modalities | {n} | {percent(metrics.accuracy)} | {interval(wilson(hits, n))} |"
    assert said in card
    for name, own in metrics.modalities.items():
        assert f"| {name} alone | {own.n_records} | {percent(own.accuracy)} |" in card
    for heading in ("Intended use", "Data", "Figures", "Limits", "Use", "Where it comes from"):
        assert f"\n## {heading}\n" in card
    worst = min(zip(metrics.class_accuracy, metrics.classes, strict=True))
    assert f"Least known: {worst[1]} ({percent(worst[0])})" in card
    assert "Probabilities are not calibrated" in card
    assert read_info(run).finished.model_sha256 in card
    assert str(run) not in card
    assert "## Failing modalities" not in card
    saved = {INTACT: fault_scores(0.9), "frozen skeleton": fault_scores(0.5)}
    info = read_info(run)
    faults = SavedFaults(model_sha256=info.finished.model_sha256, faults=saved)
    write_json(run / "robustness.json", to_table(faults))
    card = run_card(run)
    assert "with none at fault it is 90.00 %." in card
    assert re.search(r"\n\| frozen \| 50\.00 % \| (yes|no) \|\n", card)
    everyone = replace(read_info(run).spec, fold=FoldRule(name=EVERY_RECORD, train={}, test={}))
    write_info(run, replace(read_info(run), spec=everyone))
    assert "None: no record was left to measure it on." in run_card(run)


def test_names_in_a_card_are_words_and_no_markup(run):
    info = read_info(run)
    evil = ("<img src=x>|", *info.spec.classes[1:])
    write_info(run, replace(info, spec=replace(info.spec, classes=evil)))
    (run / "metrics.json").unlink()
    assert "The activities: &lt;img src=x&gt;&#124;, " in run_card(run)


def test_words_of_ones_own_are_published_instead_of_the_card(run, tmp_path):
    (run / "README.md").write_text("# My model")
    call("publish", run, tmp_path / "shared")
    assert (tmp_path / "shared/README.md").read_text() == "# My model"
    (run / "README.md").write_text(f"{MARK}\nof an earlier measurement")
    call("publish", run, tmp_path / "shared", "--replace")
    assert (tmp_path / "shared/README.md").read_text() == run_card(run)


def test_it_is_loaded_from_where_it_was_published(run, place, tmp_path, monkeypatch):
    monkeypatch.setenv("DMFT_RUNS", str(tmp_path / "runs"))
    call("publish", run, tmp_path / "shared")
    url = f"file://{tmp_path / 'shared'}"
    loaded = load(url)
    assert loaded.folder.is_relative_to(tmp_path / "runs")
    cache = open_cache(place / "cache.zarr")
    assert loaded.predict(cache).equals(load(run).predict(cache))
    (loaded.folder / "of-mine").write_text("measured since")
    (tmp_path / "shared/model.safetensors").unlink()
    assert load(url).folder == loaded.folder, "it is brought once"
    shutil.rmtree(loaded.folder)
    with pytest.raises(ContractError, match=r"shared/model.safetensors is missing or not what"):
        load(url)
    call("publish", place / "cache.zarr", tmp_path / "cache")
    with pytest.raises(ContractError, match=r"cache is no run \(a cache lies there\)"):
        load(f"file://{tmp_path / 'cache'}")
    with pytest.raises(ContractError, match=r"nowhere is no run \(nothing is published there\)"):
        load(f"file://{tmp_path / 'nowhere'}")


def test_several_folds_come_with_what_names_them(run, tmp_path):

    folds = tmp_path / "folds"
    shutil.copytree(run, folds / "fold-a")
    write_json(folds / "folds.json", {"folds": ["a"]})
    call("publish", folds, tmp_path / "shared")
    assert "Next: dmft evaluate" in call("fetch", tmp_path / "shared", tmp_path / "copy").stdout
    assert (tmp_path / "copy/fold-a/run.json").read_bytes() == (run / "run.json").read_bytes()


def test_what_is_not_whole_is_not_published(run, tmp_path):
    weights = run / "model.safetensors"
    kept = weights.read_bytes()
    weights.write_bytes(kept[:-1])
    with pytest.raises(ContractError, match=r"run/model.safetensors is not what was written"):
        run_checksums(run)
    weights.write_bytes(kept)
    (run / "notes").symlink_to("/etc/hostname")
    with pytest.raises(ContractError, match=r"run/notes is a link: put the file itself there"):
        run_checksums(run)
    (run / "notes").unlink()
    write_info(run, replace(read_info(run), outcome=None))
    with pytest.raises(ContractError, match="is a training that has not ended"):
        run_checksums(run)
    with pytest.raises(ContractError, match=r"nothing is neither a finished cache nor a run"):
        call("publish", tmp_path / "nothing", tmp_path / "shared")
    assert not (tmp_path / "shared").exists()


def test_damage_at_the_source_is_named_with_exit_code_1(place, tmp_path):
    call("publish", place / "cache.zarr", tmp_path / "shared")
    (tmp_path / "shared/label/c/0").unlink()
    done = call("fetch", tmp_path / "shared", tmp_path / "copy")
    assert done.exit_code == 1
    assert "damaged: " in done.stderr
    assert "shared/label/c/0 is missing or not what the list says" in done.stderr
    assert f"so {tmp_path / 'copy'} is no cache yet" in done.stderr
