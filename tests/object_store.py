"""A real S3 server for tests: moto's, in a process of its own, on a loopback address.

Of Azure's blobs, Microsoft's emulator where it is installed (``npm install -g azurite``).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate

BUCKET = "bucket"
_SERVE = """
import logging, threading
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication, MotoRequestHandler, create_backend_app
)
from werkzeug.serving import make_server

logging.getLogger("werkzeug").setLevel(logging.ERROR)
app, alone = DomainDispatcherApplication(create_backend_app), threading.Lock()

def one_at_a_time(environ, start_response):
    # moto looks at a condition and then puts: only alone is that what S3 does, one step.
    with alone:
        return app(environ, start_response)

server = make_server(
    "127.0.0.1", 0, one_at_a_time, threaded=True, request_handler=MotoRequestHandler
)
print(server.server_port, flush=True)
server.serve_forever()
"""


def environment(endpoint: str) -> dict[str, str]:
    """What tells a client where the server is and who asks."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "tests",
        "AWS_SECRET_ACCESS_KEY": "tests",
        "AWS_REGION": "us-east-1",
        "NO_PROXY": "127.0.0.1",
    }


@contextmanager
def s3_server() -> Iterator[str]:
    """Run the server, with an empty ``BUCKET``; gives its address."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "NO_PROXY": "127.0.0.1"},
        text=True,
    )
    try:
        assert process.stdout is not None
        endpoint = f"http://127.0.0.1:{process.stdout.readline().strip()}"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        opener.open(urllib.request.Request(f"{endpoint}/{BUCKET}", method="PUT"), timeout=30)
        yield endpoint
    finally:
        process.kill()
        process.wait()


ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""What every copy of Azurite has; it opens nothing else."""


@contextmanager
def azurite(program: str) -> Iterator[dict[str, str]]:
    """Run Microsoft's emulator, with an empty ``BUCKET``; gives what tells a client of it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = ["--blobHost", "127.0.0.1", "--blobPort", str(port)]
    options = ["--inMemoryPersistence", "--skipApiVersionCheck", "--silent", "--disableTelemetry"]
    process = subprocess.Popen([program, *where, *options], stdout=subprocess.DEVNULL)
    try:
        address = f"http://127.0.0.1:{port}"
        _make_container(f"{address}/{ACCOUNT}/{BUCKET}")
        yield {
            "AZURE_STORAGE_USE_EMULATOR": "true",
            "AZURITE_BLOB_STORAGE_URL": address,
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": _KEY,
            "NO_PROXY": "127.0.0.1",
        }
    finally:
        process.kill()
        process.wait()


def _make_container(url: str) -> None:
    """Ask for a container until the server is there."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(300):
        headers = {
            "x-ms-date": formatdate(usegmt=True),
            "x-ms-version": "2021-08-06",
        }
        said = "\n".join(f"{name}:{value}" for name, value in headers.items())
        to_sign = f"PUT{12 * chr(10)}{said}\n/{ACCOUNT}/{ACCOUNT}/{BUCKET}\nrestype:container"
        signature = hmac.new(base64.b64decode(_KEY), to_sign.encode(), hashlib.sha256).digest()
        headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(signature).decode()}"
        headers["Content-Length"] = "0"
        request = urllib.request.Request(f"{url}?restype=container", None, headers, method="PUT")
        try:
            opener.open(request, timeout=30)
            return
        except urllib.error.HTTPError:
            raise
        except urllib.error.URLError:
            time.sleep(0.1)
    raise TimeoutError(f"{url}: the emulator does not answer")
