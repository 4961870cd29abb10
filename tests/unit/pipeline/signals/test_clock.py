"""Clocks that are set while they record, and stamps that many rows share."""

import numpy as np
import pytest

from pipeline.readers.timed_csv import read_rows
from pipeline.signals.clock import ClockError, mend_jump, rows_by_clock, spread_shared

TIMES = 1000.0 + np.arange(500) / 100 + np.random.default_rng(0).uniform(-1, 1, 500) * 0.002


@pytest.mark.parametrize(
    ("size", "cut"),
    [(size, cut) for size in (-3600.0, 3600.0, 86400.0, -1e6) for cut in (1, 37, 250, 499)]
    + [(size, cut) for size in (-0.8, -2.5) for cut in (100, 250, 400)],
)
def test_one_jump_between_steady_halves_is_taken_back(size, cut):
    hurt = TIMES + np.where(np.arange(500) >= cut, size, 0.0)
    mended = mend_jump(hurt)
    np.testing.assert_allclose(mended, TIMES, atol=0.01)
    assert (np.diff(mended) > 0).all()


@pytest.mark.parametrize("jumps", [(100, 300), (100, 101), (0, 499)])
def test_several_jumps_are_refused_by_size_and_place(jumps):
    hurt = TIMES.copy()
    for jump in jumps:
        hurt[jump + 1 :] += -1800.0 if jump == jumps[0] else 5000.0
    if jumps[1] == 499:
        hurt[200:] += 700.0
    with pytest.raises(ClockError, match=r"jumps \d+ times, the first by -1800.0 s after row "):
        mend_jump(hurt)


@pytest.mark.parametrize("seed", range(5))
def test_rows_out_of_order_are_left_to_be_sorted(seed):
    draw = np.random.default_rng(seed)
    for order in (
        draw.permutation(500),
        np.r_[250:500, :250],
        np.r_[1:300, 0, 300:500],
        np.r_[:10, 200, 10:200, 201:500],
    ):
        np.testing.assert_array_equal(np.sort(mend_jump(TIMES[order])), np.sort(TIMES))


def test_a_pause_that_a_sensor_may_make_is_believed():
    paused = TIMES + np.where(np.arange(500) >= 250, 6.0, 0.0)
    np.testing.assert_array_equal(mend_jump(paused), paused)
    slow = np.arange(20) * 5.0
    np.testing.assert_array_equal(mend_jump(slow), slow)


@pytest.mark.parametrize("resolution_s", [0.02, 0.1, 0.5, 1.0])
def test_rows_of_coarse_stamps_are_spread(resolution_s):
    times = np.arange(400) / 100
    stamps = np.floor(times / resolution_s + 1e-9) * resolution_s
    spread = spread_shared(stamps, np.arange(400.0)[:, None])
    np.testing.assert_allclose(spread, times, atol=1e-6)


def test_a_row_that_stands_twice_counts_once():
    stamps = np.repeat(np.arange(100) / 100, 2)
    assert spread_shared(stamps, np.repeat(np.arange(100.0), 2)[:, None]) is stamps


def test_the_end_of_summer_time_in_a_file_is_mended():
    """A ramp was stored reversed, over 360,000 rows."""

    def line(hour: int, minute: int, second: float, value: float) -> str:
        return f"20181028_{hour:02}:{minute:02}:{second:09.6f},{value}\n"

    before = [line(2, 59, 55 + i / 100, i) for i in range(500)]
    after = [line(2, 0, i / 100, 500 + i) for i in range(500)]
    times, values = read_rows("".join(before + after).encode(), 1, "acc.csv")
    assert values[:, 0].tolist() == list(range(1000))
    np.testing.assert_allclose(times - times[0], np.arange(1000) / 100, atol=1e-3)


def test_frames_are_shown_until_the_next_one_comes():
    even = np.arange(30) / 29.97
    assert rows_by_clock(even) is None
    assert rows_by_clock(even[:1]) is None
    uneven = np.delete(even, [3, 10, 11])
    shown = rows_by_clock(uneven)
    assert len(shown) == 30
    expected = [np.flatnonzero(uneven <= tick + 1e-9)[-1] for tick in even]
    assert shown.tolist() == expected
