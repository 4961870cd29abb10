"""Files read as a description says: what comes out, and what is refused with which words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.contract import ConfigError, RecordingError
from pipeline.readers.described import readable_as
from pipeline.readers.plugins import load_plugin, with_plugins
from pipeline.signals.recording import Signal, Streams
from tests.described import description, read, series


def rows(text: str | bytes, **options: Any) -> list[list[float]]:
    """Rows of a delimited file."""
    made = read(text.encode() if isinstance(text, str) else text, series(**options))
    assert isinstance(made, Signal)
    return made.values.tolist()


# -- delimited text -------------------------------------------------------------------------------


def test_columns_are_taken_by_name_or_number() -> None:
    text = "t,y,x\n0,1,2\n1,3,4\n"
    assert rows(text) == [[2, 1], [4, 3]]
    assert rows(text, columns=[3, 2]) == [[2, 1], [4, 3]]
    assert rows("1 2 3\n  4  5 6 \n", columns=[3, 1], header=False, separator="space") == [
        [3, 1],
        [6, 4],
    ]


def test_what_stands_before_the_rows_is_passed_over() -> None:
    text = "\ufeffa device\nof 2020\n\nx;y;note\n# calm\n1,5;2;he;llo\n".replace(";llo", "llo")
    found = rows(text, separator=";", decimal=",", skip=2, comment="#")
    assert found == [[1.5, 2.0]]


def test_codes_become_what_is_wanted() -> None:
    codes = {"columns": [1, 2], "header": False, "factor": [0.5, 2.0], "offset": -1.0}
    assert rows("2,3\n", **codes) == [[0, 5]]
    assert rows("1,2\n", columns=[1, 2], names=["x", "y"], header=False, axes=["-y", "x"]) == [
        [-2, 1]
    ]


def test_rows_that_lack_a_number_are_refused_or_left_out() -> None:
    text = "x,y\n1,2\n,3\nnan,4\n5,6\n"
    with pytest.raises(RecordingError, match=r"acc\.dat line 3, column 'x': '' is no finite"):
        rows(text)
    assert rows(text, missing="skip") == [[1, 2], [5, 6]]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("x,y\n1,2\n\n3,four\n", {}, r"acc\.dat line 4, column 'y': 'four' is no finite number"),
        ("1 2\n3 True\n", {"header": False, "columns": [1, 2], "separator": "space"},
         r"line 2, column 2: 'True' is no finite"),
        ("x,y\n1,1_0\n", {}, r"line 2, column 'y': '1_0' is no finite number"),
        ("x,y\n1,inf\n", {}, r"line 2, column 'y': 'inf' is no finite number"),
        ("x,y\n1,2,3\n", {}, r"line 2 has 3 columns: wanted 2 as above it"),
        ("x,z\n1,2\n", {}, r"has no column 'y': its columns are 'x', 'z'"),
        ("x,y,y\n1,2,3\n", {}, r"has the column 'y' 2 times: its columns are"),
        ("x,y\n1,2\n", {"columns": [1, 5]}, r"has 2 columns, 'x', 'y': wanted a column 5"),
        ("x,y\n", {}, r"has no rows: wanted one or more"),
        ("x,y\n1,2\n", {"range": [0.0, 1.0]}, r"holds 2 in row 1, column y, and 1 such numbers"),
        ("x,y\n1,1e39\n", {}, r"holds 1e\+39 in row 1, column y"),
        (",".join(f"c{n}" for n in range(10_000)) + "\n", {}, r"has 10000 columns: wanted at most"),
    ],
)  # fmt: skip
def test_text_that_is_no_recording_is_named_by_line_and_column(
    text: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecordingError, match=message):
        rows(text, **options)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        ("x,y\n1,2\n".encode("utf-16"), "is text in UTF-16: save it in UTF-8"),
        (b"x,y\n1,\xff\n", r"holds b'\\xff' at byte 6: wanted text in UTF-8"),
        (b"x,y\n1,\0\n", "holds a zero byte at 6: wanted text"),
        (b"x" * 100_000, "begins with a line of more than 65536 bytes"),
        (b'x,y\n"1,2\n', "cannot be parsed"),
    ],
)
def test_bytes_that_are_no_text_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(RecordingError, match=message):
        rows(content)


def test_more_lines_than_a_recording_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMFT_MAX_ROWS", "3")
    with pytest.raises(RecordingError, match="holds 5 lines in 16 bytes: wanted at most 3 lines"):
        rows("x,y\n1,2\n1,2\n1,2\n")


# -- times ----------------------------------------------------------------------------------------


def timed(text: str, **options: Any) -> Any:
    table = series(time="t", columns=["x"], **options)
    if "rate_hz" not in options:
        del table["modality"]["acc"]["rate_hz"]
    return read(text.encode(), table)


@pytest.mark.parametrize(
    ("stamps", "time_format"),
    [
        (("0", "0.5", "1"), "seconds"),
        (("1000", "1500", "2000"), "milliseconds"),
        (("5000000000", "5500000000", "6000000000"), "nanoseconds"),
        (
            ("20181016_13:37:28", "20181016_13:37:28.50", "20181016_13:37:29.0"),
            "%Y%m%d_%H:%M:%S.%f",
        ),
        (("2020-01-01T00:00:00Z", "2020-01-01T00:00:00.5Z", "2020-01-01T00:00:01Z"), "iso8601"),
        (
            ("01.02.2024 10:00:00", "01.02.2024 10:00:00.5", "01.02.2024 10:00:01"),
            "%d.%m.%Y %H:%M:%S.%f",
        ),
        (("10:00:00.0", "10:00:00.5", "10:00:01.0"), "%H:%M:%S.%f"),
    ],
)
def test_times_are_seconds_in_the_end(stamps: tuple[str, ...], time_format: str) -> None:
    text = "t,x\n" + "".join(f"{stamp},{n}\n" for n, stamp in enumerate(stamps))
    made = timed(text, time_format=time_format)
    assert isinstance(made, Streams)
    times_s = made.signals["acc"].times_s
    assert (times_s - times_s[0]).tolist() == [0, 0.5, 1]


def test_rows_are_put_in_the_order_of_their_times() -> None:
    made = timed("t,x\n0.2,3\n0,1\n0.1,2\n")
    assert made.signals["acc"].values.ravel().tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("t,x\n0,1\nnoon,2\n", {}, r"line 3, column 't': 'noon' is no finite number"),
        ("t,x\n2020,1\n\nnoon,2\n", {"time_format": "%Y"}, r"line 4: the time is 'noon', wan"),
        ("t,x\n0,1\n0.02,1\n0.04,1\n", {"rate_hz": 100.0}, r"has rows at 50 Hz by its times"),
        ("t,x\n0,1\n5000,1\n", {}, r"spans 5000 s from its first time stamp"),
        ("t,x\n0,1\n1,1\n0.5,1\n1,1\n0.2,2\n50,3\n", {}, "has a clock that jumps"),
    ],
)  # fmt: skip
def test_times_that_cannot_be_are_refused(text: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordingError, match=message):
        timed(text, **options)


def rows_at(*parts: tuple[int, float]) -> str:
    """Rows whose time stamps come at some rate, then at another."""
    steps = np.concatenate([np.full(n, 1 / rate_hz) for n, rate_hz in parts])
    return "t,x\n" + "".join(f"{t:.6f},{n}\n" for n, t in enumerate(np.cumsum(steps)))


MIXED = rows_at((100, 50.0), (100, 100.0))


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (
            MIXED,
            {},
            r"acc.* comes at 50 Hz in rows 1 to 101 by its times, and at 100 Hz in r",
        ),
        (MIXED, {}, r"wanted one rate; cut the file .* mixed_rates = \"accept\""),
        (rows_at((190, 50.0), (60, 25.0)), {"rate_hz": 50.0}, "25 Hz in rows .* 50 Hz throughout"),
    ],
)
def test_a_rate_that_changes_within_a_file_is_refused_by_its_rows(
    text: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecordingError, match=message):
        timed(text, **options)


def test_a_rate_that_may_change_leaves_rows_where_their_times_are() -> None:
    times_s = timed(MIXED, mixed_rates="accept").signals["acc"].times_s
    assert np.diff(times_s)[[0, -1]] == pytest.approx([0.02, 0.01])


@pytest.mark.parametrize("seed", range(4))
def test_rows_that_come_when_something_happens_and_coarse_stamps_have_no_steady_rate(
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    apart = np.cumsum(rng.exponential(0.02, 300))
    pauses = np.cumsum(np.where(rng.random(300) < 0.1, 0.5, 0.02))
    coarse = np.floor(0.7 + np.arange(300) / 100)
    for stamps in (apart, pauses, coarse):
        made = timed("t,x\n" + "".join(f"{t:.6f},{n}\n" for n, t in enumerate(stamps)))
        assert len(made.signals["acc"].values) == 300


def test_streams_of_several_rates_are_joined_and_a_missing_one_is_a_missing_stream() -> None:
    table = series(streams={"left": {}, "right": {"rate_hz": 100.0}})
    made = read({"left": b"x,y\n1,2\n3,4\n", "right": b""}, table)
    assert made.widths == {"left": 2, "right": 2}
    assert list(made.signals) == ["left"]
    with pytest.raises(RecordingError, match=r"no rows in left\.dat, right\.dat: wanted some"):
        read({"left": b"x,y\n", "right": b""}, table)
    with pytest.raises(RecordingError, match=r"is the stream 'hip': wanted one of left, right"):
        read({"hip": b"x,y\n"}, table)


# -- plug-ins -------------------------------------------------------------------------------------

PLUGIN = """
import numpy as np

