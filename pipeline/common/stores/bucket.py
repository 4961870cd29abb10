"""Objects in S3, Google Cloud Storage or Azure, and, to read, behind ``http(s)://``.

Whatever fails is asked again with growing pauses, by obstore and by
:mod:`pipeline.common.stores.patience`. A put under a condition that is asked again, as its answer
got lost, meets its own object: that one is looked at, and is ours where it holds what we put.

Two writers are told apart by the store: of several puts "where there is none" it takes one, and a
put "over this version" only where nothing has changed. Neither is a look and then a put.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Any

from pipeline.common.stores import patience
from pipeline.common.stores.faults import StoreError, told
from pipeline.common.stores.patience import patiently
from pipeline.contract import ConfigError

RETRIES = 10
"""How often obstore asks again by itself."""
TIMEOUT_S = 60
"""For one request, its answer included."""


class Bucket:
    """Objects under a URL of an object store."""

    def __init__(self, location: str) -> None:
        """Open the place; nothing is asked of it yet.

        Raises:
            ConfigError: obstore is not installed, or the URL is none of its.
        """
        self.location = location
        try:
            from obstore.exceptions import BaseError
            from obstore.store import from_url
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"{location} lies in an object store and obstore is not installed: "
                "pip install 'dmft[remote]'"
            ) from error
        endpoints = (os.environ.get(name, "") for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT"))
        is_plain = any(url.startswith("http://") for url in (location, *endpoints))
        pauses: Any = {
            "init_backoff": timedelta(seconds=patience.FIRST_PAUSE_S),
            "max_backoff": timedelta(seconds=15),
            "base": 2,
        }
        try:
            self._store: Any = from_url(
                location,
                client_options={
                    "timeout": timedelta(seconds=TIMEOUT_S),
                    **({"allow_http": True} if is_plain else {}),
                },
                retry_config={
                    "max_retries": RETRIES,
                    "retry_timeout": timedelta(seconds=patience.GIVE_UP_S),
                    "backoff": pauses,
                },
            )
        except (BaseError, ValueError) as error:
            raise ConfigError(f"location {location!r} cannot be opened: {told(error)}") from error

    def read(self, key: str) -> bytes | None:
        """See :class:`~pipeline.common.stores.store.Store`."""
        return self._read(key)[0]

    def write(self, key: str, content: bytes) -> None:
        """See :class:`~pipeline.common.stores.store.Store`."""
        with self._explaining(key):
            patiently(lambda: self._store.put(key, content, use_multipart=False))

    def create(self, key: str, content: bytes) -> bool:
        """See :class:`~pipeline.common.stores.store.Store`."""
        return self._put(key, content, "create") is not None

    def version(self, key: str) -> str:
        """The object's ETag."""
        with self._explaining(key):
            try:
                return patiently(lambda: self._store.head(key))["e_tag"] or ""
            except FileNotFoundError:
                return ""

    def write_over(self, key: str, content: bytes, version: str) -> str | None:
        """See :class:`~pipeline.common.stores.store.Store`."""
        return self._put(key, content, {"e_tag": version} if version else "create")

    def holds(self, key: str, content: bytes) -> bool:
        """See :class:`~pipeline.common.stores.store.Store`; mostly the ETag says it, an MD5."""
        e_tag = self.version(key).strip('"')
        if e_tag == hashlib.md5(content, usedforsecurity=False).hexdigest():
            return True
        return bool(e_tag) and self.read(key) == content

    def names(self, folder: str) -> list[str]:
        """See :class:`~pipeline.common.stores.store.Store`."""
        with self._explaining(folder):
            found = patiently(lambda: self._store.list_with_delimiter(folder or None))
        paths = [meta["path"] for meta in found["objects"]] + list(found["common_prefixes"])
        return [path.rstrip("/").rpartition("/")[2] for path in paths]

    def sizes(self, prefix: str) -> dict[str, int]:
        """See :class:`~pipeline.common.stores.store.Store`."""
        with self._explaining(prefix):
            metas = patiently(lambda: self._store.list(prefix or None).collect())
        return {meta["path"]: int(meta["size"]) for meta in metas}

    def delete(self, key: str) -> None:
        """See :class:`~pipeline.common.stores.store.Store`."""
        under = list(self.sizes(key))
        with self._explaining(key):
            # One after the other: of several at once the store may do some and not answer.
            for path in (key, *under):
                with suppress(FileNotFoundError):
                    patiently(partial(self._store.delete, path))

    def zarr_store(self, *, read_only: bool) -> Any:
        """See :class:`~pipeline.common.stores.store.Store`."""
        return patience.patient_zarr_store(self._store, read_only=read_only)

    def _read(self, key: str) -> tuple[bytes | None, str]:
        """An object's bytes and its ETag."""

        def ask() -> tuple[bytes, str]:
            result = self._store.get(key)
            return bytes(result.bytes()), result.meta["e_tag"] or ""

        with self._explaining(key):
            try:
                return patiently(ask)
            except FileNotFoundError:
                return None, ""

    def _put(self, key: str, content: bytes, mode: Any) -> str | None:
        """Put an object under a condition; its ETag, or None where the condition is not met."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        def ask() -> str:
            result = self._store.put(key, content, mode=mode, use_multipart=False)
            return result["e_tag"] or ""

        with self._explaining(key):
            try:
                return patiently(ask)
            except (AlreadyExistsError, PreconditionError):
                # Maybe by our own put, which was asked again as its answer got lost.
                found, e_tag = self._read(key)
                return e_tag if found == content else None

    @contextmanager
    def _explaining(self, key: str) -> Iterator[None]:
        """Say what went wrong and where, in the words of our own errors.

        Raises:
            ConfigError: the store refuses us, or there is no such bucket.
            StoreError: it does not answer as it must.
        """
        from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

        where = f"{self.location}/{key}".rstrip("/")
        try:
            yield
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise ConfigError(
                f"{where}: the store refuses: {told(error)}. See that the credentials are there "
                "(AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or those of the machine) and may "
                "read and write that bucket"
            ) from error
        except BaseError as error:
            message = told(error)
            if "NoSuchBucket" in message:
                raise ConfigError(
                    f"{where}: there is no such bucket. Make it first, or name another"
                ) from error
            if "169.254.169.254" in message:
                raise ConfigError(
                    f"{where}: there are no credentials, and this machine has none of its own. Set "
                    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                ) from error
            raise StoreError(f"{where}: the store does not answer as it must: {message}") from error
