"""Laws of out of core: the order of an epoch, reading ranges of chunks, working ahead."""

import time

import numpy as np
import pytest
import torch
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import Crc32cCodec, ZstdCodec

from dmft.data.chunks import read_rows
from dmft.data.prefetch import read_ahead
from dmft.data.shuffle import ShuffleBuffer, epoch_order

small = settings(max_examples=60, deadline=None)
seeds = st.integers(0, 2**32 - 1)
windows = st.builds(ShuffleBuffer, n_blocks=st.integers(1, 9), n_records=st.integers(1, 40))
chosen_rows = st.sets(st.integers(0, 400), min_size=1).map(lambda s: torch.tensor(sorted(s)))


def most_under_way(order, n_records):
    """The most blocks that have given a record and will give another, or do so at that time."""
    blocks = (order // n_records).tolist()
    first, last = {}, {}
    for position, block in enumerate(blocks):
        first.setdefault(block, position)
        last[block] = position
    return max(
        sum(first[block] <= position <= last[block] for block in first)
        for position in range(len(blocks))
    )


@small
@given(chosen_rows, windows | st.none(), seeds, st.integers(0, 50))
def test_an_epoch_has_every_training_record_once_and_no_other(rows, window, seed, epoch):
    order = epoch_order(rows, window, seed, epoch)
    assert sorted(order.tolist()) == rows.tolist()


@small
@given(chosen_rows, windows, seeds, st.integers(0, 50))
def test_no_more_blocks_are_under_way_than_the_window_has(rows, window, seed, epoch):
    order = epoch_order(rows, window, seed, epoch)
    assert most_under_way(order, window.n_records) <= window.n_blocks


@small
@given(st.integers(300, 600), windows, seeds, st.integers(0, 50))
def test_an_order_is_a_function_of_seed_and_epoch(n, window, seed, epoch):
    rows = torch.arange(n)
    order = epoch_order(rows, window, seed, epoch)
    torch.rand(3)  # The state of the world's generator must not matter.
    assert torch.equal(epoch_order(rows, window, seed, epoch), order)
    if window.n_records < n / 2:
        assert not torch.equal(epoch_order(rows, window, seed, epoch + 1), order)
        assert not torch.equal(epoch_order(rows, window, seed + 1, epoch), order)


@small
@given(chosen_rows, seeds, st.integers(0, 50))
def test_a_window_that_holds_everything_gives_the_order_of_a_training_in_memory(rows, seed, epoch):
    window = ShuffleBuffer(n_blocks=401, n_records=1)
    assert torch.equal(epoch_order(rows, window, seed, epoch), epoch_order(rows, None, seed, epoch))


@pytest.mark.parametrize("epoch", range(5))
def test_the_records_of_a_step_come_from_many_blocks(epoch):
    window = ShuffleBuffer(n_blocks=64, n_records=32)
    order = epoch_order(torch.arange(32 * 640), window, 0, epoch)
    blocks = [len(set((step // 32).tolist())) for step in torch.split(order, 16)]
    assert min(blocks[:1]) >= 3  # The first steps wait for nothing but the first blocks.
    assert min(blocks[64:-64]) >= 9
    assert np.median(blocks) >= 14


@pytest.fixture(scope="module")
def array_of(tmp_path_factory):
    folder = tmp_path_factory.mktemp("arrays")
    values = np.random.default_rng(0).normal(size=(53, 2, 3)).astype(np.float32)

    def make(size, compressed):
        name = f"a{size}{compressed}"
        if not (folder / name).exists():
            array = zarr.create_array(
                folder / name,
                shape=values.shape,
                chunks=(size, 2, 3),
                dtype="float32",
                compressors=[ZstdCodec() if compressed else Crc32cCodec()],
            )
            array[...] = values
        return folder / name, zarr.open_array(folder / name, mode="r")

    return values, make


@small
@given(data=st.data(), size=st.integers(1, 60), compressed=st.booleans())
def test_a_range_of_rows_is_that_part_of_the_array_whatever_its_chunks(
    array_of, data, size, compressed
):
    values, make = array_of
    folder, array = make(size, compressed)
    start = data.draw(st.integers(0, 52))
    stop = data.draw(st.integers(start + 1, 53))
    rows, finite = read_rows(folder, array, np.ones(stop - start, dtype=bool), start)
    np.testing.assert_array_equal(rows, values[start:stop])
    assert finite.all()


@small
@given(st.lists(st.integers()), st.integers(1, 5))
def test_what_is_read_ahead_comes_in_its_order(items, n_ahead):
    assert list(read_ahead(iter(items), n_ahead)) == items


def test_what_fails_ahead_fails_in_its_turn():
    def items():
        yield 1
        yield 2
        raise ValueError("third")

    found = read_ahead(items(), 3)
    assert [next(found), next(found)] == [1, 2]
    with pytest.raises(ValueError, match="third"):
        next(found)


def test_no_more_is_made_ahead_than_was_asked_for():
    made = []

    def items():
        for number in range(100):
            made.append(number)
            yield number

    found = read_ahead(items(), 3)
    assert made == []
    next(found)
    time.sleep(0.05)
    assert len(made) <= 4
    found.close()
    n_made = len(made)
    time.sleep(0.05)
    assert len(made) == n_made
