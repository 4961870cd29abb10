"""An exported program of the user's own: the network's numbers, and nothing of the file is run."""

from __future__ import annotations

import io
import json
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.contract import ConfigError
from pipeline.encoders.config import ColourEncoding, load_config
from pipeline.encoders.exported_network import ExportedNetwork
from pipeline.encoders.exported_steps import OPERATIONS
from pipeline.encoders.frames import FrameNetwork, encode_frames
from pipeline.encoders.networks import width_of
from pipeline.encoders.own_network import OwnNetwork
from pipeline.encoders.weights import load_weights
from tests.fabricate import encode_here, write_raw

MODEL = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"


class Net(nn.Module):
    """What networks of pictures are made of, in small; shapes are asked while it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=4)
        self.norm = nn.BatchNorm2d(4)
        self.act = nn.ReLU(inplace=True)
        self.drop = nn.Dropout()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.register_buffer("scale", torch.tensor([2.0]), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.act(self.norm(self.conv(x))) * self.scale
        y = y.flatten(2).transpose(1, 2)
        y, _ = self.attention(y, y, y, need_weights=False)
        return self.drop(y).mean(1).reshape(x.shape[0], -1)


def save(net: nn.Module, path: Path, *, is_open: bool = True, n: int = 2) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shapes = ({0: torch.export.Dim("n")},) if is_open else None
        program = torch.export.export(net, (torch.rand(n, 3, 32, 32),), dynamic_shapes=shapes)
        torch.export.save(program, path)
    return path


@pytest.fixture(scope="module")
def net() -> Net:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Net().eval()


@pytest.fixture(scope="module")
def exported(net, tmp_path_factory) -> Path:
    return save(net, tmp_path_factory.mktemp("exported") / "net.pt2")


def remade(path: Path, into: Path, **edits: Any) -> Path:
    """The same archive with other members: name to a change of its JSON, or to its bytes."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(into, "w") as new:
        root = old.namelist()[0].partition("/")[0]
        members = {name.partition("/")[2]: old.read(name) for name in old.namelist()}
        for name, edit in edits.items():
            if callable(edit):
                table = json.loads(members[name])
                edit(table)
                members[name] = json.dumps(table).encode()
            else:
                members[name] = edit
        for name, content in members.items():
            new.writestr(f"{root}/{name}", content)
    return into


