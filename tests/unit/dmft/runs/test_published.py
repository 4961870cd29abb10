"""A run is brought elsewhere whole and finished, and answers there as here."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli import dmft
from dmft.runs.folder import read_info, write_info
from dmft.runs.published import run_checksums
from dmft.runs.trained import load_run
from pipeline.contract import ContractError


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
    assert {p.name: p.read_bytes() for p in (tmp_path / "copy").iterdir()} == files
    assert load_run(tmp_path / "copy", "cpu").info == load_run(run, "cpu").info
    again = call("publish", tmp_path / "copy", tmp_path / "shared", "--json")
    assert json.loads(again.stdout)["n_sent"] == 0


def test_several_folds_come_with_what_names_them(run, tmp_path):
    from dmft.runs.files import write_json

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
