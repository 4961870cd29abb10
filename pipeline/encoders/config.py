"""Encoding configuration: windows, strides, patches and normalisation, a modality a table.

Read strictly from TOML (``--config FILE``); what is not named keeps its measured default
(``docs/explanation/encoding-defaults.md``). Machine settings such as workers and devices are not
here: they change no number in a cache.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipeline.common.settings import merge_tables, parse_table, table_of_change
from pipeline.contract.errors import ConfigError


def _positive(*, window: int, stride: int, **others: int) -> None:
    for name, value in {"window": window, "stride": stride, **others}.items():
        if value < 1:
            raise ConfigError(f"{name} is {value}: wanted at least 1")
    if stride > window:
        raise ConfigError(
            f"stride {stride} is longer than window {window}: rows between windows would not count"
        )


def _rate(rate_hz: float) -> None:
    if not 0 < rate_hz <= 1000:
        raise ConfigError(f"rate_hz is {rate_hz}: wanted more than 0 and at most 1000")


@dataclass(frozen=True, slots=True, kw_only=True)
class InertialEncoding:
    """How body-worn sensors are pooled; no values are changed but by averaging."""

    window: int = 1
    """Rows under one window."""
    stride: int = 1
    """Rows from one window to the next, at most the window."""
    patches: int = 128
    """P. Finer than a model's patches, so that the trainer can augment and pool."""
    rate_hz: float = 100.0
    """Rows a second on which time-stamped streams are joined (MMAct); the rows of other data sets
    stay as they are. The default is the rate of the fastest sensor."""

    def __post_init__(self) -> None:
        _positive(window=self.window, stride=self.stride, patches=self.patches)
        _rate(self.rate_hz)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesEncoding:
    """How numbers over time are pooled: one that is measured slowly, such as a pressure."""

    window: int = 1
    """Rows under one window."""
    stride: int = 1
    """Rows from one window to the next, at most the window."""
    patches: int = 32
    rate_hz: float = 10.0
    """Rows a second to which time-stamped rows are resampled."""

    def __post_init__(self) -> None:
        _positive(window=self.window, stride=self.stride, patches=self.patches)
        _rate(self.rate_hz)


@dataclass(frozen=True, slots=True, kw_only=True)
class SkeletonEncoding:
    """How joints are normalised and pooled."""

    window: int = 1
    stride: int = 1
    patches: int = 64
    recentre: Literal["none", "first", "frame"] = "first"
    """Subtract the hip centre of the first frame, of each frame, or nothing."""
    scale: Literal["none", "torso"] = "torso"
    """Divide by the median torso length (hip centre to shoulder centre) of the record."""
    face: bool = True
    """Turn about the vertical so that the shoulders of the first frame face the camera."""

    def __post_init__(self) -> None:
        _positive(window=self.window, stride=self.stride, patches=self.patches)


@dataclass(frozen=True, slots=True, kw_only=True)
class FramesEncoding:
    """How colour or depth frames pass the ResNet-50 and are pooled."""

    window: int = 1
    stride: int = 1
    patches: int = 32
    every: int = 1
    """Encode every n-th frame; 1 encodes all."""
    image_size: int = 224
    """Side of the square that a whole frame is resized to before the network."""
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    """Arithmetic of the network; auto takes bfloat16 where the device does it natively."""
    near_mm: int = 500
    """Depth only: this distance and nearer is brightest."""
    far_mm: int = 4500
    """Depth only: this distance and farther, and no reading at all, is black."""

    def __post_init__(self) -> None:
        _positive(window=self.window, stride=self.stride, patches=self.patches, every=self.every)
        if not 32 <= self.image_size <= 1024:
            raise ConfigError(f"image_size is {self.image_size}: wanted 32 to 1024")
        if not 0 <= self.near_mm < self.far_mm <= 65535:
            raise ConfigError(
                f"near_mm {self.near_mm} and far_mm {self.far_mm}: wanted 0 <= near < far <= 65535"
            )


ModalityEncoding = InertialEncoding | SeriesEncoding | SkeletonEncoding | FramesEncoding


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodingConfig:
    """Everything that decides the numbers in a cache, but for the network's weights.

    A field for each modality that any data set has; its type is the kind of encoding.
    """

    rgb: FramesEncoding = field(default_factory=FramesEncoding)
    depth: FramesEncoding = field(default_factory=FramesEncoding)
    skeleton: SkeletonEncoding = field(default_factory=SkeletonEncoding)
    inertial: InertialEncoding = field(default_factory=InertialEncoding)
    wifi: SeriesEncoding = field(default_factory=SeriesEncoding)
    pressure: SeriesEncoding = field(default_factory=SeriesEncoding)

    def of(self, modality: str) -> ModalityEncoding:
        """Configuration of one modality.

        Raises:
            ConfigError: the modality has none.
        """
        names = [entry.name for entry in dataclasses.fields(self)]
        if modality not in names:
            raise ConfigError(f"no encoding for modality {modality!r}: have {', '.join(names)}")
        encoding: ModalityEncoding = getattr(self, modality)
        return encoding


def encoding_kind(modality: str) -> type[ModalityEncoding]:
    """The kind of encoding that a modality has.

    Raises:
        ConfigError: the modality has none.
    """
    return type(EncodingConfig().of(modality))


def load_config(path: Path | None, changes: Sequence[str] = ()) -> EncodingConfig:
    """Read an encoding configuration, None for the defaults; apply ``section.key=value`` changes.

    Raises:
        ConfigError: the file cannot be read or says something wrong; every problem is named.
    """
    table: dict[str, Any] = {}
    if path is not None:
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{path}: {error}") from error
    for change in changes:
        table = merge_tables(table, table_of_change(change))
    where = " with ".join([str(path or "the defaults"), ", ".join(changes)][: 1 + bool(changes)])
    return parse_table(EncodingConfig, table, where=where)


def to_table(encoding: ModalityEncoding) -> dict[str, Any]:
    """As plain values, for a cache's metadata and a record's key."""
    return dataclasses.asdict(encoding)
