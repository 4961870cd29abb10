"""Our own cluster takes tasks from nobody else."""

import socket
import urllib.parse

import pytest
from distributed import Client
from distributed.security import Security

from pipeline.encode.dask_run import cluster


def test_nobody_without_the_certificate_can_send_a_task():
    """Any local user could run code as the user of a running encode."""
    with cluster(1, None) as client:
        address = client.scheduler.address
        parts = urllib.parse.urlsplit(address)
        assert (parts.scheme, parts.hostname) == ("tls", "127.0.0.1")
        plain = address.replace("tls://", "tcp://")
        for stranger, security in ((plain, None), (address, Security.temporary())):
            with pytest.raises(OSError):  # noqa: PT011 - whatever TLS says of it
                Client(stranger, security=security, timeout="3s", set_as_default=False)
        shown = urllib.parse.urlsplit(client.dashboard_link)
        assert shown.hostname == "127.0.0.1"
        others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None)}
        for other in others - {"127.0.0.1", "::1"}:
            with pytest.raises(OSError):  # noqa: PT011
                socket.create_connection((other, shown.port), timeout=3)
