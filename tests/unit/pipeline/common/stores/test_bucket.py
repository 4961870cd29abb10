"""An object store that fails: what is asked again, whose put it was, what is said at the end."""

from __future__ import annotations

import pytest
import zarr

from pipeline.common.stores import StoreError, bucket, open_store, patience
from pipeline.common.stores.bucket import Bucket
from pipeline.contract import ConfigError
from tests.faulty_proxy import FAULTS, faulty_proxy, scripted

SERIES = [[fault] for fault in FAULTS] + [[f] * 3 for f in FAULTS if f not in ("cut", "slow")]
"""What is late is not asked again, and a put's answer has no body to be cut."""


@pytest.fixture
def failing(s3, s3_endpoint, monkeypatch):
    """Opens the test's place through a proxy that fails as chosen; small pauses."""
    monkeypatch.setattr(patience, "FIRST_PAUSE_S", 0.01)

    def open_failing(stack, choose):
        proxy = stack.enter_context(faulty_proxy(s3_endpoint, choose))
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        return Bucket(s3), proxy

    return open_failing


@pytest.fixture
def stack():
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("faults", SERIES)
def test_a_put_where_there_is_none_is_ours_whatever_became_of_its_answer(
    failing, stack, s3, faults
):
    """A second ask found our own object there, and we refused ourselves."""
    store, proxy = failing(stack, scripted(*faults))
    assert store.create("claim", b"mine")
    assert proxy.n_faults == len(faults)
    assert not store.create("claim", b"another's")
    assert not open_store(s3).create("claim", b"a third's")
    assert store.read("claim") == b"mine"


@pytest.mark.parametrize("faults", SERIES)
def test_a_put_over_a_version_is_ours_whatever_became_of_its_answer(failing, stack, faults):
    store, proxy = failing(stack, scripted(None, *faults))
    store.write("x", b"1")
    first = store.version("x")
    second = store.write_over("x", b"2", first)
    assert second == store.version("x") != first
    assert proxy.n_faults == len(faults)
    assert store.write_over("x", b"3", first) is None
    assert store.write_over("x", b"3", "") is None
    assert store.read("x") == b"2"
    assert store.write_over("x", b"3", second) == store.version("x")


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_else_is_asked_is_asked_again(failing, stack, fault):
    store, proxy = failing(stack, scripted())
    content = bytes(range(256)) * 100
    array = None

    def asked(ask):
        proxy.choose = scripted(*[fault] * 2, method="")
        return ask()

    asked(lambda: store.write("a/b", content))
    assert asked(lambda: store.read("a/b")) == content
    assert asked(lambda: store.holds("a/b", content))
    assert asked(lambda: store.names("")) == ["a"]
    assert asked(lambda: store.sizes("")) == {"a/b": len(content)}
    asked(lambda: store.delete("a"))
    assert asked(lambda: store.read("a/b")) is None
    assert asked(lambda: store.version("a/b")) == ""
    group = asked(lambda: zarr.open_group(store.zarr_store(read_only=False), mode="a"))
    for _ in range(2):
        array = asked(lambda: group.create_array("x", shape=(3,), dtype="int8", overwrite=True))
    asked(lambda: array.__setitem__(slice(None), 7))
    assert asked(lambda: list(group)) == ["x"]
    assert asked(lambda: array[:]).tolist() == [7, 7, 7]
    asked(lambda: group.__delitem__("x"))
    assert list(store.sizes("")) == ["zarr.json"]
    assert proxy.n_faults >= 20


def test_a_store_that_stays_away_is_named_with_what_is_kept(failing, stack, monkeypatch):
    monkeypatch.setattr(bucket, "RETRIES", 2)
    monkeypatch.setattr(patience, "ATTEMPTS", 2)
    store, _ = failing(stack, lambda method, path: "drop")
    for ask in (
        lambda: store.read("x"),
        lambda: store.write("x", b"1"),
        lambda: store.create("x", b"1"),
        lambda: store.version("x"),
        lambda: store.names(""),
        lambda: store.delete("x"),
    ):
        with pytest.raises(StoreError, match=r"^s3://.*: the store does not answer as it must: "):
            ask()


def test_a_store_that_refuses_is_told_apart(failing, stack):
    store, _ = failing(stack, scripted())

    class Refusing:
        def put(self, *_: object, **__: object) -> None:
            from obstore.exceptions import PermissionDeniedError

            raise PermissionDeniedError("403 Forbidden")

    store._store = Refusing()
    with pytest.raises(ConfigError, match=r"the store refuses: 403 Forbidden. See that the cred"):
        store.create("x", b"1")


def test_without_obstore_the_extra_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "obstore.exceptions", None)
    with pytest.raises(ConfigError, match=r"s3://b/c lies in an object store.*'dmft\[remote\]'"):
        Bucket("s3://b/c")


@pytest.mark.parametrize("location", ["s3://", "s3:///x", "az://account"])
def test_a_url_without_a_bucket_is_refused(location):
    with pytest.raises(ConfigError, match=f"location '{location}' cannot be opened"):
        Bucket(location)
