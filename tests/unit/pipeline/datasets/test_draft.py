from __future__ import annotations

import tomllib
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from pipeline.datasets import parse_description
from pipeline.datasets.draft import Look, draft
from pipeline.manifests.described import list_described
from pipeline.manifests.pattern import list_tree
from pipeline.raw.tree import RawTree
from pipeline.readers.listing import arrays_in
from tests.described import ACTIVITIES, fabricate_wrist_codes


def drafted(root: Path, columns: dict[str, list[str]] | None = None) -> str:
    tree = RawTree(root)
    look = Look(
        begin=lambda path: tree.read(path)[:4096], arrays=lambda path: arrays_in(tree.read(path))
    )
    return draft(root.name, tree.walk(), look, columns)


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


def test_rows_of_numbers_are_known_whatever_their_files_end_in(tmp_path: Path) -> None:
    (tmp_path / "README.log").write_text("codes of twelve bits\n")
    (tmp_path / "wk1").mkdir()
    (tmp_path / "wk1" / "P01-pour-milk-r1.log").write_text("")
    for name in ("P02-clap-r1", "P03-pour-milk-r1", "P04-clap-r1", "P05-pour-milk-r1"):
        (tmp_path / "wk1" / f"{name}.log").write_text("12 -5 256\r\n" * 9)
        (tmp_path / "wk1" / f"{name}.sh").write_text("#!/bin/sh\necho it\n")
        (tmp_path / "wk1" / f"{name}.bin").write_bytes(b"1 2\0\n" * 9)
    made = parse_description(tomllib.loads(drafted(tmp_path)), where="the draft")
    assert [*made.modalities] == ["sensor"]
    source = made.modalities["sensor"].reading.streams["sensor"]
    assert (source.separator, source.header, source.columns) == ("space", False, (1, 2, 3))
    assert made.modalities["sensor"].patterns["sensor"] == "wk1/P{subject:d}-{label}-r1.log"


def test_a_tree_of_bvh_says_its_joints_and_what_they_hang_on(tmp_path: Path) -> None:
    for name in ("walk_1.bvh", "run_1.bvh", "walk_1.json", "run_1.json"):
        (tmp_path / name).write_text(
            "HIERARCHY\nROOT Hips\n{\n\tJOINT Left Leg\n\t{\n\t\tEnd Site\n\t\t{\n\t\t}\n\t}\n"
            "\tJOINT Spine\n\t{\n\t\tEnd Site\n\t\t{\n\t\t}\n\t}\n}\nMOTION\nFrames: 0\n"
        )
    made = parse_description(tomllib.loads(drafted(tmp_path)), where="the draft")
    assert [*made.modalities] == ["skeleton"]
    reading = made.modalities["skeleton"].reading
    assert reading.joints == ("Hips", "Left Leg", "Spine")
    assert reading.parents == {"Left Leg": "Hips", "Spine": "Hips"}
    for name in ("walk_1.bvh", "run_1.bvh"):
        (tmp_path / name).unlink()
    alone = parse_description(tomllib.loads(drafted(tmp_path)), where="the draft")
    assert alone.modalities["sensor"].reading.streams["sensor"].reader == "json"


@pytest.mark.parametrize(
    "names",
    [
        (), ("a.csv",), ("x.doc", "y.doc"), ("a.csv", "b.csv", "ö.csv"),
        ("a\n1.csv", "b\n2.csv"), ("w\udce4lk_1.csv", "w\udce4lk_2.csv"),
    ],
)  # fmt: skip
def test_a_draft_of_anything_is_toml(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"\xff\x00;'\"\n")
    assert tomllib.loads(drafted(tmp_path).encode().decode())["name"]


def test_a_label_of_one_or_two_words_is_the_part_that_varies(tmp_path: Path) -> None:
    for person in ("f1", "m2"):
        for activity in ("walk", "brush_teeth", "climb_stairs"):
            for take in (1, 2):
                (tmp_path / f"{person}_{activity}_{take:02d}.txt").write_text("1 2 3\n4 5 6\n")
    made = parse_description(tomllib.loads(drafted(tmp_path)), where="the draft")
    assert made.modalities["sensor"].patterns["sensor"] == "{subject:a}_{label}_{number:d}.txt"
    listed, _ = list_tree(made, RawTree(tmp_path))
    assert {each.label for each in listed} == {"walk", "brush_teeth", "climb_stairs"}


