"""A small cache and a teacher trained on it, for each module."""

from pathlib import Path

import pytest

from dmft.data import Cache, open_cache
from tests.small_runs import train_teacher, write_place


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_place(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def cache(place: Path) -> Cache:
    return open_cache(place / "cache.zarr")


@pytest.fixture(scope="module")
def teacher(place: Path, cache: Cache) -> Path:
    return train_teacher(place, cache, place / "teacher")
