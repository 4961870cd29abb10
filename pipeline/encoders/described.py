"""The encodings of a described data set's modalities: what its description says, else the defaults.

A modality that is called as one of :class:`EncodingConfig`'s sections and is of its kind has that
section's defaults; a series of another name has the inertial one's, on a grid of its own rate.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.common.settings import merge_tables, parse_table, to_table
from pipeline.contract import ConfigError
from pipeline.datasets.description import Description, Modality
from pipeline.encoders.config import (
    Body,
    ColourEncoding,
    DepthEncoding,
    EncodingConfig,
    ModalityEncoding,
    SeriesEncoding,
    SkeletonEncoding,
)

_SETTINGS: Mapping[str, type[ModalityEncoding]] = {
    "series": SeriesEncoding,
    "skeleton": SkeletonEncoding,
    "depth": DepthEncoding,
    "colour": ColourEncoding,
}


def own_encodings(description: Description | None) -> dict[str, ModalityEncoding]:
    """Modality to its encoding by default; none where nothing is described.

    Raises:
        ConfigError: an ``encoding`` that its kind does not have, by its path.
    """
    if description is None:
        return {}
    return {name: _encoding(name, each) for name, each in description.modalities.items()}


def check_body(name: str, encoding: ModalityEncoding) -> None:
    """Refuse a described skeleton that is to be normalised by joints that nobody named.

    Raises:
        ConfigError: it is.
    """
    if isinstance(encoding, SkeletonEncoding) and encoding.wants_body and encoding.body is None:
        raise ConfigError(
            f"{name} is centred, turned or scaled by its hips and shoulders: name them in "
            f'[modality.{name}.body] of the description, or set recentre = "none", face = false '
            'and scale = "none" in its encoding'
        )


def _encoding(name: str, modality: Modality) -> ModalityEncoding:
    kind, plain = _SETTINGS[modality.reading.kind], EncodingConfig()
    usual = getattr(plain, name, None)
    if type(usual) is not kind:
        usual = plain.inertial if kind is SeriesEncoding else kind()
    table = to_table(usual)
    rates = [source.rate_hz for source in modality.reading.streams.values()]
    known = [rate for rate in rates if rate is not None]
    if known and len(known) == len(rates) and "rate_hz" in table:
        table["rate_hz"] = min(max(known), 1000.0)
    table = merge_tables(table, modality.encoding)
    if modality.body is not None:
        at = {joint: number for number, joint in enumerate(modality.reading.joints)}
        table["body"] = to_table(
            Body(
                hips=tuple(at[joint] for joint in modality.body.hips),
                shoulders=tuple(at[joint] for joint in modality.body.shoulders),
                left_shoulder=at[modality.body.left_shoulder],
                right_shoulder=at[modality.body.right_shoulder],
            )
        )
    return parse_table(kind, table, where=f"modality.{name}.encoding of the description")
