"""``dmft experiment``: what it lists, says and does."""

import dataclasses

import pytest
from click.testing import CliRunner

from cli import dmft
from dmft.commands.experiment import RowProgress
from dmft.data import open_cache
from dmft.experiments import (
    load_experiment,
    plan_rows,
    shipped_experiments,
)


def invoke(*arguments):
    return CliRunner().invoke(dmft, [str(each) for each in arguments])


def test_the_command_lists_does_and_does_nothing_twice(place, tmp_path):
    common = ["experiment", place / "e.toml", "--cache", place / "c.zarr", "--device", "cpu"]
    listed = invoke(*common, "--list")
    assert listed.exit_code == 0
    assert len(listed.stdout.splitlines()) == 3
    out = tmp_path / "out"
    done = invoke(*common, "--out", out, "--workers", 0, "--seeds", "5")
    assert done.exit_code == 0
    assert "[3/3] distilled mid F=4, p subject-1, skeleton+inertial, seed 5: acc" in done.stderr
    begun = [line for line in done.stderr.splitlines() if line.startswith("begun: ")]
    assert len(begun) == 3, "before the first of them has ended"
    assert done.stderr.index(begun[0]) < done.stderr.index("[1/3]")
    assert done.stdout.endswith(
        f"3 trained, 0 finished before, 0 failed.\nNext: dmft tables {out}\n"
    )
    again = invoke(*common, "--out", out, "--workers", 0, "--seeds", "5")
    assert "3 rows are finished already, 0 are left." in again.stderr
    assert "0 trained, 3 finished before" in again.stdout


def test_a_row_that_begins_says_which_fold_of_how_many_it_is(place, capsys):
    rows = plan_rows(load_experiment(str(place / "e.toml")), open_cache(place / "c.zarr"), "cpu")
    second = dataclasses.replace(rows[0], fold="subject-2", key="f" * 64)
    progress = RowProgress([*rows, second])
    progress.start([second], n_found=3)
    progress.epoch(second, 0)
    progress.epoch(second, 1)
    said = capsys.readouterr().err
    assert said.count("begun: ") == 1
    assert f"begun: {second.title}, fold 2 of 2\n" in said


def test_without_a_file_the_command_names_the_shipped_experiments():
    shown = invoke("experiment")
    assert shown.exit_code == 0
    assert len(shown.stdout.splitlines()) == len(shipped_experiments())


@pytest.mark.parametrize("missing", ["--cache", "--out"])
def test_the_command_says_which_option_is_missing(place, missing):
    given = {"--cache": place / "c.zarr", "--out": place / "x"}
    del given[missing]
    shown = invoke("experiment", place / "e.toml", *[a for pair in given.items() for a in pair])
    assert shown.exit_code == 2
    assert f"{missing} is missing" in shown.stderr


def test_ctrl_c_says_how_to_go_on(place, tmp_path, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("dmft.experiments.run_experiment", interrupted)
    shown = invoke("experiment", place / "e.toml", "--cache", place / "c.zarr", "--out", tmp_path)
    assert shown.exit_code == 130
    assert "Stopped with 0 of 3 rows finished. Nothing is lost: run the same" in shown.stderr


@pytest.mark.parametrize(("given", "wanted"), [("auto", 1), ("off", 1), ("3", 3)])
def test_the_command_says_how_many_are_computed_as_one(place, tmp_path, monkeypatch, given, wanted):
    seen = {}

    def look(*arguments, **options):
        seen.update(options)
        raise KeyboardInterrupt

    monkeypatch.setattr("dmft.experiments.run_experiment", look)
    common = ["experiment", place / "e.toml", "--cache", place / "c.zarr", "--out", tmp_path]
    invoke(*common, "--device", "cpu", "--together", given)
    assert seen["together"] == wanted


@pytest.mark.parametrize("given", ["0", "-1", "many"])
def test_a_wrong_number_to_compute_as_one_is_refused(place, tmp_path, given):
    shown = invoke("experiment", place / "e.toml", "--cache", place / "c.zarr", "--together", given)
    assert shown.exit_code == 2
    assert f"'{given}': wanted auto, off or a positive number" in shown.stderr


def test_failed_rows_give_exit_code_1(place, tmp_path):
    options = ["--set", "training.learning_rate=1e30", "--workers", 0, "--device", "cpu"]
    options += ["--set", "training.clip_norm=0", "--set", "encoder.norm=post", "--epochs", 2]
    shown = invoke(
        "experiment", place / "e.toml", "--cache", place / "c.zarr", "--out", tmp_path, *options
    )
    assert shown.exit_code == 1
    assert "FAILED" in shown.stderr
