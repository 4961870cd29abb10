"""Bytes to a device and features back, without waiting where the device lets one.

A GPU copies from pinned memory on a stream of its own while it computes on another, and what it
gives back is waited for only when it is wanted. A CPU has nothing to copy and nothing to wait for:
the same calls hand the same memory on. So there is one pipeline, and its order can be tested where
there is no GPU.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.common.stages import Meter
from pipeline.encoders.stage_names import COPYING

_cuda: Any = torch.cuda  # of which half is untyped


@dataclass(slots=True)
class Returning:
    """Features on their way back from the device."""

    _features: Tensor
    _arrived: Any
    _spans: list[tuple[str, Any, Any, int]]

    def wait(self, meter: Meter) -> NDArray[np.float32]:
        """The features, once they are here; counts what the device did for them.

        Shapes: (n, D).
        """
        if self._arrived is not None:
            self._arrived.synchronize()
        for name, began, ended, n_items in self._spans:
            seconds = ended - began if self._arrived is None else began.elapsed_time(ended) / 1e3
            meter.add(name, busy_s=seconds, n_items=n_items)
        array: NDArray[np.float32] = self._features.numpy()
        return array


class Transfers:
    """The ways to one device and back."""

    def __init__(self, device: torch.device) -> None:
        """Open them; on a GPU, a stream for copies beside the one that computes."""
        self.device = device
        self._is_cuda = device.type == "cuda"
        self._copies = _cuda.Stream(device) if self._is_cuda else None
        self.max_in_flight = 2 if self._is_cuda else 0
        """Batches that may be under way while the next is filled."""
        self._spans: list[tuple[str, Any, Any, int]] = []

    def staged(self, frames: NDArray[np.uint8]) -> Tensor:
        """Frames in memory that the device can read by itself; called in decoding threads.

        Shapes: any.
        """
        pixels = torch.from_numpy(frames)
        return pixels.pin_memory() if self._is_cuda else pixels

    def to_device(self, pixels: Tensor) -> Tensor:
        """Frames on the device; what is computed next waits for them, we do not.

        Shapes: any.
        """
        if self._copies is None:
            return pixels.to(self.device)
        computing = _cuda.current_stream(self.device)
        with _cuda.stream(self._copies):
            began = self.mark()
            moved = pixels.to(self.device, non_blocking=True)
            self.span(COPYING, began, len(pixels))
        computing.wait_stream(self._copies)
        moved.record_stream(computing)
        return moved

    def mark(self) -> Any:
        """This moment in the device's own time, on the stream that is current."""
        if not self._is_cuda:
            return time.perf_counter()
        event = _cuda.Event(enable_timing=True)
        event.record(_cuda.current_stream(self.device))
        return event

    def span(self, name: str, began: Any, n_items: int) -> None:
        """Count from a mark until now as a stage's work, when the next batch is back."""
        self._spans.append((name, began, self.mark(), n_items))

    def back(self, features: Tensor) -> Returning:
        """Send features to where we are, and go on.

        Shapes: (n, D).
        """
        arrived = None
        if self._is_cuda:
            pinned = torch.empty(features.shape, dtype=features.dtype, pin_memory=True)
            pinned.copy_(features, non_blocking=True)
            features = pinned
            arrived = _cuda.Event()
            arrived.record(_cuda.current_stream(self.device))
        spans, self._spans = self._spans, []
        return Returning(features, arrived, spans)
