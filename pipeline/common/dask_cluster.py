"""A Dask cluster that somebody else started: connect to it, watch its workers, leave it.

Dask's own client waits for its time-out before it says that nothing answers, and leaves a
traceback behind; a cluster without workers makes it wait for ever. Whoever is failed by a cluster
gets one message here that says what to do. Imported only where a cluster is wanted: nothing else
of the two programs needs Dask.
"""

from __future__ import annotations

import logging
import socket
import time
import urllib.parse
from collections.abc import Iterable
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any

from distributed import Client, Future
from distributed.comm.core import CommClosedError

from pipeline.contract.errors import ConfigError

PROBED = ("tcp", "tls")
CONNECT_TIMEOUT_S = 20.0
NO_WORKERS_AFTER_S = 60.0


def connect(address: str) -> Client:
    """A client of the scheduler at an address.

    Args:
        address: ``host:port``, or with a protocol.

    Raises:
        ConfigError: it is no address, or no scheduler answers.
    """
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        _check_that_something_listens(address)
        return Client(address, timeout=f"{CONNECT_TIMEOUT_S:.0f}s", set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise ConfigError(
            f"no Dask scheduler answers at {address!r} ({error}): start one with 'dask scheduler' "
            "and give the address it prints"
        ) from error


def _check_that_something_listens(address: str) -> None:
    """Open a connection and close it; of protocols other than TCP and TLS nothing is known."""
    parts = urllib.parse.urlsplit(address if "://" in address else f"tcp://{address}")
    if parts.scheme not in PROBED:
        return
    if not parts.hostname or parts.port is None:
        raise ValueError("wanted host:port")
    socket.create_connection((parts.hostname, parts.port), timeout=CONNECT_TIMEOUT_S).close()


class WorkerWatch:
    """The workers of a cluster, which come, go and die."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._none_since: float | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        """Who is there now."""
        return tuple(self._client.scheduler_info(n_workers=-1)["workers"])

    def wait_for_one(self) -> None:
        """Wait until a worker is there.

        Raises:
            ConfigError: none comes.
        """
        try:
            self._client.wait_for_workers(1, timeout=NO_WORKERS_AFTER_S)
        except TimeoutError as error:
            raise ConfigError(
                f"the cluster has no worker after {NO_WORKERS_AFTER_S:.0f} s: start some with "
                "'dask worker ADDRESS --nthreads 1'"
            ) from error

    def check(self) -> None:
        """Look whether anyone is there; to be called now and then while waiting.

        Raises:
            ConfigError: nobody has been there for a while.
        """
        if self.addresses:
            self._none_since = None
        elif self._none_since is None:
            self._none_since = time.monotonic()
        elif time.monotonic() - self._none_since > NO_WORKERS_AFTER_S:
            raise ConfigError(
                f"the cluster has had no worker for {NO_WORKERS_AFTER_S:.0f} s: start workers and "
                "run the same command again; what is done stays done"
            )


def error_of(future: Future[Any]) -> BaseException | None:
    """What a finished task raised, or None.

    Raises:
        ConfigError: it was lost with its scheduler.
    """
    try:
        error: BaseException | None = future.exception()
    except CancelledError as lost:
        error = lost
    if isinstance(error, CancelledError | CommClosedError):
        raise ConfigError(
            "the Dask scheduler is gone: start it and run the same command again; what is done "
            "stays done"
        ) from error
    return error


def leave(client: Client, futures: Iterable[Future[Any]], topic: str) -> None:
    """Take back what was not done and listen no more.

    A scheduler that is gone cannot be told; whatever stopped us is what is said.
    """
    with suppress(Exception):
        client.cancel(list(futures), force=True)
        client.unsubscribe_topic(topic)
