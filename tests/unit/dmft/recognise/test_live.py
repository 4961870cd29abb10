"""A long stream becomes windows and a timeline, as it comes, whatever is wrong with single rows."""

import json
import threading
import time

import numpy as np
import pytest

from dmft.export.folder import Votes
from dmft.recognise.live import MAX_LINE_BYTES, Row, Slicer, Window, read_lines, read_rows, rows_of
from dmft.recognise.recordings import group_files
from dmft.recognise.timeline import Activity, Moment, moments, timeline
from pipeline.contract import ConfigError, RecordingError
from tests.fabricate import path_of, write_raw


def inertial(start_s, end_s, rate_hz=10.0):
    times = np.arange(start_s, end_s, 1 / rate_hz)
    return [Row(modality="inertial", time_s=float(t), values=np.full(6, t, "f4")) for t in times]


def skeleton(start_s, end_s, rate_hz=5.0):
    times = np.arange(start_s, end_s, 1 / rate_hz)
    return [
        Row(modality="skeleton", time_s=float(t), values=np.full((20, 3), t, "f4")) for t in times
    ]


def mixed(*rows):
    return sorted((row for some in rows for row in some), key=lambda row: row.time_s)


def spans(windows):
    return [(round(w.start_s, 3), round(w.end_s, 3), sorted(w.rows)) for w in windows]


def test_windows_follow_each_other_by_the_step_and_hold_their_rows():
    found = list(Slicer(window_s=2, step_s=1).windows(mixed(inertial(0, 4.05), skeleton(0, 4.05))))
    both = ["inertial", "skeleton"]
    assert spans(found) == [(0, 2, both), (1, 3, both), (2, 4, both)]
    assert found[1].rows["skeleton"].shape == (10, 20, 3)
    assert found[1].rows["inertial"].min() >= 1
    assert found[1].rows["inertial"].max() < 3


def test_a_window_is_given_out_before_the_next_rows_come():
    waiting = iter(inertial(0, 2.05))

    def rows():
        yield from waiting
        raise AssertionError("asked for more before it gave out what it had")

    assert spans([next(Slicer(window_s=2, step_s=1).windows(rows()))]) == [(0, 2, ["inertial"])]


def test_a_modality_that_falls_silent_is_not_waited_for():
    rows = mixed(inertial(0, 6.05), skeleton(0, 2.05))
    found = spans(Slicer(window_s=2, step_s=2).windows(rows))
    assert found == [(0, 2, ["inertial", "skeleton"]), (2, 4, ["inertial"]), (4, 6, ["inertial"])]


def test_a_stream_shorter_than_a_window_is_one_window():
    (only,) = Slicer(window_s=5, step_s=1).windows(inertial(0, 1))
    assert len(only.rows["inertial"]) == 10


def test_a_hole_of_years_costs_nothing_and_shows_nothing():
    rows = inertial(0, 3.05) + inertial(1e9, 1e9 + 3.05)
    found = list(Slicer(window_s=2, step_s=1).windows(rows))
    assert [w.start_s < 10 for w in found].count(True) == 3
    assert all(w.start_s > 1e9 - 2 for w in found[3:])
    assert 2 <= len(found[3:]) <= 3


def test_rows_may_be_out_of_order_and_twice_within_a_window_but_not_too_late():
    said = []
    rows = inertial(0, 2.05)
    rows[3], rows[4] = rows[4], rows[3]
    rows += [*inertial(2.05, 3.05), rows[0]]
    rows.insert(6, rows[5])
    found = list(Slicer(window_s=2, step_s=1, on_problem=said.append).windows(rows))
    assert (np.diff(found[0].rows["inertial"][:, 0]) > 0).all()
    assert said == ["inertial at 0.000 s comes too late: the window from 1.000 s has begun"]


