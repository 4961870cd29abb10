"""Read and decode ahead in threads, holding a bounded number of bytes.

While the device works on one record's frames, the next records are read, hashed and decoded.
Records come out in the order they went in; within the byte limit the threads are always one record
ahead of the one that is consumed.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Key = TypeVar("Key")
Block = NDArray[np.uint8]


class Stopped(Exception):  # noqa: N818 - a signal to the producing thread, not an error
    """The consumer has gone; the producer ends."""


class BlockQueue:
    """Blocks of one record on their way from a thread to the device, bounded by bytes."""

    def __init__(self, max_bytes: int) -> None:
        """Hold up to ``max_bytes``; one block is always let in, however large."""
        self._max_bytes = max_bytes
        self._blocks: deque[Block] = deque()
        self._n_bytes = 0
        self._error: BaseException | None = None
        self._ended = False
        self._stopped = False
        self._changed = threading.Condition()

    def put(self, block: Block) -> None:
        """Add a block, waiting for room.

        Raises:
            Stopped: the consumer has gone.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._stopped
                    or not self._blocks
                    or self._n_bytes + block.nbytes <= self._max_bytes
                )
            )
            if self._stopped:
                raise Stopped
            self._blocks.append(block)
            self._n_bytes += block.nbytes
            self._changed.notify_all()

    def end(self, error: BaseException | None = None) -> None:
        """Say that no block follows, or why."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def stop(self) -> None:
        """Let the producer go."""
        with self._changed:
            self._stopped = True
            self._blocks.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Block]:
        """Blocks in order; raises at the end what the producer raised."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._blocks or self._ended)
                if not self._blocks:
                    if self._error is not None:
                        raise self._error
                    return
                block = self._blocks.popleft()
                self._n_bytes -= block.nbytes
                self._changed.notify_all()
            yield block


def read_ahead(
    keys: Iterable[Key],
    produce: Callable[[Key], Iterable[Block]],
    *,
    n_threads: int,
    max_bytes: int,
) -> Iterator[tuple[Key, Iterator[Block]]]:
    """Keys in order, each with its blocks, while threads produce what comes next.

    The consumer takes one key's blocks, then the next key's.

    Args:
        keys: Records, in order.
        produce: Gives a record's blocks; what it raises reaches the consumer in their place.
        n_threads: Records in production at a time.
        max_bytes: Blocks held at a time, over all records.
    """
    coming = iter(keys)
    n_records = n_threads + 1  # the one that is consumed may be produced already
    running: deque[tuple[Key, BlockQueue, Future[None]]] = deque()

    def start(key: Key) -> None:
        blocks = BlockQueue(max_bytes // n_records)
        running.append((key, blocks, pool.submit(_fill, blocks, produce, key)))

    with ThreadPoolExecutor(n_threads, thread_name_prefix="read-ahead") as pool:
        try:
            for key in islice(coming, n_records):
                start(key)
            while running:
                key, blocks, _ = running[0]
                yield key, iter(blocks)
                blocks.stop()
                running.popleft()
                for key in islice(coming, 1):
                    start(key)
        finally:
            for _, blocks, future in running:
                future.cancel()
                blocks.stop()


def _fill(blocks: BlockQueue, produce: Callable[[Key], Iterable[Block]], key: Key) -> None:
    error: BaseException | None = None
    try:
        for block in produce(key):
            blocks.put(block)
    except Stopped:
        pass
    except BaseException as raised:
        error = raised
    blocks.end(error)
