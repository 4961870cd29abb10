"""Frames through the ResNet-50 trunk: the network's numbers, whoever travels along."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.models import resnet50
from torchvision.transforms.v2.functional import normalize, resize

from pipeline.contract import RecordingError
from pipeline.encoders.config import ColourEncoding, DepthEncoding
from pipeline.encoders.frames import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    FrameNetwork,
    encode_frames,
    resolve_dtype,
)
from pipeline.encoders.pixels import depth_levels
from pipeline.encoders.weights import load_weights
from pipeline.signals.segments import to_patches

ENCODING = ColourEncoding(image_size=64, dtype="float32", patches=3)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights():
    return load_weights("random:0")


@pytest.fixture(scope="module")
def network(weights):
    return FrameNetwork(weights, device=CPU, dtype="float32", batch=4)


def frames(n: int, seed: int, *, colour: bool = True) -> np.ndarray:
    shape = (n, 48, 80, 3) if colour else (n, 48, 80)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def encode(network, *recordings, encoding=ENCODING):
    named = ((str(i), iter(blocks)) for i, blocks in enumerate(recordings))
    return dict(encode_frames(named, network, encoding))


def plain(weights, pixels: np.ndarray) -> np.ndarray:
    """The reference: torchvision's own network, in its own layout, one frame at a time."""
    model = resnet50(weights=None)
    model.load_state_dict(dict(weights.state), strict=False)
    model.fc = torch.nn.Identity()
    model.eval()
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    images = resize(images, [64, 64], antialias=True).float() / 255
    with torch.inference_mode():
        return torch.cat(
            [model(normalize(i[None], list(IMAGENET_MEAN), list(IMAGENET_STD))) for i in images]
        ).numpy()


def test_features_are_those_of_torchvisions_network(network, weights):
    pixels = frames(3, seed=1)
    found = encode(network, [pixels])["0"]
    assert found.shape == (3, 2048)
    assert found.dtype == np.float32
    wanted = to_patches(plain(weights, pixels), window=1, stride=1, n_patches=3)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max())


def test_a_record_is_the_same_whoever_travels_with_it(network):
    """Bit by bit: alone, behind another, cut into other blocks."""
    record = frames(5, seed=2)
    alone = encode(network, [record])["0"]
    behind = encode(network, [frames(3, 3)], [record], [frames(9, 4)])["1"]
    blocks = encode(network, [record[:2], record[2:4], record[4:]])["0"]
    assert alone.tobytes() == behind.tobytes() == blocks.tobytes()


def test_grey_frames_are_three_equal_channels(network):
    grey = frames(2, seed=6, colour=False)
    assert (
        encode(network, [grey])["0"].tobytes()
        == encode(network, [np.repeat(grey[..., None], 3, axis=3)])["0"].tobytes()
    )


def test_a_broken_recording_does_not_touch_its_neighbours(network):
    def broken():
        yield frames(3, seed=7)
        raise RecordingError("damaged at frame 3")

    good = frames(6, seed=8)
    found = encode(network, [good], broken(), [good])
    assert isinstance(found["1"], RecordingError)
    assert found["0"].tobytes() == found["2"].tobytes() == encode(network, [good])["0"].tobytes()


def test_a_recording_without_frames_is_refused(network):
    found = encode(network, [])["0"]
    assert isinstance(found, RecordingError)
    assert "no frame in the recording: wanted at least 1" in str(found)


def test_long_recordings_grow_their_room(network):
    """More frames than the 64 that are held at first."""
    encoding = ColourEncoding(image_size=32, dtype="float32", patches=2)
    still = np.repeat(frames(1, seed=9), 70, axis=0)
    found = encode(network, [still], encoding=encoding)["0"]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-5)


def test_near_is_bright_and_nothing_is_black():
    levels = depth_levels(DepthEncoding(near_mm=1000, far_mm=3000))
    assert levels[[0, 3000, 65535]].tolist() == [0, 0, 0]
    assert levels[[1, 1000]].tolist() == [255, 255]
    assert levels[2000] == 128
    assert (np.diff(levels[1:].astype(int)) <= 0).all()


def test_single_precision_is_the_fallback():
    assert resolve_dtype(torch.device("meta")) == "float32"
    assert resolve_dtype(CPU) in ("float32", "bfloat16")


def test_bfloat16_stays_near(network, weights):
    half = FrameNetwork(weights, device=CPU, dtype="bfloat16", batch=4)
    pixels = frames(2, seed=11)
    near, exact = encode(half, [pixels])["0"].ravel(), encode(network, [pixels])["0"].ravel()
    cosine = near @ exact / np.linalg.norm(near) / np.linalg.norm(exact)
    assert cosine > 0.999
