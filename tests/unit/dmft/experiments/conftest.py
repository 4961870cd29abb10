"""A small experiment and the cache that it is done on."""

from __future__ import annotations

import pytest

from dmft.data import open_cache
from pipeline.contract import Presence
from tests.factories import write_cache

HEAD = """
name = "small"
[[grids]]
protocols = ["p.toml"]
modalities = [["skeleton", "inertial"]]
folds = ["0"]
seeds = [0]
set = ["encoder.width=16", "training.epochs=1"]
"""
PROTOCOL = 'name = "p"\n[leave_one_out]\nattribute = "subject"\n'


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experiments")
    absent = {"a1_s1_t1/skeleton": Presence.ABSENT, "a1_s1_t1/inertial": Presence.ABSENT}
    write_cache(folder / "c.zarr", n_subjects=2, n_classes=3, n_trials=2, absent=absent)
    (folder / "p.toml").write_text(PROTOCOL)
    (folder / "e.toml").write_text(HEAD)
    return folder


@pytest.fixture(scope="session")
def cache(place):
    return open_cache(place / "c.zarr", ["inertial"])
