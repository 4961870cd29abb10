"""What a 1080p frame costs on one core, step by step, and what all of MMAct's therefore take.

A real clip (the one beside the project where none is named): decoding, resizing and the ResNet-50
forward (random weights, the device's own precision), one thread each. From these rates: hours for
all frames of the published clip list on machines of other sizes. A GPU's own rate is not measured
here: what is printed is the rate from which on decoding alone decides.

    python -m tests.benchmarks.bench_mmact_video [CLIP.mp4]
"""

from __future__ import annotations

import csv
import importlib.resources
import sys
from pathlib import Path

import torch

from pipeline.contract import StreamRef
from pipeline.encoders.frames import FrameNetwork, resolve_dtype
from pipeline.encoders.weights import load_weights
from pipeline.readers.video import read_video
from tests.benchmarks.common import busy_cores, clock, say
from tests.real_recordings import MMACT_CLIP

SIZE = 224


def main() -> None:
    """Measure one clip and print the plan."""
    torch.set_num_threads(1)
    busy_cores()
    clip = Path(sys.argv[1]) if len(sys.argv) > 1 else MMACT_CLIP
    content = clip.read_bytes()
    device = torch.device("cpu")
    network = FrameNetwork(load_weights("random:0"), device=device, dtype=resolve_dtype(device))
    with clock() as decoding:
        blocks = [block for block, _ in read_video(content, ref_of(clip)).blocks]
    n_frames = sum(len(block) for block in blocks)
    with clock() as resizing:
        images = torch.cat([network.prepare(block, SIZE) for block in blocks])
    batches = [b for b in images.split(network.batch) if len(b) == network.batch]
    network.forward(batches[0])
    with clock() as forward:
        for batch in batches:
            network.forward(batch)
    decode, resize = n_frames / decoding.seconds, n_frames / resizing.seconds
    images_s = len(batches) * network.batch / forward.seconds
    say("decoding, one core", decode, "frames/s")
    say("resizing to 224 x 224, one core", resize, "frames/s")
    say("ResNet-50 forward, one core", images_s, "frames/s")
    core = 1 / (1 / decode + 1 / resize + 1 / images_s)
    say("all three, one core", core, "frames/s")
    clips = importlib.resources.files("data_manifests") / "mmact-clips.csv"
    with clips.open(newline="") as file:
        total = sum(int(row["n_frames"]) for row in csv.DictReader(file))
    print(f"all {total:,} frames:")
    hours(total, "2 cores", 2 * core)
    hours(total, "16 cores", 16 * core)
    hours(total, "16 cores that decode, a GPU that does the rest", 16 * decode)
    say("  from this rate of the GPU on", 16 * decode, "images/s")
    hours(total, "10 nodes of 16 cores", 160 * core)
    hours(total, "10 nodes of 16 cores and a GPU each", 160 * decode)


def ref_of(clip: Path) -> StreamRef:
    """The clip as a manifest would name it."""
    return StreamRef(name="rgb", path=clip.name)


def hours(total: int, machine: str, rate: float) -> None:
    """Print one machine's time."""
    say(f"  {machine}", total / rate / 3600, "hours")


if __name__ == "__main__":
    main()
