"""A real S3 server for tests: moto's, in a process of its own, on a loopback address."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

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
