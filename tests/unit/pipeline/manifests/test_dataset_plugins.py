"""Data sets that a package brings: found by name, listed by its code, noted with its version."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli import dmft
from pipeline.contract import ConfigError
from pipeline.manifests import load_manifest
from pipeline.manifests.plugins import dataset_plugins, load_dataset

CODE = """
from pathlib import PurePosixPath

DESCRIPTION = {
    "name": "shelves",
    "classes": ["low", "high"],
    "modality": {
        "acc": {"kind": "series", "reader": "delimited", "columns": ["x"], "rate_hz": 50},
        "gyro": {"kind": "series", "reader": "delimited", "columns": ["x"], "rate_hz": 50},
    },
}


def recordings(paths):
    for path in paths:
        if path.endswith("0.csv"):
            number = int(PurePosixPath(path).stem)
            yield {"label": ROW, "acc": path, "gyro": None, "shelf": number // 100}


class ByPattern:
    DESCRIPTION = {**DESCRIPTION, "pattern": "{label}/{modality}_{n:d}.csv"}


class Wrong:
    DESCRIPTION = 7
"""
POINTS = """[dmft.datasets]
shelves = shelves_of_books
by-pattern = shelves_of_books:ByPattern
wrong = shelves_of_books:Wrong
broken = shelves_of_books:nothing
"""


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    info = tmp_path / "shelves-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shelves\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "raw").mkdir()
    for n in (100, 110, 205):
        (tmp_path / "raw" / f"{n}.csv").write_text(f"x\n{n}\n")
    return tmp_path / "raw"


def build(
    raw: Path, name: str = "shelves", row: str = '"high" if number > 100 else "low"'
) -> Result:
    (raw.parent / "shelves_of_books.py").write_text(CODE.replace("ROW", row))
    sys.modules.pop("shelves_of_books", None)
    command = ["manifest", "build", name, str(raw), "-o", str(raw.parent / "m.jsonl"), "--force"]
    return CliRunner().invoke(dmft, command)


def test_a_package_lists_its_data_set_and_is_noted(raw: Path) -> None:
    done = build(raw)
    assert done.exit_code == 0, (done.output, done.exception)
    assert "205.csv: not listed by shelves" in done.output
    made = load_manifest(raw.parent / "m.jsonl")
    assert [(r.label, dict(r.attributes)) for r in made.records] == [
        (0, {"shelf": 1}),
        (1, {"shelf": 1}),
    ]
    assert made.description is not None
    assert made.description["plugin"] == "shelves 1.2"
    shown = CliRunner().invoke(dmft, ["manifest", "build", "--help"]).output
    assert "by-pattern" in shown
    assert "brings" in CliRunner().invoke(dmft, ["manifest", "build", "shelves", "-h"]).output
    unknown = CliRunner().invoke(dmft, ["manifest", "build", "shelf", str(raw)])
    assert "'shelf' is not one of" in unknown.output
    assert "shelves" in unknown.output


def test_what_a_package_lists_wrongly_is_named_by_row_and_column(raw: Path) -> None:
    assert "row 1, column 'label': the label is 'top', wanted one of low, high" in str(
        build(raw, row='"top"').exception
    )
    assert "shelves of shelves 1.2: row 1, column 'label' is 1.5: wanted a text or a w" in str(
        build(raw, row="1.5").exception
    )
    assert "cannot list" in str(build(raw, row="1 / 0").exception)
    for file in raw.iterdir():
        file.unlink()
    assert "finds no recordings in" in str(build(raw).exception)


def test_a_package_may_bring_patterns_alone(raw: Path) -> None:
    (raw / "low").mkdir()
    (raw / "low" / "acc_1.csv").write_text("x\n1\n")
    done = build(raw, "by-pattern")
    assert done.exit_code == 0, (done.output, done.exception)
    assert "1 records of shelves" in done.output


def test_what_a_package_does_not_bring_is_named(raw: Path) -> None:
    build(raw)
    assert dataset_plugins() == ("broken", "by-pattern", "shelves", "wrong")
    with pytest.raises(ConfigError, match="0 packages bring a data set 'toys' as an entry"):
        load_dataset("toys")
    with pytest.raises(ConfigError, match="'broken' of shelves_of_books:nothing cannot be"):
        load_dataset("broken")
    with pytest.raises(ConfigError, match=r"'wrong' of shelves 1\.2 has the DESCRIPTION 7: wanted"):
        load_dataset("wrong")
