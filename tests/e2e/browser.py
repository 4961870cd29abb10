"""A headless Chromium that tests can drive: open a page, run JavaScript, press keys, hear errors.

It speaks the browser's own protocol over a web socket, so nothing has to be installed but the
browser. Where there is none, tests skip with the reason.
"""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tornado.websocket import WebSocketClientConnection, websocket_connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SECONDS = 60.0


def find_browser() -> str | None:
    """Path of a Chromium; None where there is none."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Browser:
    """One tab."""

    def __init__(self, loop: asyncio.AbstractEventLoop, socket: WebSocketClientConnection) -> None:
        self.loop, self.socket, self.n_sent = loop, socket, 0
        self.complaints: list[str] = []
        """Of this page: console errors and warnings, exceptions, refused requests."""
        self.requests: list[str] = []
        """Every address that this page asked for."""

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask the browser something and wait for the answer, noting events meanwhile."""
        self.n_sent += 1
        message = {"id": self.n_sent, "method": method, "params": parameters}
        return self.loop.run_until_complete(asyncio.wait_for(self._send(message), SECONDS))

    async def _send(self, message: dict[str, Any]) -> dict[str, Any]:
        await self.socket.write_message(json.dumps(message))
        while True:
            text = await self.socket.read_message()
            assert text is not None, "the browser has gone"
            answer = json.loads(text)
            if answer.get("id") == message["id"]:
                assert "error" not in answer, answer["error"]
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer.get("method", ""), answer.get("params", {}))

    def _note(self, event: str, said: dict[str, Any]) -> None:
        if event == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(said["exceptionDetails"]))
        elif event == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps(said["args"]))
        elif event == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning"):
            self.complaints.append(said["entry"]["text"])
        elif event == "Network.requestWillBeSent":
            self.requests.append(said["request"]["url"])

    def open(self, page: Path, *, width: int = 1280) -> float:
        """Load a page; return the seconds that it took to be ready."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.requests.clear()
        self.complaints.clear()
        started = time.monotonic()
        self.send("Page.navigate", url=page.resolve().as_uri())
        while self.run("document.readyState + location.protocol") != "completefile:":
            assert time.monotonic() - started < SECONDS, "the page does not end loading"
            time.sleep(0.02)
        return time.monotonic() - started

    def run(self, script: str) -> Any:
        """Value of a JavaScript expression; a promise is waited for."""
        found = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key."""
        more: dict[str, Any] = {"Enter": {"text": "\r"}, "Escape": {"windowsVirtualKeyCode": 27}}
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, **more.get(key, {}))
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key, code=key)

    def screenshot(self, path: Path) -> None:
        """What is seen, as PNG."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))


@contextmanager
def started(executable: str, folder: Path) -> Iterator[Browser]:
    """A browser with a profile of its own in ``folder``, ended afterwards."""
    process = subprocess.Popen(
        [executable, *QUIET, f"--user-data-dir={folder}", "--remote-debugging-port=0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    loop = asyncio.new_event_loop()
    try:
        port = _port(folder / "DevToolsActivePort", process)
        ask = urllib.request.Request(f"http://127.0.0.1:{port}/json/new", method="PUT")
        with urllib.request.urlopen(ask, timeout=SECONDS) as answer:
            address = json.load(answer)["webSocketDebuggerUrl"]

        async def connect() -> WebSocketClientConnection:
            return await websocket_connect(address, max_message_size=1 << 28)

        browser = Browser(loop, loop.run_until_complete(connect()))
        for domain in ("Page", "Runtime", "Log", "Network"):
            browser.send(f"{domain}.enable")
        yield browser
        browser.socket.close()
    finally:
        process.terminate()
        process.wait(timeout=SECONDS)
        loop.close()


def _port(file: Path, process: subprocess.Popen[bytes]) -> str:
    begun = time.monotonic()
    while time.monotonic() - begun < SECONDS:
        assert process.poll() is None, "the browser ended at once"
        if file.exists() and file.read_text().count("\n"):
            return file.read_text().splitlines()[0]
        time.sleep(0.05)
    raise TimeoutError(f"the browser opened no port in {SECONDS:g} s")


NAMELESS = (
    "[...document.querySelectorAll('button, select, input, svg[role=img]')].filter(e =>"
    " !(e.getAttribute('aria-label') || e.textContent || (e.labels && e.labels.length)))"
    ".map(e => e.outerHTML.slice(0, 80))"
)
"""Script that lists the controls without a name."""


def assert_content(browser: Browser, page: Path) -> None:
    """Nothing complained, and nothing but the page itself was asked for."""
    browser.run("new Promise(done => setTimeout(done, 50))")
    assert browser.complaints == []
    asked = {address for address in browser.requests if not address.startswith("data:")}
    assert asked <= {page.resolve().as_uri()}
