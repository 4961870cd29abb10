"""Where a model computes, and computing the same bits each time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pipeline.contract import ConfigError


def resolve_device(name: str) -> torch.device:
    """Return the device of a name: auto takes a GPU where there is one.

    Raises:
        ConfigError: cuda is asked for and there is none, or the name is unknown.

    >>> resolve_device("cpu")
    device(type='cpu')
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device is {name!r}: wanted auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device 'cuda' is asked for and torch sees no GPU: use --device cpu")
    # Has to stand before the first use of cuBLAS for its sums to be deterministic.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


@contextmanager
def deterministic() -> Iterator[None]:
    """Deterministic kernels, put back to what they were at the end."""
    # torch.use_deterministic_algorithms does the same and imports PyTorch's compiler to tell it.
    before = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("warn")
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before)
