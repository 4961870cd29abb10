"""Other networks than the ResNet-50: their width, their weights, their place in a record's key."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision import models

from pipeline.contract import ConfigError
from pipeline.encoders.config import ColourEncoding, DepthEncoding
from pipeline.encoders.frames import FrameNetwork, encode_frames
from pipeline.encoders.kinds import encoding_noted, to_note
from pipeline.encoders.networks import empty_network, last_layer, width_of
from pipeline.encoders.weights import load_weights


@pytest.mark.parametrize(
    ("name", "size", "width"),
    [
        ("resnet50", 224, 2048),
        ("resnet18", 64, 512),
        ("mobilenet_v3_small", 64, 1024),
        ("efficientnet_b0", 64, 1280),
        ("convnext_tiny", 64, 768),
        ("vit_b_16", 224, 768),
        ("densenet121", 64, 1024),
    ],
)
def test_a_vector_is_what_the_last_layer_is_given(name: str, size: int, width: int) -> None:
    assert width_of(name, size) == width


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("resnet51", 224, "network is 'resnet51': wanted one of .* such as .*resnet50"),
        ("vit_b_16", 64, "network vit_b_16 takes no pictures of 64x64: Wrong image height"),
        ("squeezenet1_0", 64, "network squeezenet1_0 does not end in a linear layer"),
    ],
)
def test_networks_that_cannot_be_are_refused(name: str, size: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        width_of(name, size)


def test_frames_pass_the_network_that_is_named() -> None:
    weights = load_weights("random:0", "resnet18")
    assert weights.sha256 == load_weights("random:0", "resnet18").sha256
    assert not [key for key in weights.state if key.startswith("fc.")]
    half = (0.5, 0.5, 0.5)
    network = FrameNetwork(
        weights, device=torch.device("cpu"), dtype="float32", batch=4, mean=half, std=half
    )
    frames = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    encoding = ColourEncoding(patches=3, image_size=64, network="resnet18")
    ((_, features),) = encode_frames([("a", iter([frames]))], network, encoding)
    assert isinstance(features, np.ndarray)
    plain = models.resnet18(weights=None).eval()
    plain.load_state_dict(dict(weights.state), strict=False)
    plain.fc = torch.nn.Identity()
    pixels = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        wanted = plain((pixels - 0.5) / 0.5).numpy()
    np.testing.assert_allclose(features, encoding.pool(wanted), rtol=1e-4, atol=1e-5)


def test_weights_of_another_network_are_refused(tmp_path) -> None:
    path = tmp_path / "r18.pth"
    torch.save(models.resnet18(weights=None).state_dict(), path)
    assert load_weights(str(path), "resnet18").network == "resnet18"
    with pytest.raises(ConfigError, match=r"are not a resnet34: layer.*is missing"):
        load_weights(str(path), "resnet34")


def test_what_was_encoded_before_there_was_a_choice_keeps_its_keys() -> None:
    usual = to_note(DepthEncoding(), weights_sha256="w")
    assert not {"network", "mean", "std"} & usual.keys()
    other = DepthEncoding(network="resnet18", std=(1.0, 1.0, 1.0))
    note = to_note(other, weights_sha256="w")
    assert (note["network"], note["std"]) == ("resnet18", [1.0, 1.0, 1.0])
    assert encoding_noted(note) == other


def test_colours_have_three_numbers() -> None:
    with pytest.raises(ConfigError, match=r"mean is \[0\.5\]: wanted three numbers"):
        ColourEncoding(mean=(0.5,))
    with pytest.raises(ConfigError, match=r"std is \[1\.0, 1\.0, 0\.0\]: wanted three"):
        ColourEncoding(std=(1.0, 1.0, 0.0))


def test_auxiliary_layers_are_not_the_last() -> None:
    with torch.device("meta"):
        assert last_layer(empty_network("googlenet"), "googlenet") == "fc"
