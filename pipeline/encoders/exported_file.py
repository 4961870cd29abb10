"""What an exported program's file (``.pt2``) says, as data: nothing of it is run or unpickled.

``torch.export.save`` writes a zip of members that are not compressed: the graph and the lists of
weights as JSON, each weight as its raw bytes. Those are read here, and nothing else: not the
example inputs, which are pickled in every such file. A file that keeps what is needed as a pickle,
an object or compiled code is refused.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pipeline.contract import ConfigError

MAX_JSON_BYTES = 64 << 20
TYPES: Mapping[int, torch.dtype] = {
    1: torch.uint8, 2: torch.int8, 3: torch.int16, 4: torch.int32, 5: torch.int64,
    6: torch.float16, 7: torch.float32, 8: torch.float64, 12: torch.bool, 13: torch.bfloat16,
}  # fmt: skip
"""Numbers of the types of tensors in such a file."""
_WAY_OUT = (
    "save it anew with torch.export.save of PyTorch 2.11 or newer, from a network of plain "
    'tensors, or with torch.onnx.export(program, (), "net.onnx") for network = "onnx"'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedFile:
    """A graph and its weights."""

    takes: tuple[int | None, ...]
    """Lengths of the axes of its pictures; None for any."""
    picture: str
    """Name of its input."""
    output: str
    """Name of what it gives."""
    tensors: Mapping[str, Tensor]
    """Weights and constants by their names in the graph."""
    nodes: Sequence[Mapping[str, Any]]
    """Steps in their order, as the file has them."""


def read_exported(content: bytes) -> ExportedFile:
    """What the bytes of a file say.

    Raises:
        ConfigError: no exported program, damaged, or one that holds more than a graph of one input
            and one output and its weights; the reason alone, without the file's name.
    """
    try:
        return _read(content)
    except ConfigError:
        raise
    except Exception as error:  # as many types as there are ways to damage a zip of JSON
        raise ConfigError(f"is damaged: {type(error).__name__}: {error}") from error


def _read(content: bytes) -> ExportedFile:
    members = _Members(content)
    program = members.json("models/model.json")
    graph, signature = program["graph_module"]["graph"], program["graph_module"]["signature"]
    stored = {
        **_stored(members, "data/weights/", "model_weights_config.json"),
        **_stored(members, "data/constants/", "model_constants_config.json"),
    }
    tensors, pictures = {}, []
    for spec in signature["input_specs"]:
        ((kind, entry),) = spec.items()
        if kind == "user_input" and "as_tensor" in entry["arg"]:
            pictures.append(str(entry["arg"]["as_tensor"]["name"]))
        elif kind in ("parameter", "buffer", "tensor_constant"):
            tensors[str(entry["arg"]["name"])] = stored[entry[f"{kind}_name"]]
        else:
            raise ConfigError(f"has an input that is {kind}: wanted pictures and weights alone")
    gives = [next(iter(spec.items())) for spec in signature["output_specs"]]
    if len(pictures) != 1 or [kind for kind, _ in gives] != ["user_output"]:
        raise ConfigError(
            f"has {len(pictures)} inputs and gives {', '.join(kind for kind, _ in gives)}: wanted "
            "one input, the pictures, and one output; call .eval() before torch.export.export"
        )
    sizes = graph["tensor_values"][pictures[0]]["sizes"]
    return ExportedFile(
        takes=tuple(size.get("as_int") for size in sizes),
        picture=pictures[0],
        output=str(gives[0][1]["arg"]["as_tensor"]["name"]),
        tensors=tensors,
        nodes=graph["nodes"],
    )


class _Members:
    """The members of the zip, without the folder that all of them lie in."""

    def __init__(self, content: bytes) -> None:
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(content))
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise ConfigError(f"is no zip, or one cut short ({error}); {_WAY_OUT}") from error
        infos = self._zip.infolist()
        self._infos = {info.filename.partition("/")[2]: info for info in infos}
        if len(self._infos) < len(infos):
            raise ConfigError("has members of one name: wanted each once")
        for name, info in self._infos.items():
            if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
                raise ConfigError(f"has the compressed member {name}: wanted none; {_WAY_OUT}")
            if name.startswith("data/aotinductor/"):
                raise ConfigError(
                    f"holds compiled code ({name}), which is not run: wanted the graph; {_WAY_OUT}"
                )
        if sum(info.file_size for info in infos) > len(content):
            raise ConfigError(f"declares more than its {len(content)} bytes: wanted a sound zip")
        if "models/model.json" not in self._infos:
            raise ConfigError(f"has no models/model.json: {_WAY_OUT}")

    def bytes(self, name: str) -> bytes:
        if name not in self._infos:
            raise ConfigError(f"has no {name}: {_WAY_OUT}")
        return self._zip.read(self._infos[name])

    def json(self, name: str) -> Any:
        if name in self._infos and self._infos[name].file_size > MAX_JSON_BYTES:
            raise ConfigError(f"has a {name} of more than {MAX_JSON_BYTES} bytes")
        return json.loads(self.bytes(name))


def _stored(members: _Members, folder: str, listed: str) -> dict[str, Tensor]:
    """Tensors of one folder, by their names in the network."""
    found: dict[str, Tensor] = {}
    whole: dict[str, bytearray] = {}
    for name, entry in members.json(folder + listed)["config"].items():
        path = str(entry["path_name"])
        if entry["use_pickle"] is not False or not path.startswith(("weight_", "tensor_")):
            raise ConfigError(
                f"keeps {name!r} as a pickle or an object ({path}), and nothing is unpickled: "
                f"{_WAY_OUT}"
            )
        if path not in whole:
            whole[path] = bytearray(members.bytes(folder + path))
        found[name] = _tensor(whole[path], entry["tensor_meta"], name)
        if entry["is_param"] and not found[name].isfinite().all():
            raise ConfigError(f"has numbers in {name!r} that are not finite")
    return found


def _tensor(content: bytearray, entry: Mapping[str, Any], name: str) -> Tensor:
    """A tensor in its bytes: never larger than they are."""
    dtype = TYPES[entry["dtype"]]
    sizes, strides = ([int(n["as_int"]) for n in entry[axis]] for axis in ("sizes", "strides"))
    start = int(entry["storage_offset"]["as_int"])
    n_stored = len(content) // dtype.itemsize
    furthest = start + sum((n - 1) * step for n, step in zip(sizes, strides, strict=True))
    n_wanted = math.prod(sizes)
    if min([0, start, *sizes, *strides]) < 0 or n_wanted > n_stored or furthest >= max(n_stored, 1):
        raise ConfigError(f"holds {n_stored} numbers of {name!r} of shape {sizes}: wanted as many")
    if not n_wanted:
        return torch.zeros(sizes, dtype=dtype)
    return torch.frombuffer(content, dtype=dtype).as_strided(sizes, strides, start)
