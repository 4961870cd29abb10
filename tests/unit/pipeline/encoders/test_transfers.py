"""To a device and back: on a CPU the same memory, on a GPU the same features without waiting."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.common.stages import Meter
from pipeline.encoders.config import ColourEncoding
from pipeline.encoders.frames import FrameNetwork, encode_frames
from pipeline.encoders.stage_names import COPYING, NETWORK, RESIZING
from pipeline.encoders.transfers import Transfers
from pipeline.encoders.weights import load_weights

FRAMES = np.random.default_rng(0).integers(0, 256, (21, 40, 60, 3)).astype(np.uint8)
ENCODING = ColourEncoding(image_size=64, dtype="float32", patches=5)


def test_a_cpu_copies_nothing_and_waits_for_nothing():
    ways = Transfers(torch.device("cpu"))
    moved = ways.to_device(ways.staged(FRAMES))
    assert moved.data_ptr() == FRAMES.ctypes.data
    assert ways.max_in_flight == 0
    meter, began = Meter(), ways.mark()
    ways.span(NETWORK, began, 21)
    back = ways.back(moved).wait(meter)
    assert np.shares_memory(back, FRAMES)
    (stage,) = meter.report(1.0).stages
    assert (stage.name, stage.n_items) == (NETWORK, 21)
    assert stage.busy_s > 0


def test_batches_that_come_back_late_go_to_their_recordings():
    """As on a GPU, in the order of a GPU: the bits are those of waiting for each."""
    network = FrameNetwork(
        load_weights("random:0"), device=torch.device("cpu"), dtype="float32", batch=4
    )
    recordings = [(name, [FRAMES[a:b]]) for name, a, b in (("a", 0, 7), ("b", 7, 9), ("c", 9, 21))]

    def encode():
        named = ((name, iter(blocks)) for name, blocks in recordings)
        return [(name, found.tobytes()) for name, found in encode_frames(named, network, ENCODING)]

    at_once = encode()
    for n_under_way in (1, 2, 5):
        network.transfers.max_in_flight = n_under_way
        assert encode() == at_once


@pytest.mark.gpu
def test_on_a_gpu_features_are_those_of_a_plain_pass_and_every_stage_is_timed():
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    device = torch.device("cuda")
    network = FrameNetwork(load_weights("random:0"), device=device, dtype="float32", batch=4)
    assert network.transfers.staged(FRAMES).is_pinned()
    meter = Meter()
    blocks = (network.transfers.staged(FRAMES[i : i + 5]) for i in range(0, 21, 5))
    ((_, found),) = encode_frames([("a", blocks)], network, ENCODING, meter=meter)
    with torch.inference_mode():
        images = network.prepare(FRAMES, 64)
        plain = torch.cat([network.forward(images[i : i + 4]) for i in range(0, 21, 4)])
    wanted = ENCODING.pool(plain.cpu().numpy())
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())
    stages = {stage.name: stage for stage in meter.report(1.0).stages}
    assert all(stages[name].busy_s > 0 for name in (COPYING, RESIZING, NETWORK))
    assert stages[COPYING].n_items == stages[NETWORK].n_items == 21
