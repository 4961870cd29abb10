"""An exported program (``.pt2``), run step by step and never by PyTorch's own loader.

That loader runs what a file carries: it evaluates formulas of shapes and guards as Python, and
unpickles example inputs. Here a program is data: a list of operations and the weights that they are
given. What is open at export, as the number of pictures, is what it is when the program runs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pipeline.contract import ConfigError
from pipeline.encoders.exported_file import read_exported
from pipeline.encoders.exported_steps import DEVICE, Made, steps_of


class ExportedNetwork(nn.Module):
    """An exported program that is ready to run, on whatever device it is moved to."""

    @torch.inference_mode(mode=False)  # so that its weights tell whether they were changed
    def __init__(self, content: bytes, name: str) -> None:
        """Read a program.

        Raises:
            ConfigError: no exported program of pictures to one output, one that holds more than
                known operations and weights, or one in training.
        """
        super().__init__()
        try:
            file = read_exported(content)
            self._steps = steps_of(file)
        except ConfigError as error:
            raise ConfigError(f"weights {name!r}, an exported program: it {error}") from error
        self._name, self.takes = name, file.takes
        """Lengths of the axes of its pictures; None for any."""
        self._picture, self._output = file.picture, file.output
        self._tensors = {name: f"tensor_{place}" for place, name in enumerate(file.tensors)}
        for name, buffer in self._tensors.items():
            self.register_buffer(buffer, file.tensors[name])
        self.register_buffer("_here", torch.zeros(0))

    def forward(self, pictures: Tensor) -> Tensor:
        """What it gives for pictures.

        Shapes: (n, 3, size, size) -> (n, ...).
        """
        device = self.get_buffer("_here").device
        values: dict[str, Any] = {n: self.get_buffer(each) for n, each in self._tensors.items()}
        values[self._picture] = pictures.to(device, copy=True)  # steps may write into it

        def given(value: Any) -> Any:
            if isinstance(value, Made):
                return values[value.name]
            if isinstance(value, list):
                return [given(each) for each in value]
            return device if value is DEVICE else value

        before = [buffer._version for buffer in self.buffers()]
        for step in self._steps:
            named = {name: given(value) for name, value in step.named.items()}
            made = step.run(*map(given, step.arguments), **named)
            for name, value in zip(step.makes, [made] if step.is_single else made, strict=True):
                if name is not None:
                    values[name] = value
            for name in step.done_with:
                del values[name]
        if before != [buffer._version for buffer in self.buffers()]:
            raise ConfigError(
                f"weights {self._name!r} change as they are used: wanted a program that was "
                "exported after .eval()"
            )
        output = values[self._output]
        assert isinstance(output, Tensor)
        return output
