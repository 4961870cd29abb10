"""Manifests from tables and from patterns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.contract import ConfigError, ContractError
from pipeline.manifests import load_manifest, save_manifest
from pipeline.manifests.described import duplicates
from pipeline.manifests.pattern import build_pattern
from pipeline.manifests.table import build_table
from pipeline.raw.tree import RawTree
from tests.described import description, series


@pytest.fixture
def raw(tmp_path: Path) -> RawTree:
    root = tmp_path / "raw"
    for name in ("a", "b", "c"):
        (root / "wrist").mkdir(parents=True, exist_ok=True)
        (root / "wrist" / f"{name}.csv").write_text(f"x,y\n{ord(name)},2\n")
    return RawTree(root)


def table(raw: RawTree, text: str, **change: Any) -> Any:
    trials = raw.root.parent / "trials.csv"
    trials.write_text(text)
    return build_table(description({**series(), **change}), trials, raw, jobs=1)


GOOD = (
    "record,label,acc,who,session\none,drum,wrist/a.csv,anna,1\ntwo,throw,./wrist\\b.csv,bert,2\n"
)


def test_a_row_is_a_record_and_other_columns_are_attributes(raw: RawTree, tmp_path: Path) -> None:
    manifest = table(raw, GOOD).manifest
    assert manifest.classes == ("drum", "throw")
    assert [(r.id, r.label) for r in manifest.records] == [("one", 0), ("two", 1)]
    assert dict(manifest.records[1].attributes) == {"who": 1, "session": 2}
    assert manifest.description["values"] == {"who": ["anna", "bert"]}
    assert manifest.records[1].streams["acc"][0].path == "wrist/b.csv"
    save_manifest(manifest, tmp_path / "m.jsonl")
    again = load_manifest(tmp_path / "m.jsonl")
    assert (again, again.sha256) == (manifest, manifest.sha256)


def test_a_record_without_a_name_has_that_of_its_file(raw: RawTree) -> None:
    made = table(raw, "label,acc\n3,wrist/a.csv\n10,wrist/b.csv\n").manifest
    assert [record.id for record in made.records] == ["wrist_a", "wrist_b"]
    assert made.classes == ("3", "10")


def test_an_empty_cell_is_an_absent_modality(raw: RawTree) -> None:
    acc = series()["modality"]["acc"]
    text = "label,acc,gyro\na,wrist/a.csv,wrist/c.csv\na,wrist/b.csv,\n"
    built = table(raw, text, modality={"acc": acc, "gyro": acc})
    assert built.incomplete == (("wrist_b", ("gyro",)),)


def test_labels_are_names_or_numbers_of_the_classes(raw: RawTree) -> None:
    classes = {"classes": ["drum", "throw"], "first_label": 1, "rename": {"W": "throw"}}
    text = "label,acc\n1,wrist/a.csv\nThrow,wrist/b.csv\nW,wrist/c.csv\n"
    assert [r.label for r in table(raw, text, **classes).manifest.records] == [0, 1, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label,acc\na,../x.csv\n", r"row 2, column 'acc': path '\.\./x\.csv' leads out"),
        ("label,acc\na,/etc/passwd\n", r"row 2, column 'acc': path '/etc/passwd' leads out"),
        ("label,acc\na,wrist/z.csv\n", r"row 2, column 'acc': wrist/z\.csv no such file"),
        ("label,acc\na,wrist\n", r"row 2, column 'acc': wrist is not a plain file"),
        (
            "record,label,acc\nr,a,wrist/a.csv\nr,a,wrist/b.csv\n",
            r"row 3, column 'record': record 'r' is ",
        ),
        ("label,acc\na,wrist/a.csv\na,wrist/a.csv\n", r"row 3, column 'acc': wrist/a\.csv stands"),
        ("label,path\na,wrist/a.csv\n", r"there is no column 'acc': its columns are 'label', 'pa"),
        ("label,acc\na,\n", r"row 2 has no files: wanted one or more"),
        ("label,acc\n", r"it has no rows: wanted one a record"),
        ("", r"trials\.csv cannot be read: No columns"),
        ("label,acc,acc\na,b,c\n", r"has the columns \['acc'\] twice"),
        ("label,acc,1st\na,wrist/a.csv,x\n", r"column '1st': '1st' cannot be a name"),
        ("label,acc,n\na,wrist/a.csv,99999999999\n", r"column n: 99999999999 is too large"),
        ("label,acc\na,wrist/a.csv,x\n", r"cannot be read: .*Expected 2 fields in line 2, saw 3"),
    ],
)
def test_a_row_that_cannot_be_is_named_with_its_column(
    raw: RawTree, text: str, message: str
) -> None:
    with pytest.raises(ContractError, match=message):
        table(raw, text)


def test_a_label_that_is_no_class_is_named(raw: RawTree) -> None:
    with pytest.raises(
        ContractError, match=r"row 2, column 'label': the label is 'sing', wanted one of drum or 0"
    ):
        table(raw, "label,acc\nsing,wrist/a.csv\n", classes=["drum"])


def test_spellings_that_differ_in_case_are_one_class(raw: RawTree) -> None:
    made = table(raw, "label,acc\nWalk,wrist/a.csv\nwalk,wrist/b.csv\nwalk,wrist/c.csv\n").manifest
    assert made.classes == ("walk",)


def test_an_empty_label_is_no_class(raw: RawTree) -> None:
    with pytest.raises(
        ContractError, match=r"row 3, column 'label': the label is '', wanted one of drum"
    ):
        table(raw, "label,acc\ndrum,wrist/a.csv\n,wrist/b.csv\n")


def test_ten_thousand_columns_are_refused(raw: RawTree) -> None:
    header = ",".join(f"c{n}" for n in range(10_000))
    with pytest.raises(ContractError, match=r"has 10000 columns: wanted at most 1000"):
        table(raw, f"{header}\n{header}\n")


def test_a_link_out_of_the_tree_is_not_followed(raw: RawTree) -> None:
    (raw.root.parent / "secret.csv").write_text("x,y\n1,2\n")
    (raw.root / "wrist" / "link.csv").symlink_to(raw.root.parent / "secret.csv")
    with pytest.raises(ContractError, match=r"column 'acc': wrist/link\.csv is a link out of the"):
        table(raw, "label,acc\na,wrist/link.csv\n")


def test_a_shared_file_is_of_every_view(raw: RawTree) -> None:
    acc = series()["modality"]["acc"]
    text = "record,label,acc\nr,a,wrist/a.csv\ns,a,wrist/a.csv\n"
    made = table(raw, text, modality={"acc": {**acc, "shared": True}}).manifest
    assert made.records[0].streams == made.records[1].streams


def test_excel_is_read_and_its_formulas_are_refused(raw: RawTree) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (["label", "acc", "trial"], ["a", "wrist/a.csv", 1], ["a", "wrist/b.csv", 2.0]):
        book.active.append(row)
    trials = raw.root.parent / "trials.xlsx"
    book.save(trials)
    made = build_table(description(series()), trials, raw).manifest
    assert [record.attributes["trial"] for record in made.records] == [1, 2]
    book.active["B3"] = '=CONCAT("wrist/", "b.csv")'
    book.save(trials)
    with pytest.raises(ContractError, match=r"row 3, column B is the formula '=CONCAT"):
        build_table(description(series()), trials, raw)


@pytest.mark.parametrize(
    ("name", "content"), [("t.xlsx", b"PK"), ("t.ods", b""), ("t.parquet", b"")]
)
def test_what_is_no_table_is_refused(raw: RawTree, name: str, content: bytes) -> None:
    trials = raw.root.parent / name
    trials.write_bytes(content)
    with pytest.raises(ContractError, match=rf"{name} (cannot be read|is no table)"):
        build_table(description(series()), trials, raw)


# -- patterns -------------------------------------------------------------------------------------


def by_pattern(raw: RawTree, pattern: str, **change: Any) -> Any:
    return build_pattern(description({**series(), "pattern": pattern, **change}), raw, jobs=1)


def test_paths_say_what_a_record_is(raw: RawTree) -> None:
    (raw.root / "notes.txt").write_text("")
    built = by_pattern(raw, "{place}/{label}.csv")
    assert [record.id for record in built.manifest.records] == ["wrist_a", "wrist_b", "wrist_c"]
    assert built.manifest.classes == ("a", "b", "c")
    assert built.ignored == (("notes.txt", "not a recording's name in toys"),)


def test_files_that_differ_in_the_modality_alone_are_one_record(raw: RawTree) -> None:
    acc = series()["modality"]["acc"]
    (raw.root / "hip").mkdir()
    (raw.root / "hip" / "a.csv").write_text("x,y\n9,9\n")
    two = {
        "acc": {**acc, "pattern": "wrist/{label}.csv"},
        "hip": {**acc, "pattern": "hip/{label}.csv"},
    }
    made = by_pattern(raw, "", modality=two).manifest
    assert [sorted(record.streams) for record in made.records] == [["acc", "hip"], ["acc"], ["acc"]]


def test_a_file_that_says_less_goes_to_every_record_that_it_agrees_with(raw: RawTree) -> None:
    acc = series()["modality"]["acc"]
    for camera in (1, 2):
        (raw.root / f"cam{camera}").mkdir()
        (raw.root / f"cam{camera}" / "a.npy").write_bytes(b"%d" % camera)
    film = {"kind": "colour", "reader": "npy", "rate_hz": 5, "pattern": "cam{cam:d}/{label}.npy"}
    two = {"acc": {**acc, "pattern": "wrist/{label}.csv", "shared": True}, "film": film}
    made = by_pattern(raw, "", modality=two)
    assert [dict(record.attributes) for record in made.manifest.records] == [{"cam": 1}, {"cam": 2}]
    assert {record.streams["acc"][0].path for record in made.manifest.records} == {"wrist/a.csv"}
    assert [path for path, _ in made.ignored] == ["wrist/b.csv", "wrist/c.csv"]


def test_two_files_of_one_record_are_told_apart_by_the_pattern(raw: RawTree) -> None:
    with pytest.raises(ContractError, match=r"are both acc of one record: wanted a part of the pa"):
        by_pattern(raw, "{label}/{_}.csv")


def test_what_many_paths_have_alike_is_one_problem(raw: RawTree) -> None:
    with pytest.raises(
        ContractError, match=r"(?s)1 problem.*such as \{take\} in the place of \{_\}; 1 m"
    ):
        by_pattern(raw, "{label}/{_}.csv")
    for name in ("a", "b"):
        (raw.root / "wrist" / f"2-{name}-3.csv").write_text("x,y\n1,2\n")
    with pytest.raises(ContractError, match=r"(?s)1 problem.*; 1 more paths can be read in two w"):
        by_pattern(raw, "wrist/{who}-{label}.csv")


def test_a_column_of_another_name_is_pointed_at(raw: RawTree) -> None:
    with pytest.raises(ContractError) as refused:
        table(raw, "Label,ACC\na,wrist/a.csv\n")
    assert "no column 'label' (did you mean 'Label'?): its columns are" in str(refused.value)
    assert "no column 'acc' (did you mean 'ACC'?)" in str(refused.value)
    assert "'modality.acc.path' of the description says which it is" in str(refused.value)


def test_a_tree_without_recordings_says_what_else_is_there(raw: RawTree) -> None:
    with pytest.raises(ContractError, match=r"by '\{label\}\.txt': 3 other files are there"):
        by_pattern(raw, "{label}.txt")


def test_a_modality_without_a_pattern_wants_a_table(raw: RawTree) -> None:
    with pytest.raises(
        ConfigError, match=r"modality\.acc of toys has no pattern: wanted one, or a"
    ):
        by_pattern(raw, "")
    with pytest.raises(ConfigError, match=r"no pattern of toys says the 'label'"):
        by_pattern(raw, "{_}/{who}.csv")


def test_files_of_the_same_content_are_found(raw: RawTree) -> None:
    (raw.root / "wrist" / "b.csv").write_text((raw.root / "wrist" / "a.csv").read_text())
    made = by_pattern(raw, "wrist/{label}.csv").manifest
    assert duplicates(made) == [("wrist/a.csv", "wrist/b.csv")]


def test_excluded_files_are_passed_over(raw: RawTree) -> None:
    built = by_pattern(raw, "wrist/{label}.csv", exclude=["*/c.csv"])
    assert built.ignored == (("wrist/c.csv", "excluded by the description"),)


@pytest.mark.parametrize("how", ["table", "pattern"])
def test_a_folder_of_pictures_is_one_recording(raw: RawTree, how: str) -> None:
    for number in (1, 2, 10):
        file = raw.root / "films" / "a" / f"f{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"%d" % number)
    film = {"kind": "depth", "reader": "images", "rate_hz": 5}
    if how == "table":
        made = table(raw, "label,film\nx,films/a\n", modality={"film": film}).manifest
    else:
        film |= {"pattern": "films/{label}/f{frame:d}.png"}
        made = by_pattern(raw, "", modality={"film": film}).manifest
    (record,) = made.records
    refs = record.streams["film"]
    assert [ref.path for ref in refs] == [f"films/a/f{n}.png" for n in (1, 2, 10)]
    assert [ref.name for ref in refs] == sorted(ref.name for ref in refs)
