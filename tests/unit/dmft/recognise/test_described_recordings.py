"""New recordings of a described data set: told apart by patterns, by a table, or by who asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dmft.recognise.recordings import Grouped, group_files
from pipeline.contract import ConfigError, ContractError
from tests.described import description, series

ACC = series()["modality"]["acc"]
FILM = {"kind": "colour", "reader": "video"}
OWN = description(
    {
        "name": "toys",
        "modality": {
            "acc": {**ACC, "pattern": "{label}/{who}_{stream}.csv", "shared": True}
            | {"streams": {"left": {}, "right": {}}},
            "film": {**FILM, "pattern": "{label}/{who}_cam{cam:d}.mp4"},
        },
    }
)


def grouped(*files: str | Path, **more: Any) -> Grouped:
    return group_files(files, dataset="toys", modalities=("acc", "film"), own=OWN, **more)


def touch(root: Path, *names: str) -> list[Path]:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return [root / name for name in names]


def said(found: Grouped) -> list[tuple[str, list[str]]]:
    return [
        (r.id, [f.stream for m in sorted(r.files) for f in r.files[m]]) for r in found.recordings
    ]


def test_files_belong_together_as_their_paths_say(tmp_path: Path) -> None:
    names = ("new/anna_left.csv", "new/anna_right.csv", "new/bert_left.csv")
    found = grouped(*touch(tmp_path, *names))
    assert said(found) == [("new_anna", ["left", "right"]), ("new_bert", ["left"])]


def test_a_shared_file_goes_to_every_view_that_is_there(tmp_path: Path) -> None:
    touch(tmp_path, "x/anna_left.csv", "x/anna_cam1.mp4", "x/anna_cam2.mp4", "x/notes.txt")
    found = grouped(raw=tmp_path)
    assert said(found) == [("x_anna_1", ["left", "film"]), ("x_anna_2", ["left", "film"])]


def test_whoever_asks_says_what_a_file_is(tmp_path: Path) -> None:
    one, other = touch(tmp_path, "1.csv", "2.mp4")
    found = grouped(f"acc.right={one}", f"film={other}")
    assert said(found) == [("recording", ["right", "film"])]
    (failure,) = grouped(str(one)).failures
    assert "is of none of the patterns of toys" in failure[1]
    assert "say what it is, as acc|film=1.csv" in failure[1]


def test_a_table_needs_no_labels(tmp_path: Path) -> None:
    touch(tmp_path, "1.csv", "2.mp4")
    trials = tmp_path / "new.csv"
    trials.write_text("record,acc_left,film\nmonday,1.csv,2.mp4\ntuesday,,2.mp4\n")
    found = grouped(raw=tmp_path, trials=trials)
    assert said(found) == [("monday", ["left", "film"]), ("tuesday", ["film"])]
    trials.write_text("record,hip\nmonday,1.csv\n")
    with pytest.raises(
        ContractError, match="there is no column of paths: its columns are 'record'"
    ):
        grouped(raw=tmp_path, trials=trials)
    trials.write_text("record,film\nmonday,\n")
    with pytest.raises(ConfigError, match=r"new\.csv lists no recordings of acc, film"):
        grouped(raw=tmp_path, trials=trials)
    trials.write_text("record,film\nmonday,../2.mp4\n")
    with pytest.raises(ContractError, match=r"'\.\./2\.mp4' leads out of the raw tree"):
        grouped(raw=tmp_path, trials=trials)
    with pytest.raises(ConfigError, match="a table of trials needs a described data set and its"):
        group_files((), dataset="utd-mhad", modalities=("depth",), raw=tmp_path, trials=trials)
