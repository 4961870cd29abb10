"""Which reader reads which modality of which data set, and what its columns are called.

Importing this is cheap: a reader's decoder (PyAV, h5py, isal) is imported when it first reads.
Data sets of which the software knows nothing are read as their description says (``described``);
those that stand here have what no description can say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from pipeline.contract import ConfigError
from pipeline.datasets.reading import Reading
from pipeline.readers import mmact, pose, utd_mhad
from pipeline.readers.described import readable_as
from pipeline.readers.readable import Readable, Recording, of_one_file
from pipeline.readers.video import read_video
from pipeline.signals.recording import Frames, Streams

__all__ = ["EQUAL_LENGTHS", "READERS", "Readable", "Recording", "modalities_of", "readable"]

READERS: Mapping[str, Mapping[str, Readable]] = MappingProxyType(
    {
        "utd-mhad": {
            "rgb": Readable(read=of_one_file(read_video), gives=Frames),
            "depth": Readable(read=of_one_file(utd_mhad.read_depth), gives=Frames),
            "skeleton": Readable(
                read=of_one_file(utd_mhad.read_skeleton),
                columns=tuple(
                    f"{joint}_{axis}" for joint in utd_mhad.JOINTS for axis in utd_mhad.AXES
                ),
            ),
            "inertial": Readable(
                read=of_one_file(utd_mhad.read_inertial), columns=utd_mhad.INERTIAL_COLUMNS
            ),
        },
        "mmact": {
            "rgb": Readable(read=of_one_file(read_video), gives=Frames),
            "skeleton": Readable(read=of_one_file(pose.read_pose), columns=pose.COLUMNS),
            "inertial": Readable(
                read=mmact.read_inertial, columns=mmact.INERTIAL_COLUMNS, gives=Streams
            ),
            "wifi": Readable(read=mmact.read_series, columns=("wifi",), gives=Streams),
            "pressure": Readable(read=mmact.read_series, columns=("pressure",), gives=Streams),
        },
    }
)
"""Data set to modality to how it is read."""


EQUAL_LENGTHS: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {"utd-mhad": (("depth", "skeleton"),)}
)
"""Data set to pairs of modalities whose streams always have as many frames as each other."""


def modalities_of(dataset: str) -> tuple[str, ...]:
    """Modalities that can be read, in the order in which they are always named.

    Raises:
        ConfigError: the data set has no readers.
    """
    return tuple(_readers(dataset))


def readable(dataset: str, modality: str, noted: Mapping[str, Any] | None = None) -> Readable:
    """How one modality of a data set is read.

    Args:
        dataset: Such as ``utd-mhad``.
        modality: Which.
        noted: How a description says that its files are read, as a cache notes it; None where the
            data set's own readers are meant.

    Example:
        >>> readable("utd-mhad", "inertial").columns[0]
        'acc_x'

    Raises:
        ConfigError: it is not; the message names what is.
    """
    if noted is not None:
        return _described(json.dumps(noted, sort_keys=True))
    readers = _readers(dataset)
    if modality not in readers:
        raise ConfigError(
            f"no reader for modality {modality!r} of {dataset}: there are {sorted(readers)}"
        )
    return readers[modality]


@lru_cache(maxsize=64)  # asked for every file
def _described(noted: str) -> Readable:
    return readable_as(Reading.of_note(json.loads(noted)))


def _readers(dataset: str) -> Mapping[str, Readable]:
    if dataset not in READERS:
        raise ConfigError(f"no readers for data set {dataset!r}: there are {sorted(READERS)}")
    return READERS[dataset]