def test_a_few_labels_of_one_word_among_many_of_two_are_no_other_files(tmp_path: Path) -> None:
    for n in range(24):
        name = "Walk" if n % 12 == 0 else ("brush_teeth", "climb_stairs")[n % 2]
        name = name.upper() if n % 7 == 3 else name
        ending = "TXT" if n % 8 == 5 else "txt"
        (tmp_path / f"{name}_{'Fff'[n // 8]}{n % 4}_{n:03d}.{ending}").write_text(
            "1 2 3\n4 5 6\n\n"
        )
    (tmp_path / "._Walk_f1_001.txt").write_bytes(b"\0\5")
    text = drafted(tmp_path)
    made = parse_description(tomllib.loads(text), where="the draft")
    assert "#   {label} is 3 values: Walk, brush_teeth, climb_stairs" in text
    assert made.modalities["sensor"].patterns["sensor"] == "{label}_{subject:a}_{number:d}.txt"
    listed, ignored = list_tree(made, RawTree(tmp_path))
    assert (len(listed), [path for path, _ in ignored]) == (24, ["._Walk_f1_001.txt"])
    manifest = list_described(made, listed, RawTree(tmp_path), where="it", jobs=1).manifest
    assert manifest.classes == ("Walk", "brush_teeth", "climb_stairs")
    assert set(manifest.description["values"]["subject"]) == {"f0", "f1", "f2", "f3"}


def test_numbers_in_brackets_and_a_rate_in_a_name_are_understood(tmp_path: Path) -> None:
    folder = tmp_path / "Wrist 32Hz"
    folder.mkdir()
    for n, name in enumerate(("Walk", "Brush Teeth", "Sit down-chair") * 2):
        (folder / f"p{n % 3:02d} {name} ({n + 1}).dat").write_text("1,2,3,\n4,5,6,\n")
    text = drafted(tmp_path)
    made = parse_description(tomllib.loads(text), where="the draft")
    pattern = "Wrist 32Hz/p{subject:d} {label} ({number:d}).dat"
    assert made.modalities["sensor"].patterns["sensor"] == pattern
    assert made.modalities["sensor"].reading.streams["sensor"].rate_hz == 32
    assert "rate_hz = 32  # ? by the name of Wrist 32Hz\n" in text
    listed, _ = list_tree(made, RawTree(tmp_path))
    assert {each.label for each in listed} == {"Walk", "Brush Teeth", "Sit down-chair"}


def test_dates_before_a_label_do_not_run_into_it(tmp_path: Path) -> None:
    for day in (1, 2):
        for activity in ("walk", "pour_water", "sit"):
            name = f"Accelerometer-2011-03-{day:02d}-10-00-00-{activity}-f{day}.txt"
            (tmp_path / name).write_text("33 37 36\n33 34 34\n32 37 35\n31 30 30\n")
    (tmp_path / "ABOUT.txt").write_text("not, a recording\n")
    text = drafted(tmp_path)
    assert "# 6 of 7 files such as Accelerometer-" in text
    assert "#   {label} is 3 values: pour_water, sit, walk" in text
    assert "# ? whole numbers, here 30 to 37: if they are a sensor's codes" in text
    listed, ignored = list_tree(
        parse_description(tomllib.loads(text), where="the draft"), RawTree(tmp_path)
    )
    assert {each.label for each in listed} == {"walk", "pour_water", "sit"}
    assert [path for path, _ in ignored] == ["ABOUT.txt"]


