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
from collections.abc import Iterator, Mapping
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
BETWEEN = " "
"""What stands between an ETag and a number of a version: S3 and Azure go by the one, Google by the
other."""


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
        """See :class:`~pipeline.common.stores.store.Store`."""
        return _version(self._head(key))

    def versions(self) -> dict[str, str]:
        """See :class:`~pipeline.common.stores.store.Store`."""
        return {meta["path"]: _version(meta) for meta in self._list("")}

    def write_over(self, key: str, content: bytes, version: str) -> str | None:
        """See :class:`~pipeline.common.stores.store.Store`."""
        e_tag, _, number = version.partition(BETWEEN)
        condition = {"e_tag": e_tag, **({"version": number} if number else {})}
        return self._put(key, content, condition if version else "create")

    def holds(self, key: str, content: bytes) -> bool:
        """See :class:`~pipeline.common.stores.store.Store`; mostly the ETag says it, an MD5."""
        e_tag = ((self._head(key) or {}).get("e_tag") or "").strip('"')
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
        return {meta["path"]: int(meta["size"]) for meta in self._list(prefix)}

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

    def _head(self, key: str) -> dict[str, Any] | None:
        """What the store says of an object; None where there is none."""
        with self._explaining(key):
            try:
                found: dict[str, Any] = patiently(lambda: self._store.head(key))
                return found
            except FileNotFoundError:
                return None

    def _list(self, prefix: str) -> list[dict[str, Any]]:
        """What the store says of every object under a prefix."""
        with self._explaining(prefix):
            found: list[dict[str, Any]] = patiently(
                lambda: self._store.list(prefix or None).collect()
            )
            return found

    def _read(self, key: str) -> tuple[bytes | None, str]:
        """An object's bytes and its version."""

        def ask() -> tuple[bytes, str]:
            result = self._store.get(key)
            return bytes(result.bytes()), _version(result.meta)

        with self._explaining(key):
            try:
                return patiently(ask)
            except FileNotFoundError:
                return None, ""

    def _put(self, key: str, content: bytes, mode: Any) -> str | None:
        """Put an object under a condition; its version, or None where that is not met."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        def ask() -> str:
            result = self._store.put(key, content, mode=mode, use_multipart=False)
            return _version(result)

        with self._explaining(key):
            try:
                return patiently(ask)
            except (AlreadyExistsError, PreconditionError):
                # Maybe by our own put, which was asked again as its answer got lost.
                found, version = self._read(key)
                return version if found == content else None

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
            hint = (
                "Not everyone may read it: bring it here with the program of its site, such as "
                "'hf download', and name that folder"
                if where.startswith("http")
                else "See that the credentials are there (AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or those of the machine) and may read and write that bucket"
            )
            raise ConfigError(f"{where}: the store refuses: {told(error)}. {hint}") from error
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


def _version(meta: Mapping[str, Any] | None) -> str:
    """What tells an object from what it was before; empty where there is none.

    Azure's lists have ETags without the quotation marks that everything else has.
    """
    if meta is None:
        return ""
    e_tag = (meta["e_tag"] or "").strip('"')
    return f'"{e_tag}"{BETWEEN}{meta["version"] or ""}'.rstrip(BETWEEN)
