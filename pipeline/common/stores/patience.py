"""How an object store is asked again what obstore does not ask again by itself.

It asks again where no answer came, and not where one broke off or a put stood under a condition.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeVar

FIRST_PAUSE_S = 0.1
ATTEMPTS = 6
"""How often one thing is asked for."""
GIVE_UP_S = 180.0
"""After so long nothing is asked again: obstore had been asking by itself."""
HOPELESS = ("NoSuchBucket", "169.254.169.254")
"""What stands in errors that no second ask mends: no bucket, no credentials."""
Answer = TypeVar("Answer")


def patiently(ask: Callable[[], Answer]) -> Answer:
    """Ask for what may be asked twice until it is answered.

    Raises:
        GenericError: it was not, the last time.
    """
    from obstore.exceptions import GenericError

    pauses = _pauses()
    while True:
        try:
            return ask()
        except GenericError as error:
            pause = next(pauses, None)
            if pause is None or _is_hopeless(error):
                raise
            time.sleep(pause)


async def patiently_async(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """The same for what is awaited."""
    import asyncio

    from obstore.exceptions import GenericError

    pauses = _pauses()
    while True:
        try:
            return await ask()
        except GenericError as error:
            pause = next(pauses, None)
            if pause is None or _is_hopeless(error):
                raise
            await asyncio.sleep(pause)


def patient_zarr_store(store: Any, *, read_only: bool) -> Any:
    """Zarr's store of an obstore store, which asks again as well."""
    import obstore
    from zarr.storage import ObjectStore

    def again(name: str) -> Callable[..., Awaitable[Any]]:
        """A method of Zarr's store, asked again."""
        method = getattr(ObjectStore, name)

        async def patient(self: Any, *arguments: Any, **options: Any) -> Any:
            return await patiently_async(lambda: method(self, *arguments, **options))

        return patient

    class PatientStore(ObjectStore[Any]):
        """Zarr's own, asked again where obstore does not by itself."""

        async def _list(self, prefix: str | None = None) -> AsyncIterator[Any]:  # type: ignore[override]
            def ask() -> Any:
                return obstore.list(self.store, prefix=prefix).collect_async()

            for meta in await patiently_async(ask):
                yield meta

        async def list_dir(self, prefix: str) -> AsyncIterator[str]:  # type: ignore[override]
            parent = super().list_dir

            async def ask() -> list[str]:
                return [name async for name in parent(prefix)]

            for name in await patiently_async(ask):
                yield name

    for name in ("get", "get_partial_values", "exists", "set", "set_if_not_exists", "getsize"):
        setattr(PatientStore, name, again(name))
    for name in ("delete", "delete_dir"):
        setattr(PatientStore, name, again(name))
    return PatientStore(store, read_only=read_only)


def _pauses() -> Iterator[float]:
    """Seconds to wait before each further ask."""
    began = time.monotonic()
    for attempt in range(ATTEMPTS - 1):
        if time.monotonic() - began > GIVE_UP_S:
            return
        yield FIRST_PAUSE_S * 2**attempt


def _is_hopeless(error: Exception) -> bool:
    return any(text in str(error) for text in HOPELESS)
