"""Which reader reads which modality of which data set, and what its columns are called.

Importing this is cheap: a reader's decoder (PyAV, h5py, isal) is imported when it first reads.
A data set is read as its description says (``described``), UTD-MHAD and MMAct by those that ship;
what no description can say, as how two persons are followed through a film, is a reader of its own,
as is what is read three times as fast by one (MMAct's inertial sensors).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from pipeline.common.settings import shipped_folder
from pipeline.contract import ConfigError
from pipeline.datasets.description import load_description
from pipeline.datasets.reading import Reading
from pipeline.readers import mmact, pose
from pipeline.readers.described import readable_as
from pipeline.readers.readable import Readable, Recording, of_one_file
from pipeline.signals.recording import Streams

__all__ = ["EQUAL_LENGTHS", "READERS", "Readable", "Recording", "modalities_of", "readable"]

_SHIPPED = {
    name: load_description(shipped_folder() / "datasets" / f"{name}.toml")
    for name in ("utd-mhad", "mmact")
}
_DESCRIBED = {
    name: {modality: readable_as(each.reading) for modality, each in own.modalities.items()}
    for name, own in _SHIPPED.items()
}
READERS: Mapping[str, Mapping[str, Readable]] = MappingProxyType(
    {
        "utd-mhad": _DESCRIBED["utd-mhad"],
        "mmact": {
            "rgb": _DESCRIBED["mmact"]["rgb"],
            "skeleton": Readable(read=of_one_file(pose.read_pose), columns=pose.COLUMNS),
            "inertial": Readable(
                read=mmact.read_inertial, columns=mmact.INERTIAL_COLUMNS, gives=Streams
            ),
            "wifi": _DESCRIBED["mmact"]["wifi"],
            "pressure": _DESCRIBED["mmact"]["pressure"],
        },
    }
)
"""Data set to modality to how it is read."""


EQUAL_LENGTHS: Mapping[str, tuple[tuple[str, ...], ...]] = MappingProxyType(
    {name: own.top.equal_lengths for name, own in _SHIPPED.items()}
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
