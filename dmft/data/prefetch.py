"""Work ahead of whoever waits for it: the next items of an iterator, made by one thread.

Items come in the iterator's order, so nothing depends on timing but the time itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def read_ahead(items: Iterator[Item], n_ahead: int) -> Iterator[Item]:
    """Yield ``items`` while a thread makes up to ``n_ahead`` of the following ones.

    What the iterator raises is raised here, in its turn. Closing this generator waits for the
    item in the making and makes no further one.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
    try:
        made: deque[Future[Item]] = deque(pool.submit(next, items) for _ in range(n_ahead))
        while True:
            try:
                item = made.popleft().result()
            except StopIteration:
                return
            made.append(pool.submit(next, items))
            yield item
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
