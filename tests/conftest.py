"""What tests of several folders share and is started once, when the first of them asks."""

from __future__ import annotations

import gc
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import object_store, warm


def pytest_collection_finish() -> None:
    """What is imported by now stays: the garbage collector need not look through it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of an S3 server."""
    pytest.importorskip("moto", reason="the S3 server of the tests comes with dmft[dev]")
    with object_store.s3_server() as endpoint:
        yield endpoint


@pytest.fixture
def s3(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A place of the test's own on that server, as a URL; clients find the server by themselves."""
    for name, value in object_store.environment(s3_endpoint).items():
        monkeypatch.setenv(name, value)
    return f"s3://{object_store.BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture(scope="session")
def warm_dmft(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The program ``dmft``, which need not import its packages: see :mod:`tests.warm`."""
    with warm.serving(tmp_path_factory.mktemp("warm")) as program:
        yield program
