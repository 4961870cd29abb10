"""One model on every record: it is used, it is not measured, and its card says what to expect."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from click.testing import CliRunner

import dmft
from dmft.commands.train import train as train_command
from dmft.data import Cache
from dmft.export.build import describe, export
from dmft.export.card import model_card
from dmft.reports.load import load_runs
from dmft.runs.folder import read_info
from dmft.runs.trained import load_run
from pipeline.contract import ConfigError, ContractError
from tests.small_runs import SMALL, small, train_student

CONFIG = small("training.epochs=1")


@pytest.fixture(scope="module")
def folds(place: Path, cache: Cache) -> Path:
    train_student(place, cache, place / "folds", "training.epochs=1", fold="all")
    return place / "folds"


@pytest.fixture(scope="module")
def final(place: Path, cache: Cache, folds: Path) -> Path:
    metrics = dmft.train(
        cache,
        str(place / "loso.toml"),
        place / "final",
        kind="student",
        config=CONFIG,
        on="all",
        figures_of=folds,
        device="cpu",
    )
    assert metrics.n_records == 0
    assert metrics.accuracy != metrics.accuracy
    return place / "final"


def test_it_has_learnt_on_all_and_predicts_all(final, cache, tmp_path):
    spec = read_info(final).spec
    assert (spec.n_train, spec.n_test, spec.fold.is_every_record) == (32, 0, True)
    assert set(dmft.load(final).predict(cache)["side"]) == {"train"}
    assert not (final / "metrics.json").exists()


def test_its_card_has_the_figures_of_the_folds(final, folds):
    run, metrics = load_run(final), dmft.load(folds).metrics
    info = dataclasses.replace(
        describe(run),
        figures={"made_up": True, "n_records": 1} | {"model.onnx": {"largest_difference": 0.0}},
    )
    card = model_card(info, run.info)
    assert "Trained on all 32 records; none was left to test it on." in card
    assert f"reached {metrics.accuracy:.2%} accuracy (mean of 4 folds" in card
    alone = dataclasses.replace(run.info.source, expected={})
    assert "reached" not in model_card(info, dataclasses.replace(run.info, source=alone))


def test_nobody_measures_it(final, folds):
    with pytest.raises(ContractError, match="final was trained on every record, so none is left"):
        dmft.evaluate(final)
    runs, skipped = load_runs([folds, final])
    assert len(runs) == 1
    assert "trained on every record" in skipped[0]


def test_figures_of_other_settings_are_refused(place, cache, folds, tmp_path):
    def train(figures_of: Path, *changes: str) -> None:
        dmft.train(
            cache,
            str(place / "loso.toml"),
            tmp_path / "other",
            kind="student",
            config=small("training.epochs=1", *changes),
            on="all",
            figures_of=figures_of,
            device="cpu",
        )

    with pytest.raises(ConfigError, match=r"training.batch_size is 32 there and 8 here"):
        train(folds, "training.batch_size=8")
    with pytest.raises(ConfigError, match="fold-subject-1 is not a run of all folds"):
        train(folds / "fold-subject-1")
    with pytest.raises(ConfigError, match="on is 'some': wanted folds or all"):
        dmft.train(cache, str(place / "loso.toml"), tmp_path / "x", on="some")


def test_a_student_on_every_record_learns_from_a_teacher_on_every_record(place, cache, tmp_path):
    protocol = str(place / "loso.toml")
    dmft.train(cache, protocol, tmp_path / "t", config=CONFIG, on="all", device="cpu")
    dmft.distill(cache, tmp_path / "t", tmp_path / "s")
    assert read_info(tmp_path / "s").spec.n_train == 32


def test_a_run_of_folds_is_no_model_to_use(folds, tmp_path):
    with pytest.raises(ConfigError, match="several models, one a fold: train one on every record"):
        export(folds, tmp_path / "out")


def test_the_first_of_several_folds_says_so(place, tmp_path):
    arguments = [str(place / "cache.zarr"), "--protocol", str(place / "loso.toml")]
    arguments += ["--model", "student", "--out", str(tmp_path / "run"), "--device", "cpu"]
    arguments += [part for change in SMALL for part in ("--set", change)]
    done = CliRunner().invoke(train_command, [*arguments, "--epochs", "1"])
    assert "This is 1 of 4 folds of loso, the first. --fold all trains them all" in done.output
    done = CliRunner().invoke(train_command, [*arguments, "--figures-of", "x"])
    assert "--figures-of goes with --on all" in done.output
