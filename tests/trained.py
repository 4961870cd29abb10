"""The whole path on a handful of records: raw files, their cache, and a run on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dmft.config import load_config
from dmft.data import open_cache
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


def train_on(
    place: Place, run: Path, *changes: str, kind: str = "student", test_subject: int = 2
) -> None:
    """Train a tiny model on a place's cache."""
    protocol = place.cache.with_name("one-out.toml")
    protocol.write_text(PROTOCOL.replace("TEST", str(test_subject)))
    config = load_config("default", [*SMALL, *changes])
    cache = open_cache(place.cache)
    train(cache, str(protocol), run, kind=kind, config=config, device="cpu")
