"""The ResNet-50 in eight bits beside single precision and bfloat16: what it gains, what it loses.

Frames of a film are quantised by PyTorch's x86 scheme, calibrated on half of them and compared on
the other half. Two cosines: of the features as they are, which says little where all frames'
features point the same way, and about their mean, in which frames differ from each other.

    python -m tests.benchmarks.bench_int8 [CLIP.mp4] [WEIGHTS]
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torchvision.models import resnet50

from pipeline.contract import StreamRef
from pipeline.encoders.frames import FrameNetwork
from pipeline.encoders.weights import Weights, load_weights
from pipeline.readers.video import read_video
from tests.benchmarks.common import busy_cores, say
from tests.real_recordings import MMACT_CLIP

N_FRAMES, PASSES = 8, 3


def main() -> None:
    """Measure and print."""
    clip = sys.argv[1] if len(sys.argv) > 1 else str(MMACT_CLIP)
    name = sys.argv[2] if len(sys.argv) > 2 else "random:0"
    torch.set_num_threads(1)
    busy_cores()
    weights, cpu = load_weights(name), torch.device("cpu")
    single = FrameNetwork(weights, device=cpu, dtype="float32", batch=N_FRAMES)
    half = FrameNetwork(weights, device=cpu, dtype="bfloat16", batch=N_FRAMES)
    film = read_video(Path(clip).read_bytes(), StreamRef(name="rgb", path=Path(clip).name))
    every = max(1, film.n_frames // (2 * N_FRAMES))
    blocks = [single.prepare(block, 224) for block, _ in film.every(every)]
    images = torch.cat(blocks)[: 2 * N_FRAMES].clone()
    eight = quantised(weights, images[::2])
    seen = images[1::2].contiguous(memory_format=torch.channels_last)
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        "float32": single.forward,
        "bfloat16": lambda pictures: half.forward(pictures.bfloat16()),
        "int8": eight,
    }
    with torch.inference_mode():
        plain = single.forward(seen)
        for way, forward in ways.items():
            features, seconds = forward(seen), []
            for _ in range(PASSES):
                began = time.process_time()
                forward(seen)
                seconds.append(time.process_time() - began)
            say(f"{way}, of the processor a frame", 1e3 * min(seconds) / N_FRAMES, "ms")
            say("  cosine to float32, the least", cosine(features, plain), "")
            centred = cosine(features - features.mean(0), plain - plain.mean(0))
            say("  about the mean, the least", centred, "")


def cosine(one: Tensor, other: Tensor) -> float:
    """The least of the frames' cosines."""
    return float(torch.nn.functional.cosine_similarity(one, other).min())


def quantised(weights: Weights, images: Tensor) -> torch.nn.Module:
    """The network without its last layer in eight bits, calibrated on images."""
    from torch.ao.quantization import get_default_qconfig_mapping
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

    network = resnet50(weights=None)
    network.load_state_dict(dict(weights.state), strict=False)
    network.fc = torch.nn.Identity()
    torch.backends.quantized.engine = "x86"
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        watched = prepare_fx(network.eval(), get_default_qconfig_mapping("x86"), images[:1])
        watched(images)
        made: torch.nn.Module = convert_fx(watched)
    return made


if __name__ == "__main__":
    main()
