"""The steps of an exported program: PyTorch's operations on tensors, of a closed list.

What is listed computes and does nothing else: it reads no file, draws no number, keeps no state. A
step that is not listed is refused by its name.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from pipeline.contract import ConfigError
from pipeline.encoders.exported_file import TYPES, ExportedFile

_ALSO_IN_PLACE = (
    "add", "celu", "clamp", "clamp_max", "clamp_min", "div", "dropout", "elu", "exp",
    "feature_dropout", "fill", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu",
    "masked_fill", "mish", "mul", "neg", "pow", "relu", "relu6", "selu", "sigmoid", "silu", "sqrt",
    "sub", "tanh",
)  # fmt: skip
OPERATIONS = frozenset(
    {
        "_adaptive_avg_pool2d", "_log_softmax", "_native_batch_norm_legit_no_training", "_softmax",
        "_to_copy", "_unsafe_view", "abs", "adaptive_avg_pool1d", "adaptive_avg_pool2d",
        "adaptive_max_pool2d", "addcdiv", "addcmul", "addmm", "alias", "all", "amax", "amin", "any",
        "arange", "argmax", "argmin", "argsort", "as_strided", "avg_pool1d", "avg_pool2d",
        "baddbmm", "batch_norm", "bitwise_and", "bitwise_not", "bitwise_or", "bmm", "cat", "ceil",
        "channel_shuffle", "chunk", "clone", "constant_pad_nd", "contiguous", "conv1d", "conv2d",
        "conv_transpose2d", "convolution", "copy", "copy_", "cos", "cumsum", "detach", "einsum",
        "eq", "erf", "expand", "expand_as", "expm1", "flatten", "flip", "floor", "floor_divide",
        "fmod", "full", "full_like", "gather", "ge", "gelu", "glu", "group_norm", "gt", "index",
        "index_select", "instance_norm", "layer_norm", "le", "lift_fresh_copy",
        "linalg_vector_norm", "linear", "linspace", "log", "log1p", "log_sigmoid", "log_softmax",
        "logical_and", "logical_not", "logical_or", "logsumexp", "lt", "matmul", "max",
        "max_pool1d", "max_pool2d", "max_pool2d_with_indices", "maximum", "mean", "meshgrid", "min",
        "minimum", "mm", "movedim", "narrow", "native_group_norm", "native_layer_norm", "ne",
        "new_full", "new_ones", "new_zeros", "norm", "ones", "ones_like", "pad", "permute",
        "pixel_shuffle", "pixel_unshuffle", "prelu", "prod", "reciprocal", "reflection_pad2d",
        "remainder", "repeat", "repeat_interleave", "replication_pad2d", "reshape", "rms_norm",
        "roll", "round", "rsqrt", "rsub", "scalar_tensor", "scaled_dot_product_attention", "select",
        "select_scatter", "sign", "sin", "slice", "slice_scatter", "softmax", "softplus", "sort",
        "split", "split_with_sizes", "square", "squeeze", "stack", "std", "sum", "swapaxes",
        "swapdims", "sym_numel", "sym_size", "t", "tile", "to", "topk", "transpose", "tril", "triu",
        "trunc", "type_as", "unbind", "unflatten", "unfold", "unsafe_chunk", "unsafe_split",
        "unsqueeze", "upsample_bicubic2d", "upsample_bilinear2d", "upsample_nearest2d", "var",
        "var_mean", "view", "view_as", "where", "zero_", "zeros", "zeros_like",
        *_ALSO_IN_PLACE,
        *(f"{name}_" for name in _ALSO_IN_PLACE),
    }
)  # fmt: skip
"""Those of ATen."""
_ARITHMETIC: Mapping[str, Callable[..., Any]] = {
    name: getattr(operator, name)
    for name in (
        "add", "sub", "mul", "floordiv", "truediv", "mod", "neg", "eq", "ne", "lt", "le", "gt",
        "ge", "and_", "or_", "not_", "getitem",
    )
}  # fmt: skip
"""On lengths of axes."""
_PASSED_OVER = frozenset(
    {
        "_assert_scalar", "_assert_tensor_metadata", "_assert_async", "sym_constrain_range",
        "sym_constrain_range_for_size",
    }
)  # fmt: skip
"""Assertions about the example that a program was exported with."""
_FORMATS = {
    1: torch.contiguous_format,
    2: torch.channels_last,
    3: torch.channels_last_3d,
    4: torch.preserve_format,
}
"""Numbers of the formats of memory in such a file."""
DEVICE = object()
"""In the place of a device: where the weights are."""


@dataclass(frozen=True, slots=True)
class Made:
    """A value that an earlier step made, by its name."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One operation."""

    run: Callable[..., Any]
    arguments: tuple[Any, ...]
    named: Mapping[str, Any]
    makes: tuple[str | None, ...]
    """Names of what it gives; None for what nobody wants."""
    is_single: bool
    """Whether it gives one value, and no list of them."""
    done_with: tuple[str, ...] = ()
    """Values that no later step wants."""


