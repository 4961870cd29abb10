"""``dmft encode`` killed at any instant goes on, loses nothing, and ends with the same bits."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import subprocess

import psutil
import pytest

from pipeline.cache.verify import verify
from pipeline.cache.writer import CacheStore
from pipeline.encode.progress import read_status
from tests.e2e import poison
from tests.e2e.running import dask_workers, kill_all, run, start
from tests.fabricate import (
    arrays_of,
    assert_same_arrays,
    encode_here,
    path_of,
    record_ids,
    save_manifest_of,
    write_raw,
)

N_RECORDS = 24


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A raw tree, its manifest, and the arrays of an encode that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    raw = write_raw(folder / "raw", record_ids(N_RECORDS))
    manifest = save_manifest_of(raw, folder / "raw.jsonl")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.cache.writer.MAX_CHUNK_RECORDS", 2)
        encode_here(raw, folder / "cache")
    return raw, manifest, arrays_of(folder / "cache")


def command(whole, cache, *options):
    raw, manifest, _ = whole
    return ["encode", manifest, "--raw", raw, "--out", cache, *options]


def assert_whole(cache, whole):
    assert_same_arrays(arrays_of(cache), whole[2])
    report = verify(str(cache), full=True)
    assert report.state == "complete"
    assert report.findings == ()
    assert not list(cache.rglob("*.partial"))


def wait_for_commits(process, cache, n: int) -> None:
    """Wait until n chunks are done."""
    while process.poll() is None and len(list(cache.glob(".ledger/*/*.json"))) < n:
        wait(process, 0.01)


def wait(process, seconds: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


@pytest.mark.parametrize("n_workers", [1, 2])
def test_workers_give_the_bits_that_one_process_gives(n_workers, whole, tmp_path):
    code, out, err = run(command(whole, tmp_path / "c", "--workers", n_workers, "--json"))
    assert code == 0, err
    assert err.count("Dask's dashboard: http://") == 1, "also where there is no terminal"
    assert json.loads(out)["counts"]["skeleton"] == {"present": N_RECORDS, "absent": 0, "failed": 0}
    assert_whole(tmp_path / "c", whole)


def torture(whole, cache, seed: int, *, n_kills: int, n_workers: int) -> int:
    """Kill the whole group again and again, go on, and count the kills that hit."""
    choose = random.Random(seed)
    n_hit = 0
    for _ in range(n_kills):
        process = start(command(whole, cache, "--workers", n_workers))
        done = len(list(cache.glob(".ledger/*/*.json"))) if cache.exists() else 0
        wait_for_commits(process, cache, min(done + choose.randrange(4), N_RECORDS - 1))
        wait(process, choose.random() * 0.05)  # anywhere within a chunk's life
        if process.poll() is None:
            n_hit += 1
        kill_all(process)
        if (cache / "zarr.json").exists() and process.returncode < 0:
            assert CacheStore.read(str(cache)).spec.state in ("building", "complete")
            read_status(str(cache))
    code, _, err = run(command(whole, cache, "--workers", 2))
    assert code == 0, err
    assert_whole(cache, whole)
    return n_hit


def test_killed_with_all_its_workers_it_goes_on(whole, tmp_path):
    assert torture(whole, tmp_path / "c", seed=1, n_kills=2, n_workers=2) > 0
    assert torture(whole, tmp_path / "d", seed=2, n_kills=3, n_workers=0) > 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_killed_fifty_times_it_goes_on(seed, whole, tmp_path):
    n_hit = torture(whole, tmp_path / "c", seed=seed, n_kills=9, n_workers=seed % 3)
    print(f"{n_hit} kills of the whole group: zero damage, zero lost records")  # noqa: T201


def test_a_half_made_cache_says_so_and_what_a_kill_left_is_swept(whole, tmp_path):
    cache = tmp_path / "c"
    process = start(command(whole, cache, "--workers", 0))
    wait_for_commits(process, cache, 3)
    kill_all(process)
    assert CacheStore.read(str(cache)).spec.state == "building"
    assert not (cache / "SHA256SUMS").exists()
    (cache / "skeleton" / "c.4711.partial").write_bytes(b"half")
    code, out, _ = run(["cache", "verify", cache])
    assert code == 1
    assert "0 problems" not in out
    assert run(command(whole, cache, "--workers", 0))[0] == 0
    assert_whole(cache, whole)


def test_a_killed_worker_costs_neither_records_nor_a_quarantine(whole, tmp_path):
    cache = tmp_path / "c"
    process = start(command(whole, cache, "--workers", 2))
    n_killed = 0
    for n_commits in (1, 8):
        wait_for_commits(process, cache, n_commits)
        for worker in dask_workers(process)[:1]:
            try:
                worker.kill()
                n_killed += 1
            except psutil.Error:
                pass
    _, err = process.communicate(timeout=200)
    assert n_killed > 0
    assert process.returncode == 0, err
    assert_whole(cache, whole)


def test_interrupted_it_says_how_to_go_on(whole, tmp_path):
    cache = tmp_path / "c"
    process = start(command(whole, cache, "--workers", 1))
    wait_for_commits(process, cache, 2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run the same command to go on" in err
    assert "Traceback" not in err
    assert run(command(whole, cache, "--workers", 1))[0] == 0
    assert_whole(cache, whole)


def test_sigterm_stops_it_and_its_workers(whole, tmp_path):
    """A batch system's or ``docker stop``: workers lived on for half a minute."""
    cache = tmp_path / "c"
    process = start(command(whole, cache, "--workers", 1))
    wait_for_commits(process, cache, 2)
    children = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "run the same command to go on" in err
    assert "Traceback" not in err
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    assert "not running" in run(["cache", "status", cache])[1]
    assert run(command(whole, cache, "--workers", 1))[0] == 0
    assert_whole(cache, whole)


@pytest.mark.parametrize("mark", [poison.EXITS, poison.CRASHES])
def test_an_input_that_crashes_its_worker_is_quarantined_alone(mark, whole, tmp_path):
    raw = shutil.copytree(whole[0], tmp_path / "raw")
    bad = path_of("a2_s1_t1", "inertial")
    with (raw / bad).open("ab") as file:
        file.write(mark)
    manifest = save_manifest_of(raw, tmp_path / "raw.jsonl")
    cache = tmp_path / "c"
    asked = ["encode", manifest, "--raw", raw, "--out", cache, "--workers", "2", "--json"]
    preload = {"DASK_DISTRIBUTED__WORKER__PRELOAD": '["tests.e2e.poison"]'}
    code, out, err = run(asked, **preload)
    assert code == 1, err
    summary = json.loads(out)
    (failure,) = summary["failures"]
    assert (failure["record"], failure["modality"]) == ("a2_s1_t1", "inertial")
    assert (failure["file"], failure["stage"]) == (bad, "crash")
    assert summary["counts"]["inertial"] == {"present": N_RECORDS - 1, "absent": 0, "failed": 1}
    entry = CacheStore.read(str(cache)).entries("inertial")["a2_s1_t1"]
    assert len(entry.sources[0].sha256) == 64
    again = json.loads(run(asked, **preload)[1])
    assert again["encoded_now"] == 0
    assert again["fingerprint"] == summary["fingerprint"]
    # Mended, it alone is encoded.
    shutil.copyfile(whole[0] / bad, raw / bad)
    save_manifest_of(raw, manifest)
    code, out, _ = run(asked)
    assert code == 0
    assert json.loads(out)["encoded_now"] == 1
    assert_whole(cache, whole)
