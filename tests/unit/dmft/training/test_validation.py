"""Training people who are held out are looked at, and choose the epoch where asked; nobody else."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import zarr
from click.testing import CliRunner

import dmft
from dmft.commands.distill import distill as distill_command
from dmft.commands.train import train as train_command
from dmft.data import Cache, open_cache
from dmft.runs.folder import read_info
from pipeline.contract import ConfigError, ContractError
from tests.factories import seal, write_cache
from tests.small_runs import PROTOCOL, Callback, PowerCutError, same, small, weights

CHANGES = ("student.layers=1", "doubt.epochs=0", "training.epochs=5", "training.batch_size=8")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of four people and a protocol beside it."""
    folder = tmp_path_factory.mktemp("validation")
    write_cache(folder / "cache.zarr", modalities={"inertial": (32, 6)}, n_trials=1, noise=0.2)
    (folder / "loso.toml").write_text(PROTOCOL)
    return folder


@pytest.fixture(scope="module")
def cache(place: Path) -> Cache:
    """It, open."""
    return open_cache(place / "cache.zarr")


def run(place: Path, cache: Cache, out: Path, *changes: str, **more) -> Path:
    """Train a student on the first fold."""
    config = small(*CHANGES, *changes)
    protocol = str(place / "loso.toml")
    dmft.train(cache, protocol, out, kind="student", config=config, device="cpu", **more)
    return out