def read_pairs(content, ref, options):
    if len(content) % 2:
        raise ref.refuse(f"holds {len(content)} bytes: wanted pairs")
    rows = np.frombuffer(content, np.uint8).reshape(-1, 2) * options.get("step", 1)
    return rows, None
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package ``pairs`` 1.0 that brings the reader ``pairs``."""
    (tmp_path / "pairs_of_bytes.py").write_text(PLUGIN)
    info = tmp_path / "pairs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pairs\nVersion: 1.0\n")
    points = "[dmft.readers]\npairs = pairs_of_bytes:read_pairs\nbroken = pairs_of_bytes:nothing\n"
    (info / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(tmp_path)
    load_plugin.cache_clear()
    yield tmp_path
    load_plugin.cache_clear()


def with_plugin(reader: str = "pairs", **options: Any) -> dict[str, Any]:
    return series(reader=reader, columns=[1, 2], names=["red", "infrared"], **options)


def test_a_plug_in_reads_what_no_description_can_say(plugin: Path) -> None:
    made = read(b"\x01\x02\x03\x04", with_plugin(options={"step": 2}, factor=0.5))
    assert made.values.tolist() == [[1, 2], [3, 4]]
    with pytest.raises(RecordingError, match=r"acc\.dat holds 3 bytes: wanted pairs"):
        read(b"123", with_plugin())


def test_its_package_and_version_are_part_of_how_a_record_is_read(plugin: Path) -> None:
    reading = with_plugins(description(with_plugin()).modalities["acc"].reading)
    assert reading.streams["acc"].options == {"plugin": "pairs 1.0"}
    other = description(with_plugin(options={"plugin": "pairs 0.9"})).modalities["acc"].reading
    with pytest.raises(ConfigError, match=r"reader 'pairs' is of pairs 1\.0 here and was of"):
        readable_as(other)


def test_a_plug_in_that_is_not_there_is_named(plugin: Path) -> None:
    with pytest.raises(ConfigError, match=r"reader 'csv' is none of delimited, .* 0 packages"):
        read(b"", with_plugin("csv"))
    with pytest.raises(ConfigError, match=r"'broken' of pairs_of_bytes:nothing cannot be imported"):
        read(b"", with_plugin("broken"))


def test_what_recordings_never_do_is_checked_as_the_description_says() -> None:
    still = {"columns": ["x", "y"], "still": [9, 10.5], "unit": "m/s^2", "what": "gravity"}
    sound = b"x,y\n0,9.8\n9.7,1\n"
    assert len(rows(sound, checks=[still], length=[2, 9], leading_zeros="refuse")) == 2
    for content, options, says in (
        (
            b"x,y\n0,1\n1,0\n",
            {"checks": [still]},
            r"holds gravity of 1 in the median: wanted m/s\^2",
        ),
        (sound, {"checks": [{"peak": 20}]}, "holds values of at most 9.8: wanted the unit said"),
        (sound, {"checks": [{"range": [0, 5], "columns": ["y"]}]}, "values of 9.8, beyond 0 to 5"),
        (sound, {"length": [3, 9]}, "holds 2 rows: wanted 3 to 9, as the description says"),
        (b"x,y\n0,0\n1,1\n", {"leading_zeros": "refuse"}, "begins with 1 rows of zeros alone"),
    ):
        with pytest.raises(RecordingError, match=says):
            rows(content, **options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"checks": [{"columns": ["z"], "peak": 1}]}, r"checks name the columns \['z'\]: wanted"),
        ({"checks": [{}]}, "it checks nothing: wanted a range, still or a peak"),
        ({"checks": [{"still": [2, 1]}]}, r"still is \[2.0, 1.0\]: wanted the least"),
        ({"checks": [{"peak": -1}]}, "peak is -1.0: wanted a magnitude"),
        ({"length": [3]}, r"length is \[3\]: wanted the fewest and the most"),
        ({"size": [3]}, "size means nothing to 'delimited'"),
    ],
)
def test_checks_that_cannot_be_are_named(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        description(series(**options))


@pytest.mark.parametrize("text", ["true", "false", "TRUE"])
def test_true_and_false_are_no_numbers(text: str) -> None:
    with pytest.raises(RecordingError, match=f"line 2, column 'y': '{text}' is no finite number"):
        rows(f"x,y\n1,{text}\n2,{text}\n")
    assert rows("x,y\n1,2 # true\n", comment="#") == [[1, 2]]
