"""Numbers over time, as of body-worn sensors, to patches: pooling and alignment (paper 3.1).

The columns keep their physical units; standardisation is the trainer's, from training folds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.encoders.config import SeriesEncoding


def encode_series(values: NDArray[np.float32], encoding: SeriesEncoding) -> NDArray[np.float32]:
    """Pool and align the rows of a series.

    Shapes: values (T, D) in the reader's units; returns (P, D).

    Example:
        >>> values = np.arange(4, dtype=np.float32)[:, None]
        >>> encode_series(values, SeriesEncoding(patches=2)).ravel().tolist()
        [0.5625, 2.4375]
    """
    return encoding.pool(values)
