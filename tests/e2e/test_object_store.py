"""A cache in a real S3 server: encoded, killed, gone on with, written by two, verified."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from click.testing import CliRunner

from cli import dmft
from pipeline.cache.objects import Objects
from pipeline.cache.verify import verify
from pipeline.common.publishing import fetch, publish, read_listing
from pipeline.common.stores import open_store, patience
from pipeline.common.stores.store import _remote
from pipeline.contract import ConfigError
from pipeline.encode.job import encode
from pipeline.encode.options import EncodeOptions
from tests.e2e.running import kill_all, start
from tests.fabricate import encode_here, manifest_of, record_ids, save_manifest_of, write_raw
from tests.faulty_proxy import FAULTS, at_random, faulty_proxy

N_RECORDS = 8


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A raw tree, its manifest, and the objects of an encode of it into a folder."""
    folder = tmp_path_factory.mktemp("whole")
    raw = write_raw(folder / "raw", record_ids(N_RECORDS))
    manifest = save_manifest_of(raw, folder / "raw.jsonl")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.cache.writer.MAX_CHUNK_RECORDS", 2)
        encode_here(raw, folder / "cache")
    return raw, manifest, contents(str(folder / "cache"))


def contents(location: str) -> dict[str, bytes]:
    """Every object that a complete cache has."""
    objects = Objects(location)
    return {key: objects.read(key) for key in objects.sizes() if key != ".ledger/lock"}


def command(whole, location):
    raw, manifest, _ = whole
    return ["encode", manifest, "--raw", raw, "--out", location, "--workers", 0]


def wait_for_commits(process, location, n: int) -> None:
    """Wait until n chunks are done."""
    objects = Objects(location)
    while process.poll() is None:
        names = [objects.names(f".ledger/{name}") for name in ("skeleton", "inertial")]
        if sum(map(len, names)) >= n:
            return
        time.sleep(0.02)


def test_it_is_the_cache_of_a_folder_object_by_object(whole, s3, monkeypatch):
    monkeypatch.setattr("pipeline.cache.writer.MAX_CHUNK_RECORDS", 2)
    encode_here(whole[0], s3)
    assert contents(s3) == whole[2]
    report = verify(s3, full=True)
    assert (report.state, report.findings) == ("complete", ())
    summary = encode_here(whole[0], s3)
    assert not summary.plan.tasks
    with pytest.raises(ConfigError, match=r"holds inertial encoded otherwise"):
        encode_here(whole[0], s3, config=_other_encoding())


def _other_encoding():
    from pipeline.encoders.config import load_config

    return load_config(None, ("inertial.patches=8",), {})


def test_killed_it_goes_on_and_ends_with_the_same_objects(whole, s3, monkeypatch):
    n_hit = 0
    for n_commits in (1, 5):
        process = start(command(whole, s3))
        wait_for_commits(process, s3, n_commits)
        n_hit += process.poll() is None
        kill_all(process)
    assert n_hit
    monkeypatch.setattr("pipeline.cache.writer.MAX_CHUNK_RECORDS", 2)
    encode_here(whole[0], s3)
    assert contents(s3) == whole[2]


def test_of_two_encodes_at_once_one_is_refused(whole, s3):
    first = start(command(whole, s3))
    wait_for_commits(first, s3, 1)
    first.send_signal(signal.SIGSTOP)  # it is there, however long it takes
    said = rf"{s3} is being written by another encode \(process {first.pid} on "
    with pytest.raises(ConfigError, match=said):
        encode_here(whole[0], s3)
    first.send_signal(signal.SIGCONT)
    _, err = first.communicate(timeout=200)
    assert first.returncode == 0, err
    assert contents(s3) == whole[2]


def test_the_commands_read_it_where_it_lies(whole, s3, monkeypatch):
    monkeypatch.setattr("pipeline.cache.writer.MAX_CHUNK_RECORDS", 2)
    encode_here(whole[0], s3)
    assert verify(s3, full=True).findings == ()
    key = "skeleton/c/1/0/0"
    content = Objects(s3).read(key)
    Objects(s3).write(key, bytes([content[0] ^ 1]) + content[1:])
    done = CliRunner().invoke(dmft, ["cache", "verify", s3, "--full"])
    assert done.exit_code == 1
    assert f"{key}: its bytes are not what was written" in done.stderr
    encode_here(whole[0], s3, check_stored=True)
    assert contents(s3) == whole[2]


