"""Windows and alignment by hand, their refusals, and what long streams cost."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from pipeline.signals import segments
from pipeline.signals.segments import alignment, to_patches, window_starts


def test_windows_step_by_the_stride_and_the_last_ends_on_the_last_row():
    assert window_starts(10, 4, 3).tolist() == [0, 3, 6]
    assert window_starts(11, 4, 3).tolist() == [0, 3, 6, 7]
    assert window_starts(3, 8, 2).tolist() == [0]


def test_halving_the_rows_averages_neighbours():
    rows = np.array([[0.0], [2.0], [4.0], [6.0]], np.float32)
    # The curve runs flat to the first centre, so the ends lean a little to the middle.
    patches = to_patches(rows, window=2, stride=2, n_patches=2)
    np.testing.assert_allclose(patches[:, 0], [1.5, 4.5])


def test_one_row_fills_every_patch():
    rows = np.array([[3.0, -1.0]], np.float32)
    np.testing.assert_array_equal(
        to_patches(rows, window=5, stride=1, n_patches=3), np.tile(rows, (3, 1))
    )


@pytest.mark.parametrize(
    ("arguments", "found"),
    [((0, 1, 1), "n_rows 0"), ((5, 0, 1), "window 0"), ((5, 2, 0), "stride 0")],
)
def test_counts_below_one_are_refused(arguments, found):
    with pytest.raises(ValueError, match=found):
        window_starts(*arguments)


def test_a_stride_that_skips_rows_is_refused():
    with pytest.raises(ValueError, match="stride 3 is longer than window 2"):
        window_starts(9, 2, 3)


def test_no_patches_are_refused():
    with pytest.raises(ValueError, match="n_patches 0"):
        to_patches(np.zeros((4, 1), np.float32), window=1, stride=1, n_patches=0)


def test_a_stream_of_ten_minutes_costs_no_memory_by_the_square_of_its_length():
    """30,000 rows once wanted matrices of 7 GB."""
    rows = np.zeros((30_000, 6), np.float32)
    tracemalloc.start()
    try:
        to_patches(rows, window=50, stride=1, n_patches=128)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 200e6


def test_the_patches_are_the_map_applied_to_the_rows():
    rows = np.random.default_rng(0).normal(size=(57, 3)).astype(np.float32)
    by_map = alignment(57, 5, 2, 16) @ rows
    np.testing.assert_allclose(
        to_patches(rows, window=5, stride=2, n_patches=16), by_map, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("width", "n_numbers"), [(1, 1 << 20), (6, 1 << 20), (60, 1 << 20), (60, 100)]
)
def test_patches_that_are_made_together_have_the_bits_of_each_alone(width, n_numbers, monkeypatch):
    """Whatever is summed at once, a patch's rows are added up in one order."""
    monkeypatch.setattr(segments, "GATHERED_NUMBERS", n_numbers)
    random = np.random.default_rng(0)
    for n_rows, n_patches in ((1, 4), (7, 32), (68, 64), (181, 128), (326, 1), (1000, 32)):
        for window, stride in ((1, 1), (4, 2), (16, 8)):
            values = (random.normal(0, 1, (n_rows, width)) * 1e3).astype(np.float32)
            made = to_patches(values, window=window, stride=stride, n_patches=n_patches)
            wide = values.astype(np.float64)
            alone = [
                np.einsum("t,td->d", band, wide[first : first + len(band)]).astype(np.float32)
                for first, band in bands_one_by_one(n_rows, window, stride, n_patches)
            ]
            assert made.tobytes() == np.stack(alone).tobytes()


def bands_one_by_one(n_rows, window, stride, n_patches):
    """Each patch's first row and weights, by a sum of its own."""
    starts, width = window_starts(n_rows, window, stride), min(window, n_rows)
    centres = (starts + width / 2) / n_rows
    for shares in segments._mean_of_interpolant(centres, n_patches):
        used = np.flatnonzero(shares)
        first = int(starts[used[0]])
        steps = np.zeros(int(starts[used[-1]]) + width - first + 1)
        steps[starts[used] - first] += shares[used]
        steps[starts[used] - first + width] -= shares[used]
        yield first, np.cumsum(steps[:-1]) / width
