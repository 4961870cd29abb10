"""Calibrated probabilities, sets with a stated coverage, and the command that learns them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cli import dmft
from dmft.config import load_config
from dmft.data import open_cache
from dmft.evaluation.calibration import (
    Calibration,
    at_temperature,
    error_of,
    fit_temperature,
    fit_threshold,
    read_calibration,
    set_scores,
)
from dmft.runs.folder import CALIBRATION_FILE, HELD_OUT_FILE, read_info
from dmft.training.calibrate import WORK, calibrate
from dmft.training.distill import distill
from dmft.training.train import train
from pipeline.contract import ConfigError, ContractError
from tests.factories import write_cache


def drawn(n: int, K: int, sharpness: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and labels that follow them at another sharpness."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(n, K)) * 2
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([random.choice(K, p=row) for row in true])
    said = np.exp(logits * sharpness)
    return said / said.sum(axis=1, keepdims=True), labels


def test_the_temperature_that_was_taken_away_is_found():
    said, labels = drawn(4000, 5, 2.5, 0)
    temperature = fit_temperature(said, labels)
    assert temperature == pytest.approx(2.5, rel=0.1)
    assert error_of(at_temperature(said, temperature), labels) < 0.03
    assert error_of(said, labels) > 0.15


@pytest.mark.parametrize("coverage", [0.6, 0.9])
def test_sets_cover_as_many_new_records_as_was_asked(coverage):
    parts = [drawn(4000, 6, 1.0, seed) for seed in (1, 2)]
    (said, labels), (new, new_labels) = parts
    made = Calibration(
        model_sha256="x",
        by="subject",
        n_groups=2,
        n_records=len(said),
        accuracy=0.5,
        calibration_error=0.0,
        temperature=1.0,
        coverage=coverage,
        threshold=fit_threshold(said, labels, coverage),
    )
    scores = set_scores(made, new, new_labels)
    assert scores.coverage == pytest.approx(coverage, abs=0.03)
    assert scores.accuracy_when_sure is not None
    assert 0 < scores.unsure < 1


def test_too_few_records_for_a_coverage_leave_every_class_possible():
    assert fit_threshold(np.array([[0.9, 0.1]]), np.array([0]), 0.9) == 0.0


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("calibration")
    write_cache(folder / "c.zarr", n_subjects=3, n_classes=3, noise=0.2)
    (folder / "p.toml").write_text('name = "p"\n[leave_one_out]\nattribute = "subject"\n')
    cache = open_cache(folder / "c.zarr")
    config = load_config("default", ("encoder.width=16", "training.epochs=12", "doubt.epochs=1"))
    train(cache, str(folder / "p.toml"), folder / "t", config=config, device="cpu")
    distill(cache, [folder / "t"], folder / "s", device="cpu")
    return folder


def test_a_run_is_calibrated_on_its_training_people_alone(place, tmp_path):
    run = shutil.copytree(place / "s", tmp_path / "s")
    told: list[tuple[int, int]] = []
    made = calibrate(run, device="cpu", coverage=0.8, on_group=lambda *n: told.append(n))
    assert (made.by, made.n_groups, made.n_records) == ("subject", 2, 18)
    assert told == [(0, 2), (1, 2), (2, 2)]
    assert not (run / WORK).exists()
    held_out = json.loads((run / HELD_OUT_FILE).read_text())["records"]
    assert {record.split("_")[1] for record in held_out} == {"s2", "s3"}, "s1 is the test person"
    assert read_calibration(run, read_info(run)) == made
    again = calibrate(run, device="cpu", coverage=0.5, on_group=lambda *n: told.append(n))
    assert len(told) == 3, "another coverage trains nothing"
    assert again.threshold >= made.threshold
    with pytest.raises(ConfigError, match="no column 'shoe': wanted one of subject"):
        calibrate(run, device="cpu", by="shoe")


def test_a_model_on_every_record_is_calibrated_on_all_people(place, tmp_path):
    cache = open_cache(place / "c.zarr")
    config = load_config("default", ("encoder.width=16", "training.epochs=1", "doubt.epochs=1"))
    out = tmp_path / "final"
    train(cache, str(place / "p.toml"), out, config=config, on="all", device="cpu")
    made = calibrate(out, device="cpu")
    assert (made.by, made.n_groups, made.n_records) == ("subject", 3, len(cache))


def test_the_command_says_what_it_is_worth_on_the_test_side(place, tmp_path):
    run = shutil.copytree(place / "t", tmp_path / "t")
    done = CliRunner().invoke(dmft, ["calibrate", str(run), "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert "2 values of subject held out, 18 records" in done.stdout
    assert "on the test side: coverage" in done.stdout
    told = json.loads(
        CliRunner().invoke(dmft, ["calibrate", str(run), "--device", "cpu", "--json"]).stdout
    )
    made = read_calibration(run, read_info(run))
    assert made is not None
    assert told[str(run)]["calibration"]["threshold"] == made.threshold
    assert 0 <= told[str(run)]["test"]["coverage"] <= 1


def test_a_calibration_of_other_weights_is_refused(place, tmp_path):
    run = shutil.copytree(place / "t", tmp_path / "t")
    calibrate(run, device="cpu")
    other = shutil.copytree(place / "s", tmp_path / "s")
    shutil.copy(run / CALIBRATION_FILE, other / CALIBRATION_FILE)
    with pytest.raises(ContractError, match="calibrate again with 'dmft calibrate"):
        read_calibration(other, read_info(other))


def test_a_window_that_fits_nothing_is_none_of_the_activities():
    from dmft.recognise.timeline import NONE_FITS, Moment, timeline

    def moment(start, credible, **probabilities):
        return Moment(
            start_s=start,
            end_s=start + 2,
            probabilities=probabilities,
            modalities=("m",),
            credible=credible,
        )

    shown = [
        moment(0, ("run",), run=0.9, sit=0.1),
        moment(1, (), run=0.4, sit=0.3),
        moment(2, (), sit=0.4, run=0.3),
        moment(3, ("run", "sit"), run=0.6, sit=0.4),
    ]
    spans = [(span.activity, round(span.probability, 2)) for span in timeline(shown)]
    assert spans == [("run", 0.9), (NONE_FITS, 0.4), ("run", 0.6)]
