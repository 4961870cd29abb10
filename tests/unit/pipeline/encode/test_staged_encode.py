"""The staged encode: what bounds it is named, a kill costs what was in work, no queue grows."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from pipeline.cache.writer import CacheStore
from pipeline.common.stages import Meter
from pipeline.contract import Presence
from pipeline.encode.readahead import Stopped, Turnstile, read_ahead
from pipeline.encode.records import Encoder
from pipeline.encoders.config import DepthEncoding, EncodingConfig
from pipeline.encoders.frames import FrameNetwork
from pipeline.encoders.stage_names import ADVICE, DECODING, NETWORK, ORDER, READING
from pipeline.raw.tree import RawTree
from tests.fabricate import (
    SMALL_FRAMES,
    arrays_of,
    assert_same_arrays,
    encode_here,
    manifest_of,
    record_ids,
    write_raw,
)

CONFIG = EncodingConfig(depth=DepthEncoding(**SMALL_FRAMES))


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return write_raw(
        tmp_path_factory.mktemp("staged") / "raw", record_ids(6), ("depth",), n_frames=5
    )


@pytest.fixture(scope="module")
def whole(raw, tmp_path_factory):
    """What an encode that nothing disturbs makes."""
    cache = tmp_path_factory.mktemp("whole") / "cache"
    encode_here(raw, cache, config=CONFIG)
    return arrays_of(cache)


class _Network:
    """Stands for the ResNet, in no time."""

    batch = 8

    def __init__(self):
        from pipeline.encoders.transfers import Transfers

        self.transfers = Transfers(torch.device("cpu"))

    def prepare(self, block, size):
        return block.reshape(len(block), -1).float().mean(1)

    def empty_batch(self, size):
        return torch.zeros(self.batch)

    def forward(self, images):
        return images[:, None].expand(-1, 2048)


@contextmanager
def slowed(stage: str, seconds: float, spent: Counter, monkeypatch):
    """One stage takes longer, and its time is taken by a stop-watch of our own."""

    def watched(work):
        def run(*what, **more):
            started = time.perf_counter()
            time.sleep(seconds)
            made = work(*what, **more)
            spent[stage] += time.perf_counter() - started
            return made

        return run

    blocks_of = Encoder._blocks

    def watched_blocks(*what):
        time.sleep(seconds)
        spent[stage] += seconds
        started = time.perf_counter()
        for block in blocks_of(*what):
            spent[stage] += time.perf_counter() - started
            yield block
            started = time.perf_counter()

    with monkeypatch.context() as patch:
        if stage == READING:
            patch.setattr(Encoder, "_fetch", watched(Encoder._fetch))
        elif stage == DECODING:
            patch.setattr(Encoder, "_blocks", watched_blocks)
        else:
            patch.setattr(_Network, "forward", watched(_Network.forward))
        yield


@pytest.mark.parametrize("stage", [READING, DECODING, NETWORK])
def test_the_report_names_what_is_slow_and_agrees_with_a_stop_watch(stage, raw, monkeypatch):
    """A slow disk, a slow decoder, a slow network: their share of the time to five hundredths."""
    apart = []
    for _ in range(3):  # of which one must meet it: another program may step between two clocks
        spent: Counter = Counter()
        encoder = Encoder(
            dataset="utd-mhad",
            modality="depth",
            tree=RawTree(raw),
            encoding=CONFIG.depth,
            network=_Network(),
        )
        with slowed(stage, 0.08, spent, monkeypatch):
            started = time.perf_counter()
            found = list(encoder.encode(manifest_of(raw).records))
            seconds = time.perf_counter() - started
        assert all(encoded.presence == Presence.PRESENT for encoded in found)
        report = encoder.meter.report(seconds)
        assert report.bound_by is not None
        assert report.bound_by.name == stage
        assert report.sentence(ADVICE).startswith(f"bound by {stage}: its thread is busy ")
        apart.append(abs(report.busy(report.bound_by) - spent[stage] / seconds))
        if apart[-1] < 0.05:
            return
    raise AssertionError(f"shares are apart by {apart}: wanted 0.05")


def test_every_stage_counts_what_passes_it(raw, tmp_path):
    summary = encode_here(raw, tmp_path / "cache", config=CONFIG)
    report = summary.stages["depth"]
    counted = {stage.name: stage.n_items for stage in report.stages}
    assert list(counted) == [name for name in ORDER if name != "copying"]
    assert list(counted.values()) == [6, 30, 30, 30, 6, 6]
    assert report.busy_loop("main") <= 1.0
    assert all(stage.busy_s > 0 for stage in report.stages)


def test_files_without_a_network_pass_stages_too(tmp_path):
    raw = write_raw(tmp_path / "raw", record_ids(3), ("inertial",))
    stages = encode_here(raw, tmp_path / "cache").stages["inertial"].stages
    assert [(s.name, s.n_items) for s in stages] == [
        ("reading", 3), ("decoding", 3), ("pooling", 3), ("storing", 3),
    ]  # fmt: skip
    assert encode_here(raw, tmp_path / "cache").stages == {}


KILLED = {
    "reading": (Encoder, "_fetch", 3),
    "decoding": (Encoder, "_decode", 4),
    "resizing": (FrameNetwork, "_prepared", 3),
    "the network": (FrameNetwork, "forward", 2),
    "storing": (CacheStore, "commit", 2),
}
"""Stage to what does it, and in which of its calls the process dies."""


@pytest.mark.parametrize("stage", KILLED)
def test_who_is_killed_in_a_stage_goes_on_and_ends_with_the_same_bits(
    stage, raw, whole, tmp_path, monkeypatch
):
    """Chunks of two records: what was committed before is not encoded again."""
    monkeypatch.setattr("pipeline.cache.writer.MAX_CHUNK_RECORDS", 2)
    owner, name, at = KILLED[stage]
    child = os.fork()
    if child == 0:
        work, n_calls = getattr(owner, name), Counter()

        def dies(*what, **more):
            n_calls[name] += 1
            if n_calls[name] == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return work(*what, **more)

        try:
            setattr(owner, name, dies)
            encode_here(raw, tmp_path / "cache", config=CONFIG)
        finally:
            os._exit(3)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL

    again = encode_here(raw, tmp_path / "cache", config=CONFIG)
    assert again.plan.n_pending == 4  # the first chunk was done
    assert_same_arrays(arrays_of(tmp_path / "cache"), whole)


def test_a_consumer_that_stops_ends_reading_and_memory_holds_a_limit_of_files():
    """Files of 60 bytes, 50 may wait undecoded: one is decoded, one waits, no third is read."""
    read, go_on = [], threading.Event()

    def fetch(key):
        read.append(key)
        return [bytes(60)]

    def produce(key, contents):
        go_on.wait(30)
        yield np.zeros(10, np.uint8)

    ahead = read_ahead(
        range(9), fetch, produce, n_threads=1, n_readers=3, max_bytes=100, meter=Meter()
    )
    opened = threading.Thread(target=lambda: next(ahead))
    opened.start()
    opened.join(30)
    time.sleep(0.05)
    assert 1 <= len(read) <= 3  # as many as are read at a time, before their size is known
    go_on.set()
    ahead.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("read-ahead")]


def test_files_are_let_in_in_order_and_when_there_is_room():
    door, entered = Turnstile(max_bytes=100), []

    def enter(number):
        door.enter(number)
        entered.append(number)

    second = threading.Thread(target=enter, args=(1,))
    second.start()
    assert not entered
    enter(0)
    second.join(30)
    assert entered == [0, 1]
    door.hold(100)
    third = threading.Thread(target=enter, args=(2,))
    third.start()
    third.join(0.05)
    assert third.is_alive()
    door.hold(-1)
    third.join(30)
    assert entered == [0, 1, 2]
    door.hold(1)
    door.stop()
    with pytest.raises(Stopped):
        door.enter(3)
