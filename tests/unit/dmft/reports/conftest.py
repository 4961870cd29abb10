"""Runs that a report is made of."""

import shutil

import pytest

from dmft.config import load_config
from dmft.data import open_cache
from dmft.training.distill import distill
from dmft.training.train import train
from tests.factories import write_cache

SMALL = ("encoder.width=8", "encoder.feed_forward=8", "training.epochs=2")


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """Runs of a teacher, a raw and a distilled student, and the teacher's folds apart."""
    folder = tmp_path_factory.mktemp("report")
    write_cache(folder / "cache.zarr", n_subjects=2, n_classes=3, n_trials=2)
    (folder / "p.toml").write_text('name = "p"\n[leave_one_out]\nattribute = "subject"\n')
    cache = open_cache(folder / "cache.zarr")
    how = {"config": load_config("default", SMALL), "device": "cpu"}
    protocol, runs = str(folder / "p.toml"), folder / "runs"
    train(cache, protocol, runs / "teacher", fold="all", **how)
    train(cache, protocol, runs / "student", fold="all", kind="student", **how)
    train(cache, protocol, runs / "student-1", fold="all", kind="student", seed=1, **how)
    distill(cache, [runs / "teacher"], runs / "distilled", **how)
    for fold in ("subject-1", "subject-2"):
        shutil.copytree(runs / "teacher" / f"fold-{fold}", folder / "apart" / f"only-{fold}")
    return folder
