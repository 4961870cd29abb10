"""What a reader is: all files of one record's modality to a recording in physical units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.contract import RecordingError, StreamRef
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
