"""The plain way to train the same models: a Dataset, a DataLoader and ``nn.TransformerEncoder``.

It is what bench_training compares with, written as one would without this project: the cache is
read into memory once, a record is augmented and pooled when it is asked for, and PyTorch's own
layers, optimizer and thread count do the rest. Sizes and augmentations are the default
configuration's, except that bodies keep their shape (no tilt, shear or other bones), that no
modality is hidden and that a student's feed-forward layers are a teacher's.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from dmft.config import RunConfig

Item = tuple[dict[str, Tensor], int]


class Recordings(Dataset[Item]):
    """Records of a cache of skeletons and inertial data, augmented one at a time."""

    def __init__(self, cache: Path, rows: NDArray[np.int64], config: RunConfig) -> None:
        group = zarr.open_group(cache, mode="r")
        arrays: dict[str, Any] = {name: group[name] for name in ("skeleton", "inertial", "label")}
        self.skeleton = arrays["skeleton"][:][rows]
        self.inertial = arrays["inertial"][:][rows]
        self.labels = arrays["label"][:][rows].astype(np.int64)
        self.config = config.augment
        self.n_patches = {m: config.of_modality(m).n_patches for m in ("skeleton", "inertial")}
        self.random = np.random.default_rng(0)
        plain = [self.derive(s, i) for s, i in zip(self.skeleton, self.inertial, strict=True)]
        self.statistics = {
            name: (
                np.mean([each[name] for each in plain], axis=(0, 1)),
                np.std([each[name] for each in plain], axis=(0, 1)) + 1e-3,
            )
            for name in ("skeleton", "inertial")
        }

    def __len__(self) -> int:
        return len(self.labels)

    def derive(
        self, skeleton: NDArray[np.float32], inertial: NDArray[np.float32]
    ) -> dict[str, NDArray[np.float32]]:
        """Pool to the model's patches; append velocities, or deviations inside a patch."""
        n = self.n_patches["skeleton"]
        speed = np.gradient(skeleton, axis=0) * len(skeleton)
        both = np.concatenate([skeleton, speed], axis=1)
        windows = inertial.reshape(self.n_patches["inertial"], -1, inertial.shape[1])
        spread = np.concatenate([windows.mean(axis=1), windows.std(axis=1)], axis=1)
        return {"skeleton": both.reshape(n, -1, both.shape[1]).mean(axis=1), "inertial": spread}

    def __getitem__(self, index: int) -> Item:
        draw, config = self.random.uniform, self.config
        bend = draw(-config.time, config.time, size=3)
        degrees = (config.rotate_points_deg, config.rotate_axes_deg)
        turned = [
            self.turn(bent(each[index], bend), draw(-limit, limit), axis)
            * (1 + draw(-config.scale, config.scale))
            for each, limit, axis in zip(
                (self.skeleton, self.inertial),
                degrees,
                (np.array([0.0, 1.0, 0.0]), draw(-1, 1, size=3)),
                strict=True,
            )
        ]
        features = {}
        for name, values in self.derive(*turned).items():
            mean, deviation = self.statistics[name]
            noise = self.random.standard_normal(values.shape) * config.jitter
            features[name] = torch.from_numpy(((values - mean) / deviation + noise).astype("f4"))
        return features, int(self.labels[index])

    @staticmethod
    def turn(
        values: NDArray[np.float32], degrees: float, axis: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """Turn every x, y, z about an axis (Rodrigues' formula)."""
        x, y, z = axis / np.linalg.norm(axis)
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        angle = math.radians(degrees)
        matrix = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * (cross @ cross)
        turned = values.reshape(len(values), -1, 3) @ matrix.T.astype(np.float32)
        return turned.reshape(values.shape)


def bent(values: NDArray[np.float32], draws: NDArray[np.float64]) -> NDArray[np.float32]:
    """Crop and bend a record's time axis, with interpolation."""
    course = np.linspace(0, 1, len(values))
    bend = course + draws[2] / 2 * np.sin(np.pi * course)
    position = np.clip(draws[0] + (1 + draws[1] - draws[0]) * bend, 0, 1) * (len(values) - 1)
    left = np.minimum(position.astype(int), len(values) - 2)
    share = (position - left)[:, None].astype(np.float32)
    return values[left] * (1 - share) + values[left + 1] * share


def encoder(n_layers: int, config: RunConfig) -> nn.TransformerEncoder:
    """PyTorch's own encoder, of the sizes of ours."""
    sizes = config.encoder
    layer = nn.TransformerEncoderLayer(
        sizes.width,
        sizes.heads,
        sizes.feed_forward,
        sizes.dropout,
        activation=sizes.activation,
        batch_first=True,
        norm_first=sizes.norm == "pre",
    )
    return nn.TransformerEncoder(layer, n_layers, enable_nested_tensor=False)


class Stream(nn.Module):
    """A projection, a class token, positions and an encoder."""

    def __init__(self, n_tokens: int, native: int, n_layers: int, config: RunConfig) -> None:
        super().__init__()
        width = config.encoder.width
        self.project = nn.Linear(native, width)
        self.token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.positions = nn.Parameter(torch.randn(1, 1 + n_tokens, width) * 0.02)
        self.encoder = encoder(n_layers, config)

    def forward(self, tokens: Tensor) -> Tensor:
        """Encode (B, T, native) as (B, 1 + T, width)."""
        hidden = torch.cat([self.token.expand(len(tokens), -1, -1), self.project(tokens)], dim=1)
        encoded: Tensor = self.encoder(hidden + self.positions)
        return encoded


class PlainModel(nn.Module):
    """Two streams a modality; a teacher's temporal ones exchange tokens before the heads."""

    def __init__(self, shapes: dict[str, tuple[int, int]], kind: str, config: RunConfig) -> None:
        super().__init__()
        width, self.n_tokens = config.encoder.width, config.teacher.fusion_tokens
        n_layers = config.teacher.layers if kind == "teacher" else config.student.layers
        self.spatial = nn.ModuleDict(
            {m: Stream(D, P, n_layers, config) for m, (P, D) in shapes.items()}
        )
        self.temporal = nn.ModuleDict(
            {m: Stream(P, D, n_layers, config) for m, (P, D) in shapes.items()}
        )
        n_fusions = config.teacher.fusion_layers if kind == "teacher" else 0
        self.fusion = nn.ModuleList(
            nn.ModuleDict({m: encoder(1, config) for m in shapes}) for _ in range(n_fusions)
        )
        self.tokens = nn.Parameter(torch.randn(1, self.n_tokens, width) * 0.02)
        self.heads = nn.ModuleDict(
            {
                f"{m}-{stream}": nn.Sequential(
                    nn.LayerNorm(width), nn.Dropout(config.encoder.dropout), nn.Linear(width, 27)
                )
                for m in shapes
                for stream in ("spatial", "temporal")
            }
        )

    def forward(self, features: dict[str, Tensor]) -> list[Tensor]:
        """Logits (B, K) of every stream."""
        spatial = {m: self.spatial[m](x.transpose(1, 2)) for m, x in features.items()}
        temporal = {m: self.temporal[m](x) for m, x in features.items()}
        tokens = self.tokens.expand(len(next(iter(features.values()))), -1, -1)
        for layer in self.fusion:
            assert isinstance(layer, nn.ModuleDict)
            joined = {m: layer[m](torch.cat([tokens, x], dim=1)) for m, x in temporal.items()}
            tokens = torch.stack([x[:, : self.n_tokens] for x in joined.values()]).mean(dim=0)
            temporal = {m: x[:, self.n_tokens :] for m, x in joined.items()}
        return [
            self.heads[f"{m}-{stream}"](x[:, 0])
            for stream, streams in (("spatial", spatial), ("temporal", temporal))
            for m, x in streams.items()
        ]


def blend(
    features: dict[str, Tensor], labels: Tensor, alpha: float
) -> tuple[dict[str, Tensor], Tensor]:
    """Mixup of a batch with itself turned round."""
    targets = nn.functional.one_hot(labels, 27).float()
    keep = torch.distributions.Beta(alpha, alpha).sample((len(labels), 1, 1))
    mixed = {m: x * keep + x.flip(0) * (1 - keep) for m, x in features.items()}
    return mixed, targets * keep[:, 0] + targets.flip(0) * (1 - keep[:, 0])


def plain_seconds(
    cache: Path,
    rows: NDArray[np.int64],
    kind: str,
    config: RunConfig,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Seconds of one epoch of a new model, by ``clock``."""
    torch.manual_seed(0)
    records = Recordings(cache, rows, config)
    shapes = {m: (each.shape[0], each.shape[1]) for m, each in records[0][0].items()}
    model = PlainModel(shapes, kind, config)
    training = config.training
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(training.average_decay))
    rate, decay = training.learning_rate, training.weight_decay
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
    loader = DataLoader(records, batch_size=training.batch_size, shuffle=True)
    model.train()
    began = clock()
    for features, labels in loader:
        blended, targets = blend(features, labels, config.augment.mixup)
        losses = [nn.functional.cross_entropy(logits, targets) for logits in model(blended)]
        optimizer.zero_grad()
        torch.stack(losses).mean().backward()
        optimizer.step()
        average.update_parameters(model)
    return clock() - began
