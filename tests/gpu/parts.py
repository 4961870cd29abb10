"""The parts of ``make gpu``: each works on one device and returns its figures by name.

The same calls run on a CPU with small sizes in a test; what they measure there means nothing.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dmft.config import RunConfig, load_config
from dmft.data import Cache, make_features, open_cache
from dmft.data.sources import choose_source
from dmft.models import ModelShape, Teacher
from dmft.training import Learner, fit, fit_together
from dmft.training.losses import hard_objective
from pipeline.common.cores import n_cores
from pipeline.contract import Record, StreamRef
from pipeline.encode.job import encode
from pipeline.encode.options import EncodeOptions
from pipeline.encoders import weights
from pipeline.encoders.config import EncodingConfig
from pipeline.encoders.frames import FrameNetwork, resolve_dtype
from pipeline.encoders.stage_names import ADVICE
from pipeline.manifests import Manifest
from pipeline.raw.tree import RawTree
from pipeline.readers.registry import readable
from pipeline.signals.recording import Frames
from pipeline.synthetic.utd_mhad import mat_bytes
from tests.benchmarks.bench_every import film
from tests.benchmarks.common import peak_mib
from tests.factories import write_cache
from tests.gpu.sizes import Sizes

Figures = dict[str, Any]
Part = Callable[[torch.device, Sizes, Path], Figures]


def marked_tests(device: torch.device, sizes: Sizes, folder: Path) -> Figures:
    """The tests that only a GPU can run."""
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, capture_output=True, text=True)
    last = (done.stdout.strip().splitlines() or [done.stderr.strip()])[-1]
    return {"exit code": done.returncode, "said": last}


def encode_colour(device: torch.device, sizes: Sizes, folder: Path) -> Figures:
    """H.264 films to patches, beside the network alone and decoding alone."""
    content = film(sizes.n_frames, {"preset": "medium"}, sizes.frame)
    return _encode("mmact", "rgb", content, sizes.n_films, sizes.n_frames, device, sizes, folder)


def encode_depth(device: torch.device, sizes: Sizes, folder: Path) -> Figures:
    """Depth in .mat files to patches, likewise."""
    random, n_frames = np.random.default_rng(0), sizes.n_depth_frames
    coarse = random.integers(0, 4000, (24, 32, n_frames)).astype(np.uint16)
    content = mat_bytes("d_depth", np.kron(coarse, np.ones((10, 10, 1), np.uint16)))
    return _encode("utd-mhad", "depth", content, sizes.n_depth, n_frames, device, sizes, folder)


def _encode(
    dataset: str,
    modality: str,
    content: bytes,
    n_records: int,
    n_frames: int,
    device: torch.device,
    sizes: Sizes,
    folder: Path,
) -> Figures:
    raw = folder / modality
    raw.mkdir()
    records = []
    for index in range(n_records):
        ref = StreamRef(name=modality, path=f"{index}.film")
        (raw / ref.path).write_bytes(content)
        records.append(Record(id=f"r{index}", label=0, streams={modality: (ref,)}))
    manifest = Manifest(dataset=dataset, classes=("a",), records=tuple(records))
    config = EncodingConfig()
    changed = replace(config.of(modality), image_size=sizes.image_size)  # type: ignore[call-arg]
    options = EncodeOptions(
        config=replace(config, **{modality: changed}),
        weights="random:0",
        device=device.type,
        n_workers=0,
    )
    forward, decode = _bare_forward(device, sizes), _bare_decode(manifest, raw, modality)
    began = time.perf_counter()
    summary = encode(manifest, str(raw), str(folder / f"{modality}.zarr"), options)
    seconds = time.perf_counter() - began
    assert not summary.failures, summary.failures[0]
    stages = summary.stages[modality]
    rate = n_records * n_frames / stages.seconds
    return {
        "bare forward, images/s": forward,
        "bare decoding on all cores, frames/s": decode,
        "encode, frames/s": rate,
        "encode / the slower of both": rate / min(forward, decode),
        "encode with its start, seconds": seconds,
        "says": stages.sentence(ADVICE),
        "stages": stages.rows(),
    }


def _bare_forward(device: torch.device, sizes: Sizes) -> float:
    """Images a second of the network alone, in the encoder's arithmetic and batch."""
    dtype = resolve_dtype(device)
    network = FrameNetwork(weights.load_weights("random:0"), device=device, dtype=dtype)
    images = network.empty_batch(sizes.image_size)
    network.forward(images)
    _wait(device)
    began = time.perf_counter()
    for _ in range(sizes.n_batches):
        network.forward(images)
    _wait(device)
    return sizes.n_batches * network.batch / (time.perf_counter() - began)


