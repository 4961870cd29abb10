"""Encoding configuration: windows, strides, patches and normalisation, a modality a table.

Read strictly from TOML (``--config``, a file or a name in ``data_manifests/encodings``); what is
not named keeps its measured default (``docs/explanation/encoding-defaults.md``). Machine settings
such as workers and devices are not here: they change no number in a cache.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.common.settings import (
    apply_changes,
    merge_tables,
    parse_table,
    read_toml,
    to_table,
)
from pipeline.contract.errors import ConfigError
from pipeline.signals.segments import to_patches

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModalityEncoding:
    """What every kind of modality is asked: rows are averaged in windows, windows are aligned."""

    window: int = 1
    """Rows or frames under one window."""
    stride: int = 1
    """Rows or frames from one window to the next, at most the window."""
    patches: int = 32
    """P: patches a record in the cache; finer than a model's, so that the trainer can augment."""

    def __post_init__(self) -> None:
        _at_least_1(window=self.window, stride=self.stride, patches=self.patches)
        if self.stride > self.window:
            raise ConfigError(
                f"stride {self.stride} is longer than window {self.window}: rows between windows "
                "would not count"
            )

    def pool(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rows to patches by these windows.

        Shapes: rows (T, D); returns (P, D).
        """
        return to_patches(rows, window=self.window, stride=self.stride, n_patches=self.patches)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesEncoding(ModalityEncoding):
    """How numbers over time are pooled; no values are changed but by averaging."""

    rate_hz: float = 10.0
    """Rows a second on which time-stamped streams are joined (MMAct), best that of the fastest
    sensor; the rows of other data sets stay as they are."""

    def __post_init__(self) -> None:
        ModalityEncoding.__post_init__(self)
        if not 0 < self.rate_hz <= 1000:
            raise ConfigError(f"rate_hz is {self.rate_hz}: wanted more than 0 and at most 1000")


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """Which joints say where a body is, how large and turned which way; indices from 0."""

    hips: tuple[int, ...]
    """Joints whose mean is the hip centre."""
    shoulders: tuple[int, ...]
    """Joints whose mean is the shoulder centre."""
    left_shoulder: int
    right_shoulder: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SkeletonEncoding(ModalityEncoding):
    """How joints are normalised and pooled."""

    patches: int = 64
    recentre: Literal["none", "first", "frame"] = "first"
    """Subtract the hip centre of the first frame, of each frame, or nothing."""
    scale: Literal["none", "torso"] = "torso"
    """Divide by the median torso length (hip centre to shoulder centre) of the record."""
    face: bool = True
    """Turn about the vertical so that the shoulders of the first frame face the camera."""
    body: Body | None = None
    """Which joints are the hips and the shoulders; a data set's description says it by names."""

    @property
    def wants_body(self) -> bool:
        """Whether any joint has to be known."""
        return self.face or self.recentre != "none" or self.scale != "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class FramesEncoding(ModalityEncoding):
    """How frames of any sort pass a network and are pooled."""

    every: int = 1
    """Encode every n-th frame; 1 encodes all."""
    average: Literal["features", "frames"] = "features"
    """What a window averages: its frames, or the vectors that the network gives for them.

    Reading: section 3.1 of the paper names the pooling after the network, 4.3 the segments first.
    """
    image_size: int = 224
    """Side of the square that a whole frame is resized to before the network."""
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    """Arithmetic of the network; auto takes bfloat16 where the device does it natively."""
    network: str = "resnet50"
    """Any of torchvision's classification networks by name, without its last layer; some take one
    ``image_size`` only, and ``--weights`` are to be this network's, for each modality its own where
    they differ: ``--weights rgb=imagenet,depth=FILE``. Or ``onnx`` or ``pt2``, an exported
    program: a network of your own, named by ``--weights FILE.onnx`` or ``FILE.pt2``, from pictures
    (n, 3, size, size) to a vector or a map each."""
    mean: tuple[float, ...] = IMAGENET_MEAN
    """Of red, green and blue from 0 to 1, as the network was trained: taken away."""
    std: tuple[float, ...] = IMAGENET_STD
    """Likewise: divided by."""

    def __post_init__(self) -> None:
        ModalityEncoding.__post_init__(self)
        _at_least_1(every=self.every)
        for what, three in (("mean", self.mean), ("std", self.std)):
            if len(three) != 3 or (what == "std" and min(three) <= 0):
                raise ConfigError(f"{what} is {list(three)}: wanted three numbers, one a colour")
        if not 32 <= self.image_size <= 1024:
            raise ConfigError(f"image_size is {self.image_size}: wanted 32 to 1024")


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourEncoding(FramesEncoding):
    """How colour frames pass a network and are pooled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthEncoding(FramesEncoding):
    """How depth frames become grey, pass a network and are pooled."""

    near_mm: int = 500
    """This distance and nearer is brightest."""
    far_mm: int = 4500
    """This distance and farther, and no reading at all, is black."""

    def __post_init__(self) -> None:
        FramesEncoding.__post_init__(self)
        if not 0 <= self.near_mm < self.far_mm <= 65535:
            raise ConfigError(
                f"near_mm {self.near_mm} and far_mm {self.far_mm}: wanted 0 <= near < far <= 65535"
            )


def _at_least_1(**counts: int) -> None:
    for name, value in counts.items():
        if value < 1:
            raise ConfigError(f"{name} is {value}: wanted at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodingConfig:
    """Everything that decides the numbers in a cache, but for the network's weights.

    A field for each modality that any data set has. Its type is the modality's kind
    (:mod:`pipeline.encoders.kinds`), its default what a configuration changes.
    """

    _described = frozenset[str]()
    """Sections that a description says the defaults of."""

    rgb: ColourEncoding = ColourEncoding()
    depth: DepthEncoding = DepthEncoding()
    skeleton: SkeletonEncoding = SkeletonEncoding()
    inertial: SeriesEncoding = SeriesEncoding(patches=128, rate_hz=100.0)
    wifi: SeriesEncoding = SeriesEncoding()
    pressure: SeriesEncoding = SeriesEncoding()

    def of(self, modality: str) -> ModalityEncoding:
        """Configuration of one modality.

        Example:
            >>> EncodingConfig().of("inertial").patches
            128

        Raises:
            ConfigError: the modality has none.
        """
        names = [entry.name for entry in dataclasses.fields(self)]
        if modality not in names:
            raise ConfigError(f"no encoding for modality {modality!r}: have {', '.join(names)}")
        encoding: ModalityEncoding = getattr(self, modality)
        return encoding

    def with_own(self, own: Mapping[str, ModalityEncoding]) -> EncodingConfig:
        """The same with a section for each modality of a described data set, as described.

        What a configuration says of such a section comes before what the description says: one
        that was made with a description's sections keeps them, as does one of the same kind that is
        not as it is by default.

        Example:
            >>> EncodingConfig().with_own({"wrist": SeriesEncoding(patches=64)}).of("wrist").patches
            64
            >>> EncodingConfig().with_own({"depth": DepthEncoding(near_mm=300)}).depth.near_mm
            300
        """
        kept = {entry.name: getattr(self, entry.name) for entry in dataclasses.fields(self)}
        usual = EncodingConfig()
        new = {
            name: encoding
            for name, encoding in own.items()
            if name not in self._described
            and (type(kept.get(name)) is not type(encoding) or kept[name] == getattr(usual, name))
        }
        if not new:
            return self
        sections = [(name, type(encoding), encoding) for name, encoding in new.items()]
        kind = dataclasses.make_dataclass(
            "EncodingConfig",
            sections,
            bases=(type(self),),
            namespace={"_described": self._described | set(own)},
            frozen=True,
            kw_only=True,
        )
        made: EncodingConfig = kind(**{**kept, **new})
        return made


def load_config(
    name_or_file: str | Path | None,
    changes: Sequence[str] = (),
    own: Mapping[str, ModalityEncoding] = MappingProxyType({}),
) -> EncodingConfig:
    """Read an encoding configuration, None for the defaults; apply ``section.key=value`` changes.

    Args:
        name_or_file: A TOML file, or the name of one that ships.
        changes: As a command line has them.
        own: Modalities of a described data set with their defaults: sections of the file too.

    Example:
        >>> load_config(None, ["inertial.window=4"]).inertial
        SeriesEncoding(window=4, stride=1, patches=128, rate_hz=100.0)

    Raises:
        ConfigError: the file cannot be read or says something wrong; every problem is named.
    """
    defaults = EncodingConfig().with_own(own)
    table: dict[str, Any] = to_table(defaults)
    if name_or_file is not None:
        table = merge_tables(table, read_toml(str(name_or_file), "encodings", "encoding"))
    source = str(name_or_file or "the defaults")
    where = " with ".join([source, ", ".join(changes)][: 1 + bool(changes)])
    return parse_table(type(defaults), apply_changes(table, changes), where=where)
