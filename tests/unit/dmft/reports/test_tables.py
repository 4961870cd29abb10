"""Tables: which results stand beside a published figure, their spread, and how they are written."""

import csv
import dataclasses
import io
import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from cli import dmft
from dmft.data.coverage import Coverage
from dmft.evaluation.metrics import ModalityScores, Scores
from dmft.experiments.results import (
    Result,
    SubjectAccuracy,
    append_result,
    results_frame,
)
from dmft.reports.published import load_published
from dmft.reports.render import render, write_tables
from dmft.reports.tables import build_tables
from pipeline.contract import ConfigError

ONE = Scores(accuracy=0.5, macro_f1=0.4)
PUBLISHED = """
fusion_tokens = 4
[sources]
paper = "The paper"
[[tables]]
number = 1
title = "A & B"
unit = "%"
experiments = ["table-1"]
[[figures]]
table = 1
protocol = "p"
modalities = ["inertial", "skeleton"]
method = "DMFT"
model = "teacher"
value = 90.0
source = "paper"
"""


WHOLE = Coverage(n_records=9, n_records_published=9, n_subjects=3, n_subjects_published=3)


def result(seed=0, fold="f0", **changes):
    made = Result(
        key=json.dumps([seed, fold, sorted(changes.items())], default=str),
        experiment="e",
        recipe="default",
        model="teacher",
        fusion="mid",
        fusion_tokens=4,
        dataset="utd-mhad",
        protocol="p",
        metric="accuracy",
        fold=fold,
        n_folds=2,
        modalities=("skeleton", "inertial"),
        seed=seed,
        teachers=(),
        config={"teacher": {"fusion_layers": 2}},
        protocol_table={},
        device="cpu",
        cache="c.zarr",
        cache_fingerprint="f" * 64,
        split_hash="s",
        n_train=10,
        n_records=10,
        accuracy=0.9,
        macro_f1=0.8,
        calibration_error=0.1,
        nearest_neighbour_accuracy=0.5,
        by_modality={
            name: ModalityScores(
                accuracy=0.6, macro_f1=0.5, n_records=10, spatial=ONE, temporal=ONE
            )
            for name in ("skeleton", "inertial")
        },
        subjects={},
        n_parameters=7,
        saved_bytes=2_500_000,
        seconds_per_epoch=1.5,
        run="runs/x",
        predictions="runs/x/predictions.json",
        versions={},
        coverage=WHOLE,
        finished_at="2026-01-01T00:00:00+00:00",
    )
    return dataclasses.replace(made, **changes)


def grid(values):
    """Results by seed and fold: rows are seeds."""
    return [
        result(seed, f"f{fold}", accuracy=value)
        for seed, row in enumerate(values)
        for fold, value in enumerate(row)
        if value is not None
    ]


def tables_of(results, text=PUBLISHED):
    return build_tables(load_published(text), results_frame(results))


def first(results, text=PUBLISHED):
    return tables_of(results, text)[0].lines.iloc[0]


def test_there_is_a_difference_only_where_ours_is_of_the_same_recordings():
    whole = [result(fold=f"f{fold}", accuracy=0.87) for fold in range(2)]
    assert first(whole).difference == pytest.approx(-3)

    def changed(**changes):
        return [dataclasses.replace(each, **changes) for each in whole]

    part = dataclasses.replace(WHOLE, n_records=4, n_subjects=2)
    for other in (
        changed(coverage=part),
        changed(coverage=dataclasses.replace(WHOLE, n_differ=1)),
        changed(coverage=dataclasses.replace(WHOLE, n_others=1)),
        changed(coverage=None),
        changed(shared={"inertial": 9}),
        whole[:1],
    ):
        line = first(other)
        assert line["mean"] == pytest.approx(87)
        assert np.isnan(line.difference)
    table = tables_of(changed(coverage=part, shared={"inertial": 9}))[0]
    text = render(table, "markdown")
    assert "2 of 3 people, 4 of 9 records, checksums agree" in text
    assert "recordings of both sides share files of inertial" in text
    assert "There is a difference only where ours is of the same recordings" in text
    assert "There is a difference only" not in render(tables_of(whole)[0], "markdown")


def test_ours_is_a_mean_over_folds_then_seeds_with_both_spreads():
    line = first(grid([[0.90, 0.80], [0.94, 0.84]]))
    assert line["mean"] == pytest.approx(87)
    assert line.difference == pytest.approx(-3)
    assert line.seed_std == pytest.approx(2.828, abs=1e-3)
    assert line.fold_std == pytest.approx(7.071, abs=1e-3)
    assert (line.n_seeds, line.n_folds) == (2, 2)