def _bare_decode(manifest: Manifest, raw: Path, modality: str) -> float:
    """Frames a second of reading and decoding alone, a thread a core."""
    tree, source = RawTree(raw), readable(manifest.dataset, modality)

    def decoded(record: Record) -> int:
        stream = record.streams[modality][0]
        frames = source.read([(tree.read(stream.path), stream)])
        assert isinstance(frames, Frames)
        return sum(len(block) for block, _ in frames.blocks)

    began = time.perf_counter()
    with ThreadPoolExecutor(n_cores()) as pool:
        n_frames = sum(pool.map(decoded, manifest.records))
    return n_frames / (time.perf_counter() - began)


def epochs(device: torch.device, sizes: Sizes, folder: Path) -> Figures:
    """Epochs of a teacher in the sizes of the paper: the middle of three, after one."""
    figures: Figures = {}
    cache = _cache(sizes, folder / "all.zarr")
    for names in (("rgb", "skeleton"), ("rgb", "skeleton", "depth", "inertial")):
        config = load_config("paper-sizes", ["training.epochs=1", *sizes.changes])
        seconds = []
        learner = _learner(open_cache(cache, names), config, device, 0)
        for _ in range(4):
            began = time.perf_counter()
            fit(learner)
            _wait(device)
            seconds.append(time.perf_counter() - began)
        figures[f"{'+'.join(names)}, seconds an epoch"] = sorted(seconds[1:])[1]
    return figures


def together(device: torch.device, sizes: Sizes, folder: Path) -> Figures:
    """Small models of skeleton and inertial, trained together and one after another."""
    figures: Figures = {}
    opened = open_cache(_cache(sizes, folder / "two.zarr"), ("skeleton", "inertial"))
    config = load_config("default", ["training.epochs=2", "doubt.epochs=0", *sizes.changes])
    fit(_learner(opened, config, device, 0))
    began = time.perf_counter()
    fit(_learner(opened, config, device, 0))
    _wait(device)
    alone = time.perf_counter() - began
    figures["one model, seconds an epoch"] = alone / 2
    for n in sizes.together:
        learners = [_learner(opened, config, device, seed) for seed in range(n)]
        began = time.perf_counter()
        fit_together(learners)
        _wait(device)
        seconds = time.perf_counter() - began
        figures[f"{n} together, seconds an epoch"] = seconds / 2
        figures[f"{n} together / one after another"] = n * alone / seconds
    return figures


def _cache(sizes: Sizes, path: Path) -> Path:
    return write_cache(
        path,
        modalities=sizes.widths,
        n_subjects=sizes.n_subjects,
        n_classes=sizes.n_classes,
        n_trials=sizes.n_trials,
    )


def _learner(cache: Cache, config: RunConfig, device: torch.device, seed: int) -> Learner:
    rows = torch.arange(len(cache))
    transform = make_features(cache, config, rows).to(device)
    shape = ModelShape(inputs=transform.inputs, n_classes=len(cache.spec.classes))
    torch.manual_seed(seed)
    return Learner(
        model=Teacher(shape, config.teacher, config.encoder).to(device),
        objective=hard_objective(config),
        source=choose_source(cache, rows, None, device),
        transform=transform,
        config=config,
        seed=seed,
    )


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


PARTS: Mapping[str, Part] = {
    "tests marked gpu": marked_tests,
    "encode of colour, 1080p H.264": encode_colour,
    "encode of depth": encode_depth,
    "a teacher in the paper's sizes": epochs,
    "models trained together": together,
}
"""Name to what measures it, in the order of the page."""


def measured(part: Part, device: torch.device, sizes: Sizes, folder: Path) -> Figures:
    """A part's figures, the seconds that it took, and the most memory that it had."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    began = time.perf_counter()
    figures = part(device, sizes, folder)
    figures["seconds in all"] = time.perf_counter() - began
    figures["peak memory of the process, MiB"] = peak_mib()
    if device.type == "cuda":
        figures["peak memory of the GPU, MiB"] = torch.cuda.max_memory_allocated(device) / 2**20
    return figures