def test_times_in_milliseconds_are_told_of_after_the_first_rows():
    """They gave no window and no word."""
    said = []
    rows = [Row(modality="inertial", time_s=20.0 * i, values=np.zeros(6, "f4")) for i in range(99)]
    assert list(Slicer(on_problem=said.append).windows(rows)) == []
    assert any("inertial rows are 20 s apart: wanted time_s in seconds" in line for line in said)


@pytest.mark.parametrize("wild_s", [1e6, -1e6, 1e10])
@pytest.mark.parametrize("at", [0, 25, 39])
def test_one_wild_time_is_passed_over(wild_s, at):
    """It ended the stream."""
    rows, said = inertial(0, 10.05), []
    wild = Row(modality="inertial", time_s=wild_s, values=np.zeros(6, "f4"))
    whole = spans(Slicer(window_s=2, step_s=1).windows(rows))
    found = spans(
        Slicer(window_s=2, step_s=1, on_problem=said.append).windows([*rows[:at], wild, *rows[at:]])
    )
    assert found == whole
    assert len(said) == (1 if at or wild_s > 0 else 0)


def test_a_clock_that_is_set_begins_anew():
    said = []
    rows = [*inertial(1000, 1006.05), *inertial(3, 9.05), *inertial(500, 504.05)]
    found = spans(Slicer(window_s=2, step_s=1, on_problem=said.append).windows(rows))
    assert [start for start, *_ in found] == [
        *(1000.0 + i for i in range(6)), *(3.0 + i for i in range(6)), 500.0, 501.0, 502.0,
    ]  # fmt: skip
    assert len(said) == 1
    assert "the clock went back from 1006.000 s to 3.000 s: windows begin anew" in said[0]


def test_nothing_gives_no_window():
    assert list(Slicer().windows([])) == []
    assert list(Slicer().windows(inertial(0, 0.05))) == []


def test_windows_and_steps_that_cannot_work_are_refused():
    with pytest.raises(ConfigError, match=r"window_s is 0: wanted 0\.1 to 3600"):
        Slicer(window_s=0)
    with pytest.raises(ConfigError, match=r"step_s is 5: wanted 0\.01 seconds to the window's 2"):
        Slicer(window_s=2, step_s=5)
    with pytest.raises(ConfigError, match="window_s is nan"):
        Slicer(window_s=float("nan"))


def line(**changes):
    row = {"modality": "inertial", "time_s": 1.0, "values": [0.0] * 6} | changes
    return json.dumps({k: v for k, v in row.items() if v is not None}).encode() + b"\n"


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (b"{", "line 2 is no row ("),
        (b"[1]", "not an object"),
        (line(modality="rgb"), "modality 'rgb', wanted one of skeleton, inertial"),
        (line(modality=["x"]), r"modality ['x']"),
        (line(time_s=None), "lacks 'time_s'"),
        (line(time_s="now"), "bad operand type"),
        (line(time_s=float("nan")), "time_s nan, wanted seconds"),
        (line(time_s=1e300), "time_s 1e+300, wanted seconds"),
        (line(values=[1.0]), "1 values, wanted 6"),
        (line(values=[float("inf")] * 6), "a value is not finite"),
        (line(values=["a"] * 6), "could not convert"),
        (b"[" * 5000, "("),
        (b"x" * (MAX_LINE_BYTES + 1), f"longer than {MAX_LINE_BYTES} bytes"),
    ],
)
def test_a_line_that_is_no_row_is_told_of_by_number_and_passed_over(bad, said):
    problems = []
    lines = [line(), bad, b"\n", line(time_s=2)]
    found = read_rows(
        lines, dataset="utd-mhad", modalities=["inertial"], on_problem=problems.append
    )
    assert [row.time_s for row in found] == [1, 2]
    assert len(problems) == 1
    assert problems[0].startswith("line 2 is no row (")
    assert said in problems[0]


