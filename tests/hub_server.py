"""As much of Hugging Face's hub as ``dmft publish`` and ``fetch`` ask for, on a loopback address.

It speaks to the real ``huggingface_hub`` package: what a repository is and lists, how a file is to
be sent, large files by their SHA-256 beside git, and commits on top of the last one. It was written
from that package's source and is not the hub.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN, READER = "hf_writes", "hf_reads"
LARGE = 600
"""Bytes from which on a file is large."""
NO_REPOSITORY = {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}


@dataclass
class Repository:
    """What lies on its one branch."""

    files: dict[str, bytes] = field(default_factory=lambda: {".gitattributes": b"*.parquet lfs\n"})
    head: str = "0" * 40
    messages: list[str] = field(default_factory=list)


@dataclass
class Hub:
    """What the server knows, and what a test has it do wrong."""

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    """By ``datasets/USER/NAME`` and ``models/USER/NAME``."""
    large: dict[str, bytes] = field(default_factory=dict)
    """By SHA-256; also those that no commit names yet."""
    n_puts: int = 0
    fails_at_put: int = 0
    before_commit: Any = None
    spoils: str = ""
    """A file of which a commit keeps other bytes than were sent."""


def _blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _is_large(path: str, size: int) -> bool:
    return size >= LARGE or path.endswith((".parquet", ".safetensors"))


def _listed(path: str, content: bytes) -> dict[str, Any]:
    about = {"type": "file", "path": path, "size": len(content), "oid": _blob(content)}
    if _is_large(path, len(content)):
        sha256 = hashlib.sha256(content).hexdigest()
        about["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 130}
        about["oid"] = _blob(sha256.encode())
    return about


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, status: int, content: object = b"", **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/large/"):
            return self._large(path.removeprefix("/large/"), body)
        if path == "/api/validate-yaml":
            has_front = json.loads(body)["content"].startswith("---\n")
            warnings = [] if has_front else [{"message": "empty or missing yaml metadata"}]
            return self._answer(200, {"errors": [], "warnings": warnings})
        found = re.fullmatch(
            r"/(?:api/(models|datasets)/([^/]+/[^/]+?)(?:/(revision|tree|preupload|commit)/([^/]+))?"
            r"|(datasets/)?([^/]+/[^/]+?)(?:\.git/info/lfs/objects/(batch)|/(resolve)/([^/]+)/(.*)))",
            path,
        )
        if found is None:  # which program asks, and such
            return self._answer(404)
        kind = found[1] or ("datasets" if found[5] else "models")
        repository = self.hub.repositories.get(f"{kind}/{found[2] or found[6]}")
        act = found[3] or found[7] or found[8] or "revision"
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if repository is None:
            return self._answer(404, **NO_REPOSITORY)
        if act in ("preupload", "commit", "batch") and token != TOKEN:
            return self._answer(403, {"error": "this token may read"})
        branch = found[4] or found[9]
        if branch not in (None, "main", repository.head):
            return self._answer(404, **{"X-Error-Code": "RevisionNotFound"})
        getattr(self, f"_{act}")(repository, found, body)
        return None

    do_GET = do_POST = do_PUT = do_HEAD = _handle  # noqa: N815

    def _revision(self, repository: Repository, found: re.Match[str], _: bytes) -> None:
        self._answer(200, {"id": found[2], "sha": repository.head, "siblings": [], "tags": []})

    def _tree(self, repository: Repository, _found: object, _: bytes) -> None:
        folder = {"type": "directory", "path": "folder", "oid": "0" * 40, "size": 0}
        files = [_listed(path, content) for path, content in sorted(repository.files.items())]
        self._answer(200, [folder, *files])

    def _resolve(self, repository: Repository, found: re.Match[str], _: bytes) -> None:
        content = repository.files.get(found[10])
        if content is None:
            return self._answer(404, **{"X-Error-Code": "EntryNotFound"})
        if not _is_large(found[10], len(content)):
            return self._answer(200, content)
        return self._answer(302, Location=f"/large/{hashlib.sha256(content).hexdigest()}")

    def _preupload(self, repository: Repository, _found: object, body: bytes) -> None:
        files = [
            {
                "path": each["path"],
                "uploadMode": "lfs" if _is_large(each["path"], each["size"]) else "regular",
                "shouldIgnore": False,
            }
            for each in json.loads(body)["files"]
        ]
        self._answer(200, {"files": files})

    def _batch(self, repository: Repository, _found: object, body: bytes) -> None:
        objects = [
            {**each, "actions": {"upload": {"href": f"{self.hub.url}/large/{each['oid']}"}}}
            if each["oid"] not in self.hub.large
            else each
            for each in json.loads(body)["objects"]
        ]
        self._answer(200, {"transfer": "basic", "objects": objects})

    def _large(self, oid: str, body: bytes) -> None:
        if self.command in ("GET", "HEAD"):
            return self._answer(200, self.hub.large[oid])
        self.hub.n_puts += 1
        if self.hub.n_puts == self.hub.fails_at_put:
            return self._answer(400, {"error": "the disk is full"})
        assert hashlib.sha256(body).hexdigest() == oid
        self.hub.large[oid] = body
        return self._answer(200)

    def _commit(self, repository: Repository, found: re.Match[str], body: bytes) -> None:
        if self.hub.before_commit is not None:
            self.hub.before_commit(repository)
        header, *operations = (json.loads(line) for line in body.splitlines())
        if header["value"].get("parentCommit", repository.head) != repository.head:
            return self._answer(412, {"error": "A commit has happened since."})
        for each in operations:
            value = each["value"]
            if each["key"] == "deletedFile":
                del repository.files[value["path"]]
            elif each["key"] == "lfsFile":
                repository.files[value["path"]] = self.hub.large[value["oid"]]
            else:
                repository.files[value["path"]] = base64.b64decode(value["content"])
        if self.hub.spoils in repository.files:
            repository.files[self.hub.spoils] += b"?"
        repository.head = hashlib.sha1(repository.head.encode() + body).hexdigest()
        repository.messages.append(header["value"]["summary"])
        place = f"{found[1]}/{found[2]}".removeprefix("models/")
        url = f"{self.hub.url}/{place}/commit/{repository.head}"
        return self._answer(200, {"commitUrl": url, "commitOid": repository.head})


@contextmanager
def hub_server() -> Iterator[Hub]:
    """Run the server, without a repository."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        hub.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield hub
        server.shutdown()
