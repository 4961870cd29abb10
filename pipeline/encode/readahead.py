"""Read and decode ahead in threads, holding a bounded number of bytes.

While the device works on one record's frames, the next records are decoded, and the files after
those are read and hashed: a slow disk and a slow decoder do not add up. Records come out in the
order they went in; within the byte limits the threads are always one record ahead of the one that
is consumed. Whatever is slow, nothing grows: a decoder waits for room, a reader for its turn.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, Protocol, TypeVar

from pipeline.common.stages import Meter
from pipeline.encoders.stage_names import DECODING, READING

Key = TypeVar("Key")


class Block(Protocol):
    """Some frames, in memory of whatever kind."""

    @property
    def nbytes(self) -> int:
        """How much they take."""

    def __len__(self) -> int:
        """How many there are."""


class Stopped(Exception):  # noqa: N818 - a signal to the producing thread, not an error
    """The consumer has gone; the producer ends."""


class BlockQueue:
    """Blocks of one record on their way from a thread to the device, bounded by bytes."""

    def __init__(self, max_bytes: int) -> None:
        """Hold up to ``max_bytes``; one block is always let in, however large."""
        self._max_bytes = max_bytes
        self._blocks: deque[Any] = deque()
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

    def __iter__(self) -> Iterator[Any]:
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


class Turnstile:
    """Lets readers in one after the other while no more than so many bytes are held.

    In order, so that a file that is wanted soon never waits for one that is wanted later.
    """

    def __init__(self, max_bytes: int) -> None:
        """Hold up to ``max_bytes`` and the last file that was let in, however large."""
        self._max_bytes = max_bytes
        self._n_bytes = 0
        self._turn = 0
        self._stopped = False
        self._changed = threading.Condition()

    def enter(self, number: int) -> None:
        """Wait for the turn of a file, of which the first has the number 0.

        Raises:
            Stopped: the consumer has gone.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopped or (self._turn == number and self._n_bytes < self._max_bytes)
            )
            if self._stopped:
                raise Stopped
            self._turn += 1
            self._changed.notify_all()

    def hold(self, n_bytes: int) -> None:
        """Count bytes as held, or, where they are less than none, as let go."""
        with self._changed:
            self._n_bytes += n_bytes
            self._changed.notify_all()

    def stop(self) -> None:
        """Let everyone go who waits."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()


Contents = list[bytes]
"""The files of a record."""


def read_ahead(
    keys: Iterable[Key],
    fetch: Callable[[Key], Contents],
    produce: Callable[[Key, Contents], Iterable[Block]],
    *,
    n_threads: int,
    max_bytes: int,
    n_readers: int = 1,
    meter: Meter | None = None,
) -> Iterator[tuple[Key, Iterator[Any]]]:
    """Keys in order, each with its blocks, while threads read and produce what comes next.

    The consumer takes one key's blocks, then the next key's.

    Args:
        keys: Records, in order.
        fetch: Reads a record's files.
        produce: Gives a record's blocks; what it or ``fetch`` raises reaches the consumer in their
            place.
        n_threads: Records in production at a time.
        max_bytes: Bytes of blocks held at a time, over all records; of files that are read and not
            yet decoded, half as many and one file.
        n_readers: Files that are read at a time.
        meter: Measures both stages.
    """
    coming = enumerate(keys)
    n_records = n_threads + n_readers  # the one that is consumed may be produced already
    running: deque[tuple[Key, BlockQueue, Future[Any], Future[Any]]] = deque()
    door, measure = Turnstile(max_bytes // 2), meter or Meter()
    free_since, began = threading.local(), time.perf_counter()

    def has_waited(stage: str) -> None:
        """Count the time since this thread was done before: nobody wanted more of it."""
        now = time.perf_counter()
        measure.add(stage, output_s=now - getattr(free_since, "at", began))

    def read(number: int, key: Key, found: list[Contents]) -> None:
        door.enter(number)
        has_waited(READING)
        with measure.busy(READING, n_items=1):
            found.append(fetch(key))
        door.hold(sum(map(len, found[0])))
        free_since.at = time.perf_counter()

    def fill(blocks: BlockQueue, fetched: Future[None], found: list[Contents], key: Key) -> None:
        error: BaseException | None = None
        contents: Contents = []
        has_waited(DECODING)
        try:
            started = time.perf_counter()
            try:
                fetched.result()
            finally:
                measure.add(DECODING, input_s=time.perf_counter() - started)
            contents = found.pop()  # let go of when it is decoded, not when it is encoded
            for block in measure.made(DECODING, produce(key, contents), len):
                started = time.perf_counter()
                blocks.put(block)
                measure.add(DECODING, output_s=time.perf_counter() - started)
        except Stopped:
            pass
        except BaseException as raised:
            error = raised
        door.hold(-sum(map(len, contents)))
        blocks.end(error)
        free_since.at = time.perf_counter()

    with (
        ThreadPoolExecutor(n_readers, thread_name_prefix="read-ahead") as readers,
        ThreadPoolExecutor(n_threads, thread_name_prefix="read-ahead-decode") as decoders,
    ):

        def start(number: int, key: Key) -> None:
            blocks = BlockQueue(max_bytes // n_records)
            found: list[Contents] = []
            fetched = readers.submit(read, number, key, found)
            filled = decoders.submit(fill, blocks, fetched, found, key)
            running.append((key, blocks, fetched, filled))

        try:
            for number, key in islice(coming, n_records):
                start(number, key)
            while running:
                key, blocks, _, _ = running[0]
                yield key, iter(blocks)
                blocks.stop()
                running.popleft()
                for number, key in islice(coming, 1):
                    start(number, key)
        finally:
            door.stop()
            for _, blocks, fetched, filled in running:
                fetched.cancel()
                filled.cancel()
                blocks.stop()
