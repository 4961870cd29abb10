"""Laws of windows, pooling and alignment."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.signals.segments import alignment, to_patches, window_starts

counts = st.integers(1, 90)


@st.composite
def shapes(draw):
    window = draw(st.integers(1, 40))
    return draw(counts), window, draw(st.integers(1, window)), draw(st.integers(1, 70))


@given(shapes())
def test_windows_cover_every_row_and_stay_inside(shape):
    n_rows, window, stride, _ = shape
    starts = window_starts(n_rows, window, stride)
    width = min(window, n_rows)
    covered = {row for start in starts for row in range(start, start + width)}
    assert covered == set(range(n_rows))


@given(shapes())
def test_every_patch_is_a_weighted_mean(shape):
    weights = alignment(*shape)
    assert weights.shape == (shape[3], shape[0])
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-12)
    assert weights.min() > -1e-15


@given(shapes())
def test_patches_tile_the_record(shape):
    """Together the patches weigh every row, and no row more than the record's ends allow."""
    weights = alignment(*shape).mean(axis=0)
    assert (weights > 0).all()
    np.testing.assert_allclose(weights.sum(), 1)


@given(counts, st.integers(1, 70))
def test_without_pooling_inner_rows_weigh_alike(n_rows, n_patches):
    weights = alignment(n_rows, 1, 1, n_patches).mean(axis=0)
    np.testing.assert_allclose(weights, 1 / n_rows, atol=1e-12)


@given(shapes(), st.floats(-1e3, 1e3, width=32))
def test_constants_are_kept(shape, value):
    n_rows, window, stride, n_patches = shape
    rows = np.full((n_rows, 2), value, np.float32)
    patches = to_patches(rows, window=window, stride=stride, n_patches=n_patches)
    np.testing.assert_allclose(patches, value, rtol=1e-6)


@given(st.integers(20, 90), st.integers(1, 6), st.integers(4, 40))
def test_straight_lines_are_kept_inside_the_record(n_rows, window, n_patches):
    at = (np.arange(n_rows) + 0.5) / n_rows
    line = (3 * at - 1).astype(np.float32)[:, None]
    patches = to_patches(line, window=window, stride=1, n_patches=n_patches)[:, 0]
    centres = (np.arange(n_patches) + 0.5) / n_patches
    edge = (window / 2) / n_rows + 0.5 / n_patches
    inside = (centres > edge) & (centres < 1 - edge)
    np.testing.assert_allclose(patches[inside], (3 * centres - 1)[inside], atol=1e-5)


@given(shapes(), st.integers(0, 2**32 - 1))
def test_a_record_backwards_gives_its_patches_backwards(shape, seed):
    n_rows, window, _, n_patches = shape
    rows = np.random.default_rng(seed).normal(size=(n_rows, 2)).astype(np.float32)
    forward = to_patches(rows, window=window, stride=1, n_patches=n_patches)
    backward = to_patches(rows[::-1].copy(), window=window, stride=1, n_patches=n_patches)
    np.testing.assert_allclose(forward, backward[::-1], atol=1e-5)


@given(counts, st.integers(0, 2**32 - 1))
def test_as_many_patches_as_rows_change_nothing_but_neighbours(n_rows, seed):
    """The map is local: a patch draws on rows at most one and a half rows away."""
    weights = alignment(n_rows, 1, 1, n_rows)
    away = np.abs(np.subtract.outer(np.arange(n_rows), np.arange(n_rows)))
    assert (weights[away > 1] == 0).all()
