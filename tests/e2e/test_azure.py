"""A cache in Azure's blob storage, as Microsoft's emulator has it; it is no part of CI."""

from __future__ import annotations

import os
import shutil
import uuid

import pytest
from click.testing import CliRunner

from cli import dmft
from dmft.data import open_cache
from pipeline.cache.objects import Objects
from pipeline.cache.verify import verify
from pipeline.common.publishing import fetch, publish, read_listing
from pipeline.common.stores import open_store
from pipeline.contract import ConfigError
from tests.e2e.running import kill_all, start
from tests.e2e.test_object_store import command, contents, wait_for_commits, whole  # noqa: F401
from tests.fabricate import encode_here
from tests.object_store import BUCKET, azurite

PROGRAM = os.environ.get("DMFT_AZURITE") or shutil.which("azurite-blob")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        PROGRAM is None,
        reason="Azurite is not installed: npm install -g azurite, or DMFT_AZURITE=azurite-blob",
    ),
]


@pytest.fixture(scope="module")
def emulator():
    with azurite(PROGRAM) as environment:
        yield environment


@pytest.fixture
def place(emulator, monkeypatch):
    for name, value in emulator.items():
        monkeypatch.setenv(name, value)
    return f"az://{BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr("pipeline.cache.writer.MAX_CHUNK_RECORDS", 2)


def test_a_put_under_a_condition_is_refused_where_it_is_not_met(place):
    objects = Objects(place)
    assert objects.create("a", b"1")
    assert not objects.create("a", b"2")
    seen, listed = objects.version("a"), objects.versions()
    assert listed == {"a": seen}
    assert objects.write_over("a", b"3", seen) == objects.version("a")
    assert objects.write_over("a", b"4", seen) is None
    assert objects.write_over("b", b"1", "") == objects.version("b")
    assert objects.write_over("b", b"2", "") is None
    assert (objects.read("a"), objects.read("b")) == (b"3", b"1")
    objects.delete("a")
    assert objects.sizes() == {"b": 1}


def test_killed_it_goes_on_and_is_published_fetched_and_read_in_place(
    whole,  # noqa: F811
    place,
    tmp_path,
    monkeypatch,
):
    cache = f"{place}/cache"
    for n_commits in (1, 5):
        process = start(command(whole, cache))
        wait_for_commits(process, cache, n_commits)
        kill_all(process)
    encode_here(whole[0], cache)
    assert contents(cache) == whole[2]
    assert verify(cache, full=True).findings == ()
    store = open_store(cache)
    assert publish(store, read_listing(store), open_store(f"{place}/there")).n_sent
    assert publish(store, read_listing(store), open_store(f"{place}/there")).n_sent == 0
    assert not fetch(open_store(f"{place}/there"), tmp_path / "out").damaged
    assert contents(str(tmp_path / "out")) == whole[2]
    monkeypatch.setenv("DMFT_CHUNKS", str(tmp_path / "chunks"))
    here, there = open_cache(tmp_path / "out"), open_cache(f"{place}/there")
    assert all((here.features[m] == there.features[m]).all() for m in here.modalities)


def test_it_is_edited_and_of_two_encodes_one_is_refused(whole, place):  # noqa: F811
    first = start(command(whole, place))
    wait_for_commits(first, place, 1)
    with pytest.raises(ConfigError, match=rf"{place} is being written by another encode"):
        encode_here(whole[0], place)
    _, err = first.communicate(timeout=200)
    assert first.returncode == 0, err
    done = CliRunner().invoke(dmft, ["cache", "drop", place, "--where", "subject == 1"])
    assert done.exit_code == 0, done.stderr
    assert verify(place, full=True).findings == ()
