"""Rows with time stamps: every form that is published, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contract import ConfigError, RecordingError
from pipeline.readers.timed_csv import read_rows


def rows(*lines: str) -> tuple[np.ndarray, np.ndarray]:
    return read_rows("\n".join(lines).encode(), 3, "gyro_clip/x.csv")


def seconds(*lines: str) -> list[float]:
    times_s, _ = rows(*(f"{line},1,2,3" for line in lines))
    return [round(float(t), 6) for t in times_s - times_s[0]]


def test_the_first_line_is_a_row() -> None:
    times_s, values = rows(
        "20181016_13:37:28.612000,-0.5,1e-3,+3", "20181016_13:37:28.622000,4,5,6"
    )
    np.testing.assert_allclose(np.diff(times_s), 0.01, atol=1e-6)
    np.testing.assert_allclose(values, [[-0.5, 0.001, 3], [4, 5, 6]])


@given(st.lists(st.floats(-3e38, 3e38), min_size=1, max_size=20), st.sampled_from(["r", ".30g"]))
def test_numbers_are_those_that_python_reads_to_the_bit(numbers: list[float], form: str) -> None:
    texts = [repr(x) if form == "r" else format(x, form) for x in numbers]
    lines = [f"20181016_13:37:28.{at:03},{text}" for at, text in enumerate(texts)]
    _, values = read_rows("\n".join(lines).encode(), 1, "x.csv")
    assert values.tobytes() == np.array([[float(text)] for text in texts]).tobytes()


def test_stamps_have_a_fraction_of_any_length_or_none() -> None:
    found = seconds(
        "20181016_13:37:28",
        "20181016_13:37:28.5",
        "20181016_13:37:28.612",
        "20181016_13:37:28.612000250",
        "20181016_13:37:29",
    )
    assert found == [0, 0.5, 0.612, 0.612, 1]


def test_stamps_run_over_midnight_and_the_end_of_a_leap_february() -> None:
    assert seconds("20200228_23:59:59.5", "20200229_00:00:00.5") == [0, 1]
    assert seconds("20200229_23:59:59.5", "20200301_00:00:00.5") == [0, 1]
    assert seconds("19991231_23:59:59.5", "20000101_00:00:00.5") == [0, 1]


def test_rows_are_sorted_and_of_one_time_the_first_is_kept() -> None:
    times_s, values = rows(
        "20181016_13:37:28.030,3,0,0",
        "20181016_13:37:28.010,1,0,0",
        "20181016_13:37:28.020,2,0,0",
        "20181016_13:37:28.010,9,9,9",
    )
    assert (np.diff(times_s) > 0).all()
    assert values[:, 0].tolist() == [1, 2, 3]


def test_whole_seconds_are_spread_where_no_stamp_has_a_fraction() -> None:
    assert seconds(*["20181016_13:37:28"] * 4, *["20181016_13:37:29"] * 2) == [
        0, 0.25, 0.5, 0.75, 1, 1.5,
    ]  # fmt: skip


def test_a_byte_order_mark_is_no_part_of_the_first_time() -> None:
    content = b"\xef\xbb\xbf20181016_13:37:28.0,1,2,3\n"
    assert read_rows(content, 3, "x.csv")[1].tolist() == [[1, 2, 3]]


def test_blank_lines_and_carriage_returns_do_not_count() -> None:
    content = b"\r\n20181016_13:37:28.0,1,2,3\r\n\r\n \n20181016_13:37:29.0,4,5,6\r\n"
    times_s, values = read_rows(content, 3, "x.csv")
    assert len(times_s) == 2
    assert values.tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize("content", [b"", b"\n", b" \r\n \n"])
def test_an_empty_file_has_no_rows(content: bytes) -> None:
    times_s, values = read_rows(content, 3, "x.csv")
    assert times_s.shape == (0,)
    assert values.shape == (0, 3)


GOOD = "20181016_13:37:28.612000,1,2,3"


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("time,x,y,z", "and no header"),
        ("20181016_13:37:28.612000,1,2", "wanted a time and 3 numbers"),
        ("20181016_13:37:28.612000,1,2,3,4", "wanted a time and 3 numbers"),
        ("20181016_13:37:28.612000;1;2;3", "wanted a time and 3 numbers"),
        ("20181016_13:37:28.612000,1,2,", "wanted numbers"),
        ("20181016_13:37:28.612000,1,2,nan", "wanted finite numbers"),
        ("20181016_13:37:28.612000,1,-inf,3", "wanted finite numbers"),
        ("20181016_13:37:28.612000,1,2,1e39", "wanted finite numbers"),
        ("20181016_13:37:28.612000,1,2,three", "wanted numbers"),
        ("20181016_13:37:28.612000,1,2,1_0", "wanted numbers"),
        ("20181016_13:37:28.612000,1,2,true", "wanted numbers"),
        ("20181016_13:37:28.612000,1,2,\0003", "wanted numbers"),
        ("20181016 13:37:28.612000,1,2,3", "wanted a time such as"),
        ("20181016_13:37:28.,1,2,3", "wanted a time such as"),
        ("20181016_13:37:28.6120000001,1,2,3", "wanted a time such as"),
        ("20181016_13:37:28.6x,1,2,3", "wanted a time such as"),
        ("20181016_13:37:2,1,2,3", "wanted a time such as"),
        ("2018101613:37:28,1,2,3", "wanted a time such as"),
        ("20181016_25:37:28,1,2,3", "wanted a time such as"),
        ("20181316_13:37:28,1,2,3", "wanted a date"),
        ("20180230_13:37:28,1,2,3", "wanted a date"),
        (",1,2,3", "wanted a time such as"),
        ("\0\0\0", "wanted a time and 3 numbers"),
    ],
)
def test_a_line_that_is_none_is_refused_by_its_number(line: str, wanted: str) -> None:
    shown = repr(line)[1:-1]
    with pytest.raises(RecordingError, match=f"^gyro_clip/x.csv, line 3, is .*: .*{wanted}") as at:
        rows(GOOD, "", line, GOOD)
    assert shown in str(at.value)
    assert at.value.path == "gyro_clip/x.csv"


def test_a_stamp_that_is_far_off_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecordingError, match=r"x.csv spans 31536000 s .*: wanted at most 1800 s"):
        rows(GOOD, "20191016_13:37:28.612000,1,2,3")
    monkeypatch.setenv("DMFT_MAX_SECONDS", "4e7")
    assert len(rows(GOOD, "20191016_13:37:28.612000,1,2,3")[0]) == 2


@pytest.mark.parametrize("content", [b"\n" * 50, b"1\n" * 50, b"x" * 20_000])
def test_more_than_a_recording_has_is_refused(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DMFT_MAX_ROWS", "49")
    with pytest.raises(RecordingError, match=r"lines in \d+ bytes: wanted at most 49 lines"):
        read_rows(content, 3, "x.csv")
    monkeypatch.setenv("DMFT_MAX_ROWS", "many")
    with pytest.raises(ConfigError, match="DMFT_MAX_ROWS is 'many': wanted a positive number"):
        read_rows(content, 3, "x.csv")


@given(
    length=st.integers(0, 31 * 6),
    changes=st.lists(st.tuples(st.integers(0, 31 * 6), st.integers(0, 255)), max_size=4),
)
def test_whatever_is_in_a_file_it_gives_sorted_finite_rows_or_is_refused(length, changes) -> None:
    content = bytearray("\n".join([GOOD] * 6).encode()[:length])
    for at, byte in changes:
        if at < len(content):
            content[at] = byte
    try:
        times_s, values = read_rows(bytes(content), 3, "x.csv")
    except RecordingError:
        return
    assert values.shape == (len(times_s), 3)
    assert np.isfinite(values).all()
    assert (np.diff(times_s) > 0).all()
