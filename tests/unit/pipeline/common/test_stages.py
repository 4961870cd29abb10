"""Stages: what is counted, which of them bounds the rest, and what is said of it."""

from __future__ import annotations

import pytest

from pipeline.common.stages import Meter, Stage, StageReport


def report(*stages: Stage, seconds: float = 10.0) -> StageReport:
    return StageReport(seconds=seconds, stages=stages)


READ = Stage(name="reading", loop="reading", busy_s=1.0, output_s=9.0, n_items=20)
DECODE = Stage(name="decoding", loop="decoding", n_threads=4, busy_s=31.0, input_s=2.0, n_items=90)
NETWORK = Stage(name="the network", busy_s=4.0, input_s=4.1, n_items=90)
STORE = Stage(name="storing", busy_s=1.5, n_items=3)


def test_the_stage_whose_threads_rest_least_bounds_the_rest():
    found = report(READ, DECODE, NETWORK, STORE)
    assert found.bound_by == DECODE
    assert found.sentence({"decoding": "more cores would help"}) == (
        "bound by decoding: 3.1 of 4 threads busy, the network waits 41 % of it for input; "
        "more cores would help"
    )


def test_stages_that_take_turns_in_a_thread_are_busy_together():
    """Neither of the two is as busy as reading, and their thread has no rest."""
    both = (Stage(name="the network", busy_s=5.5), Stage(name="storing", busy_s=4.0))
    found = report(Stage(name="reading", loop="reading", busy_s=7.0), *both)
    assert found.bound_by == both[0]
    assert found.sentence({}) == (
        "bound by the network: its thread is busy 95 % of the time, 55 % with this"
    )


def test_reports_of_workers_add_up():
    found = report(READ, NETWORK) + report(NETWORK, DECODE, seconds=5.0)
    assert found.seconds == 15.0
    assert [stage.name for stage in found.stages] == ["reading", "the network", "decoding"]
    network = found.stages[1]
    assert (network.busy_s, network.input_s, network.n_items) == (8.0, 8.2, 180)
    assert report() + report(READ) == report(READ, seconds=20.0)


def test_a_table_has_shares_of_the_time_of_a_stages_threads():
    row = report(DECODE).rows()[0]
    assert row == {
        "stage": "decoding",
        "loop": "decoding",
        "threads": 4,
        "busy": 0.775,
        "waits_for_input": 0.05,
        "waits_for_output": 0.0,
        "items": 90,
        "items_per_second": 9.0,
    }
    heading, line = report(DECODE).lines()
    assert heading.split() == [
        "stage",
        "threads",
        "busy",
        "waits",
        "in",
        "waits",
        "out",
        "a",
        "second",
    ]
    assert line.split() == ["decoding", "4", "78", "%", "5", "%", "0", "%", "9.0"]
    assert len(heading) == len(line)


@pytest.mark.parametrize("found", [StageReport(), report(), report(READ, seconds=0.0)])
def test_of_nothing_nothing_is_said(found):
    assert found.bound_by is None
    assert found.sentence({}) == "bound by nothing: there was nothing to do"


def test_a_meter_counts_what_ends_well_and_the_time_of_what_does_not():
    meter = Meter(loops={"reading": ("reading", 2)}, order=("reading", "storing"))
    with meter.busy("storing", n_items=3):
        pass
    with pytest.raises(ValueError, match="bad"), meter.busy("storing", n_items=3):
        raise ValueError("bad")

    def items():
        yield from "ab"
        raise ValueError("damaged")

    found = []
    with pytest.raises(ValueError, match="damaged"):
        found += meter.made("reading", items())
    assert list(meter.pulled("sorting", "abc")) == ["a", "b", "c"]
    stages = {stage.name: stage for stage in meter.report(1.0).stages}
    assert list(stages) == ["reading", "storing", "sorting"]
    assert [stage.n_items for stage in stages.values()] == [2, 3, 0]
    assert (stages["reading"].loop, stages["reading"].n_threads) == ("reading", 2)
    assert stages["storing"].busy_s > 0
    assert stages["sorting"].input_s > 0
