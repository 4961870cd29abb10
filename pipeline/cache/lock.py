"""One encode of a cache at a time: the lock that a process holds while it writes one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.cache.checksums import LOCK
from pipeline.cache.objects import Objects
from pipeline.common.files import held
from pipeline.contract import ConfigError


@contextmanager
def locked(location: str) -> Iterator[None]:
    """Hold the cache for one encode; the lock goes with the process, however it ends.

    Behind a URL there is no lock: the session's name in the cache must serve.

    Raises:
        ConfigError: another encode holds it.
    """
    objects = Objects(location)
    if not objects.is_local:
        yield
        return
    path = objects.path / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    refusal = ConfigError(
        f"{location} is being written by another encode: wait for it, or look at it with "
        f"'dmft cache status {location}'"
    )
    with held(path, refusal):
        yield
