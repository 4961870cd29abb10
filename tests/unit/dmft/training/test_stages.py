"""What a training says of its stages: the one that takes longest is named, as long as it took."""

from __future__ import annotations

import time

import pytest

from dmft.commands.show import stage_lines
from dmft.data import BatchSource, open_cache
from dmft.runs.files import read_json
from dmft.runs.folder import STAGES_FILE
from dmft.training import Learner
from dmft.training.stages import AUGMENTING, EVALUATING, ORDER, READING, UPDATING, read_stages
from dmft.training.train import train
from tests.factories import write_cache
from tests.small_runs import PROTOCOL, small

MEMORY = 4 * 16 * (16 * 6 * 4 + 32 * 6 * 4)
"""Bytes of a few blocks: records are read as they are needed."""
SLEEP_S = 0.3
CONFIG = small("training.epochs=1", "training.batch_size=8", "doubt.epochs=0")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stages")
    write_cache(folder / "c.zarr", n_trials=5)
    (folder / "loso.toml").write_text(PROTOCOL)
    run(folder, folder / "first")  # what PyTorch does at its first step is in no measurement
    return folder


def run(place, out):
    """Train for an epoch, reading records as they are needed."""
    cache = open_cache(place / "c.zarr", memory=MEMORY)
    train(cache, str(place / "loso.toml"), out, kind="student", config=CONFIG, device="cpu")


class StopWatch:
    """Makes work slow, and knows for how long."""

    def __init__(self):
        self.seconds = 0.0

    def call(self, work, *given):
        began = time.perf_counter()
        time.sleep(SLEEP_S)
        try:
            return work(*given)
        finally:
            self.seconds += time.perf_counter() - began

    def slow(self, work):
        return lambda *given: self.call(work, *given)

    def slow_items(self, work):
        def items(*given):
            made, end = work(*given), object()
            while (item := self.call(next, made, end)) is not end:
                yield item

        return items


@pytest.mark.parametrize("stage", [READING, AUGMENTING, UPDATING])
def test_a_bottleneck_is_named_and_as_long_as_a_stop_watch_says(
    stage, place, tmp_path, monkeypatch
):
    watch = StopWatch()
    if stage == READING:
        monkeypatch.setattr(BatchSource, "_gather", watch.slow_items(BatchSource._gather))
    else:
        name = {AUGMENTING: "make_batch", UPDATING: "learn"}[stage]
        monkeypatch.setattr(Learner, name, watch.slow(getattr(Learner, name)))
    out = tmp_path / "run"
    run(place, out)

    report = read_stages(out)
    found = {each.name: each for each in report.stages}
    assert [name for name in ORDER if name in found] == list(found)
    assert report.bound_by == found[stage]
    assert found[stage].busy_s == pytest.approx(watch.seconds, abs=0.05 * report.seconds)
    if stage == READING:
        assert found[AUGMENTING].input_s > 0.5 * watch.seconds, "the loop waits for the thread"
    assert found[EVALUATING].n_items > 0
    said = read_json(out / STAGES_FILE, "stages")["says"]
    assert said.startswith(f"bound by {stage}: its thread is busy ")
    assert next(stage_lines(out)) == f"  training was {said}"
