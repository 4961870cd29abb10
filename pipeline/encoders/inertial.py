"""Body-worn sensors, and any numbers over time, to patches: pooling and alignment (paper 3.1).

The columns keep their physical units; standardisation is the trainer's, from training folds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.encoders.config import InertialEncoding, SeriesEncoding
from pipeline.signals.segments import to_patches

VERSION = 1
"""Raise when the numbers change; records encoded by an older version are encoded again."""


def encode_inertial(
    values: NDArray[np.float32], encoding: InertialEncoding | SeriesEncoding
) -> NDArray[np.float32]:
    """Pool and align the rows of a sensor stream.

    Shapes: values (T, D) in the reader's units; returns (P, D).
    """
    return to_patches(
        values, window=encoding.window, stride=encoding.stride, n_patches=encoding.patches
    )
