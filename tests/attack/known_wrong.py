"""Items A of issue 15: wrong, and silent."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.attack.bench import TRAINING, Bench, copy
from tests.attack.command import Answer, dmft
from tests.attack.known import item, silent


def train(cache: Path, place: Path, *more: str | Path) -> Answer:
    return dmft("train", cache, *TRAINING, "--out", place / "run", *more)


@item("A1a", "a cache without its label chunk is trained on")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    cache = copy(bench.cache, place / "cache")
    (cache / "label/c/0").unlink()
    return silent(train(cache, place))


@item("A1b", "labels exchanged with another column are trained on")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    cache = copy(bench.cache, place / "cache")
    shutil.copy(cache / "trial/c/0", cache / "label/c/0")
    return silent(train(cache, place))


@item("A1c", "feature names reversed in the root metadata are evaluated")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    cache = copy(bench.cache, place / "cache")
    root = json.loads((cache / "zarr.json").read_bytes())
    root["attributes"]["dmft"]["modalities"]["skeleton"]["feature_names"].reverse()
    (cache / "zarr.json").write_text(json.dumps(root))
    return silent(dmft("evaluate", bench.run, "--cache", cache))


@item("A1d", "a feature chunk of another cache (same shape, valid CRC) is trained on")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    cache = copy(bench.cache, place / "cache")
    root = json.loads((cache / "zarr.json").read_bytes())
    row = root["attributes"]["dmft"]["modalities"]["skeleton"]
    path = cache / "skeleton/c/0/0/0"
    size = row["n_patches"] * row["n_features"] * 4
    content = path.read_bytes()[:-4]
    moved = content[size : 2 * size] + content[:size] + content[2 * size :]
    import google_crc32c

    path.write_bytes(moved + google_crc32c.value(moved).to_bytes(4, "little"))
    return silent(train(cache, place))


@item("A1e", "a digit changed in metrics.json is reported")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    run = copy(bench.run, place / "run")
    figures = json.loads((run / "metrics.json").read_bytes()) | {"accuracy": 0.987}
    (run / "metrics.json").write_text(json.dumps(figures))
    return silent(dmft("report", run, "-o", place / "page.html"))


@item("A1f", "a deleted epochs.jsonl is reported without")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    run = copy(bench.run, place / "run")
    (run / "epochs.jsonl").unlink()
    return silent(dmft("report", run, "-o", place / "page.html"))
