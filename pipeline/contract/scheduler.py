"""Whether something answers at a Dask scheduler's address, asked without Dask.

Dask's own client waits for its time-out before it says so, and leaves a traceback behind. This
opens a connection and closes it; whether it is a scheduler that answers is Dask's to find out.
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
