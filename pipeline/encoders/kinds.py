"""The kinds of modality, and all that follows from a modality's kind.

What a modality is called says nothing of how it is encoded: two depth cameras may have any two
names. Its kind does, and the class of its settings is its kind: that of its section in the
encoding's configuration or, of a cache, that whose settings the cache noted. A new kind is one
entry of :data:`KINDS`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from pipeline.common.settings import parse_table, to_table
from pipeline.contract import ConfigError, ContractError
from pipeline.encoders.config import (
    ColourEncoding,
    DepthEncoding,
    FramesEncoding,
    ModalityEncoding,
    SeriesEncoding,
    SkeletonEncoding,
)
from pipeline.encoders.pixels import colour_pixels, depth_pixels
from pipeline.encoders.series import encode_series
from pipeline.encoders.skeleton import encode_skeleton

VERSION, WEIGHTS, READER = "encoder_version", "weights_sha256", "reader"
"""What a cache notes beside a modality's settings; how files are read where a description says it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How every modality of one kind is encoded and stored."""

    settings: type[ModalityEncoding]
    """Their names tell kinds apart in a cache: no two kinds have the same ones."""
    version: int
    """Raised when the numbers change; records encoded by an older version are encoded again."""
    encode: Callable[[NDArray[Any], Any], NDArray[Any]]
    """Values (T, ...) and settings to patches (P, D). Where the kind needs a network: a block of
    raw frames and settings to the bytes (n, H, W) or (n, H, W, 3) that the network sees."""
    needs_network: bool = False
    """Whether frames pass a network, which then says D; else D is the reader's."""

    @property
    def dtype(self) -> Literal["float16", "float32"]:
        """Stored; of a network in half precision, which is finer than its own arithmetic."""
        return "float16" if self.needs_network else "float32"


KINDS = (
    Kind(settings=ColourEncoding, version=1, encode=colour_pixels, needs_network=True),
    Kind(settings=DepthEncoding, version=1, encode=depth_pixels, needs_network=True),
    Kind(settings=SkeletonEncoding, version=1, encode=encode_skeleton),
    Kind(settings=SeriesEncoding, version=1, encode=encode_series),
)


_LATER = {
    "body": None,
    **{name: to_table(FramesEncoding())[name] for name in ("network", "mean", "std")},
}
"""Settings that came later, with what they are where a cache does not note them: what was encoded
before keeps its keys."""


def kind_of(encoding: ModalityEncoding) -> Kind:
    """The kind that a modality's settings are of.

    Example:
        >>> kind_of(DepthEncoding(near_mm=300)).dtype
        'float16'

    Raises:
        ConfigError: they are no kind's.
    """
    for kind in KINDS:
        if kind.settings is type(encoding):
            return kind
    known = ", ".join(kind.settings.__name__ for kind in KINDS)
    raise ConfigError(f"{type(encoding).__name__} is no kind of encoding: wanted one of {known}")


def to_note(
    encoding: ModalityEncoding,
    *,
    weights_sha256: str | None = None,
    is_timed: bool = False,
    reader: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What a cache notes of a modality's encoding; part of its records' keys.

    Args:
        encoding: Its settings.
        weights_sha256: Of the network, where the kind needs one.
        is_timed: Whether its rows are resampled, so that the rate counts.
        reader: How its files are read, of a data set that is described.
    """
    kind = kind_of(encoding)
    note = {**to_table(encoding), VERSION: kind.version}
    if kind.needs_network:
        note[WEIGHTS] = weights_sha256
    if not is_timed:
        note.pop("rate_hz", None)
    for name, usual in _LATER.items():
        if name in note and note[name] == usual:
            del note[name]
    if reader is not None:
        note[READER] = dict(reader)
    if note.get("average") == "features":  # what every cache has that says nothing of it
        del note["average"]
    return note


def kind_noted(note: Mapping[str, Any]) -> Kind:
    """The kind of a modality by what a cache notes of its encoding: the one with those settings.

    Raises:
        ContractError: no kind has them.
    """
    noted = note.keys() - {VERSION, WEIGHTS, READER}
    fitting = [kind for kind in KINDS if noted <= _settings(kind)]
    if not fitting:
        raise ContractError(
            f"a modality was encoded with the settings {', '.join(sorted(noted))}: no kind that "
            "this software knows has them all"
        )
    return min(fitting, key=lambda kind: len(_settings(kind)))


def encoding_noted(note: Mapping[str, Any]) -> ModalityEncoding:
    """A modality's settings as a cache notes them.

    Example:
        >>> encoding_noted(to_note(SeriesEncoding(window=4)))
        SeriesEncoding(window=4, stride=1, patches=32, rate_hz=10.0)

    Raises:
        ContractError: they are no kind's.
    """
    kind = kind_noted(note)
    table = {name: note[name] for name in note.keys() & _settings(kind)}
    return parse_table(kind.settings, table, where="how the cache says that it was encoded")


def _settings(kind: Kind) -> set[str]:
    return {field.name for field in dataclasses.fields(kind.settings)}
