"""What both programs ask of a Dask cluster, and say of one that fails them, without Dask.

Dask's own client waits for its time-out before it says that nothing answers, and leaves a
traceback behind. This opens a connection and closes it; whether it is a scheduler that answers is
Dask's to find out.
"""

from __future__ import annotations

import socket
import urllib.parse

from pipeline.contract.errors import ConfigError

PROBED = ("tcp", "tls")
TIMEOUT_S = 20.0


def check_answers(address: str) -> None:
    """Refuse an address at which nothing listens.

    Args:
        address: ``host:port``, or with a protocol; of protocols other than TCP and TLS nothing
            is known here, and they pass.

    Raises:
        ConfigError: it is no address, or nothing answers.
    """
    try:
        parts = urllib.parse.urlsplit(address if "://" in address else f"tcp://{address}")
        if parts.scheme not in PROBED:
            return
        if not parts.hostname or parts.port is None:
            raise ValueError("wanted host:port")
        socket.create_connection((parts.hostname, parts.port), timeout=TIMEOUT_S).close()
    except (OSError, ValueError) as error:
        raise no_scheduler(address, error) from error


def no_scheduler(address: str, why: Exception) -> ConfigError:
    """Say that no scheduler answers, and what to do."""
    return ConfigError(
        f"no Dask scheduler answers at {address!r} ({why}): start one with 'dask scheduler' and "
        "give the address it prints"
    )


def no_worker_came(seconds: float) -> ConfigError:
    """Say that a cluster has nobody to work."""
    return ConfigError(
        f"the cluster has no worker after {seconds:.0f} s: start some with "
        "'dask worker ADDRESS --nthreads 1'"
    )


def no_worker_left(seconds: float) -> ConfigError:
    """Say that all workers have gone."""
    return ConfigError(
        f"the cluster has had no worker for {seconds:.0f} s: start workers and run the same "
        "command again; what is done stays done"
    )


def scheduler_gone() -> ConfigError:
    """Say that a scheduler that answered does so no more."""
    return ConfigError(
        "the Dask scheduler is gone: start it and run the same command again; what is done stays "
        "done"
    )