def test_a_seed_that_lacks_a_fold_waits_until_it_is_whole():
    line = first(grid([[0.90, 0.80], [0.99, None]]))
    assert line["mean"] == pytest.approx(85)
    assert (line.n_seeds, line.n_folds) == (1, 2)
    assert pd.isna(line.seed_std)
    alone = first(grid([[0.99]]))
    assert (alone.n_folds, alone.n_folds_wanted) == (1, 2)
    assert pd.isna(alone.fold_std)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "student", "fusion": "late", "fusion_tokens": 0},
        {"fusion": "late", "fusion_tokens": 0},
        {"protocol": "q"},
        {"modalities": ("skeleton",)},
    ],
)
def test_a_result_of_something_else_stands_beside_nothing(changes):
    assert pd.isna(first([result(**changes)])["mean"])


def test_other_numbers_of_tokens_stay_out_of_tables_that_are_not_about_them():
    results = [result(), *(result(fusion_tokens=n, accuracy=0.1) for n in (2, 8))]
    assert first(results)["mean"] == pytest.approx(90)
    of_eight = PUBLISHED.replace('model = "teacher"', 'model = "teacher"\nfusion_tokens = 8')
    assert first(results, of_eight)["mean"] == pytest.approx(10)
    assert pd.notna(first([result(fusion_tokens=8)])["mean"])


def test_recipes_stand_on_lines_of_their_own_and_are_told_apart():
    results = [
        result(),
        result(config={"training": {}}),
        result(recipe="paper"),
        result(recipe="paper", teachers=("a", "b")),
    ]
    lines = tables_of(results)[0].lines
    recipes = list(lines["recipe"])
    assert len(recipes) == len(set(recipes)) == 4
    assert "paper, 2 teachers" in recipes
    assert sum(r.startswith("default, configuration ") for r in recipes) == 2
    two = [result(), result(1, cache_fingerprint="e" * 64)]
    named = list(tables_of(two)[0].lines["recipe"])
    assert named == ["default, cache ffffff", "default, cache eeeeee"]


@pytest.mark.parametrize(
    ("extra", "mean"),
    [
        ('of = "skeleton"', 60),
        ('measure = "seconds_per_epoch"', 1.5),
        ('measure = "saved_megabytes"', 2.5),
    ],
)
def test_a_figure_says_what_of_ours_it_is_beside(extra, mean):
    assert first([result()], PUBLISHED + extra)["mean"] == pytest.approx(mean)


def test_a_protocol_that_quotes_f1_is_measured_by_f1():
    assert first([result(metric="macro_f1")])["mean"] == pytest.approx(80)
    of_skeleton = first([result(metric="macro_f1")], PUBLISHED + 'of = "skeleton"')
    assert of_skeleton["mean"] == pytest.approx(50)


def own(results):
    return {t.name: t for t in tables_of(results)[1:]}


def test_fusion_has_a_table_of_ours_alone():
    late = result(fusion="late", fusion_tokens=0, accuracy=0.7)
    lines = own([result(), late])["fusion"].lines
    assert list(lines["method"]) == ["teacher, fusion late", "teacher, fusion mid"]
    assert list(lines["mean"]) == pytest.approx([70, 90])
    assert "fusion" not in own([result()])


def test_folds_and_people_are_averaged_over_seeds():
    people = {"2": SubjectAccuracy(n_records=4, accuracy=0.25)}
    ten = {"10": SubjectAccuracy(n_records=4, accuracy=0.75)}
    results = [
        result(0, "s-10", accuracy=0.9, subjects=ten),
        result(0, "s-2", accuracy=0.5, subjects=people),
        result(1, "s-2", accuracy=0.7, subjects=people),
    ]
    tables = own(results)
    folds = tables["folds"].lines.set_index("what")
    assert list(folds.index) == ["s-2", "s-10"]
    assert folds["mean"]["s-2"] == pytest.approx(60)
    assert folds["n_seeds"]["s-2"] == 2
    named = tables["people"].lines.set_index("what")["mean"].to_dict()
    assert named == pytest.approx({"person 2": 25, "person 10": 75})
    assert tables["calibration"].lines["mean"][0] == pytest.approx(10)


