"""Which reader reads which modality of which data set.

Importing this is cheap: a reader's decoder (PyAV, h5py, isal) is imported when it first reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from pipeline.contract import ConfigError, StreamRef
from pipeline.readers import utd_mhad
from pipeline.signal import Frames, Signal

Reader = Callable[[bytes, StreamRef], Signal | Frames]
"""A whole raw file and its description to a recording in physical units."""

READERS: Mapping[str, Mapping[str, Reader]] = MappingProxyType(
    {
        "utd-mhad": MappingProxyType(
            {
                "rgb": utd_mhad.read_colour,
                "depth": utd_mhad.read_depth,
                "skeleton": utd_mhad.read_skeleton,
                "inertial": utd_mhad.read_inertial,
            }
        )
    }
)
"""Data set to modality to reader."""


def reader_for(dataset: str, modality: str) -> Reader:
    """The reader of one modality of a data set.

    Raises:
        ConfigError: there is none; the message names what there is.
    """
    if dataset not in READERS:
        raise ConfigError(f"no readers for data set {dataset!r}: there are {sorted(READERS)}")
    if modality not in READERS[dataset]:
        raise ConfigError(
            f"no reader for modality {modality!r} of {dataset}: there are "
            f"{sorted(READERS[dataset])}"
        )
    return READERS[dataset][modality]


FEATURES: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "utd-mhad": MappingProxyType(
            {
                "skeleton": tuple(
                    f"{joint}_{axis}" for joint in utd_mhad.JOINTS for axis in utd_mhad.AXES
                ),
                "inertial": utd_mhad.INERTIAL_COLUMNS,
            }
        )
    }
)
"""Data set to modality to the names of its columns, for modalities whose columns have meaning."""


EQUAL_LENGTHS: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {"utd-mhad": (("depth", "skeleton"),)}
)
"""Data set to pairs of modalities whose streams always have as many frames as each other."""


def modalities_of(dataset: str) -> tuple[str, ...]:
    """Modalities that can be read, in the order in which they are always named.

    Raises:
        ConfigError: the data set has no readers.
    """
    if dataset not in READERS:
        raise ConfigError(f"no readers for data set {dataset!r}: there are {sorted(READERS)}")
    return tuple(READERS[dataset])


def feature_names(dataset: str, modality: str) -> tuple[str, ...]:
    """Names of the columns of a modality that is encoded without a network."""
    return FEATURES[dataset][modality]
