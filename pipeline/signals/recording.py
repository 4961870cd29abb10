"""What a reader hands to an encoder: a recording in physical units with its time axis.

Three shapes of recording exist. A :class:`Signal` is small and held whole; :class:`Streams` are
signals on clocks of their own, which are joined on one grid before they are encoded
(``resample``); :class:`Frames` are large and come in blocks, so that memory holds a few blocks and
never a whole video.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A recording held whole.

    Shapes: values (T, ...), times_s (T,).
    """

    values: NDArray[np.float32]
    """Finite, in the physical units that the reader names."""
    times_s: NDArray[np.float64]
    """Seconds, not decreasing; from the first row, in :class:`Streams` by the recorder's clock."""

    def __post_init__(self) -> None:
        assert len(self.values) == len(self.times_s) > 0
        assert self.values.dtype == np.float32


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """Streams of one modality that are resampled on their time stamps."""

    widths: Mapping[str, int]
    """Every stream that a record may have to the number of its columns, in their order."""
    signals: Mapping[str, Signal]
    """Those that this record has, at least one; values (T, width), each with a T of its own."""

    def __post_init__(self) -> None:
        assert self.signals
        assert self.signals.keys() <= self.widths.keys()
        assert all(s.values.shape[1] == self.widths[n] for n, s in self.signals.items())


Block = tuple[NDArray[np.uint8] | NDArray[np.uint16], NDArray[np.float64]]
"""Some frames and their times in seconds from the first of the recording."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """A recording that comes in blocks of frames.

    Shapes: a block's frames (n, H, W, 3) uint8 for colour or (n, H, W) uint16 millimetres for
    depth, its times_s (n,).
    """

    n_frames: int
    """Frames that the file promises; all blocks hold exactly so many or raise at the end."""
    every: Callable[[int], Iterator[Block]]
    """Blocks of every n-th frame from the first on, which cost what they keep: what is left out is
    read no further than the others need it. Raises ``RecordingError`` on damage."""

    @property
    def blocks(self) -> Iterator[Block]:
        """Blocks of all frames, from the first on."""
        return self.every(1)
