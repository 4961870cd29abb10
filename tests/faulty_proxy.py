"""A proxy before an HTTP server that fails as networks and servers do, as often as it is told.

What it does to which request follows from a seed or from a script, so that a failure comes again.
"""

from __future__ import annotations

import http.client
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FAULTS = ("drop", "error", "slow", "cut", "lose", "error after")
"""``drop``: the connection ends before the request gets there. ``error``: 503, it gets nowhere.
``slow``: late. ``cut``: half of the answer. ``lose``: the server does it, and no answer comes.
``error after``: the server does it, and says 500."""
SLOW_S = 0.1
Choose = Callable[[str, str], str | None]
"""From a request's method and path to the fault it meets."""


@dataclass(slots=True)
class Proxy:
    """What was done to whom."""

    upstream: int
    """The server's port."""
    choose: Choose
    endpoint: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    """Fault to how often it was injected."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def n_faults(self) -> int:
        """Faults injected so far."""
        return sum(self.counts.values())


def at_random(seed: int, share: float) -> Choose:
    """A share of the requests meets a fault, each kind as often as another."""
    source = random.Random(seed)

    def choose(method: str, path: str) -> str | None:
        return source.choice(FAULTS) if source.random() < share else None

    return choose


def scripted(*faults: str | None, method: str = "PUT") -> Choose:
    """The first requests of a method, or of any, meet these faults in turn; the rest none."""
    left = list(faults)

    def choose(asked: str, path: str) -> str | None:
        return left.pop(0) if left and asked in (method or asked) else None

    return choose


@contextmanager
def faulty_proxy(endpoint: str, choose: Choose) -> Iterator[Proxy]:
    """Run the proxy before a server."""
    proxy = Proxy(int(endpoint.rpartition(":")[2]), choose)

    class Handler(BaseHTTPRequestHandler):
        def handle_request(self) -> None:
            """Pass a request on, or fail."""
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with proxy.lock:
                fault = proxy.choose(self.command, self.path)
                if fault:
                    proxy.counts[fault] += 1
            if fault == "drop":
                return self.hang_up()
            if fault == "error":
                return self.answer(503, {}, b"slow down")
            if fault == "slow":
                time.sleep(SLOW_S)
            status, headers, content = self.ask(body)
            if fault == "lose":
                return self.hang_up()
            if fault == "error after":
                return self.answer(500, {}, b"internal error")
            return self.answer(status, headers, content, cut=fault == "cut")

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = handle_request  # noqa: N815

        def ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
            """The server's answer."""
            upstream = http.client.HTTPConnection("127.0.0.1", proxy.upstream, timeout=60)
            try:
                upstream.request(self.command, self.path, body, dict(self.headers))
                answer = upstream.getresponse()
                return answer.status, dict(answer.getheaders()), answer.read()
            finally:
                upstream.close()

        def answer(
            self, status: int, headers: dict[str, str], content: bytes, *, cut: bool = False
        ) -> None:
            """Answer; half of it where the answer is cut."""
            self.send_response_only(status)
            length = headers.pop("Content-Length", str(len(content)))
            for name, value in headers.items():
                if name.lower() not in ("connection", "transfer-encoding"):
                    self.send_header(name, value)
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if cut else content)
            if cut:
                self.hang_up()

        def hang_up(self) -> None:
            """End the connection as it is."""
            self.close_connection = True
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        proxy.endpoint = f"http://127.0.0.1:{server.server_port}"
        try:
            yield proxy
        finally:
            server.shutdown()
