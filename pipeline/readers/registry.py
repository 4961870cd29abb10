"""Which reader reads which modality of which data set, and what its columns are called.

Importing this is cheap: a reader's decoder (PyAV, h5py, isal) is imported when it first reads.
A modality that is added to a data set is one entry here and one in ``pipeline.encoders.config``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pipeline.contract import ConfigError, RecordingError, StreamRef
from pipeline.readers import mmact, pose, utd_mhad
from pipeline.readers.video import read_video
from pipeline.signals.recording import Frames, Signal, Streams

Opened = tuple[bytes, StreamRef]
"""A whole raw file and its description."""
Recording = Signal | Streams | Frames
Reader = Callable[[Sequence[Opened]], Recording]
"""All files of one record's modality to a recording in physical units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readable:
    """One modality of a data set."""

    read: Reader
    columns: tuple[str, ...] = ()
    """Names of the columns of a patch, where they have a meaning; a network's have none."""
    gives: type[Recording] = Signal
    """What it reads: :class:`Streams` are resampled at the encoding's ``rate_hz``."""


def of_one_file(read: Callable[[bytes, StreamRef], Recording]) -> Reader:
    """A reader of one file as a reader of all files of a modality, of which there must be one."""

    def read_one(opened: Sequence[Opened]) -> Recording:
        if len(opened) != 1:
            names = ", ".join(ref.name for _, ref in opened)
            raise RecordingError(
                f"{len(opened)} streams, {names}: this data set's reader takes 1", stage="read"
            )
        content, ref = opened[0]
        if not content:
            raise RecordingError("the file is empty", stage="open", path=ref.path)
        try:
            return read(content, ref)
        except RecordingError as error:
            error.path = error.path or ref.path
            raise

    return read_one


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


def readable(dataset: str, modality: str) -> Readable:
    """How one modality of a data set is read.

    Example:
        >>> readable("utd-mhad", "inertial").columns[0]
        'acc_x'

    Raises:
        ConfigError: it is not; the message names what is.
    """
    readers = _readers(dataset)
    if modality not in readers:
        raise ConfigError(
            f"no reader for modality {modality!r} of {dataset}: there are {sorted(readers)}"
        )
    return readers[modality]


def _readers(dataset: str) -> Mapping[str, Readable]:
    if dataset not in READERS:
        raise ConfigError(f"no readers for data set {dataset!r}: there are {sorted(READERS)}")
    return READERS[dataset]
