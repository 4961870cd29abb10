"""A graph in ONNX, run by ONNX Runtime on the CPU with one thread: whoever encodes runs many."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.contract import ConfigError


class OnnxNetwork(nn.Module):
    """A graph that is ready to run."""

    def __init__(self, content: bytes, name: str) -> None:
        """Open a graph.

        Raises:
            ConfigError: no graph of one input; onnxruntime is not installed.
        """
        super().__init__()
        try:
            import onnxruntime
        except ImportError as error:
            raise ConfigError(
                "network onnx needs onnxruntime: install it with pip install 'dmft[export]'"
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self.session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
            (entry,) = self.session.get_inputs()
        except Exception as error:  # its own types, and as many as there are broken graphs
            raise ConfigError(f"weights {name!r} are no graph of one input: {error}") from error
        self.entry = entry.name
        self.takes = tuple(n if isinstance(n, int) else None for n in entry.shape)
        """Lengths of the axes of its pictures; None for any."""

    def forward(self, pictures: Tensor) -> Tensor:
        """What it gives first for pictures.

        Shapes: (n, 3, size, size) -> (n, ...).
        """
        given = {self.entry: pictures.cpu().numpy()}
        return torch.from_numpy(np.asarray(self.session.run(None, given)[0], np.float32))
