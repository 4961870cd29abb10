"""How far an encode is, seen from outside while it runs and when it does not."""

from __future__ import annotations

import json
import time

import pytest
from click.testing import CliRunner

from pipeline.cache.checksums import PROGRESS
from pipeline.cache.lock import WATCH_S, locked
from pipeline.commands.cache import cache as command
from pipeline.commands.cache import rate_text
from pipeline.contract import ContractError
from pipeline.encode.job import Callbacks
from pipeline.encode.progress import ProgressNote, read_status
from tests.fabricate import encode_here, record_ids, write_raw


@pytest.fixture
def raw(tmp_path):
    return write_raw(tmp_path / "raw", record_ids(4))


def test_while_it_runs_it_says_how_far_it_is(raw, tmp_path):
    seen = []
    callbacks = Callbacks(on_report=lambda report: seen.append(read_status(str(tmp_path / "c"))))
    encode_here(raw, tmp_path / "c", callbacks=callbacks)
    first = seen[0]
    assert first["running"]
    assert first["state"] == "building"
    assert first["modalities"]["skeleton"] == {"done": 4, "absent": 0, "failed": 0, "pending": 0}
    assert first["modalities"]["inertial"] == {"done": 0, "absent": 0, "failed": 0, "pending": 4}


def test_when_it_has_ended_nothing_runs(raw, tmp_path):
    encode_here(raw, tmp_path / "c")
    found = read_status(str(tmp_path / "c"))
    assert (found["state"], found["running"], found["seconds_left"]) == ("complete", False, None)
    text = CliRunner().invoke(command, ["status", str(tmp_path / "c")]).output
    assert "not running; the cache is complete" in text


def test_a_note_gives_a_rate_and_the_time_left(raw, tmp_path):
    encode_here(raw, tmp_path / "c")
    note = ProgressNote(n_pending=30)
    note.add(10)
    content = {"written_at": time.time(), **note.figures(), "recent_s": 5.0}
    (tmp_path / "c" / PROGRESS).write_text(json.dumps(content))
    found = read_status(str(tmp_path / "c"))
    assert (found["rate"], found["seconds_left"]) == (2.0, 10.0)
    result = CliRunner().invoke(command, ["status", str(tmp_path / "c")])
    assert "running: 2.0 records a second, about 10 s left" in result.output


def test_the_rate_is_that_of_late_and_slow_records_count_all_the_same(monkeypatch):
    clock = iter(range(10**6))
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    note = ProgressNote(n_pending=1000)
    for _ in range(100):
        note.add(10)  # a second each
    for _ in range(100):
        note.add(1)
    figures = note.figures()
    assert figures["n_recent"] / figures["recent_s"] == pytest.approx(1.0, abs=0.1)
    clock = iter(range(10**4, 10**7, 600))
    for _ in range(20):
        note.add(1)  # ten minutes each
    figures = note.figures()
    assert figures["recent_s"] / figures["n_recent"] == pytest.approx(600, rel=0.2)


def test_a_modality_that_has_not_begun_leaves_the_time_open(raw, tmp_path):
    told = []

    def look(report):
        told.append(CliRunner().invoke(command, ["status", str(tmp_path / "c")]).output)

    encode_here(raw, tmp_path / "c", callbacks=Callbacks(on_report=look))
    assert "time left not known yet: nothing of inertial is stored" in told[0]


def test_slow_records_are_told_in_seconds_each():
    assert [rate_text(rate) for rate in (0.0, 0.02, 12.0)] == [
        "no record done yet",
        "50.0 s a record",
        "12.0 records a second",
    ]


def test_an_old_note_is_of_an_encode_that_was_killed(raw, tmp_path):
    encode_here(raw, tmp_path / "c")
    written = time.time() - WATCH_S - 1
    content = {"written_at": written, **ProgressNote(n_pending=30).figures()}
    (tmp_path / "c" / PROGRESS).write_text(json.dumps(content))
    assert not read_status(str(tmp_path / "c"))["running"]


def test_an_encode_that_plans_or_waits_for_a_slow_record_is_running(raw, tmp_path):
    encode_here(raw, tmp_path / "c")
    with locked(str(tmp_path / "c")):  # whose thread may have said nothing by now
        found = read_status(str(tmp_path / "c"))
    assert (found["running"], found["rate"], found["seconds_left"]) == (True, 0.0, None)
    assert not read_status(str(tmp_path / "c"))["running"]


def test_where_there_is_no_cache_there_is_no_status(tmp_path):
    with pytest.raises(ContractError, match="none: no cache there"):
        read_status(str(tmp_path / "none"))