def graph(table: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = table["graph_module"]["graph"]
    return found


def test_a_program_gives_its_networks_numbers_for_any_number_of_pictures(net, exported) -> None:
    own, pictures = OwnNetwork(exported, "pt2"), torch.rand(5, 3, 32, 32)
    assert own.takes == (None, 3, 32, 32)
    kept = pictures.clone()
    with torch.inference_mode():
        torch.testing.assert_close(own(pictures), net(pictures))
    assert torch.equal(pictures, kept)


def test_a_program_of_a_fixed_number_of_pictures_is_given_as_many(net, tmp_path) -> None:
    maps = nn.Sequential(net.conv, net.norm, nn.ReLU(inplace=True))
    own = OwnNetwork(save(maps, tmp_path / "maps.pt2", is_open=False), "pt2")
    assert own.takes[0] == 2
    pictures = torch.rand(5, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(own(pictures), maps(pictures).mean(dim=(2, 3)))


def test_frames_pass_a_program_and_a_cache_notes_its_hash(net, exported, tmp_path) -> None:
    assert width_of("pt2", 32, str(exported)) == 4
    weights = load_weights(str(exported), "pt2")
    network = FrameNetwork(weights, device=torch.device("cpu"), dtype="bfloat16", batch=2)
    frames = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    encoding = ColourEncoding(patches=3, image_size=32, network="pt2")
    ((_, features),) = encode_frames([("a", iter([frames]))], network, encoding)
    with torch.inference_mode():
        wanted = net(network.prepare(frames, 32)).numpy()
    np.testing.assert_allclose(features, encoding.pool(wanted), rtol=1e-5, atol=1e-6)

    raw = write_raw(tmp_path / "raw", ["a1_s1_t1"], ("rgb",), n_frames=2)
    changes = ["rgb.image_size=32", "rgb.patches=2", "rgb.network=pt2"]
    config = load_config(None, changes)
    done = encode_here(raw, tmp_path / "c", config=config, weights=f"rgb={exported}")
    noted = done.spec.modalities["rgb"].encoding
    assert (noted["network"], noted["weights_sha256"]) == ("pt2", weights.sha256)
    assert done.spec.provenance["weights"]["name"].endswith("rgb=net.pt2")


def test_a_program_wants_pictures_of_its_size_and_its_network_named(exported, monkeypatch) -> None:
    with pytest.raises(ConfigError, match=r"no pictures of \(64, 64\): it takes 32 x 32; set ima"):
        width_of("pt2", 64, str(exported))
    with pytest.raises(ConfigError, match=r"net\.pt2' are a network of their own: set network = '"):
        load_weights(str(exported))
    with pytest.raises(ConfigError, match=r"weights '.*net\.pt2' are no \.onnx file: network onnx"):
        load_weights(str(exported), "onnx")
    with pytest.raises(
        ConfigError, match=r"weights '.*none\.pt2': no such file; network pt2 wants a"
    ):
        load_weights("none.pt2", "pt2")
    monkeypatch.setattr("pipeline.encoders.own_network.MAX_BYTES", 9)
    with pytest.raises(ConfigError, match=r"net\.pt2' are larger than 9 bytes: network pt2 wants"):
        OwnNetwork(exported, "pt2")


def test_what_a_file_carries_is_not_run(net, exported, tmp_path) -> None:
    """PyTorch's own loader runs the formulas and the guards, and unpickles the example."""
    ran = tmp_path / "ran"
    code = f"__import__('pathlib').Path({str(ran)!r}).write_text('x')"

    class Hostile:
        def __reduce__(self):
            return (ran.write_text, ("x",))

    def formula(table: dict[str, Any]) -> None:
        sizes = graph(table)["tensor_values"]["x"]["sizes"]
        sizes[0]["as_expr"]["expr_str"] = code
        table["guards_code"] = [code]

    example = io.BytesIO()
    torch.save(Hostile(), example)
    edits = {MODEL: formula, "data/sample_inputs/model.pt": example.getvalue()}
    own = OwnNetwork(remade(exported, tmp_path / "net.pt2", **edits), "pt2")
    pictures = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(own(pictures), net(pictures))
    assert not ran.exists()


def weight(**changes: Any) -> dict[str, Any]:
    def edit(table: dict[str, Any]) -> None:
        entry = table["config"]["conv.weight"]
        for name, value in changes.items():
            (entry if name in entry else entry["tensor_meta"])[name] = value

    return {WEIGHTS: edit}


def first_step(**changes: Any) -> dict[str, Any]:
    return {MODEL: lambda table: graph(table)["nodes"][0].update(changes)}


def constant(name: str) -> dict[str, Any]:
    def edit(table: dict[str, Any]) -> None:
        table["config"]["scale"]["path_name"] = name

    return {CONSTANTS: edit, f"data/constants/{name}": pickle.dumps(0)}


def second_input(table: dict[str, Any]) -> None:
    specs = table["graph_module"]["signature"]["input_specs"]
    specs.append(specs[-1])


def of(*sizes: int) -> list[dict[str, int]]:
    return [{"as_int": n} for n in sizes]


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        (weight(use_pickle=True), r"keeps 'conv\.weight' as a pickle or an object \(weight_"),
        (constant("custom_obj_0"), r"keeps 'scale' as a pickle or an object \(custom_obj_0\)"),
        (constant("opaque_obj_0"), r"keeps 'scale' as a pickle or an object \(opaque_obj_0\)"),
        ({"data/aotinductor/model/a.so": b""}, r"compiled code \(data/aotinductor/model/a\.so\)"),
        (weight(sizes=of(1 << 40), strides=of(1)), r"holds 108 numbers of 'conv\.weight' of shape"),
        (weight(sizes=of(1 << 40), strides=of(0)), r"holds 108 numbers of 'conv\.weight' of shape"),
        (weight(storage_offset={"as_int": 1}), r"holds 108 numbers of 'conv\.weight' of shape"),
        (weight(sizes=of(-1), strides=of(1)), r"holds 108 numbers of 'conv\.weight' of shape \[-1"),
        (weight(dtype=9), r"is damaged: KeyError: 9"),
        (first_step(target="torch.os.system"), r"the step torch\.os\.system, which is none"),
        (first_step(target="torch.ops.aten.from_file.default"), r"step torch\.ops\.aten\.from_fi"),
        (first_step(target="torch.ops.aten.conv2d.__init__"), r"step torch\.ops\.aten\.conv2d\.__"),
        (first_step(target="torch.ops.load_library"), r"step torch\.ops\.load_library, which is"),
        (first_step(inputs=[{"arg": {}}]), r"is damaged in step 0: KeyError\('name'\)"),
        ({MODEL: second_input}, r"has 2 inputs and gives user_output: wanted one input"),
        ({MODEL: b"[" * 100_000}, r"is damaged: RecursionError"),
        ({MODEL: b"{}"}, r"is damaged: KeyError: 'graph_module'"),
    ],
)
def test_a_file_that_holds_something_else_is_refused(edits, message, exported, tmp_path) -> None:
    path = remade(exported, tmp_path / "net.pt2", **edits)
    with pytest.raises(ConfigError, match=rf"net\.pt2', an exported program: it .*{message}"):
        OwnNetwork(path, "pt2")


