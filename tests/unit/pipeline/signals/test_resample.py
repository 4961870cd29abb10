"""Streams on clocks of their own, joined on one grid."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.signals.recording import Signal, Streams
from pipeline.signals.resample import common_clock, join

WIDTHS = {"a": 1, "b": 2}


def signal(times_s, *columns) -> Signal:
    return Signal(values=np.stack(columns, axis=1).astype("f4"), times_s=np.asarray(times_s, "f8"))


def test_a_straight_line_stays_one_whatever_the_rows_and_the_rate():
    times_s = np.sort(np.random.default_rng(0).uniform(100, 110, 700))
    times_s[[0, -1]] = 100, 110
    joined = join(Streams(widths={"a": 1}, signals={"a": signal(times_s, times_s - 100)}), 25)
    assert joined.values.shape == (251, 1)
    np.testing.assert_allclose(joined.values[:, 0], joined.times_s, atol=1e-5)


def test_streams_lie_side_by_side_with_a_column_each_that_says_it_is_there():
    both = {"b": signal([0.0, 1.0], [1, 1], [2, 2]), "a": signal([0.5, 1.5], [5, 7])}
    joined = join(Streams(widths=WIDTHS, signals=both), 2)
    np.testing.assert_allclose(
        joined.values, [[5, 1, 2, 1, 1], [5, 1, 2, 1, 1], [6, 1, 2, 1, 1], [7, 1, 2, 1, 1]]
    )


def test_a_stream_that_is_missing_is_zero_and_said_to_be():
    joined = join(Streams(widths=WIDTHS, signals={"a": signal([0.0, 1.0], [3, 3])}), 1)
    np.testing.assert_array_equal(joined.values, [[3, 0, 0, 1, 0]] * 2)


def test_a_stream_by_another_clock_is_laid_over_the_same_span():
    course = np.linspace(0, 1, 11)
    streams = {
        "a": signal(1000 + 10 * course, course),
        "b": signal(1e6 + 8 * course, course, -course),
    }
    joined = join(Streams(widths=WIDTHS, signals=streams), 10)
    assert len(joined.values) == 101
    np.testing.assert_allclose(joined.values[:, 1], joined.values[:, 0], atol=1e-6)
    np.testing.assert_allclose(joined.values[:, 2], -joined.values[:, 0], atol=1e-6)


def test_the_clock_of_most_streams_is_the_clock():
    spans = {"a": (0.0, 5.0), "b": (100.0, 105.0), "c": (101.0, 106.0), "d": (99.0, 104.0)}
    assert common_clock(spans) == ["b", "c", "d"]
    assert common_clock({"a": (0.0, 5.0), "b": (4.9, 9.9)}) == ["a"]
    assert common_clock({"a": (0.0, 5.0), "b": (2.0, 2.0)}) == ["a", "b"]


def test_a_single_row_is_one_row():
    joined = join(Streams(widths={"a": 1}, signals={"a": signal([7.0], [3])}), 100)
    assert joined.values.tolist() == [[3]]
    streams = {"a": signal([7.0], [3]), "b": signal([9.0], [1], [2])}
    assert join(Streams(widths=WIDTHS, signals=streams), 100).values.tolist() == [[3, 1, 2, 1, 1]]


@given(
    st.lists(st.floats(0, 50), min_size=1, max_size=20, unique=True),
    st.lists(st.floats(0, 1e9), min_size=1, max_size=20, unique=True),
    st.floats(0.5, 50),
)
def test_what_is_joined_never_leaves_the_range_of_its_stream(first, second, rate_hz):
    second = [min(second) + t % 100 for t in second]
    a, b = np.sort(first), np.unique(second)
    streams = {"a": signal(a, np.sin(a)), "b": signal(b, np.cos(b), b * 0 + 4)}
    joined = join(Streams(widths=WIDTHS, signals=streams), rate_hz)
    for column, values in ((0, np.sin(a)), (1, np.cos(b)), (2, [4])):
        assert joined.values[:, column].min() >= np.min(values) - 1e-6
        assert joined.values[:, column].max() <= np.max(values) + 1e-6
