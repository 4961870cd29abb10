from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from pipeline.contract import ConfigError
from pipeline.datasets import Reading, load_description, parse_description
from tests.described import WRIST, description, series


def test_a_description_says_its_columns_and_their_rate() -> None:
    made = parse_description(tomllib.loads(WRIST), where="dataset.toml")
    reading = made.modalities["wrist"].reading
    assert reading.column_names == ("acc_x", "acc_y", "acc_z")
    assert not reading.is_timed
    assert Reading.of_note(reading.to_note()) == reading


def test_what_has_its_default_is_not_noted() -> None:
    reading = description(series()).modalities["acc"].reading
    source = {"reader": "delimited", "columns": ["x", "y"], "rate_hz": 50.0}
    assert reading.to_note() == {"kind": "series", "version": 1, "streams": {"acc": source}}


def test_streams_have_what_their_modality_has_and_their_own() -> None:
    table = series(streams={"left": {"time": "t"}, "right": {"path": "right wrist", "unit": "g"}})
    made = description(table).modalities["acc"]
    assert made.paths == {"left": "acc_left", "right": "right wrist"}
    assert made.reading.streams["right"].unit == "g"
    assert made.reading.is_timed
    names = ("left_x", "left_y", "right_x", "right_y", "has_left", "has_right")
    assert made.reading.column_names == names


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reader": "csv", "header": False}, "header means nothing to 'csv': wanted a reader of d"),
        ({"seperator": ";"}, r"modality\.acc\.seperator is not a setting: wanted one of"),
        ({"separator": "::"}, r"separator is '::': wanted one character, 'space' or 'tab'"),
        ({"columns": ["x", 0]}, r"column 0: columns are counted from 1"),
        ({"columns": [1.5]}, r"columns\[0\] is 1\.5: wanted a text or a whole number"),
        ({"header": False}, r"column 'x': a file without a header has no names; wanted numbers"),
        ({"columns": []}, r"acc has no columns: wanted those to take"),
        ({"columns": ["x", "x"]}, r"are \['x', 'x'\]: wanted each column once"),
        ({"rate_hz": 0}, r"rate_hz is 0\.0: wanted more than 0"),
        ({"kind": "sound"}, r"kind is 'sound': wanted 'series' or 'skeleton'"),
        ({"kind": "depth"}, r"reader 'delimited' gives no depth"),
        ({"range": [2.0, 1.0]}, r"range is \[2\.0, 1\.0\]: wanted the least and the largest"),
        ({"factor": 0}, r"factor is \[0\.0\]: wanted finite numbers, no factor 0"),
        ({"axes": ["-y", "z"]}, r"axes are \['-y', 'z'\]: wanted each of \('x', 'y'\)"),
        ({"names": ["a"]}, r"names has 1 entries: wanted 2"),
        ({"key": "acc"}, r"key means nothing to 'delimited': wanted columns, separator"),
        ({"mixed_rates": "accept"}, r"mixed_rates: wanted a time beside it"),
        ({"joints": ["hip"]}, r"joints of a series: wanted names of a skeleton's joints"),
        ({"streams": {}}, r"modality\.acc\.streams is \{\}: wanted a table"),
    ],
)
def test_what_a_description_cannot_say_is_named_by_its_path(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        description(series(**change))


def test_rows_need_a_time_or_a_rate() -> None:
    table = series()
    del table["modality"]["acc"]["rate_hz"]
    with pytest.raises(ConfigError, match="acc has neither a time nor a rate_hz"):
        description(table)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"name": "Toys!"}, r"name is 'Toys!': wanted lower-case letters"),
        ({"name": "toys", "modality": {}}, r"modality is missing: wanted a table \[modality"),
        ({"name": "toys", "modality": {"A b": series()["modality"]["acc"]}}, "'A b' cannot be a"),
        ({**series(), "classes": ["a", "a"]}, r"classes are \['a', 'a'\]: wanted different"),
        ({**series(), "classes": ["a"], "rename": {"1": "b"}}, r"rename\.1 is 'b': wanted one of"),
        ({**series(), "pattern": "/{label}.csv"}, r"pattern '/\{label\}\.csv': wanted a path"),
        ({**series(), "pattern": "../{label}"}, r"pattern '\.\./\{label\}': wanted a path within"),
        ({**series(), "pattern": "{Label}.csv"}, r"has \{Label\}: wanted \{name\}, \{name:d\}"),
    ],
)
def test_a_data_set_that_cannot_be_is_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        description(table)


def test_two_modalities_by_one_pattern_are_told_apart_by_it() -> None:
    acc = series()["modality"]["acc"]
    table = {"name": "toys", "pattern": "{label}.csv", "modality": {"acc": acc, "gyro": acc}}
    with pytest.raises(ConfigError, match=r"modality\.acc has no pattern: wanted one, or \{modal"):
        description(table)
    table["pattern"] = "{modality}/{label}.csv"
    assert description(table).patterns["gyro", "gyro"].find("gyro/a.csv") == {"label": "a"}


def test_a_body_is_of_joints_that_there_are() -> None:
    names = {"hips": ["hip"], "shoulders": ["neck"], "left_shoulder": "l", "right_shoulder": "r"}
    skeleton = {"kind": "skeleton", "reader": "npy", "rate_hz": 30, "joints": ["hip", "l", "r"]}
    with pytest.raises(ConfigError, match=r"body names \['neck'\]: wanted joints of \['hip', 'l'"):
        description({"name": "toys", "modality": {"pose": {**skeleton, "body": names}}})


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    file = tmp_path / "dataset.toml"
    with pytest.raises(ConfigError, match=r"dataset\.toml cannot be read: No such file"):
        load_description(file)
    file.write_text("name = ")
    with pytest.raises(ConfigError, match=r"dataset\.toml cannot be read: Invalid value"):
        load_description(file)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"parents": {"l": "neck"}}, r"parents: l on neck: wanted two of \['hip', 'l', 'r'\]"),
        ({"parents": {"l": "r", "r": "l"}}, r"parents: l hangs on itself"),
        ({"dimensions": 4}, r"dimensions is 4: wanted 2 or 3"),
        ({"joints": ["hip", "hip"]}, r"joints are \['hip', 'hip'\]: wanted each name once"),
        ({"columns": [1, 2]}, r"2 columns for 3 joints: wanted 9, x, y and z of each"),
    ],
)
def test_joints_that_cannot_be_are_refused(more: dict[str, Any], message: str) -> None:
    skeleton = {"kind": "skeleton", "reader": "npy", "rate_hz": 30, "joints": ["hip", "l", "r"]}
    with pytest.raises(ConfigError, match=message):
        description({"name": "toys", "modality": {"pose": {**skeleton, **more}}})
    made = description(
        {"name": "toys", "modality": {"pose": {**skeleton, "parents": {"l": "hip"}}}}
    )
    reading = made.modalities["pose"].reading
    assert Reading.of_note(reading.to_note()) == reading


def test_every_reader_of_the_reference_page_is_described_there() -> None:
    page = (Path(__file__).resolve().parents[4] / "docs/reference/dataset-format.md").read_text()
    blocks = [block.split("```")[0] for block in page.split("```toml\n")[1:]]
    made = [parse_description({"name": "x", **tomllib.loads(b)}, where="page") for b in blocks]
    sources = [
        s for each in made for m in each.modalities.values() for s in m.reading.streams.values()
    ]
    wanted = {"delimited", "parquet", "hdf5", "mat", "json", "bvh", "video", "images"}
    assert wanted == {s.reader for s in sources}
