"""Inertial rows to patches: averages of the reader's units and nothing else."""

from __future__ import annotations

import numpy as np

from pipeline.encoders.config import SeriesEncoding
from pipeline.encoders.series import encode_series


def test_units_are_kept():
    values = np.tile(np.array([[9.8, 0, -1, 200, 0, 3]], np.float32), (107, 1))
    patches = encode_series(values, SeriesEncoding(window=5, stride=2, patches=8))
    assert patches.shape == (8, 6)
    assert patches.dtype == np.float32
    np.testing.assert_allclose(patches, values[:8], rtol=1e-6)


def test_columns_do_not_mix():
    values = np.zeros((50, 6), np.float32)
    values[:, 2] = np.arange(50)
    patches = encode_series(values, SeriesEncoding(patches=16))
    assert (np.diff(patches[:, 2]) > 0).all()
    assert (patches[:, [0, 1, 3, 4, 5]] == 0).all()
