"""The trainer as a scikit-learn classifier gives what ``dmft train`` gives, to the bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import check_estimator

import dmft
from dmft.data import Cache
from pipeline.contract import ConfigError, ContractError
from tests.small_runs import small, train_student, weights, write_place

CONFIG = small()
SHAPES = {"skeleton": (16, 6), "inertial": (32, 6)}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = write_place(tmp_path_factory.mktemp("place"))
    cache = dmft.open_cache(place / "cache.zarr")
    train_student(place, cache, place / "run", fold="all")
    return place


@pytest.fixture(scope="module")
def cache(place: Path) -> Cache:
    return dmft.open_cache(place / "cache.zarr")


@pytest.fixture(scope="module")
def X(cache: Cache) -> np.ndarray:  # noqa: N802 - as scikit-learn writes it
    """The cache as one flat array, NaN where a modality is absent."""
    parts = []
    for column, name in enumerate(cache.modalities):
        values = cache.features[name][torch.arange(len(cache))].clone()
        values[~cache.present[:, column]] = torch.nan
        parts.append(values.flatten(1).numpy())
    return np.concatenate(parts, axis=1)


def recognizer() -> dmft.Recognizer:
    return dmft.Recognizer("student", modalities=SHAPES, config=CONFIG, device="cpu")


def test_cross_validation_equals_a_training_of_all_folds_to_the_bit(place, cache, X):
    y, people = cache.labels.numpy(), cache.columns["subject"]
    scores = cross_val_score(
        recognizer(), X, y, groups=people, cv=LeaveOneGroupOut(), params={"rows": np.arange(len(X))}
    )
    run = dmft.load(place / "run")
    assert scores.tolist() == [fold.accuracy for fold in run.metrics.folds]
    train = people != 1
    fitted = recognizer().fit(X[train], y[train], rows=np.flatnonzero(train))
    written = weights(place / "run/fold-subject-1")
    for name, tensor in fitted.network_.state_dict().items():
        assert torch.equal(tensor, written[f"weights/{name}"]), name
    of_run = run["subject-1"].predict().query("side == 'test'").filter(like="p_")
    assert np.array_equal(fitted.predict_proba(X[~train]), of_run.to_numpy(dtype=np.float32))


def test_it_goes_into_pipelines_and_searches_and_is_cloned(cache, X):
    y = np.array(cache.spec.classes)[cache.labels.numpy()]
    steps = make_pipeline(
        FunctionTransformer(lambda x: x * 2.0),
        dmft.Recognizer(modalities=SHAPES, config=CONFIG, epochs=1, device="cpu"),
    )
    search = GridSearchCV(steps, {"recognizer__kind": ["student", "teacher"]}, cv=2)
    search.fit(X, y)
    assert set(search.predict(X)) <= set(cache.spec.classes)
    assert clone(recognizer()).get_params() == recognizer().get_params()


def test_an_array_of_one_modality_is_enough(cache):
    X, y = cache.features["skeleton"], cache.labels.numpy()
    one = dmft.Recognizer(modalities="skeleton", config=CONFIG, device="cpu").fit(X.numpy(), y)
    assert one.shapes_ == {"skeleton": (16, 6)}
    assert np.allclose(one.predict_proba(X.numpy()).sum(axis=1), 1)
    assert one.score(X.numpy(), y) > 0.25
    with pytest.raises((ConfigError, ValueError), match=r"features|records of"):
        one.predict(X[:, :8].numpy())


def test_arrays_that_do_not_fit_are_refused(cache, X):
    y = cache.labels.numpy()
    with pytest.raises(
        ConfigError, match=r"records of shape \(287,\): wanted 288 numbers a record"
    ):
        recognizer().fit(X[:, 1:], y)
    holes = X.copy()
    holes[4, 3] = np.nan
    with pytest.raises(ConfigError, match="record 4 of X has NaN in some of its skeleton"):
        recognizer().fit(holes, y)
    with pytest.raises((ConfigError, ContractError), match="kind is 'distilled'"):
        dmft.Recognizer("distilled").fit(X, y)
    with pytest.raises(ValueError, match=r"y has one class, \[7\]: wanted at least two"):
        recognizer().fit(X, np.full(len(X), 7))
    with pytest.raises(ConfigError, match="rows is 1: wanted all different"):
        recognizer().fit(X, y, rows=np.zeros(len(X)))


@pytest.mark.slow
def test_scikit_learns_own_checks_hold():
    tiny = {
        "encoder.width": 8,
        "encoder.feed_forward": 8,
        "student.width": 8,
        "training.epochs": 30,
    }
    check_estimator(
        dmft.Recognizer(config=tiny, device="cpu"),
        expected_failed_checks={"check_estimators_pickle": "NaN says that a modality is absent"},
        on_fail="raise",
    )
