"""What is published and fetched is what was written, whatever happens on the way."""

from __future__ import annotations

import functools
import hashlib
import http.server
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dmft.data import open_cache
from pipeline.common.checksums import SUMS_FILE, Checksums
from pipeline.common.publishing import fetch, publish, read_listing
from pipeline.common.stores import Folder, open_store
from pipeline.contract import ConfigError, ContractError
from tests.factories import seal, write_cache

CHUNK = "skeleton/c/1/0/0"


@pytest.fixture(autouse=True)
def _without_waiting(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda handle: None)
    monkeypatch.setattr("pipeline.common.publishing.fetching.PAUSE_S", 0.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write_cache(tmp_path_factory.mktemp("made") / "cache.zarr", n_trials=2)


@pytest.fixture
def cache(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "cache.zarr"))


@pytest.fixture(params=["folder", "s3"])
def place(request, tmp_path):
    """Somewhere to publish to."""
    if request.param == "s3":
        return request.getfixturevalue("s3")
    return str(tmp_path / "published")


def objects_of(location) -> dict[str, bytes]:
    store = open_store(str(location))
    return {key: store.read(key) for key in store.sizes("")}


def publish_to(cache, place, **options):
    store = open_store(str(cache))
    return publish(store, read_listing(store), open_store(place), **options)


def flip(location, key) -> None:
    store = open_store(str(location))
    content = store.read(key)
    store.write(key, bytes([content[0] ^ 1]) + content[1:])


def test_it_comes_back_as_it_was_and_only_what_is_missing_is_moved(cache, place, tmp_path):
    done, out = publish_to(cache, place), tmp_path / "out"
    assert objects_of(place) == objects_of(cache)
    assert (done.kind, done.n_sent, done.n_objects) == ("cache", *[len(objects_of(cache))] * 2)
    assert done.sent_bytes == done.n_bytes == sum(map(len, objects_of(cache).values()))
    assert publish_to(cache, place).n_sent == 0
    open_store(place).delete("label/c/0")
    flip(place, CHUNK)
    assert publish_to(cache, place).n_sent == 2

    steps = []
    got = fetch(open_store(place), out, on_progress=lambda *step: steps.append(step))
    assert objects_of(out) == objects_of(cache)
    assert steps[-1] == (got.n_objects, got.n_objects)
    assert got.n_fetched == done.n_sent
    assert (got.n_bytes, got.fetched_bytes) == (done.n_bytes, done.n_bytes)
    assert len(open_cache(out, ["skeleton"])) == 32
    assert fetch(open_store(place), out).n_fetched == 0
    flip(out, CHUNK)
    (out / "label" / "c" / "0").unlink()
    assert fetch(open_store(place), out).n_fetched == 2
    assert objects_of(out) == objects_of(cache)