def curve(folder: Path, name: str = "val_accuracy") -> list[float]:
    """A figure by epoch."""
    return [json.loads(line)[name] for line in (folder / "epochs.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def best(place: Path, cache: Cache) -> Path:
    """A run that keeps its best epoch."""
    return run(place, cache, place / "best", validate="subject", keep="best")


def test_the_best_epoch_on_those_held_out_is_the_model(place, cache, best, tmp_path):
    info = read_info(best)
    assert info.spec.validation is not None
    assert info.spec.validation.rule.test == {"subject": (2,)}
    assert info.spec.n_train == 8
    seen, losses = curve(best), curve(best, "val_loss")
    epoch = 1 + max(range(5), key=lambda e: (seen[e], -losses[e]))
    kept = info.finished.held_out
    assert kept is not None
    assert (kept.epoch, kept.n_records) == (epoch, 4)
    assert (kept.accuracy, kept.loss) == (seen[epoch - 1], losses[epoch - 1])
    last = run(place, cache, tmp_path / "last", validate="subject")
    assert curve(last) == seen
    assert read_info(last).finished.held_out.epoch == 5
    assert same(weights(last), weights(best)) == (epoch == 5)


def test_nobody_held_out_is_learnt_from_and_no_test_record_looked_at(place, best, tmp_path):
    write_cache(tmp_path / "c.zarr", modalities={"inertial": (32, 6)}, n_trials=1, noise=0.2)
    group = zarr.open_group(str(tmp_path / "c.zarr"))
    labels, subject = group["label"][:], group["subject"][:]
    labels[subject == 1] = np.roll(labels[subject == 1], 1)
    group["label"][:] = labels
    patches = group["inertial"][:]
    patches[subject == 1] = 1000.0
    group["inertial"][:] = patches
    seal(tmp_path / "c.zarr")
    again = run(place, open_cache(tmp_path / "c.zarr"), tmp_path / "run", validate="subject")
    assert curve(again) == curve(best)
    patches[subject == 2] = -1000.0
    group["inertial"][:] = patches
    seal(tmp_path / "c.zarr")
    other = run(place, open_cache(tmp_path / "c.zarr"), tmp_path / "other", validate="subject")
    assert same(weights(other), weights(again))
    assert curve(other, "val_loss") != curve(again, "val_loss")


def test_the_best_epoch_outlives_a_power_cut(place, cache, best, tmp_path):
    with pytest.raises(PowerCutError):
        run(
            *(place, cache, tmp_path / "cut"),
            validate="subject",
            keep="best",
            callback=Callback(stop_after=4),
        )
    run(place, cache, tmp_path / "cut", validate="subject", keep="best")
    assert same(weights(tmp_path / "cut"), weights(best))
    assert read_info(tmp_path / "cut").finished.held_out == read_info(best).finished.held_out


def test_patience_ends_a_training_that_gets_no_better(place, cache, tmp_path):
    asked = {"validate": "subject", "keep": "best", "patience": 1}
    out = run(place, cache, tmp_path / "run", "training.learning_rate=1e-9", **asked)
    seen, losses = curve(out), curve(out, "val_loss")
    n_epochs = len(seen)
    scores = [(a, -b) for a, b in zip(seen, losses, strict=True)]
    assert n_epochs < 5
    assert scores[-1] <= max(scores[:-1])


def test_what_is_looked_at_is_the_average_where_that_is_the_model(place, cache, tmp_path):
    plain = run(place, cache, tmp_path / "plain", "training.average_decay=0.9")
    out = run(place, cache, tmp_path / "run", "training.average_decay=0.9", validate="subject")
    kept = read_info(out).finished.held_out
    assert (kept.accuracy, kept.loss) == (curve(out)[-1], curve(out, "val_loss")[-1])
    assert not same(weights(plain), weights(out)), "one learns from a person more"


def test_without_it_a_run_is_who_it_was(place, cache, tmp_path):
    out = run(place, cache, tmp_path / "run")
    info = read_info(out)
    assert info.finished.held_out is None
    assert "val_loss" not in (out / "epochs.jsonl").read_text()
    spec = info.spec
    assert dataclasses.replace(spec, validation=None).identity == spec.identity


def test_what_cannot_be_held_out_is_refused(place, cache, tmp_path):
    with pytest.raises(ConfigError, match=r"no column 'shoe': wanted one of subject, trial"):
        run(place, cache, tmp_path / "a", validate="shoe")
    with pytest.raises(ContractError, match=r"have 1 value\(s\) of trial: wanted at least two"):
        run(place, cache, tmp_path / "b", validate="trial")
    with pytest.raises(ConfigError, match=r"patience is 3 and keep 'last': wanted keep 'best'"):
        run(place, cache, tmp_path / "c", validate="subject", patience=3)
    with pytest.raises(ConfigError, match=r"validate is '': wanted an attribute"):
        run(place, cache, tmp_path / "d", keep="best")
    wanted = {"--keep=best": "goes with --validate", "--patience=2": "goes with --keep best"}
    for option, message in wanted.items():
        done = CliRunner().invoke(
            train_command,
            [str(place / "cache.zarr"), "--protocol=utd-loso", f"--out={tmp_path / 'e'}", option],
        )
        assert done.exit_code == 2
        assert message in done.output


def test_the_command_says_who_was_held_out_and_what_came_of_it(place, tmp_path):
    changes = [f"--set={change}" for change in CHANGES]
    done = CliRunner().invoke(
        train_command,
        [
            *(str(place / "cache.zarr"), f"--protocol={place / 'loso.toml'}", "--model=student"),
            *(f"--out={tmp_path / 'run'}", "--validate=subject", "--keep=best", "--epochs=1"),
            *("--log=csv", *changes, "--set=encoder.width=16"),
        ],
        catch_exceptions=False,
    )
    assert "held out of subject-1: subject-2, 4 records, accuracy" in done.output
    assert "after epoch 1, the best" in done.output
    assert "val_accuracy" in (tmp_path / "run" / "epochs.csv").read_text()


def test_a_student_is_watched_on_whom_its_teacher_was_trained_without(place, cache, tmp_path):
    config = small(*CHANGES, "training.epochs=2")
    asked = {"config": config, "device": "cpu"}
    watched, other = tmp_path / "watched", tmp_path / "other"
    dmft.train(cache, str(place / "loso.toml"), watched, validate="subject", **asked)
    done = CliRunner().invoke(
        distill_command,
        [
            *(str(place / "cache.zarr"), f"--teacher={watched}", f"--out={tmp_path / 'student'}"),
            *("--validate=subject", "--keep=best"),
        ],
        catch_exceptions=False,
    )
    kept = read_info(tmp_path / "student").finished.held_out
    said = f"4 records, accuracy {kept.accuracy:.2%} after epoch {kept.epoch}, the best"
    assert f"held out of subject-1: subject-2, {said}" in done.output
    spec, taught_by = read_info(tmp_path / "student").spec, read_info(watched).spec
    assert spec.validation.split_hash == taught_by.validation.split_hash
    assert (spec.n_train, spec.validation.keep) == (8, "best")
    assert len(curve(tmp_path / "student")) == 2
    dmft.train(cache, str(place / "loso.toml"), other, **asked)
    wanted = r"other was trained with subject-2, which --validate subject holds out: wanted"
    with pytest.raises(ConfigError, match=wanted):
        dmft.distill(cache, [watched, other], tmp_path / "no", validate="subject", device="cpu")
