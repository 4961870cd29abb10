"""Colour and depth frames to patches through a network without its classifier (paper 3.1).

Frames go to the device as bytes and are resized and normalised there. Frames of many records
share batches of one fixed, padded shape: nothing recompiles, and a frame's numbers do not depend
on which frames travel with it. Batch norms are folded into the convolutions, tensors are
channels-last, and the last feature map is averaged in single precision whatever the network's
arithmetic, so that bfloat16 costs no resolution in the result.

The device is an argument: the same code runs on a CPU.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models import resnet50
from torchvision.models.resnet import Bottleneck
from torchvision.transforms.v2.functional import resize

from pipeline.common.stages import Meter
from pipeline.contract import RecordingError
from pipeline.encoders.config import IMAGENET_MEAN, IMAGENET_STD, FramesEncoding
from pipeline.encoders.networks import OWN, RESNET50, empty_network, without_last_layer
from pipeline.encoders.own_network import own_network
from pipeline.encoders.stage_names import NETWORK, POOLING, RESIZING
from pipeline.encoders.transfers import Returning, Transfers
from pipeline.encoders.weights import Weights
from pipeline.signals.clock import rows_by_clock
from pipeline.signals.segments import averaged_frames

Key = TypeVar("Key")
Block = NDArray[np.uint8] | Tensor
"""Frames as bytes, or as :meth:`FrameNetwork.staged` hands them on."""


def resolve_dtype(device: torch.device) -> Literal["bfloat16", "float32"]:
    """The arithmetic that ``auto`` stands for: bfloat16 where the device does it natively."""
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if device.type == "cpu":
        # PyTorch has no public question for this; an older or newer build may lack these two.
        asks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        if any(getattr(torch.cpu, ask, bool)() for ask in asks):
            return "bfloat16"
    return "float32"


class FrameNetwork:
    """A network's trunk on one device, fed blocks of frames and read in fixed batches."""

    def __init__(
        self,
        weights: Weights,
        *,
        device: torch.device,
        dtype: Literal["bfloat16", "float32"],
        batch: int | None = None,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        """Build the network once a worker.

        Args:
            weights: Parameters and buffers.
            device: Where the arithmetic runs.
            dtype: Its precision; a network of the user's own has single precision.
            batch: Frames a forward pass; None takes the device's measured best.
            mean: Of the pictures that it was trained on, by colour.
            std: Likewise.
        """
        self.device = device
        is_own = weights.network in OWN
        self.dtype = torch.float32 if is_own else getattr(torch, dtype)
        self.batch = batch or (256 if device.type == "cuda" else 16)
        self._is_resnet50 = weights.network == RESNET50
        self.trunk: nn.Module
        if is_own:  # its steps were written down for the layout and the types that it has
            self.trunk = own_network(weights.path, weights.network).to(device)
        else:
            self.trunk = _fold(weights) if self._is_resnet50 else _headless(weights)
            self.trunk = self.trunk.to(device, self.dtype)
            self.trunk.to(memory_format=torch.channels_last)
        self._mean = torch.tensor(mean, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(std, device=device).view(1, 3, 1, 1)
        self.transfers = Transfers(device)

    @torch.inference_mode()
    def prepare(self, frames: Block, size: int) -> Tensor:
        """Move frames to the device as bytes, resize whole frames and normalise there.

        Shapes: frames (n, H, W, 3) or (n, H, W) uint8; returns (n, 3, size, size).
        """
        pixels = frames if isinstance(frames, Tensor) else self.transfers.staged(frames)
        pixels = self.transfers.to_device(pixels)
        began = self.transfers.mark()
        prepared = self._prepared(pixels, size)
        self.transfers.span(RESIZING, began, len(frames))
        return prepared

    def _prepared(self, pixels: Tensor, size: int) -> Tensor:
        pixels = pixels.permute(0, 3, 1, 2) if pixels.ndim == 4 else pixels.unsqueeze(1)
        if pixels.shape[-2:] != (size, size):
            pixels = resize(pixels, [size, size], antialias=True)
        scaled = (pixels.float().div_(255.0) - self._mean) / self._std
        return scaled.to(self.dtype, memory_format=torch.channels_last)

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Tensor:
        """One vector a frame.

        Shapes: images (batch, 3, size, size) as :meth:`prepare` makes them; returns
        (batch, D) float32.
        """
        features: Tensor = self.trunk(images)
        return features.float().mean(dim=(2, 3)) if self._is_resnet50 else features.float()

    def empty_batch(self, size: int) -> Tensor:
        """A batch of black frames to fill, in the network's layout."""
        return torch.zeros(
            (self.batch, 3, size, size), device=self.device, dtype=self.dtype
        ).contiguous(memory_format=torch.channels_last)


def _fold(weights: Weights) -> nn.Sequential:
    """The trunk with every batch norm folded into the convolution before it."""
    network = resnet50(weights=None)
    network.load_state_dict(dict(weights.state), strict=False)
    network.eval()
    network.conv1 = fuse_conv_bn_eval(network.conv1, network.bn1)
    layers = (network.layer1, network.layer2, network.layer3, network.layer4)
    for block in (block for layer in layers for block in layer):
        assert isinstance(block, Bottleneck)
        for index in (1, 2, 3):
            convolution: Any = getattr(block, f"conv{index}")
            norm: Any = getattr(block, f"bn{index}")
            setattr(block, f"conv{index}", fuse_conv_bn_eval(convolution, norm))
            setattr(block, f"bn{index}", nn.Identity())
        if block.downsample is not None:
            convolution, norm = block.downsample
            block.downsample = fuse_conv_bn_eval(convolution, norm)
    return nn.Sequential(network.conv1, network.relu, network.maxpool, *layers).requires_grad_(
        False
    )


def _headless(weights: Weights) -> nn.Module:
    """Any other network up to what its last layer is given."""
    network = without_last_layer(empty_network(weights.network), weights.network)
    network.load_state_dict(dict(weights.state))
    return network.eval().requires_grad_(False)


@dataclass(slots=True)
class _Recording(Generic[Key]):
    """Features of one record as they come back from the device."""

    key: Key
    n_frames: int = 0
    n_back: int = 0
    features: list[NDArray[np.float32]] = field(default_factory=list)
    has_ended: bool = False
    error: RecordingError | None = None

    @property
    def is_done(self) -> bool:
        """Whether nothing more of it is to come."""
        return self.error is not None or (self.has_ended and self.n_back == self.n_frames)

    def result(
        self, encoding: FramesEncoding, times_of: Callable[[Key], NDArray[np.float64]]
    ) -> NDArray[np.float32] | RecordingError:
        """Its patches (P, D), or why there are none."""
        if self.error is not None:
            return self.error
        features = np.concatenate(self.features)
        if encoding.average == "frames":  # a vector a window: what is left is to align them
            return replace(encoding, window=1, stride=1).pool(features)
        rows = rows_by_clock(times_of(self.key))
        return encoding.pool(features if rows is None else features[rows])


def encode_frames(
    recordings: Iterable[tuple[Key, Iterator[Block]]],
    network: FrameNetwork,
    encoding: FramesEncoding,
    times_of: Callable[[Key], NDArray[np.float64]] = lambda _: np.empty(0),
    meter: Meter | None = None,
) -> Iterator[tuple[Key, NDArray[np.float32] | RecordingError]]:
    """Encode recordings in order, their frames packed into common batches.

    Frames are pooled as long as each is shown, by the times that ``times_of`` gives of a recording
    whose blocks were drawn. A recording whose blocks raise is handed back as its error; its
    neighbours are unaffected. The network does not wait for features to be back: on a GPU, a batch
    or two are under way while the next is filled.

    Shapes: blocks (n, H, W, 3) or (n, H, W) uint8; yields (key, (P, D)).
    """
    waiting: deque[_Recording[Key]] = deque()
    staging = network.empty_batch(encoding.image_size)
    shares: list[tuple[_Recording[Key], int]] = []  # whose frames fill the staged batch, in order
    n_staged = 0
    measure, ways = meter or Meter(), network.transfers
    under_way: deque[tuple[Returning, list[tuple[_Recording[Key], int]]]] = deque()

    def flush() -> None:
        """Send the staged batch through the network; take back those before it."""
        nonlocal n_staged, shares
        if not n_staged:
            return
        began = ways.mark()
        features = network.forward(staging)
        ways.span(NETWORK, began, n_staged)
        under_way.append((ways.back(features[:n_staged]), shares))
        shares, n_staged = [], 0
        collect(ways.max_in_flight)

    def collect(n_left: int) -> None:
        """Hand features to their recordings until so many batches are under way."""
        while len(under_way) > n_left:
            returning, owners = under_way.popleft()
            features = returning.wait(measure)
            for recording, count in owners:
                if recording.error is None:
                    recording.features.append(features[:count])
                recording.n_back += count
                features = features[count:]

    def finished() -> Iterator[tuple[Key, NDArray[np.float32] | RecordingError]]:
        while waiting and waiting[0].is_done:
            recording = waiting.popleft()
            with measure.busy(POOLING, n_items=1):
                result = recording.result(encoding, times_of)
            yield recording.key, result

    for key, blocks in recordings:
        recording = _Recording(key)
        waiting.append(recording)
        try:
            if encoding.average == "frames":
                plain = (np.asarray(block) for block in blocks)
                blocks = averaged_frames(plain, window=encoding.window, stride=encoding.stride)
            for block in measure.pulled(NETWORK, blocks):
                prepared = network.prepare(block, encoding.image_size)
                while len(prepared):
                    count = min(network.batch - n_staged, len(prepared))
                    staging[n_staged : n_staged + count].copy_(prepared[:count])
                    shares.append((recording, count))
                    recording.n_frames += count
                    n_staged += count
                    prepared = prepared[count:]
                    if n_staged == network.batch:
                        flush()
            if recording.n_frames == 0:
                raise RecordingError("no frame in the recording: wanted at least 1", stage="read")
        except RecordingError as error:
            recording.error = error
            recording.features.clear()
        recording.has_ended = True
        yield from finished()
    flush()
    collect(0)
    yield from finished()
    assert not waiting
