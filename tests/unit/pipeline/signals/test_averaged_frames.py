"""Segments of a film before the network: windows over blocks of any size."""

import numpy as np
import pytest

from pipeline.signals.segments import averaged_frames, window_starts


@pytest.mark.parametrize("n_frames", [1, 2, 3, 7, 12, 13])
@pytest.mark.parametrize(("window", "stride"), [(1, 1), (2, 1), (4, 2), (4, 4), (5, 3)])
@pytest.mark.parametrize("n_block", [1, 3, 16])
def test_each_window_of_a_film_is_its_average_picture(n_frames, window, stride, n_block):
    film = np.random.default_rng(0).integers(0, 256, (n_frames, 3, 2, 3), np.uint8)
    blocks = [film[i : i + n_block] for i in range(0, n_frames, n_block)]
    got = np.concatenate(list(averaged_frames(iter(blocks), window=window, stride=stride)))
    starts = window_starts(n_frames, window, stride)
    wanted = [np.rint(film[s : s + window].mean(axis=0)) for s in starts]
    np.testing.assert_array_equal(got, np.array(wanted, np.uint8))


def test_a_film_without_frames_has_no_window():
    assert not list(averaged_frames(iter([]), window=2, stride=1))