def test_bytes_that_are_no_archive_or_a_damaged_one_are_refused(exported, tmp_path) -> None:
    content = exported.read_bytes()

    def refused(content: bytes, message: str) -> None:
        with pytest.raises(ConfigError, match=rf"'n', an exported program: it {message}"):
            ExportedNetwork(content, "n")

    refused(b"", r"is no zip, or one cut short \(.*save it anew with torch\.export\.save")
    refused(b"not a program", "is no zip, or one cut short")
    refused(content[: len(content) // 2], "is no zip, or one cut short")
    at = content.index(b'"graph_module"')
    refused(content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :], "is damaged: BadZipFile")

    def zipped(**members: bytes) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
            for name, content in members.items():
                made.writestr(name, content)
        return file.getvalue()

    refused(zipped(**{"r/serialized_exported_program.json": b""}), "has the compressed member seri")
    refused(zipped(**{f"r/{MODEL}": b"[" * (1 << 20)}), "has the compressed member models/model")
    stored = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stored, "w") as made:
        warnings.simplefilter("ignore")
        made.writestr("r/version", "8.1")
    refused(stored.getvalue(), r"has no models/model\.json: save it anew")
    with warnings.catch_warnings(), zipfile.ZipFile(stored, "a") as made:
        warnings.simplefilter("ignore")
        made.writestr("q/version", "8.1")
    refused(stored.getvalue(), "has members of one name")


def test_a_network_in_training_is_refused(net, exported, tmp_path) -> None:
    def trains(table: dict[str, Any]) -> None:
        for node in graph(table)["nodes"]:
            for each in node["inputs"]:
                if each["name"] == "train":
                    each["arg"] = {"as_bool": True}

    path = remade(exported, tmp_path / "net.pt2", **{MODEL: trains})
    with pytest.raises(ConfigError, match=r"in training \(torch\.ops\.aten\.dropout\.default\): c"):
        OwnNetwork(path, "pt2")

    def counts(table: dict[str, Any]) -> None:
        step = {"name": "self", "arg": {"as_tensor": {"name": "b_scale"}}, "kind": 1}
        by = {"name": "other", "arg": {"as_float": 2.0}, "kind": 1}
        made = {"target": "torch.ops.aten.mul_.Tensor", "inputs": [step, by]}
        graph(table)["nodes"].insert(0, {**made, "outputs": [{"as_tensor": {"name": "more"}}]})

    own = OwnNetwork(remade(exported, tmp_path / "state.pt2", **{MODEL: counts}), "pt2")
    with pytest.raises(ConfigError, match=r"state\.pt2' change as they are used: wanted a program"):
        own(torch.rand(2, 3, 32, 32))


def test_every_operation_that_is_listed_is_one_of_pytorchs() -> None:
    assert [name for name in sorted(OPERATIONS) if not hasattr(torch.ops.aten, name)] == []
    no_arithmetic = ("file", "rand", "bernoulli", "multinomial", "set_", "resize", "record_stream")
    assert [name for name in OPERATIONS if any(part in name for part in no_arithmetic)] == []
