"""The trainer's commands as a user types them."""

import json

import pytest
from click.testing import CliRunner

from cli import dmft
from dmft.runs.files import read_json
from pipeline.contract import ContractError
from tests.factories import write_cache

FAST = ["--set", "encoder.width=16", "--epochs", "2", "--device", "cpu"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_cache(tmp_path / "c.zarr", n_trials=2)
    (tmp_path / "p.toml").write_text('name = "p"\n[leave_one_out]\nattribute = "subject"\n')
    return tmp_path


def invoke(*arguments):
    return CliRunner().invoke(dmft, [str(each) for each in arguments], catch_exceptions=False)


def test_train_distil_and_evaluate_on_every_fold(place):
    common = ["--protocol", "p.toml", "--fold", "all", "--modalities", "skeleton,inertial"]
    trained = invoke("train", "c.zarr", *common, *FAST, "--out", "t")
    assert trained.exit_code == 0
    assert "mean of 4 folds, 32 test records" in trained.stdout
    assert "1-nearest-neighbour" in trained.stdout
    assert trained.stdout.endswith("Next: dmft distill c.zarr --teacher t --out t-student\n")
    assert "subject-1 (1 of 4): epoch 2/2" in trained.stderr

    distilled = invoke(
        "distill", "c.zarr", "--teacher", "t", "--out", "s", "--temperature", 2, "--device", "cpu"
    )
    assert distilled.exit_code == 0
    assert distilled.stdout.endswith("Next: dmft evaluate s\n")
    said = json.loads((place / "s/fold-subject-1/run.json").read_text())
    assert said["spec"]["config"]["distill"]["temperature"] == 2
    assert said["spec"]["config"]["encoder"]["width"] == 16

    asked = invoke("evaluate", "s", "--json", "-o", "figures/s.json")
    report = json.loads(asked.stdout)
    assert report == json.loads((place / "figures/s.json").read_text())
    assert report == read_json(place / "s/metrics.json", "figures")
    assert set(report["modalities"]["skeleton"]) >= {"accuracy", "spatial", "temporal"}


def test_a_raw_student_of_one_modality_by_a_named_fold(place):
    arguments = ["--protocol", "p.toml", "--fold", "subject-2", "--modalities", "inertial"]
    done = invoke(
        "train", "c.zarr", *arguments, *FAST, "--model", "student", "--out", "s", "--threads", 1
    )
    assert done.exit_code == 0
    assert "student, p, fold subject-2" in done.stdout
    assert done.stdout.endswith("Next: dmft evaluate s\n")


def test_a_second_command_goes_on_and_says_so(place):
    arguments = ["--protocol", "p.toml", *FAST, "--out", "s"]
    first = invoke("train", "c.zarr", *arguments)
    assert first.stdout == invoke("train", "c.zarr", *arguments).stdout


@pytest.mark.parametrize("command", ["train", "distill", "evaluate"])
def test_help_shows_every_option(command):
    shown = invoke(command, "--help")
    assert shown.exit_code == 0
    assert "--device" in shown.stdout


def test_help_loads_no_heavy_library():
    import subprocess
    import sys

    script = (
        "import sys\nfrom cli import dmft\n"
        "for c in ('train', 'distill', 'evaluate'):\n"
        "    dmft.main([c, '--help'], standalone_mode=False)\n"
        "assert not {'torch', 'zarr', 'numpy', 'rich'} & set(sys.modules), 'heavy'\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)


def test_a_file_url_is_a_path(tmp_path):
    url = (tmp_path / "none.zarr").as_uri()
    with pytest.raises(ContractError, match=f"{tmp_path}/none.zarr does not exist"):
        CliRunner().invoke(
            dmft,
            ["train", url, "--protocol", "utd-loso", "--out", "r"],
            catch_exceptions=False,
        )
