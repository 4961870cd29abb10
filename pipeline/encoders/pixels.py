"""Raw frames to the bytes that the network sees: colour as it is, depth as grey.

Whoever configures a depth camera as colour, or the other way about, is refused by the first block:
no number is ever squeezed into a byte that it does not fit.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import RecordingError
from pipeline.encoders.config import ColourEncoding, DepthEncoding


def colour_pixels(frames: NDArray[Any], encoding: ColourEncoding) -> NDArray[np.uint8]:
    """Colour frames as they are.

    Shapes: (n, H, W, 3) uint8; returns the same.

    Raises:
        RecordingError: they are not bytes.
    """
    return _of_type(frames, np.uint8, "colour")


def depth_pixels(frames: NDArray[Any], encoding: DepthEncoding) -> NDArray[np.uint8]:
    """Depth frames as grey.

    Shapes: (n, H, W) uint16 millimetres; returns (n, H, W).

    Raises:
        RecordingError: they are not 16 bits deep.
    """
    grey: NDArray[np.uint8] = depth_levels(encoding)[_of_type(frames, np.uint16, "depth")]
    return grey


@lru_cache(maxsize=8)
def depth_levels(encoding: DepthEncoding) -> NDArray[np.uint8]:
    """Lookup table from millimetres to grey: near is bright, far and no reading are black.

    Shapes: returns (65536,).
    """
    mm = np.arange(65536, dtype=np.float64)
    level = 255.0 * (encoding.far_mm - mm) / (encoding.far_mm - encoding.near_mm)
    level[0] = 0.0
    return np.rint(np.clip(level, 0.0, 255.0)).astype(np.uint8)


def _of_type(frames: NDArray[Any], wanted: type[np.generic], kind: str) -> NDArray[Any]:
    if frames.dtype != wanted:
        raise RecordingError(
            f"frames of {frames.dtype}: wanted {np.dtype(wanted)}, as this modality is configured "
            f"as {kind}; give it the kind of its camera in the encoding's configuration",
            stage="check",
        )
    return frames
