from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from pipeline.datasets import parse_description
from pipeline.datasets.draft import draft
from pipeline.manifests.pattern import list_tree
from pipeline.raw.tree import RawTree
from tests.described import ACTIVITIES, fabricate_wrist_codes


def drafted(root: Path) -> str:
    tree = RawTree(root)
    return draft(root.name, tree.walk(), lambda path: tree.read(path)[:4096])


def test_a_tree_of_an_unknown_kind_is_understood_but_for_its_rate(tmp_path: Path) -> None:
    n_files = fabricate_wrist_codes(tmp_path / "Wrist Codes")
    made = parse_description(tomllib.loads(drafted(tmp_path / "Wrist Codes")), where="the draft")
    assert made.name == "wrist-codes"
    source = made.modalities["sensor"].reading.streams["sensor"]
    assert (source.separator, source.header, source.columns) == ("space", False, (1, 2, 3))
    listed, _ = list_tree(made, RawTree(tmp_path / "Wrist Codes"))
    assert len(listed) == n_files
    assert {each.label.lower() for each in listed} == set(ACTIVITIES)


def test_modalities_are_told_apart_by_the_end_of_names(tmp_path: Path) -> None:
    for person in (1, 2):
        for activity in ("walk", "run"):
            for place, head in (("wrist", "t;x;y"), ("hip", "x;y;t")):
                file = tmp_path / "raw" / f"s{person}_{activity}_{place}.csv"
                file.parent.mkdir(exist_ok=True)
                file.write_text(f"{head}\n" + "".join(f"{n};{n};{n}\n" for n in range(5)))
    made = parse_description(tomllib.loads(drafted(tmp_path / "raw")), where="the draft")
    assert sorted(made.modalities) == ["hip", "wrist"]
    assert made.modalities["hip"].patterns["hip"] == "s{subject:d}_{label}_hip.csv"
    assert made.modalities["hip"].reading.streams["hip"].time == "t"
    assert made.modalities["wrist"].reading.streams["wrist"].columns == ("x", "y")


@pytest.mark.parametrize("names", [(), ("a.csv",), ("x.doc", "y.doc"), ("a.csv", "b.csv", "ö.csv")])
def test_a_draft_of_anything_is_toml(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"\xff\x00;'\"\n")
    assert tomllib.loads(drafted(tmp_path))["name"]


def test_a_label_of_one_or_two_words_is_the_part_that_varies(tmp_path: Path) -> None:
    for person in ("f1", "m2"):
        for activity in ("walk", "brush_teeth", "climb_stairs"):
            for take in (1, 2):
                (tmp_path / f"{person}_{activity}_{take:02d}.txt").write_text("1 2 3\n4 5 6\n")
    made = parse_description(tomllib.loads(drafted(tmp_path)), where="the draft")
    assert made.modalities["sensor"].patterns["sensor"] == "{part:a}_{label}_{number:d}.txt"
    listed, _ = list_tree(made, RawTree(tmp_path))
    assert {each.label for each in listed} == {"walk", "brush_teeth", "climb_stairs"}
