"""The whole path on a handful of records: raw files, their cache, and a run on it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

from dmft.config import load_config
from dmft.data import open_cache
from dmft.export.build import export
from dmft.training.train import train
from tests.fabricate import encode_here, record_ids, write_raw

PROTOCOL = """
name = "one-out"
[[folds]]
name = "one"
train = { subject = [1] }
test = { subject = [TEST] }
"""
SMALL = ("encoder.width=16", "encoder.feed_forward=16", "training.epochs=1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where things lie."""

    raw: Path
    cache: Path
    run: Path


def make_place(folder: Path, *, kind: str = "student", n_records: int = 8) -> Place:
    """Fabricate raw skeletons and inertial data, encode them and train for one epoch."""
    raw = write_raw(folder / "raw", record_ids(n_records))
    encode_here(raw, folder / "cache.zarr")
    place = Place(raw=raw, cache=folder / "cache.zarr", run=folder / "run")
    train_on(place, place.run, kind=kind)
    return place


def built_once(
    tmp_path_factory: pytest.TempPathFactory, name: str, build: Callable[[Path], object]
) -> Path:
    """A folder that one test process builds and every test of the session reads.

    Module fixtures are built once a process; what takes half a minute is worth sharing.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder, built = base / name, base / f"{name}.built"
    with FileLock(base / f"{name}.lock"):
        if not built.exists():
            build(folder)
            built.touch()
    return folder


def shared_place(tmp_path_factory: pytest.TempPathFactory, *, kind: str = "student") -> Place:
    """The place of this kind that all tests share: copy from it, write nothing into it."""
    folder = built_once(tmp_path_factory, f"place-{kind}", lambda out: make_place(out, kind=kind))
    return Place(raw=folder / "raw", cache=folder / "cache.zarr", run=folder / "run")


def shared_export(tmp_path_factory: pytest.TempPathFactory, *, kind: str = "student") -> Path:
    """The export of the run of :func:`shared_place`."""
    place = shared_place(tmp_path_factory, kind=kind)
    return built_once(tmp_path_factory, f"export-{kind}", lambda out: export(place.run, out))


def train_on(
    place: Place, run: Path, *changes: str, kind: str = "student", test_subject: int = 2
) -> None:
    """Train a tiny model on a place's cache."""
    protocol = place.cache.with_name("one-out.toml")
    protocol.write_text(PROTOCOL.replace("TEST", str(test_subject)))
    config = load_config("default", [*SMALL, *changes])
    cache = open_cache(place.cache)
    train(cache, str(protocol), run, kind=kind, config=config, device="cpu")
