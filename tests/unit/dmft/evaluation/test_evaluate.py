"""A run is measured on its own records, and on others with a word of warning or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dmft.data import open_cache
from dmft.evaluation.evaluate import evaluate
from pipeline.contract import ContractError
from tests.factories import write_cache
from tests.small_runs import train_student, write_place

FABRICATED = {"provenance": {"made_by": "tests", "fabricated": True}}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache and a student of two folds' worth of it."""
    place = write_place(tmp_path_factory.mktemp("place"))
    cache = open_cache(place / "cache.zarr")
    train_student(place, cache, place / "run", "training.epochs=1", fold="all")
    return place


def test_a_moved_cache_is_measured_on_without_a_word(place, tmp_path, caplog):
    moved = shutil.copytree(place / "cache.zarr", tmp_path / "moved.zarr")
    seen: list[tuple[int, int]] = []
    metrics = evaluate(place / "run", cache_path=moved, progress=lambda *at: seen.append(at))
    assert metrics.n_folds == 4
    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4)]
    assert not caplog.records


def test_other_records_are_warned_of(place, tmp_path, caplog):
    other = write_cache(tmp_path / "other.zarr", n_trials=2, seed=1)
    evaluate(place / "run", cache_path=other)
    assert "other.zarr is not the cache that the run was trained on" in caplog.text


def test_fabricated_people_are_not_measured_for_real_ones(place, tmp_path):
    nobody = write_cache(tmp_path / "nobody.zarr", n_trials=2, seed=1, changes=FABRICATED)
    wanted = "nobody.zarr holds fabricated recordings and the run was trained on real ones"
    with pytest.raises(ContractError, match=wanted):
        evaluate(place / "run", cache_path=nobody)
