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


@pytest.fixture
def graph(tmp_path) -> str:
    """A graph that gives the mean of each colour, and of each colour's square."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        helper.make_node("Mul", ["x", "x"], ["xx"]),
        helper.make_node("Concat", ["x", "xx"], ["y"], axis=1),
    ]
    given = helper.make_tensor_value_info("x", kind, [2, 3, 32, 32])
    made = helper.make_tensor_value_info("y", kind, [2, 6, 32, 32])
    built = helper.make_graph(nodes, "means", [given], [made])
    model = helper.make_model(built, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "means.onnx")
    return str(tmp_path / "means.onnx")


def test_a_graph_of_ones_own_takes_the_frames(graph: str) -> None:
    assert width_of("onnx", 32, graph) == 6
    weights = load_weights(graph, "onnx")
    assert (weights.name, len(weights.sha256)) == ("means.onnx", 64)
    zero, one = (0.0,) * 3, (1.0,) * 3
    network = FrameNetwork(
        weights, device=torch.device("cpu"), dtype="float32", batch=5, mean=zero, std=one
    )
    frames = np.full((3, 40, 40, 3), 51, np.uint8)
    encoding = ColourEncoding(patches=3, image_size=32, network="onnx")
    ((_, features),) = encode_frames([("a", iter([frames]))], network, encoding)
    np.testing.assert_allclose(features, [[0.2] * 3 + [0.04] * 3] * 3, rtol=1e-5)


def test_a_graph_that_cannot_be_is_refused(graph: str, tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"means\.onnx takes no pictures of \(64, 64\)"):
        width_of("onnx", 64, graph)
    with pytest.raises(ConfigError, match=r"weights '.*imagenet' are no \.onnx file"):
        load_weights("imagenet", "onnx")
    (tmp_path / "no.onnx").write_bytes(b"no")
    with pytest.raises(ConfigError, match=r"no\.onnx' are no graph of one input"):
        load_weights(str(tmp_path / "no.onnx"), "onnx")