def test_broken_off_it_passes_for_nothing_and_goes_on(cache, place, tmp_path):
    def stop(done, total):
        if done == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish_to(cache, place, on_progress=stop)
    n_there = len(objects_of(place))
    assert n_there >= 9
    with pytest.raises(ContractError, match=f"{place} has no SHA256SUMS: nothing is published"):
        fetch(open_store(place), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert publish_to(cache, place).n_sent == len(objects_of(cache)) - n_there

    with pytest.raises(KeyboardInterrupt):
        fetch(open_store(place), tmp_path / "out", on_progress=stop)
    assert not (tmp_path / "out" / "zarr.json").exists()
    with pytest.raises(ContractError, match="not a Zarr group"):
        open_cache(tmp_path / "out")
    assert 0 < fetch(open_store(place), tmp_path / "out").n_fetched < len(objects_of(cache)) - 8
    assert objects_of(tmp_path / "out") == objects_of(cache)


KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline.common.publishing import fetch
from pipeline.common.stores import folder, open_store
import pipeline.common.files as files

n, flush = int(sys.argv[3]), files.flush

def killed(path):
    global n
    n -= 1
    if n == 0:  # an object is written and not yet in its place, or just is
        os.kill(os.getpid(), signal.SIGKILL)
    flush(path)

files.flush = killed
fetch(open_store(sys.argv[1]), Path(sys.argv[2]))
"""


def test_killed_in_the_middle_of_a_file_it_goes_on(cache, tmp_path):
    out = tmp_path / "out"
    for n in (7, 16, 33):
        done = subprocess.run([sys.executable, "-c", KILLED, cache, out, str(n)], check=False)
        assert done.returncode == -9
        assert not (out / SUMS_FILE).exists()
    fetch(open_store(str(cache)), out)
    assert objects_of(out) == objects_of(cache)
    assert not list(out.rglob("*.partial"))


@pytest.mark.parametrize("how", ["flipped", "gone", "cut"])
def test_what_is_damaged_at_the_source_is_named_and_is_not_there(cache, place, tmp_path, how):
    publish_to(cache, place)
    store, out = open_store(place), tmp_path / "out"
    if how == "flipped":
        flip(place, CHUNK)
    elif how == "gone":
        store.delete(CHUNK)
    else:
        store.write(CHUNK, store.read(CHUNK)[:-1])
    done = fetch(store, out)
    assert done.damaged == (CHUNK,)
    there = objects_of(out)
    assert CHUNK not in there
    assert not {"zarr.json", SUMS_FILE} & there.keys(), "what says that it is whole"
    assert there.items() <= objects_of(cache).items()
    publish_to(cache, place)
    assert fetch(store, out).damaged == ()
    assert objects_of(out) == objects_of(cache)


@pytest.mark.parametrize("content", [b"", b"rubbish", None])
def test_a_list_that_is_not_what_was_written_is_not_believed(cache, tmp_path, content):
    sums = cache / SUMS_FILE
    sums.write_bytes(sums.read_bytes()[:-9] if content is None else content)
    with pytest.raises(ContractError, match=f"{SUMS_FILE} is not what was written"):
        fetch(open_store(str(cache)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "key",
    [
        *(
            "../x",
            "a/../../x",
            "/x",
            "//x",
            "a//x",
            "a/",
            "..",
            ".",
            "",
            ".ledger",
            ".ledger/../../x",
        ),
        *(".bashrc", "a\\..\\x", "C:x", "a\nb", "-rf", "x.partial", SUMS_FILE, "a" * 200),
    ],
)
def test_a_name_that_leads_elsewhere_is_refused_before_anything_is_written(tmp_path, key):
    source, out = tmp_path / "source", tmp_path / "place" / "out"
    source.mkdir()
    (tmp_path / "place").mkdir()
    (source / "zarr.json").write_bytes(b"{}")
    (source / "x").write_bytes(b"evil")
    digests = {name: hashlib.sha256((source / name).read_bytes()) for name in ("zarr.json", "x")}
    sums = {"zarr.json": digests["zarr.json"].hexdigest(), key: digests["x"].hexdigest()}
    (source / SUMS_FILE).write_bytes(Checksums(sha256=sums).to_bytes())
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ContractError, match=f"{source}/{SUMS_FILE} lists "):
        fetch(open_store(str(source)), out)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_link_in_the_folder_is_not_followed_out_of_it(cache, tmp_path):
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (out / "skeleton").symlink_to(elsewhere)
    with pytest.raises(ConfigError, match=f"leads out of {out}: remove that link"):
        fetch(open_store(str(cache)), out)
    assert not list(elsewhere.iterdir())
    (out / "skeleton").unlink()
    (elsewhere / "file").write_bytes((cache / "label/zarr.json").read_bytes())
    (out / "label").mkdir(exist_ok=True)
    (out / "label" / "zarr.json").unlink(missing_ok=True)
    (out / "label" / "zarr.json").symlink_to(elsewhere / "file")
    fetch(open_store(str(cache)), out)
    assert not (out / "label" / "zarr.json").is_symlink()
    assert objects_of(out) == objects_of(cache)


def test_what_else_lies_in_the_folder_is_not_touched(cache, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("years")
    with pytest.raises(ConfigError, match=rf"{out} holds thesis.tex, which is no part of this"):
        fetch(open_store(str(cache)), out)
    assert [path.name for path in out.iterdir()] == ["thesis.tex"]
    with pytest.raises(ConfigError, match=r"thesis.tex is a file: wanted a folder"):
        fetch(open_store(str(cache)), out / "thesis.tex")
    other = write_cache(tmp_path / "other", n_trials=2, seed=1)
    before = objects_of(other)
    with pytest.raises(ConfigError, match=rf"{other} holds SHA256SUMS, which is no part of this"):
        fetch(open_store(str(cache)), other)
    assert objects_of(other) == before


def test_what_else_lies_at_the_place_is_not_touched(cache, place, tmp_path):
    store = open_store(place)
    store.write("thesis.tex", b"years")
    with pytest.raises(ConfigError, match=r"holds thesis.tex, which is no part of this cache"):
        publish_to(cache, place)
    assert objects_of(place) == {"thesis.tex": b"years"}


def test_another_publication_is_replaced_when_asked(cache, place, tmp_path):
    grown = write_cache(tmp_path / "grown", n_trials=3, seed=1)
    (grown / "extra").mkdir()
    (grown / "extra" / "note").write_bytes(b"1")
    seal(grown)
    publish_to(grown, place)
    with pytest.raises(ConfigError, match=rf"{place} holds another cache.*give --replace"):
        publish_to(cache, place)
    assert objects_of(place) == objects_of(grown)

    def stop(done, total):
        if done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish_to(cache, place, replace=True, on_progress=stop)
    assert fetch(open_store(place), tmp_path / "out").damaged, "neither the one nor the other"
    publish_to(cache, place, replace=True)
    assert objects_of(place) == objects_of(cache)


def test_damage_is_not_published(cache, place):
    flip(cache, CHUNK)
    with pytest.raises(ContractError, match=rf"{CHUNK} is not what was written: 'dmft cache veri"):
        publish_to(cache, place)
    (cache / CHUNK).unlink()
    with pytest.raises(ContractError, match=rf"{CHUNK} is missing: 'dmft cache verify"):
        publish_to(cache, place)
    assert SUMS_FILE not in objects_of(place)


def test_an_object_whose_etag_is_no_md5_is_compared_by_its_bytes(cache, s3, monkeypatch):
    """As behind encryption with a key of one's own, or after a put in parts."""
    publish_to(cache, s3)
    store = open_store(s3)
    monkeypatch.setattr(type(store), "version", lambda self, key: '"0123456789abcdef-2"')
    assert publish_to(cache, s3).n_sent == 0


def test_it_is_fetched_from_a_web_server(cache, tmp_path):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    handler = functools.partial(Quiet, directory=str(cache.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        fetch(open_store(f"{url}/cache.zarr"), tmp_path / "out")
        with pytest.raises(ContractError, match=r"/none has no SHA256SUMS"):
            fetch(open_store(f"{url}/none"), tmp_path / "none")
        server.shutdown()
    assert objects_of(tmp_path / "out") == objects_of(cache)


def test_a_list_of_neither_cache_nor_run_is_refused(tmp_path):
    (tmp_path / SUMS_FILE).write_bytes(Checksums(sha256={"a": "0"}).to_bytes())
    with pytest.raises(ContractError, match=r"lists neither a cache nor a run: wanted one of zarr"):
        read_listing(Folder(str(tmp_path)))
