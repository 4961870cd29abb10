"""The list and its file: what it says, and every mistake in it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.contract import ContractError, StreamRef
from pipeline.manifests import (
    Manifest,
    build,
    load_manifest,
    parse_manifest,
    save_manifest,
)
from pipeline.raw.tree import RawTree
from tests.unit.pipeline.manifests.small import manifest, record


def test_a_manifest_survives_its_file_and_its_hash_is_the_files(root: Path, tmp_path: Path) -> None:
    made = build("utd-mhad", RawTree(root)).manifest
    path = tmp_path / "m.jsonl"
    save_manifest(made, path)

    assert load_manifest(path) == made
    assert made.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["m.jsonl"]


def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ContractError, match=r"m.jsonl cannot be written: No space left"):
        save_manifest(manifest(), path)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("m.jsonl", "old")]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: manifest(record(), record()), "record a1 is there twice"),
        (lambda: manifest(record(label=2)), "record a1 has label 2: wanted 0 to 1"),
        (lambda: manifest(record(streams={})), "record a1 has no streams"),
        (lambda: manifest(classes=()), "classes is empty"),
        (lambda: manifest(classes=("a", "a")), "class name 'a' is there twice"),
        (lambda: manifest(classes=("a", "")), "class name '' is empty"),
        (
            lambda: Manifest(dataset="UTD MHAD", classes=("a",), records=()),
            "dataset is 'UTD MHAD'",
        ),
        (
            lambda: manifest(record(), record("a2", attributes={"camera": 1})),
            re.escape("record a2 has attributes ['camera']: wanted ['subject'] as a1 has"),
        ),
        (
            lambda: manifest(record(), record("a2", streams=record().streams)),
            "file Inertial/a1.mat is claimed by record a2 and by record a1",
        ),
        (
            lambda: manifest(
                record(streams={"depth": (StreamRef(name="depth", path="./D//x.mat"),)})
            ),
            "path './D//x.mat' of record a1: write 'D/x.mat'",
        ),
    ],
)
def test_a_list_that_contradicts_itself_cannot_be_made(
    make: Callable[[], Manifest], reason: str
) -> None:
    with pytest.raises(ContractError, match=reason):
        make()


HEADER: dict[str, Any] = {
    "format": "dmft-manifest",
    "version": 1,
    "dataset": "utd-mhad",
    "classes": ["wave", "clap"],
    "n_records": 1,
}
STREAM: dict[str, Any] = {
    "name": "depth",
    "path": "Depth/a1.mat",
    "n_bytes": 7,
    "sha256": None,
    "n_frames": None,
}
RECORD: dict[str, Any] = {
    "id": "a1",
    "label": 1,
    "attributes": {"subject": 1},
    "streams": {"depth": [STREAM]},
}


def lines(*objects: Any) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in objects)


def with_stream(**changes: Any) -> dict[str, Any]:
    return RECORD | {"streams": {"depth": [STREAM | changes]}}


@pytest.mark.parametrize(
    ("text", "where", "reason"),
    [
        (b"", "line 1", "is not JSON"),
        (b"\xff\xfe\n", "line 1", "is not JSON"),
        (b"[" * 100_000, "line 1", "is not JSON"),
        (b"[]\n", "line 1", re.escape("the header is []: wanted an object with format")),
        (lines(HEADER | {"extra": 1}), "line 1", "the header has the unknown key 'extra'"),
        (lines({"format": "dmft-manifest"}), "line 1", "the header lacks the key 'version'"),
        (lines(HEADER | {"version": 2}), "line 1", "is format 'dmft-manifest' version 2"),
        (lines(HEADER | {"dataset": 3}), "line 1", "dataset is 3"),
        (lines(HEADER | {"dataset": "Ä"}), "line 1", "dataset is 'Ä'"),
        (lines(HEADER | {"classes": ["a", "a"]}), "line 1", "class name 'a' is there twice"),
        (lines(HEADER | {"n_records": "1"}, RECORD), "line 1", "n_records is '1'"),
        (lines(HEADER), "line 1", "n_records is 1 and 0 record lines follow"),
        (lines(HEADER, RECORD)[:-20], "line 2", "is not JSON"),
        (lines(HEADER) + b'{"id":"a","id":"b"}\n', "line 2", re.escape("the keys ['id'] repeat")),
        (lines(HEADER) + b'{"id":NaN}\n', "line 2", "NaN is not a number of JSON"),
        (lines(HEADER, 7), "line 2", "the record is 7: wanted an object with id, label"),
        (lines(HEADER, RECORD | {"note": 1}), "line 2", "the record has the unknown key 'note'"),
        (lines(HEADER, RECORD | {"label": 2}), "line 2", "record a1 has label 2: wanted 0 to 1"),
        (
            lines(HEADER, RECORD | {"label": True}),
            "line 2",
            "label is True: wanted",
        ),
        (lines(HEADER, RECORD | {"id": "a 1"}), "line 2", "record id 'a 1'"),
        (
            lines(HEADER, RECORD | {"attributes": 1}),
            "line 2",
            "attributes is 1: wanted",
        ),
        (
            lines(HEADER, RECORD | {"attributes": {"x": "1"}}),
            "line 2",
            "attributes.x is '1'",
        ),
        (
            lines(HEADER, RECORD | {"streams": {"depth": {}}}),
            "line 2",
            "streams.depth is {}",
        ),
        (lines(HEADER, RECORD | {"streams": {}}), "line 2", "record a1 has no streams"),
        (lines(HEADER, with_stream(size=1)), "line 2", "depth.0 has the unknown key 'size'"),
        (lines(HEADER, with_stream(n_bytes=-1)), "line 2", "n_bytes of 'Depth/a1.mat' is -1"),
        (lines(HEADER, with_stream(sha256="ab")), "line 2", "sha256 of 'Depth/a1.mat' is 'ab'"),
        (lines(HEADER, with_stream(path="../a")), "line 2", "path '../a' leads out of the raw"),
        (lines(HEADER, with_stream(path="/a")), "line 2", "path '/a' leads out of the raw"),
        (lines(HEADER, RECORD, RECORD), "line 3", "record a1 is there twice"),
        (
            lines(HEADER, RECORD, RECORD | {"id": "a2"}),
            "line 3",
            "file Depth/a1.mat is claimed by record a2 and by record a1",
        ),
    ],
)
def test_every_mistake_in_a_file_is_named_with_its_line(
    text: bytes, where: str, reason: str, tmp_path: Path
) -> None:
    found, problems = parse_manifest(text)
    assert found is None
    assert any(p.where == where and re.search(reason, p.message) for p in problems), problems
    path = tmp_path / "m.jsonl"
    path.write_bytes(text)
    with pytest.raises(ContractError, match=reason):
        load_manifest(path)


def test_all_mistakes_of_a_file_come_in_one_error(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(
        lines(HEADER | {"version": 9}, with_stream(path="../x"), RECORD | {"label": 5})
    )

    with pytest.raises(ContractError) as met:
        load_manifest(path)
    for part in ("4 problems", "version 9", "line 2: path '../x'", "line 3: record a1 has label 5"):
        assert part in str(met.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"absent.jsonl cannot be read: No such file"):
        load_manifest(tmp_path / "absent.jsonl")


def test_a_manifest_becomes_a_table_with_a_row_a_record() -> None:
    ref = StreamRef(name="depth", path="Depth/a2.mat", n_bytes=5)
    made = manifest(record(), record("a2", label=1, streams={"depth": (ref,)}))
    table = made.to_frame()
    assert list(table.index) == ["a1", "a2"]
    assert table[["label", "class_name", "subject"]].to_numpy().tolist() == [
        [0, "wave", 1],
        [1, "clap", 1],
    ]
    assert table["depth_paths"].tolist() == [(), ("Depth/a2.mat",)]
    assert table["depth_bytes"].tolist() == [0, 5]
    assert table["inertial_paths"].tolist() == [("Inertial/a1.mat",), ()]
    assert table["inertial_bytes"].isna().tolist() == [True, False]
