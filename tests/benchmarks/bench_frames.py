"""Colour and depth, end to end, against the device's bare forward pass and the plain way.

Prints, from one run on real depth files (fabricated ones where those are absent) and fabricated
.avi files: encode with one worker over the bare ResNet-50 forward (one thread on a CPU); two
workers over one; and, on a CPU, two workers over the plain way (one recording at a time, single
precision, NCHW, PIL resize, one process with all cores). The bare forward runs the same folded,
channels-last network in the same arithmetic and batch.

    python -m tests.benchmarks.bench_frames [depth|rgb] [--records 32] [--device cpu]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from tests.benchmarks.common import busy_cores, clock, first, real_recordings, say, scratch

BARE = """
import sys, threading, time, torch
from pipeline.encoders.frames import FrameNetwork, resolve_dtype
from pipeline.encoders.weights import load_weights
device = torch.device(sys.argv[1])
network = FrameNetwork(load_weights("random:0"), device=device, dtype=resolve_dtype(device))
images = torch.rand(network.empty_batch(224).shape, device=device).to(network.dtype)
images = images.contiguous(memory_format=torch.channels_last)
def run(n):
    started = time.perf_counter()
    for _ in range(n):
        network.forward(images)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return n * network.batch / (time.perf_counter() - started)
def measure():
    torch.set_num_threads(int(sys.argv[2]))
    run(3)
    n = 3
    while True:
        started = time.perf_counter(); rate = run(n)
        if time.perf_counter() - started > 8:
            break
        n *= 2
    print(rate)
thread = threading.Thread(target=measure)
thread.start()
thread.join()
"""
"""In a thread, as a Dask worker runs its tasks."""


def bare_forward(device: str, threads: int) -> float:
    """Images a second of the network alone, in a process with the workers' settings."""
    from pipeline.encode.dask_run import DASK_CONFIG

    prefix = "distributed.nanny.pre-spawn-environ."
    settings = {
        key.removeprefix(prefix): str(value)
        for key, value in DASK_CONFIG.items()
        if key.startswith(prefix)
    }
    done = subprocess.run(
        [sys.executable, "-c", BARE, device, str(threads)],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def end_to_end(manifest, raw, out, modality, device, n_workers):  # type: ignore[no-untyped-def]
    """Frames a second: while the workers work, and from the cluster's start on; and the frames.

    The first leaves out what a worker does once, whatever it has to do: importing PyTorch and
    loading the network.
    """
    from pipeline.encode.job import Callbacks, EncodeOptions, encode
    from pipeline.encoders.config import EncodingConfig

    # Many patches make large rows and so small chunks: several tasks a worker from few records.
    config = EncodingConfig()
    config = replace(config, **{modality: replace(config.of(modality), patches=256)})
    options = EncodeOptions(
        config=config,
        modalities=(modality,),
        weights="random:0",
        device=device,
        n_workers=n_workers,
    )
    began: list[float] = []
    frames = 0
    busy = ended = 0.0

    def on_report(report) -> None:  # type: ignore[no-untyped-def]
        nonlocal frames, busy, ended
        frames += report.n_frames
        busy += report.seconds
        ended = time.perf_counter()

    encode(
        manifest,
        str(raw),
        str(out),
        options,
        Callbacks(on_dashboard=lambda _: began.append(time.perf_counter()), on_report=on_report),
    )
    return n_workers * frames / busy, frames / (ended - began[0]), frames


def plain_way(manifest, raw: Path, modality: str) -> float:  # type: ignore[no-untyped-def]
    """Frames a second of the usual script."""
    import numpy as np
    import torch
    from PIL import Image
    from torchvision.models import resnet50

    from pipeline.encoders.config import DepthEncoding
    from pipeline.encoders.frames import IMAGENET_MEAN, IMAGENET_STD
    from pipeline.encoders.pixels import depth_levels
    from pipeline.raw.tree import RawTree
    from pipeline.readers.registry import readable

    network = resnet50(weights=None).eval()
    network.fc = torch.nn.Identity()
    mean = torch.tensor(IMAGENET_MEAN).view(3, 1, 1)
    std = torch.tensor(IMAGENET_STD).view(3, 1, 1)
    levels = depth_levels(DepthEncoding())
    tree, frames = RawTree(raw), 0
    with clock() as taken, torch.inference_mode():
        for record in manifest.records:
            stream = record.streams[modality][0]
            recording = readable(manifest.dataset, modality).read(
                [(tree.read(stream.path), stream)]
            )
            images = []
            for block, _ in recording.blocks:
                for frame in levels[block] if modality == "depth" else block:
                    image = Image.fromarray(frame).convert("RGB").resize((224, 224))
                    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
                    images.append((pixels - mean) / std)
            for start in range(0, len(images), 16):
                network(torch.stack(images[start : start + 16]))
            frames += len(images)
    return frames / taken.seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modality", nargs="?", choices=["depth", "rgb"], default="depth")
    parser.add_argument("--records", type=int, default=32)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--skip-plain", action="store_true")
    arguments = parser.parse_args()
    busy_cores()
    with scratch() as folder:
        if arguments.modality == "depth":
            manifest, raw = real_recordings()
        else:
            from pipeline.manifests import build
            from pipeline.raw.tree import RawTree
            from pipeline.synthetic.utd_mhad import plan, write_tree

            raw = folder / "raw"
            write_tree(raw, plan(seed=0, n_actions=8, n_subjects=2, n_trials=2), ("rgb",))
            manifest = build("utd-mhad", RawTree(raw)).manifest
        manifest = first(manifest, arguments.records, arguments.modality)
        cores = len(os.sched_getaffinity(0))
        on_cpu = arguments.device == "cpu"
        bare = bare_forward(arguments.device, 1)
        say("bare forward" + (", one thread" if on_cpu else ""), bare, "images/s")
        fastest, all_in, frames = end_to_end(
            manifest, raw, folder / "1.zarr", arguments.modality, arguments.device, 1
        )
        say(f"encode, 1 worker, {frames} frames", fastest, "frames/s")
        say("  with the worker's start", all_in, "frames/s")
        after = bare_forward(arguments.device, 1)
        say("bare forward again", after, "images/s")
        say("encode / bare forward, mean of both", fastest / ((bare + after) / 2), "", "0.90")
        if on_cpu and cores > 1:
            double, both, _ = end_to_end(
                manifest, raw, folder / "2.zarr", arguments.modality, "cpu", 2
            )
            say("encode, 2 workers", double, "frames/s")
            say("  with the workers' start", both, "frames/s")
            say("2 workers / 1 worker", double / fastest, "", "1.7 on two free cores")
            say("  with the workers' start", both / all_in, "")
            all_in = max(all_in, both)
        if on_cpu and not arguments.skip_plain:
            few = first(manifest, max(4, arguments.records // 4), arguments.modality)
            plain = plain_way(few, raw, arguments.modality)
            say("the plain way", plain, "frames/s")
            say("encode / the plain way", all_in / plain, "", "2.5")


if __name__ == "__main__":
    main()