def test_it_is_edited_where_it_lies(whole, s3, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.cache.writer.MAX_CHUNK_RECORDS", 2)
    encode_here(whole[0], f"{s3}/all")
    encode_here(whole[0], tmp_path / "all")
    first = ["--where", "subject == 1"]

    def call(*arguments):
        done = CliRunner().invoke(dmft, ["cache", *map(str, arguments)], catch_exceptions=False)
        assert done.exit_code == 0, done.stderr

    for place in (s3, tmp_path):
        call("subset", f"{place}/all", f"{place}/few", *first)
        call("drop", f"{place}/all", *first)
    for name in ("all", "few"):
        assert verify(f"{s3}/{name}", full=True).findings == ()
        call("compare", f"{s3}/{name}", tmp_path / name)


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("s3://no-such-bucket/c", "there is no such bucket. Make it first, or name another"),
        ("hf://datasets/a/b", "Hugging Face's hub keeps what is finished: bring a cache or a run"),
        ("https://127.0.0.1:1/c", "can be read and not written: name a folder or a bucket"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_in_a_sentence(whole, s3, location, said):
    with pytest.raises(ConfigError, match=said):
        encode_here(whole[0], location)


def through(proxy, monkeypatch) -> None:
    """Have clients that are opened from now on ask the proxy; with small pauses."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    monkeypatch.setattr(patience, "FIRST_PAUSE_S", 0.02)
    _remote.cache_clear()


def directly(s3_endpoint, monkeypatch) -> None:
    """Have them ask the server itself."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    _remote.cache_clear()


SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 9))]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_hundred_faults_cost_no_byte_and_no_record(
    seed, whole, s3, s3_endpoint, monkeypatch, tmp_path
):
    monkeypatch.setattr("pipeline.cache.writer.MAX_CHUNK_RECORDS", 2)
    with faulty_proxy(s3_endpoint, at_random(seed, share=0.25)) as proxy:
        through(proxy, monkeypatch)
        encode_here(whole[0], f"{s3}/cache")
        report = verify(f"{s3}/cache", full=True)
        assert (report.state, report.findings) == ("complete", ())
        store = open_store(f"{s3}/cache")
        publish(store, read_listing(store), open_store(f"{s3}/published"))
        got = fetch(open_store(f"{s3}/published"), tmp_path / "fetched")
        assert got.damaged == ()
    print(f"{proxy.n_faults} faults: {dict(proxy.counts)}")  # noqa: T201
    assert proxy.n_faults >= 100
    assert min(proxy.counts[fault] for fault in FAULTS) >= 5
    directly(s3_endpoint, monkeypatch)
    for location in (f"{s3}/cache", f"{s3}/published", str(tmp_path / "fetched")):
        assert contents(location) == whole[2]


def test_two_encodes_at_once_through_faults_are_one(whole, s3, s3_endpoint, monkeypatch):
    """Whoever claims it and hears no answer must neither refuse itself nor let both in."""
    monkeypatch.setattr("pipeline.cache.writer.MAX_CHUNK_RECORDS", 2)

    def lose_claims(method: str, path: str) -> str | None:
        is_claim = method == "PUT" and "/.ledger/session." in path
        return "lose" if is_claim and proxy.counts["lose"] < 3 else None

    with faulty_proxy(s3_endpoint, lose_claims) as proxy:
        through(proxy, monkeypatch)
        asking = (encode, manifest_of(whole[0]), str(whole[0]), s3, EncodeOptions(n_workers=0))
        with ThreadPoolExecutor(2) as pool:
            asked = [pool.submit(*asking) for _ in range(2)]
            errors = [one.exception() for one in asked]
        assert proxy.counts["lose"] == 3
    refused = [error for error in errors if error is not None]
    assert len(refused) <= 1, refused
    assert all("is being written by another encode" in str(error) for error in refused)
    directly(s3_endpoint, monkeypatch)
    assert contents(s3) == whole[2]
