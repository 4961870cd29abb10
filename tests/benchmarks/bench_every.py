"""What ``every = 2`` costs beside ``every = 1``: 1080p H.264, from file to patches.

Encodes films that it makes itself, twice each, in turns and in this process, with one thread of
PyTorch. The seconds of the processor are printed beside those of the clock: other programs on the
machine lengthen these alone. The share of frames that no other is predicted from decides how much
of the decoding is spared. Frames are best a multiple of 32: batches are filled up.

    python -m tests.benchmarks.bench_every [--frames 64] [--records 2] [--real]
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import torch

from pipeline.contract import Record, StreamRef
from pipeline.encode.records import Encoder
from pipeline.encoders.config import ColourEncoding
from pipeline.encoders.frames import FrameNetwork, resolve_dtype
from pipeline.encoders.weights import load_weights
from pipeline.raw.tree import RawTree
from tests.benchmarks.common import busy_cores, say, scratch
from tests.real_recordings import MMACT_CLIP

HEIGHT, WIDTH = 1080, 1920


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--records", type=int, default=2)
    parser.add_argument("--real", action="store_true", help="the real clip too: minutes")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    busy_cores()
    films = {
        "B-frames, as x264 makes them": film(arguments.frames, {"preset": "medium"}),
        "no B-frames, as cameras often do": film(arguments.frames, {"preset": "fast", "bf": "0"}),
    }
    if arguments.real and MMACT_CLIP.is_file():
        films["a real clip"] = MMACT_CLIP.read_bytes()
    for name, content in films.items():
        print(f"{name}:")
        measure(content, arguments.records)


def film(n_frames: int, options: dict[str, str], frame: tuple[int, int] = (HEIGHT, WIDTH)) -> bytes:
    """Bright spots that move over a still picture with a little noise; of it the upper left."""
    import av

    random = np.random.default_rng(0)
    still = random.integers(60, 190, (HEIGHT // 40, WIDTH // 40, 3)).repeat(40, 0).repeat(40, 1)
    noise = random.integers(-4, 5, (HEIGHT + 64, WIDTH + 64, 1))
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=30, options=options)
        stream.height, stream.width = frame
        stream.pix_fmt = "yuv420p"
        for index in range(n_frames):
            y, x = random.integers(0, 64, 2)
            picture = still + noise[y : y + HEIGHT, x : x + WIDTH]
            for spot in range(6):
                top, left = 90 * spot + 4 * index, 150 * spot + 11 * index
                picture[top % 900 :, left % 1700 :][:160, :200] += 40
            shown = np.ascontiguousarray(picture[: frame[0], : frame[1]], np.uint8)
            made = av.VideoFrame.from_ndarray(shown, format="rgb24")
            made.pts, made.time_base = index, Fraction(1, 30)
            output.mux(stream.encode(made))
        output.mux(stream.encode())
    return buffer.getvalue()


def measure(content: bytes, n_records: int) -> None:
    """Print records a second of one film."""
    wall, processor = {1: 0.0, 2: 0.0}, {1: 0.0, 2: 0.0}
    with scratch() as folder:
        records = []
        for index in range(n_records):
            ref = StreamRef(name="rgb", path=f"{index}.mp4")
            (folder / ref.path).write_bytes(content)
            records.append(Record(id=f"r{index}", label=0, streams={"rgb": (ref,)}))
        for every in (1, 2, 2, 1):
            seconds, busy = one(folder, records, every)
            wall[every] += seconds
            processor[every] += busy
    for every in (1, 2):
        say(f"  every = {every}", 2 * n_records / wall[every], "records/s")
        say("    seconds of the processor a record", processor[every] / 2 / n_records, "s")
    say("  every = 2 / every = 1, records a second", wall[1] / wall[2], "", "1.9")
    say("    by seconds of the processor", processor[1] / processor[2], "")


def one(raw: Path, records: Sequence[Record], every: int) -> tuple[float, float]:
    """Seconds of the clock and of the processor that the records took."""
    encoder = Encoder(
        dataset="mmact",
        modality="rgb",
        tree=RawTree(raw),
        encoding=ColourEncoding(every=every),
        network=network(),
    )
    wall, processor = time.perf_counter(), time.process_time()
    assert all(encoded.failure is None for encoded in encoder.encode(records))
    return time.perf_counter() - wall, time.process_time() - processor


@cache
def network() -> FrameNetwork:
    """The network, ready."""
    device = torch.device("cpu")
    made = FrameNetwork(load_weights("random:0"), device=device, dtype=resolve_dtype(device))
    made.forward(made.empty_batch(224))
    return made


if __name__ == "__main__":
    main()
