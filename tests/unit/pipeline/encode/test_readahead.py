"""Reading ahead: in order, bounded, and never in the way of an error or an end."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from pipeline.encode.readahead import BlockQueue, Stopped, read_ahead

BLOCK = np.zeros(100, np.uint8)


def ahead_of(keys, produce, fetch=lambda key: [b"file"], **options):
    """Blocks of keys that ``produce`` gives without looking at their files."""
    return read_ahead(keys, fetch, lambda key, contents: produce(key), **options)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_records_and_blocks_come_in_order(n_threads):
    def produce(key):
        return (np.full(10, key * 10 + i, np.uint8) for i in range(3))

    ahead = ahead_of(range(7), produce, n_threads=n_threads, max_bytes=40)
    found = [(key, [int(block[0]) for block in blocks]) for key, blocks in ahead]
    assert found == [(key, [key * 10, key * 10 + 1, key * 10 + 2]) for key in range(7)]


def test_an_error_comes_where_its_blocks_would_have_and_the_others_go_on():
    def produce(key):
        yield BLOCK
        if key == 1:
            raise ValueError("bad 1")
        yield BLOCK

    ahead = ahead_of(range(3), produce, n_threads=2, max_bytes=1000)
    counts = []
    for key, blocks in ahead:
        if key == 1:
            with pytest.raises(ValueError, match="bad 1"):
                list(blocks)
        else:
            counts.append(len(list(blocks)))
    assert counts == [2, 2]


def test_the_next_record_is_in_production_while_one_is_consumed():
    started = {0: threading.Event(), 1: threading.Event()}

    def produce(key):
        started[key].set()
        yield BLOCK

    for key, blocks in ahead_of([0, 1], produce, n_threads=1, max_bytes=1000):
        if key == 0:
            assert started[1].wait(30)
        list(blocks)


def test_no_more_bytes_wait_than_allowed_but_always_one_block():
    queue = BlockQueue(max_bytes=250)
    made = []

    def produce():
        for i in range(5):
            queue.put(BLOCK)
            made.append(i)
        queue.end()

    thread = threading.Thread(target=produce)
    thread.start()
    held = []
    for block in queue:
        held.append(len(made) - len(held))
        assert block.nbytes == 100
    thread.join()
    assert len(held) == 5
    assert max(held) <= 4  # two waiting, one handed out, one just made
    small = BlockQueue(max_bytes=1)
    small.put(BLOCK)
    small.end()
    assert len(list(small)) == 1


def test_a_consumer_that_leaves_lets_the_producers_end():
    def produce(key):
        while True:
            yield BLOCK

    ahead = ahead_of(range(5), produce, n_threads=2, max_bytes=300)
    _, blocks = next(ahead)
    next(blocks)
    ahead.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("read-ahead")]


def test_a_stopped_queue_refuses_blocks():
    queue = BlockQueue(10)
    queue.stop()
    with pytest.raises(Stopped):
        queue.put(BLOCK)
