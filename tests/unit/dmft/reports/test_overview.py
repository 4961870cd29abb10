"""``dmft runs``: what there is, chosen and ordered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dmft.commands.runs import runs as command
from dmft.data import open_cache
from pipeline.contract import ConfigError
from tests.small_runs import train_student, train_teacher, write_place


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher, and a student of all folds in a folder that an experiment named."""
    place = write_place(tmp_path_factory.mktemp("runs"))
    cache = open_cache(place / "cache.zarr")
    train_teacher(place, cache, place / "runs/mine", "training.epochs=1")
    train_student(place, cache, place / f"runs/{'0a' * 8}", "training.epochs=1", fold="all", seed=3)
    return place / "runs"


def listed(*arguments: str) -> list[dict[str, object]]:
    """What the command prints as JSON."""
    done = CliRunner().invoke(command, [*arguments, "--format", "json"])
    assert done.exit_code == 0, done.output
    found: list[dict[str, object]] = json.loads(done.output)
    return found


def test_runs_are_named_by_what_they_are_and_by_who_named_them(folder):
    teacher, student = listed(str(folder))
    assert (teacher["name"], teacher["model"], teacher["folds"]) == ("mine", "teacher", 1)
    assert teacher["folder"] == str(folder / "mine")
    assert (student["model"], student["folds"], student["seed"]) == ("student", 4, 3)
    assert student["modalities"] == "S+I"
    assert student["folder"] == str(folder / ("0a" * 8))


def test_some_are_chosen_and_ordered(folder):
    assert [row["seed"] for row in listed(str(folder), "--where", "model == 'student'")] == [3]
    assert [row["seed"] for row in listed(str(folder), "--sort", "seed")] == [3, 0]
    shown = CliRunner().invoke(command, [str(folder), "--where", "seed > 3"])
    assert shown.output == "no run fits\n"
    assert "%" in CliRunner().invoke(command, [str(folder)]).output


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--where", "sead == 3"], "'sead == 3' is no condition .*columns are name, model"),
        (["--where", "seed in @x"], "'@'"),
        (["--sort", "accurcy"], r"no column 'accurcy' \(did you mean 'accuracy'\?\)"),
    ],
)
def test_what_is_no_column_is_named(folder, arguments, wanted):
    with pytest.raises(ConfigError, match=wanted):
        CliRunner().invoke(command, [str(folder), *arguments], catch_exceptions=False)


def test_what_cannot_be_read_is_said(folder):
    (folder / "half").mkdir(exist_ok=True)
    (folder / "half/run.json").write_text("{}")
    done = CliRunner().invoke(command, [str(folder)])
    assert done.exit_code == 1
    assert "not listed: " in done.output
    (folder / "half/run.json").unlink()
