"""Taking modalities away from test records."""

import pytest
import torch

from dmft.config import load_config
from dmft.data import open_cache
from dmft.evaluation.evaluate import evaluate
from dmft.evaluation.missing_modalities import missing_modalities
from dmft.runs.trained import load_run
from dmft.training.train import train
from pipeline.contract import Presence
from tests.factories import write_cache

SMALL = ("encoder.width=16", "encoder.feed_forward=16", "training.epochs=1")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("missing")
    write_cache(
        folder / "cache.zarr",
        n_subjects=2,
        n_classes=3,
        n_trials=2,
        absent={"a1_s1_t1/skeleton": Presence.FAILED},
    )
    (folder / "p.toml").write_text('name = "p"\n[leave_one_out]\nattribute = "subject"\n')
    cache = open_cache(folder / "cache.zarr")
    protocol = str(folder / "p.toml")
    train(cache, protocol, folder / "run", config=load_config("default", SMALL), device="cpu")
    all_folds = {"config": load_config("default", SMALL), "device": "cpu", "fold": "all"}
    figures = train(cache, protocol, folder / "all", kind="student", **all_folds)
    return folder, cache, figures


def test_every_smaller_set_of_modalities_is_measured_on_the_records_that_have_any_of_it(trained):
    folder, cache, _ = trained
    run = load_run(folder / "run")
    rows = torch.tensor([i for i, name in enumerate(cache.record_ids) if "_s1_" in name])
    found = missing_modalities(run, cache, rows)
    assert [each.modalities for each in found] == [("inertial",), ("skeleton",)]
    assert [each.n_records for each in found] == [6, 5]
    assert evaluate(folder / "run").missing_modalities == found


def test_what_is_taken_away_before_a_student_is_what_votes_alone(trained):
    folder, _, _ = trained
    report = evaluate(folder / "all/fold-subject-1")
    for subset in report.missing_modalities:
        alone = report.modalities[subset.modalities[0]]
        assert subset.accuracy == alone.accuracy
        assert subset.macro_f1 == alone.macro_f1


def test_folds_are_averaged_and_their_matrices_added(trained):
    folder, _, figures = trained
    folds = [evaluate(folder / "all" / name) for name in ("fold-subject-1", "fold-subject-2")]
    for column, subset in enumerate(figures.missing_modalities):
        in_folds = [fold.missing_modalities[column] for fold in folds]
        assert subset.accuracy == pytest.approx(sum(f.accuracy for f in in_folds) / 2)
    skeleton = figures.modalities["skeleton"]
    assert skeleton.n_records == 11
    assert sum(map(sum, skeleton.confusion)) == 11
