"""ResNet-50 weights: found by name, hashed by content, refused where they are something else."""

from __future__ import annotations

import pickle

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import ResNet50_Weights, resnet18

from pipeline.contract import ConfigError
from pipeline.encoders.weights import load_weights


@pytest.fixture(scope="module")
def random0():
    return load_weights("random:0")


def test_a_seed_names_its_weights(random0):
    assert random0.name == "random:0"
    assert load_weights("random:0").sha256 == random0.sha256
    assert load_weights("random:1").sha256 != random0.sha256


def test_drawing_weights_leaves_the_random_state_alone():
    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)
    load_weights("random:0")
    assert torch.rand(1) == wanted


@pytest.mark.parametrize("kind", ["safetensors", "pth", "checkpoint"])
def test_a_file_is_known_by_its_numbers_not_by_its_format(kind, random0, tmp_path):
    state = dict(random0.state)
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pth")
    if kind == "safetensors":
        save_file({name: value.contiguous() for name, value in state.items()}, path)
    elif kind == "pth":
        torch.save({**state, "fc.weight": torch.zeros(27, 2048)}, path)
    else:
        torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 3}, path)
    loaded = load_weights(str(path))
    assert loaded.sha256 == random0.sha256
    assert loaded.name == path.name


def test_imagenet_without_a_network_says_what_to_do(monkeypatch):
    def no_network(*_, **__):
        raise OSError("Name or service not known")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", no_network)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", no_network)
    url = ResNet50_Weights.IMAGENET1K_V2.url
    with pytest.raises(ConfigError, match=r"Name or service not known.*--weights FILE") as raised:
        load_weights("imagenet")
    assert url in str(raised.value)
    assert "--weights random:0" in str(raised.value)


@pytest.mark.parametrize("name", ["random", "random:x", "random:-1", "random:1.5"])
def test_a_seed_that_is_no_number_is_refused(name):
    with pytest.raises(ConfigError, match=f"weights '{name}': wanted random:SEED"):
        load_weights(name)


def test_a_file_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match=r"weights 'none\.pth': no such file"):
        load_weights("none.pth")


def test_another_network_is_refused_with_what_differs(tmp_path):
    path = tmp_path / "r18.pth"
    torch.save(resnet18(weights=None).state_dict(), path)
    with pytest.raises(ConfigError, match=r"are not a ResNet-50: .*is missing.* and \d+ more"):
        load_weights(str(path))


def test_numbers_that_are_not_finite_are_refused(random0, tmp_path):
    state = {name: value.clone() for name, value in random0.state.items()}
    state["conv1.weight"][0, 0, 0, 0] = float("nan")
    save_file(state, tmp_path / "nan.safetensors")
    with pytest.raises(ConfigError, match=r"conv1\.weight is not finite"):
        load_weights(str(tmp_path / "nan.safetensors"))


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights at all"])
def test_a_file_of_something_else_is_refused(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    wanted = rf"{name}. are neither safetensors nor a PyTorch file of tensors alone"
    with pytest.raises(ConfigError, match=wanted):
        load_weights(str(tmp_path / name))


def test_a_file_that_would_run_code_is_refused_unrun(tmp_path):
    ran = tmp_path / "ran"

    class Hostile:
        def __reduce__(self):
            return (ran.write_text, ("x",))

    path = tmp_path / "hostile.pth"
    path.write_bytes(pickle.dumps({"state_dict": Hostile()}, protocol=2))
    with pytest.raises(ConfigError, match=r"hostile\.pth. are neither safetensors"):
        load_weights(str(path))
    assert not ran.exists()
