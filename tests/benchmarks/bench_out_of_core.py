"""Training records a second from a cache in memory and from one out of core, and their ratio.

Each pass trains a new model for one epoch, first from memory, then out of core with the chunks in
the page cache, then out of core with them written out and dropped from it (POSIX_FADV_DONTNEED).
One thread computes. Wide patches (colour, 128 KiB a record) cost reading, narrow ones (a
skeleton, 15 KiB) cost the work a record that is not computing.

python -m tests.benchmarks.bench_out_of_core [--records 4096] [--memory 200MB] [--passes 3]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path

import torch

from dmft.config import RunConfig, load_config
from dmft.data import Cache, make_features, open_cache
from dmft.data.features import FeatureTransform
from dmft.data.memory import parse_size
from dmft.data.sources import choose_source
from dmft.models import ModelShape, Student, Teacher
from dmft.training import Learner, fit
from dmft.training.losses import hard_objective
from pipeline.contract import ModalitySpec
from tests.benchmarks.bench_reading import RGB, make_cache
from tests.benchmarks.common import busy_cores, peak_mib, say, scratch

SKELETON = ModalitySpec(
    name="skeleton", n_patches=64, n_features=60, dtype="float32", records_per_chunk=1
)
KINDS = ("teacher", "student")


def drop_pages(folder: Path) -> None:
    """Write a folder's files out and drop them from the page cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            os.fsync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


def rate(cache: Cache, transform: FeatureTransform, kind: str, config: RunConfig) -> float:
    """Records a second over one epoch of a new model."""
    torch.manual_seed(0)
    shape = ModelShape(inputs=transform.inputs, n_classes=len(cache.spec.classes))
    model = (
        Teacher(shape, config.teacher, config.encoder)
        if kind == "teacher"
        else Student(shape, config.student, config.encoder)
    )
    rows = torch.arange(len(cache))
    learner = Learner(
        model=model,
        objective=hard_objective(config),
        source=choose_source(cache, rows, cache.shuffle_buffer, torch.device("cpu")),
        transform=transform,
        config=config,
        seed=0,
    )
    began = time.perf_counter()
    fit(learner)
    return len(rows) / (time.perf_counter() - began)


def compare(folder: Path, modality: ModalitySpec, memory: int, n_passes: int) -> None:
    """Measure both models on one cache, and print."""
    streamed = open_cache(folder, memory=memory)
    resident = open_cache(folder)
    print(f"{resident.residency}\n{streamed.residency}")
    if streamed.shuffle_buffer is None:
        raise SystemExit("nothing is out of core: give less --memory or more --records")
    config = load_config("default", ["training.epochs=1"])
    transform = make_features(resident, config, torch.arange(256))
    for kind in KINDS:
        rates: dict[str, list[float]] = {
            "in memory": [],
            "out of core": [],
            "out of core, cold": [],
        }
        for _ in range(n_passes):
            rates["in memory"].append(rate(resident, transform, kind, config))
            rates["out of core"].append(rate(streamed, transform, kind, config))
            drop_pages(folder)
            rates["out of core, cold"].append(rate(streamed, transform, kind, config))
        middle = {way: statistics.median(values) for way, values in rates.items()}
        title = f"{kind}, {modality.name}"
        for way, value in middle.items():
            say(f"{title}, {way}", value, "records/s")
        for way in ("out of core", "out of core, cold"):
            say(f"{title}, {way} / in memory", middle[way] / middle["in memory"], "", "0.7")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=4096)
    parser.add_argument("--memory", default="200MB", help="for rgb; an eighth of it for skeleton")
    parser.add_argument("--passes", type=int, default=3)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    busy_cores()
    memory = parse_size(chosen.memory)
    with scratch() as folder:
        for modality, share in ((RGB, 1), (SKELETON, 8)):
            make_cache(folder / modality.name, chosen.records, modality)
            compare(folder / modality.name, modality, memory // share, chosen.passes)
    say("peak memory, the caches in memory included", peak_mib(), "MiB")


if __name__ == "__main__":
    main()