def test_the_shipped_figures_are_the_papers():
    published = load_published()
    assert [table.number for table in published.tables] == list(range(1, 9))
    at = {
        (f.table, f.protocol, f.modalities, f.model, f.measure, f.of, f.fusion_tokens): f.value
        for f in published.figures
        if f.model
    }
    si, rsi = ("skeleton", "inertial"), ("rgb", "skeleton", "inertial")
    assert at[1, "utd-50-50", si, "teacher", "score", "overall", 0] == 93.97
    assert at[5, "utd-loso", rsi, "student", "score", "overall", 0] == 96.41
    assert at[6, "utd-loso", rsi, "teacher", "saved_megabytes", "overall", 0] == 1188
    assert at[7, "utd-50-50", si, "teacher", "score", "overall", 16] == 92.93
    assert at[8, "utd-loso", rsi, "distilled", "score", "inertial", 0] == 78.71


def test_tables_5_and_8_agree_with_each_other():
    published = load_published()
    whole = {
        n: {
            (f.protocol, f.modalities, f.model): f.value
            for f in published.figures
            if f.table == n and f.of == "overall"
        }
        for n in (5, 8)
    }
    shared = whole[5].keys() & whole[8].keys()
    assert len(shared) == 15
    assert {k: whole[5][k] for k in shared} == {k: whole[8][k] for k in shared}


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ('source = "paper"', 'source = "x"', r"source is 'x': wanted a key of \[sources\]"),
        ("table = 1", "table = 9", "table is 9: wanted the number"),
        ('model = "teacher"', 'model = "tutor"', "model is 'tutor': wanted one of teacher"),
        ('model = "teacher"', 'measure = "joules"', "measure is 'joules': wanted one of score"),
    ],
)
def test_wrong_published_figures_are_refused(old, new, found):
    with pytest.raises(ConfigError, match=found):
        load_published(PUBLISHED.replace(old, new))


def test_the_three_formats_say_the_same(tmp_path):
    table = tables_of(grid([[0.9, 0.8], [0.94, 0.84]]))[0]
    markdown, latex = render(table, "markdown"), render(table, "latex")
    assert "| p | inertial+skeleton | DMFT | 90.00 | 87.00 | -3.00 | 2.83 | 7.07 |" in markdown
    assert "Sources: The paper." in markdown
    assert r"\caption{Table 1: A \& B (\%).}" in latex
    assert "p & inertial+skeleton & DMFT & 90.00 & 87.00 & -3.00 & 2.83 & 7.07" in latex
    assert r"$\pm$ seeds" in latex
    read = next(csv.DictReader(io.StringIO(render(table, "csv"))))
    assert (read["published"], read["ours"], read["difference"]) == ("90.00", "87.00", "-3.00")
    assert read["source"] == "The paper"
    assert [p.name for p in write_tables([table], tmp_path)] == [
        "table-1.md",
        "table-1.csv",
        "table-1.tex",
    ]


def invoke(*arguments):
    return CliRunner().invoke(dmft, [str(each) for each in arguments])


def test_the_command_prints_what_there_is_and_names_what_is_missing(tmp_path):
    append_result(tmp_path, result(protocol="utd-50-50", n_folds=1))
    shown = invoke("tables", tmp_path)
    assert shown.exit_code == 0
    assert "## Table 1: 50-50 subject performance on UTD-MHAD" in shown.stdout
    assert "| utd-50-50 | skeleton+inertial | DMFT (Teacher) | 93.97 | 90.00 | -3.97 |" in (
        shown.stdout
    )
    assert "## Table 2" not in shown.stdout
    assert "table-2 has nothing of ours yet: 'dmft experiment table-2' makes it." in shown.stderr
    assert len(list((tmp_path / "tables").iterdir())) == 27
    one = invoke("tables", tmp_path, "--table", 3, "--format", "csv", "-o", tmp_path / "t")
    assert one.stdout.startswith("protocol,modalities,method")
    assert sorted(p.name for p in (tmp_path / "t").iterdir()) == [
        "table-3.csv",
        "table-3.md",
        "table-3.tex",
    ]


def test_a_table_that_nothing_was_measured_for_is_named(tmp_path):
    append_result(tmp_path, result())
    shown = invoke("tables", tmp_path, "--table", "fusion")
    assert "fusion has nothing yet: the results in" in shown.stderr
    shown = invoke("tables", tmp_path, "--table", "calibration")
    assert "| p | skeleton+inertial | teacher, fusion mid | 4 | 10.00 |" in shown.stdout


def test_the_command_refuses_a_folder_without_results(tmp_path):
    shown = CliRunner().invoke(dmft, ["tables", str(tmp_path)])
    assert "results.jsonl does not exist" in str(shown.exception)


def test_fabricated_recordings_stand_beside_no_published_figure():
    made = [result(fold=f"f{fold}", accuracy=0.87, fabricated=True) for fold in range(2)]
    line = first(made)
    assert np.isnan(line.difference)
    assert line.coverage == "fabricated recordings"