@pytest.mark.parametrize(
    ("stamps", "name", "format_", "rate"),
    [
        (["1700000000000", "1700000000020", "1700000000040"], "time", "milliseconds", "50"),
        (["1700000000", "1700000001", "1700000002"], "time", "seconds", "1"),
        (["1700000000000000000", "1700000000005000000"], "timestamp", "nanoseconds", "200"),
        (["0.0", "0.01", "0.02"], "t", "seconds", "100"),
        (["0", "20", "40"], "time (ms)", "milliseconds", "50"),
        (["0", "5000", "10000"], "time", "microseconds", "200"),
        (["2024-01-01T10:00:00.00", "2024-01-01T10:00:00.02"], "at", "iso8601", ""),
        (["01.02.2024 10:00:00.5", "01.02.2024 10:00:01"], "at", "%d.%m.%Y %H:%M:%S.%f", ""),
    ],
)
def test_times_say_their_unit_or_form(
    tmp_path: Path, stamps: list[str], name: str, format_: str, rate: str
) -> None:
    rows = "".join(f"phone;0,5;{stamp};1,5\n" for stamp in stamps)
    for file in ("1.csv", "2.csv"):
        (tmp_path / file).write_text(f"\nExported by a watch\n\nwhere;x;{name};y\n{rows}")
    text = drafted(tmp_path)
    (source,) = tomllib.loads(text)["modality"].values()
    assert (source["time"], source["time_format"], source["decimal"]) == (name, format_, ",")
    assert (source["columns"], source["skip"]) == (["x", "y"], 3)
    assert "# left out, since texts stand in them: where" in text
    assert (f"rows come {rate} times a second" in text) == bool(rate)
    assert source.get("encoding") == ({"rate_hz": 200} if rate == "200" else None)


def test_a_table_says_which_column_is_what(tmp_path: Path) -> None:
    for n in range(4):
        (tmp_path / f"{n}.csv").write_text("ms,x\n0,1\n20,2\n40,3\n60,4\n80,5\n")
    columns = {
        "Trial": ["1", "2", "3", "4"],
        "Exercise": ["squat", "squat", "lunge", "lunge"],
        "IMU left": ["0.csv", ".\\1.csv", "", "3.csv"],
        "Notes": ["", "", "good", "bad"],
    }
    made = parse_description(tomllib.loads(drafted(tmp_path, columns)), where="the draft")
    assert (made.top.label, made.top.record) == ("Exercise", "Trial")
    assert dict(made.modalities["imu_left"].paths) == {"imu_left": "IMU left"}
    assert "No column of the table names files" in drafted(tmp_path, {"a": ["b"]})


def test_folders_with_a_date_are_taken_apart_and_what_people_do_is_the_label(
    tmp_path: Path,
) -> None:
    for person in ("Ann", "Ben"):
        for activity in ("Walking", "Stair Climbing"):
            for day in (1, 2):
                folder = tmp_path / "raw" / person / f"{activity}-2024-05-{day:02d}_10-00-00"
                folder.mkdir(parents=True)
                (folder / "Accelerometer.csv").write_text("time,seconds_elapsed,z\n1,0,2\n2,1,3\n")
                (folder / "HeartRate.csv").write_text("time,bpm\n1,80\n2,81\n")
    text = drafted(tmp_path / "raw")
    made = parse_description(tomllib.loads(text), where="the draft")
    paths = {name: each.patterns[name] for name, each in made.modalities.items()}
    assert paths["heartrate"] == "{part:a}/{label}-{taken}/HeartRate.csv"
    assert made.modalities["accelerometer"].reading.streams["accelerometer"].columns == ("z",)
    assert "# left out, since they are times as well: seconds_elapsed" in text
    assert "texts stand in them" not in text
    listed, _ = list_tree(made, RawTree(tmp_path / "raw"))
    assert {each.label for each in listed} == {"Walking", "Stair Climbing"}
    assert len(listed) == 8


def test_arrays_are_named_with_their_axes(tmp_path: Path) -> None:
    for n in (1, 2):
        with h5py.File(tmp_path / f"s{n}_walk.h5", "w") as file:
            file["left/acc"], file["left/t"] = np.zeros((3, 90)), np.arange(90.0)
            file["note"] = "text"
        np.savez(tmp_path / f"s{n}.npz", acc=np.zeros((90, 6)))
        np.save(tmp_path / f"s{n}.npy", np.zeros((90, 2)))
        scipy.io.savemat(tmp_path / f"s{n}.mat", {"d_iner": np.zeros((90, 6)), "who": "anna"})
        (tmp_path / f"broken{n}.mat").write_bytes(b"none")
    tables = tomllib.loads(drafted(tmp_path))["modality"].values()
    found = {table["reader"]: table for table in tables}
    assert (found["hdf5"]["key"], found["hdf5"]["time_key"]) == ("left/acc", "left/t")
    assert (found["hdf5"]["order"], found["hdf5"]["columns"]) == (["column", "time"], [1, 2, 3])
    assert (found["npz"]["key"], found["npz"]["columns"]) == ("acc", [1, 2, 3, 4, 5, 6])
    assert ("key" in found["npy"], found["npy"]["columns"]) == (False, [1, 2])
