"""Encodes on Dask clusters of our own and of the user's: set up right, and refused at once."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import forkserver

import psutil
import pytest
from distributed import get_worker

from pipeline.cache.verify import verify
from pipeline.cache.writer import CacheStore
from pipeline.common.spawning import forking
from pipeline.contract import ConfigError
from pipeline.encode.dask_run import ATTRIBUTE, EncoderPlugin, cluster, run_tasks
from pipeline.encode.job import worker_settings
from pipeline.encode.options import EncodeOptions, set_up
from pipeline.encode.plan import Plan
from pipeline.encoders.config import DepthEncoding, EncodingConfig
from tests.e2e.running import dask_cluster, run
from tests.fabricate import (
    SMALL_FRAMES,
    arrays_of,
    assert_same_arrays,
    encode_here,
    manifest_of,
    record_ids,
    save_manifest_of,
    write_raw,
)

N_RECORDS = 6
TASK = ("never run",)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tree")
    raw = write_raw(folder / "raw", record_ids(N_RECORDS))
    encode_here(raw, folder / "here")
    return raw, save_manifest_of(raw, folder / "raw.jsonl"), arrays_of(folder / "here")


@pytest.fixture(scope="module")
def own():
    with cluster(1, None) as client:
        yield client


def settings_of(raw, location, **options):
    options = EncodeOptions(weights="random:0", n_workers=1, **options)
    setup = set_up(manifest_of(raw), str(raw), str(location), options)
    store = CacheStore.preview(setup.location, setup.manifest, setup.specs)
    return worker_settings(store, setup, Plan(tasks=(), counts={}), session="s")


def test_workers_are_rid_of_what_the_nanny_does_to_the_allocator(own):
    (environment,) = own.run(lambda: dict(os.environ)).values()
    assert environment["MALLOC_TRIM_THRESHOLD_"] == "4294967296"
    assert environment["MALLOC_MMAP_MAX_"] == "0"
    assert environment["MALLOC_ARENA_MAX"] == "1"


def test_workers_have_as_many_threads_as_asked(own, tree, tmp_path):
    def threads():
        import torch

        worker = getattr(get_worker(), ATTRIBUTE)["s"]
        worker.encoder("depth")
        return torch.get_num_threads(), worker.settings.n_torch_threads

    raw = write_raw(tmp_path / "raw", record_ids(1), ("depth",), n_frames=2)
    config = EncodingConfig(depth=DepthEncoding(**SMALL_FRAMES))
    settings = replace(settings_of(raw, tmp_path / "c", config=config), n_torch_threads=2)
    plugin = EncoderPlugin(settings)
    own.register_plugin(plugin)
    assert own.submit(threads, pure=False).result() == (2, 2)
    own.unregister_worker_plugin(plugin.name)


def test_a_cpu_worker_has_one_thread_whatever_the_number_of_workers(tree, tmp_path):
    """Two threads gave other bits than one, and with them other caches for --workers 1 and 2."""
    assert settings_of(tree[0], tmp_path / "c").n_torch_threads == 1


def test_frames_have_the_same_bits_whatever_the_number_of_workers(tmp_path):
    raw = write_raw(tmp_path / "raw", record_ids(3), ("depth",), n_frames=5)
    config = EncodingConfig(depth=DepthEncoding(**SMALL_FRAMES))
    n_threads = []

    @contextmanager
    def watched(*what):
        with forking(*what) as method:
            yield method
            if method == "forkserver":  # which has imported PyTorch and Dask
                server = psutil.Process(forkserver._forkserver._forkserver_pid)
                n_threads.append(server.num_threads())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.cache.writer.MAX_CHUNK_RECORDS", 1)
        encode_here(raw, tmp_path / "here", config=config)
        patch.setattr("pipeline.encode.job.forking", watched)
        encode_here(raw, tmp_path / "two", config=config, n_workers=2)
    if sys.platform == "linux":
        assert n_threads == [1], "threads, of OpenMP or BLAS, would not survive the fork"
    assert_same_arrays(arrays_of(tmp_path / "here"), arrays_of(tmp_path / "two"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"raw": "/nowhere/raw"}, "it does not see the raw tree /nowhere/raw"),
        ({"location": "/nowhere/c"}, "it does not see the cache /nowhere/c"),
    ],
)
def test_workers_that_cannot_do_it_are_refused_at_once(changes, reason, own, tree, tmp_path):
    settings = replace(settings_of(tree[0], tmp_path), **changes)
    with pytest.raises(ConfigError, match=rf"no worker can do this: t(cp|ls)://.*: {reason}"):
        list(run_tasks(own, TASK, settings, print))


def test_a_gpu_asked_of_workers_without_one_is_refused_at_once(own, tree, tmp_path):
    (has_gpu,) = own.run(lambda: __import__("torch").cuda.is_available()).values()
    if has_gpu:
        pytest.skip("the workers have a GPU")
    settings = replace(settings_of(tree[0], tmp_path), device="cuda")
    with pytest.raises(ConfigError, match=r"no worker can do this: .*: it has no GPU"):
        list(run_tasks(own, TASK, settings, print))


def test_two_encodes_on_one_cluster_do_not_take_each_others_settings(own, tree, tmp_path):
    first = replace(settings_of(tree[0], tmp_path / "a"), session="a")
    second = replace(settings_of(tree[0], tmp_path / "b"), session="b")
    plugins = [EncoderPlugin(first), EncoderPlugin(second)]
    for plugin in plugins:
        own.register_plugin(plugin)
    (found,) = own.run(
        lambda dask_worker: {
            session: worker.settings.location
            for session, worker in getattr(dask_worker, ATTRIBUTE).items()
        }
    ).values()
    assert found == {"a": str(tmp_path / "a"), "b": str(tmp_path / "b")}
    for plugin in plugins:
        own.unregister_worker_plugin(plugin.name)
    (left,) = own.run(lambda dask_worker: list(getattr(dask_worker, ATTRIBUTE))).values()
    assert left == []


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "not an address"])
def test_a_dead_address_is_refused(address, tree, tmp_path):
    with pytest.raises(ConfigError, match=f"no Dask scheduler answers at '{address}'"):
        encode_here(tree[0], tmp_path / "c", scheduler=address)


def test_a_scheduler_with_two_workers_of_the_users_own(tree, tmp_path):
    raw, manifest, whole = tree
    cache = tmp_path / "c"
    with dask_cluster(tmp_path, n_workers=2) as (address, _):
        code, _, err = run(
            ["encode", manifest, "--raw", raw, "--out", cache, "--scheduler", address]
        )
    assert code == 0, err
    assert_same_arrays(arrays_of(cache), whole)
    assert verify(str(cache), full=True).findings == ()
