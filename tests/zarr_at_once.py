"""Zarr without threads and without an event loop: what it does is done at once, in one order.

A test that ends a process at a numbered write then means the same write each time, and small
arrays cost a third of what they do where each file is a task of another thread. What Zarr writes
at the same time is written one after the other.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from zarr.core.sync import sync as _sync


def _at_once(coroutine: Coroutine[Any, Any, Any], *_: object, **__: object) -> Any:
    """What a coroutine gives; stands for ``zarr.core.sync.sync``."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise AssertionError("zarr waits for something: see which use of asyncio is new in it")


async def _one_by_one(*waiting: Coroutine[Any, Any, Any], **_: object) -> list[Any]:
    """Stands for ``asyncio.gather``; after the first that fails, none begins."""
    done, left = [], deque(waiting)
    try:
        while left:
            done.append(await left.popleft())
    finally:
        for each in left:
            each.close()
    return done


async def _here(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    return function(*arguments, **named)


def _as_it_is(coroutine: Awaitable[Any], **_: object) -> Awaitable[Any]:
    return coroutine


def _in_order(waiting: Iterable[Awaitable[Any]]) -> Iterator[Awaitable[Any]]:
    yield from waiting


_SHIM = SimpleNamespace(
    **{
        **vars(asyncio),
        "gather": _one_by_one,
        "to_thread": _here,
        "ensure_future": _as_it_is,
        "create_task": _as_it_is,
        "as_completed": _in_order,
    }
)


@contextmanager
def zarr_at_once() -> Iterator[None]:
    """Have Zarr do everything in the thread that asks, before it answers."""
    with ExitStack() as stack:
        for name, module in list(sys.modules.items()):
            if not name.startswith("zarr."):
                continue
            if getattr(module, "asyncio", None) is asyncio:
                stack.enter_context(patch.object(module, "asyncio", _SHIM))
            if getattr(module, "sync", None) is _sync:
                stack.enter_context(patch.object(module, "sync", _at_once))
        yield
