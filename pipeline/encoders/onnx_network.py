"""A frame network of the user's own, as ONNX: ``network = "onnx"`` and ``--weights FILE.onnx``.

The graph takes pictures (n, 3, size, size), prepared as the settings say, and gives a vector or a
map of features a picture; maps are averaged. It is read from its bytes, so that it can name no
other file, and runs on the CPU with one thread, since whoever encodes runs many.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import ConfigError

ONNX = "onnx"
"""What such a network is called in the settings."""
MAX_BYTES = 2 << 30


class OnnxNetwork:
    """A graph that is ready to run."""

    def __init__(self, path: Path) -> None:
        """Open a graph.

        Raises:
            ConfigError: no such file, no graph, or one that takes no pictures; onnxruntime is not
                installed.
        """
        try:
            import onnxruntime
        except ImportError as error:
            raise ConfigError(
                "network onnx needs onnxruntime: install it with pip install 'dmft[export]'"
            ) from error
        if path.suffix != ".onnx" or not path.is_file() or path.stat().st_size > MAX_BYTES:
            raise ConfigError(
                f"weights {str(path)!r} are no .onnx file: network onnx wants one, by --weights"
            )
        content = path.read_bytes()
        self.sha256 = hashlib.sha256(content).hexdigest()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self.session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
            (entry,) = self.session.get_inputs()
        except Exception as error:  # its own types, and as many as there are broken graphs
            raise ConfigError(
                f"weights {str(path)!r} are no graph of one input: {error}"
            ) from error
        if len(entry.shape) != 4 or (
            entry.shape[1] not in (3, "3") and isinstance(entry.shape[1], int)
        ):
            raise ConfigError(
                f"weights {str(path)!r} take {entry.shape}: wanted pictures (n, 3, height, width)"
            )
        self.path, self.entry = path, entry.name
        self.batch = entry.shape[0] if isinstance(entry.shape[0], int) else None
        """Pictures that it takes at a time; None for any number."""

    def __call__(self, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
        """A vector a picture.

        Shapes: (n, 3, size, size) -> (n, D).

        Raises:
            ConfigError: it takes no pictures of that size, or gives something else.
        """
        n, step = len(pictures), self.batch or len(pictures)
        padded = np.pad(pictures, ((0, -n % step), (0, 0), (0, 0), (0, 0)))
        made = []
        for start in range(0, len(padded), step):
            try:
                found: Any = self.session.run(None, {self.entry: padded[start : start + step]})[0]
            except Exception as error:
                raise ConfigError(
                    f"{self.path.name} takes no pictures of {pictures.shape[2:]}: {error}; set "
                    "image_size"
                ) from error
            found = np.asarray(found, np.float32)
            found = found.mean(axis=(2, 3)) if found.ndim == 4 else found
            if found.ndim != 2 or len(found) != step:
                raise ConfigError(
                    f"{self.path.name} gives {found.shape}: wanted a vector a picture"
                )
            made.append(found)
        return np.concatenate(made)[:n]


@lru_cache(maxsize=4)
def onnx_network(path: str) -> OnnxNetwork:
    """The graph of a file, opened once a process."""
    return OnnxNetwork(Path(path))
