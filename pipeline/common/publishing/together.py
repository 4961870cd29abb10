"""Some objects at a time, as a store answers many requests sooner than one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

AT_ONCE = 8
"""Requests at a time; each holds one object in memory."""
Answer = TypeVar("Answer")


def together(ask: Callable[[str], Answer], keys: Iterable[str]) -> Iterator[Answer]:
    """Ask for every key, some at a time; answers come in the keys' order.

    The first that fails ends it: what was begun is ended, and nothing else is begun.
    """
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="objects")
    try:
        yield from pool.map(ask, keys)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
