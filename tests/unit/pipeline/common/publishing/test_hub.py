"""What is published on Hugging Face's hub is what was written: the real client, our own hub."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from pipeline.common.checksums import SUMS_FILE
from pipeline.common.publishing import fetch, hub, publish_to_hub, read_listing
from pipeline.common.stores import StoreError, open_store, served_at
from pipeline.contract import ConfigError, ContractError
from tests.factories import write_cache
from tests.hub_server import READER, TOKEN, Repository, hub_server

PLACE = "hf://datasets/lab/walks"
CHUNK = "skeleton/c/1/0/0"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write_cache(tmp_path_factory.mktemp("made") / "cache.zarr", n_trials=2)


@pytest.fixture(scope="module")
def serving():
    with pytest.MonkeyPatch.context() as patch, hub_server() as server:
        pytest.importorskip("huggingface_hub", reason="it comes with dmft[hub]")
        for name in ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_IMPLICIT_TOKEN"):
            patch.delenv(name, raising=False)
        patch.setenv("HF_ENDPOINT", server.url)
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        yield server


@pytest.fixture
def server(serving, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr("os.fsync", lambda handle: None)
    monkeypatch.setattr("pipeline.common.publishing.fetching.PAUSE_S", 0.0)
    serving.repositories.clear()
    serving.large.clear()
    serving.n_puts = serving.fails_at_put = 0
    serving.before_commit, serving.spoils = None, ""
    serving.repositories["datasets/lab/walks"] = Repository()
    return serving


@pytest.fixture
def cache(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "cache.zarr"))


def objects_of(folder) -> dict[str, bytes]:
    store = open_store(str(folder))
    return {key: store.read(key) for key in store.sizes("")}


def publish_to(place, cache, **options):
    store = open_store(str(cache))
    return publish_to_hub(store, read_listing(store), place, **options)


def test_a_cache_comes_back_as_it_was_and_only_what_is_missing_is_sent(
    server, cache, tmp_path, monkeypatch
):
    monkeypatch.setattr(hub, "MOST_FILES", 9)
    repository, there, steps = server.repositories["datasets/lab/walks"], objects_of(cache), []
    done = publish_to(PLACE, cache, on_progress=lambda *step: steps.append(step))
    assert {k: v for k, v in repository.files.items() if k != ".gitattributes"} == there
    assert (done.kind, done.n_sent, done.n_objects) == ("cache", len(there), len(there))
    assert done.sent_bytes == done.n_bytes == sum(map(len, there.values()))
    assert steps[-1] == (len(there), len(there))
    assert len(repository.messages) == -(-len(there) // 9)

    assert publish_to(PLACE, cache).n_sent == 0
    del repository.files["label/c/0"]
    repository.files[CHUNK] = b"other"
    n_puts = server.n_puts
    done = publish_to(PLACE, cache)
    assert (done.n_sent, server.n_puts) == (2, n_puts), "the hub had the bytes"

    fetch(open_store(served_at(PLACE)), tmp_path / "out")
    assert objects_of(tmp_path / "out") == there


def test_broken_off_it_passes_for_nothing_and_goes_on(server, cache, tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "MOST_FILES", 9)
    server.fails_at_put = 5
    with pytest.raises(StoreError, match=rf"{PLACE}: the hub does not answer as it must: .*disk"):
        publish_to(PLACE, cache)
    repository = server.repositories["datasets/lab/walks"]
    assert 0 < len(repository.files) < len(objects_of(cache))
    with pytest.raises(ContractError, match=r"has no SHA256SUMS: nothing is published there"):
        fetch(open_store(served_at(PLACE)), tmp_path / "out")
    n_there = len(repository.files) - 1
    assert publish_to(PLACE, cache).n_sent == len(objects_of(cache)) - n_there
    fetch(open_store(served_at(PLACE)), tmp_path / "out")
    assert objects_of(tmp_path / "out") == objects_of(cache)


def test_a_cache_may_lie_in_a_folder_beside_others(server, cache, tmp_path):
    for name in ("one.zarr", "two.zarr"):
        publish_to(f"{PLACE}/{name}", cache)
    fetch(open_store(served_at(f"{PLACE}/two.zarr")), tmp_path / "out")
    assert objects_of(tmp_path / "out") == objects_of(cache)


def test_another_cache_is_replaced_when_asked_and_what_else_lies_there_is_not(
    server, cache, tmp_path
):
    grown = write_cache(tmp_path / "grown", n_trials=3, seed=1)
    publish_to(PLACE, grown)
    with pytest.raises(ConfigError, match=rf"{PLACE} holds another cache.*give --replace"):
        publish_to(PLACE, cache)
    publish_to(PLACE, cache, replace=True)
    repository = server.repositories["datasets/lab/walks"]
    assert repository.files.keys() - objects_of(cache).keys() == {".gitattributes"}
    repository.files["thesis.tex"] = b"years"
    with pytest.raises(ConfigError, match=r"holds thesis.tex, which is no part of this cache"):
        publish_to(PLACE, cache, replace=True)


def test_of_two_who_publish_at_once_one_is_refused(server, cache):
    def another(repository):
        repository.head = "1" * 40

    server.before_commit = another
    with pytest.raises(ConfigError, match=rf"{PLACE}: somebody else has changed it meanwhile"):
        publish_to(PLACE, cache)
    server.before_commit = None
    publish_to(PLACE, cache)


def test_what_the_hub_lists_otherwise_than_it_was_sent_is_named(server, cache):
    server.spoils = CHUNK
    with pytest.raises(ContractError, match=rf"{PLACE}/{CHUNK} is not what was sent \(1 such\)"):
        publish_to(PLACE, cache)


def test_damage_is_not_published(server, cache):
    (cache / CHUNK).write_bytes(b"damaged")
    with pytest.raises(ContractError, match=rf"{CHUNK} is not what was written: 'dmft cache veri"):
        publish_to(PLACE, cache)
    assert SUMS_FILE not in server.repositories["datasets/lab/walks"].files


@pytest.mark.parametrize(
    ("place", "token", "said"),
    [
        ("hf://lab/walks", TOKEN, "hf://lab/walks is no place for a cache: wanted hf://datasets/"),
        ("hf://datasets/walks", TOKEN, "is no place for a cache: wanted hf://datasets/USER/NAME"),
        ("hf://datasets/lab/a..b", TOKEN, "hf://datasets/lab/a..b is no name that the hub knows"),
        (
            "hf://datasets/lab/none",
            TOKEN,
            "the hub has no data set lab/none, or this token",
        ),
        (f"{PLACE}@v9", TOKEN, "lab/walks has no branch 'v9': make it first"),
        (PLACE, READER, "the hub refuses: .*See that the token may write to lab/walks"),
        (PLACE, "", "there is no token for the hub. Make one that may write at https://hugg"),
    ],
)
def test_what_cannot_be_published_is_said(server, cache, monkeypatch, tmp_path, place, token, said):
    monkeypatch.setenv("HF_TOKEN", token)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=said if ".*" in said else re.escape(said)):
        publish_to(place, cache)
    assert server.repositories["datasets/lab/walks"].messages == []