def steps_of(file: ExportedFile) -> tuple[Step, ...]:
    """The steps of a program in their order.

    Raises:
        ConfigError: one that is not listed, is damaged, or belongs to training; the reason alone.
    """
    kept = {file.output, file.picture, *file.tensors}
    read: list[Step] = []
    last: dict[str, int] = {}
    for place, node in enumerate(file.nodes):
        try:
            run = _operation(str(node["target"]))
            if run is None:
                continue
            _check_is_no_training(node)
            placed = [_value(each["arg"]) for each in node["inputs"] if each["kind"] != 2]
            named = {e["name"]: _value(e["arg"]) for e in node["inputs"] if e["kind"] == 2}
            makes, is_single = _outputs(node["outputs"])
        except ConfigError:
            raise
        except Exception as error:  # JSON of any shape
            raise ConfigError(f"is damaged in step {place}: {error!r}") from error
        step = Step(run=run, arguments=tuple(placed), named=named, makes=makes, is_single=is_single)
        last.update(dict.fromkeys([*_names((placed, named)), *filter(None, makes)], len(read)))
        read.append(step)
    done: dict[int, list[str]] = {}
    for name, place in last.items():
        if name not in kept:
            done.setdefault(place, []).append(name)
    return tuple(replace(step, done_with=tuple(done.get(n, ()))) for n, step in enumerate(read))


def _operation(target: str) -> Callable[..., Any] | None:
    """What is called of a listed target; None where it only asserts."""
    match target.split("."):
        case ["_operator", name] if name in _ARITHMETIC:
            return _ARITHMETIC[name]
        case ["torch", "ops", "aten", name, _] if name in _PASSED_OVER:
            return None
        case ["torch", "ops", "aten", name, overload] if name in OPERATIONS:
            packet = getattr(torch.ops.aten, name)
            if overload in packet.overloads():
                found: Callable[..., Any] = getattr(packet, overload)
                return found
    raise ConfigError(
        f"has the step {target[:80]}, which is none of those that are run: save it with "
        'torch.onnx.export(program, (), "net.onnx"), and set network = "onnx"'
    )


def _check_is_no_training(node: Mapping[str, Any]) -> None:
    for each in node["inputs"]:
        if (each["name"] in ("training", "train") and each["arg"].get("as_bool")) or (
            each["name"] == "dropout_p" and each["arg"].get("as_float")
        ):
            raise ConfigError(
                f"was exported in training ({node['target']}): call .eval() before "
                "torch.export.export"
            )


def _value(entry: Mapping[str, Any]) -> Any:
    """An argument as a file says it; what is made while it runs by its name."""
    ((kind, value),) = entry.items()
    match kind:
        case "as_none":
            return None
        case "as_tensor":
            return Made(str(value["name"]))
        case "as_tensors":
            return [Made(str(each["name"])) for each in value]
        case "as_name":
            return Made(str(value))
        case "as_sym_int" | "as_sym_float" | "as_sym_bool":
            return _value(value)
        case "as_optional_tensors" | "as_sym_ints" | "as_sym_floats" | "as_sym_bools":
            return [_value(each) for each in value]
        case "as_int" | "as_bool" | "as_string" | "as_ints" | "as_bools":
            return value
        case "as_float":
            return float(value)
        case "as_floats":
            return [float(each) for each in value]
        case "as_scalar_type":
            return TYPES[value]
        case "as_memory_format":
            return _FORMATS[value]
        case "as_device":
            return DEVICE
        case "as_layout" if value == _STRIDED:
            return torch.strided
    raise ConfigError(f"has an argument that is {kind}: wanted tensors and numbers")


_STRIDED = 7


def _outputs(entries: Sequence[Mapping[str, Any]]) -> tuple[tuple[str | None, ...], bool]:
    made = [_value(each) for each in entries]
    is_single = len(made) == 1 and not isinstance(made[0], list)
    if len(made) == 1 and not is_single:
        made = made[0]
    return tuple(None if each is None else each.name for each in made), is_single


def _names(given: Any) -> list[str]:
    if isinstance(given, Made):
        return [given.name]
    if isinstance(given, Mapping):
        given = list(given.values())
    return (
        [name for each in given for name in _names(each)] if isinstance(given, list | tuple) else []
    )