def test_rows_of_a_modality_that_the_model_does_not_know_are_left_out():
    lines = [line(modality="skeleton", values=[0.0] * 60), line()]
    found = read_rows(lines, dataset="utd-mhad", modalities=["skeleton"], on_problem=pytest.fail)
    assert [row.values.shape for row in found] == [(20, 3)]


def test_a_growing_file_is_read_as_it_grows_and_a_torn_line_waits_for_its_end(tmp_path):
    path = tmp_path / "live.jsonl"
    path.write_bytes(b"one\ntw")
    lines = read_lines(path, follow=True, idle_s=2, poll_s=0.01)
    assert next(lines) == b"one\n"

    def grow():
        time.sleep(0.05)
        with path.open("ab") as file:
            file.write(b"o\nthree")

    thread = threading.Thread(target=grow)
    thread.start()
    assert list(lines) == [b"two\n", b"three"]
    thread.join()
    assert list(read_lines(path, follow=False, idle_s=0)) == [b"one\n", b"two\n", b"three"]
    with pytest.raises(RecordingError, match=r"nowhere\.jsonl cannot be read: No such file"):
        list(read_lines(tmp_path / "nowhere.jsonl", follow=False, idle_s=0))


def test_files_of_a_recording_are_put_on_one_clock(tmp_path):
    raw = write_raw(tmp_path, ["a1_s1_t1"], n_frames=90)
    files = [raw / path_of("a1_s1_t1", m) for m in ("skeleton", "inertial")]
    broken = tmp_path / "b_inertial.mat"
    broken.write_bytes(b"x")
    grouped = group_files([*files, broken], dataset="utd-mhad", modalities=("skeleton", "inertial"))
    said = []
    whole, lost = (
        rows_of(each, dataset="utd-mhad", on_problem=said.append) for each in grouped.recordings
    )
    times = {m: [r.time_s for r in whole if r.modality == m] for m in ("skeleton", "inertial")}
    assert times["inertial"] == pytest.approx([(i + 0.5) / 30 for i in range(90)])
    assert times["skeleton"] == pytest.approx(times["inertial"])
    assert lost == []
    assert len(said) == 1
    assert str(broken) in said[0]


def moment(start_s, activity, probability=0.8, length_s=2.0):
    return Moment(
        start_s=start_s,
        end_s=start_s + length_s,
        probabilities={activity: probability, "other": 0.1},
        modalities=("inertial",),
    )


def test_neighbouring_windows_of_one_activity_become_one_span():
    found = [moment(0, "wave", 0.9), moment(1, "wave", 0.7), moment(2, "clap"), moment(9, "clap")]
    assert list(timeline(found)) == [
        Activity(start_s=0, end_s=2.5, activity="wave", probability=pytest.approx(0.8)),
        Activity(start_s=2.5, end_s=4, activity="clap", probability=0.8),
        Activity(start_s=9, end_s=11, activity="clap", probability=0.8),
    ]
    assert list(timeline([])) == []


class Model:
    """Knows one activity by the mean of the rows, and cannot encode negative ones."""

    shapes = {"inertial": (4, 6)}  # noqa: RUF012
    classes = ("low", "high")

    def encode_rows(self, modality, values):
        if values.min() < 0:
            raise RecordingError("negative", stage="encode")
        return values[:4]

    def recognise(self, records):
        high = float(records[0]["inertial"].mean() > 5)
        return Votes(np.array([[1 - high, high]]), np.zeros((1, 1, 2)), np.ones((1, 1)))

    def credible(self, probabilities):
        return None


def test_windows_that_cannot_be_encoded_are_told_of_and_the_others_recognised():
    said = []
    windows = [
        Window(start_s=0, end_s=1, rows={"inertial": np.full((9, 6), v, "f4")}) for v in (9, -1, 1)
    ]
    found = list(moments(Model(), windows, said.append))
    assert [each.activity for each in found] == ["high", "low"]
    assert said == ["inertial from 0.00 to 1.00 s cannot be encoded: negative"]
