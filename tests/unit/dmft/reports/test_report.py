"""The report: what it reads, what it says, and that nothing in a file can break out of it."""

import dataclasses
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from cli import dmft
from dmft.evaluation.calibration import Calibration, set_scores
from dmft.reports.compare import settings_of
from dmft.reports.load import load_runs
from dmft.reports.names import run_names, short_names
from dmft.reports.page.html import render_report
from dmft.reports.sure import sets_compared
from dmft.runs.files import write_json
from dmft.runs.folder import read_info, write_info
from dmft.runs.spec import Validation
from pipeline.contract import ContractError


class Page(HTMLParser):
    """Notes a page's elements."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


def data_of(page):
    """What the page's figures are drawn from."""
    found = re.search(r'<script type="application/json" id="found">(.*?)</script>', page, re.S)
    return json.loads(found[1])


def test_a_folder_of_runs_is_read_run_by_run(place):
    runs, skipped = load_runs([place / "runs"])
    assert [run.name for run in runs] == ["teacher", "student", "student-1", "distilled"]
    assert skipped == ()
    assert {len(run.folds) for run in runs} == {2}
    assert runs[1].setting == runs[2].setting != runs[3].setting
    assert len(runs[0].predictions) == 12


def test_single_folds_of_one_run_become_one_run(place):
    (together,), _ = load_runs([place / "apart"])
    (teacher,), _ = load_runs([place / "runs/teacher"])
    assert together.metrics == teacher.metrics
    assert together.name == "teacher S+I seed 0"


def test_runs_of_one_name_are_told_apart_by_their_folders_or_by_number(place, tmp_path):
    for name in ("a", "b"):
        shutil.copytree(place / "runs/student", tmp_path / name / "student")
    runs, _ = load_runs([tmp_path])
    assert [run.name for run in runs] == ["a/student", "b/student"]
    for name in ("subject-1", "subject-2"):
        for kind, config in (("teacher", "1"), ("student", "2")):
            source = place / "runs" / kind / f"fold-{name}"
            shutil.copytree(source, tmp_path / "grid" / f"{config}-{name}")
    runs, _ = load_runs([tmp_path / "grid"])
    assert [(run.name, len(run.folds)) for run in runs] == [
        ("teacher S+I seed 0", 2),
        ("student S+I seed 0", 2),
    ]
    assert short_names([tmp_path / "x", tmp_path / "x", tmp_path / "y"]) == ["x", "x (2)", "y"]


def test_runs_and_folds_stand_in_an_order_of_their_own_not_of_their_folders(place, tmp_path):
    for number, source in enumerate(("runs/teacher/fold-subject-2", "runs/teacher/fold-subject-1")):
        shutil.copytree(place / source, tmp_path / f"{number}")
    for number, source in enumerate(("runs/distilled", "runs/student"), start=-2):
        shutil.copytree(place / source, tmp_path / f"{number}")
    loaded, _ = load_runs([tmp_path])
    assert [run.info.spec.kind for run in loaded] == ["teacher", "student", "distilled"]
    assert [fold.info.spec.fold.name for fold in loaded[0].folds] == ["subject-1", "subject-2"]


def test_a_run_that_held_people_out_is_no_seed_of_one_that_did_not(place, tmp_path):
    for name in ("plain", "aside"):
        shutil.copytree(place / "runs/student", tmp_path / name)
    for fold in sorted((tmp_path / "aside").glob("fold-*")):
        info = read_info(fold)
        aside = Validation(
            by="subject", rule=info.spec.fold, split_hash="0" * 64, keep="best", patience=0
        )
        write_info(fold, replace(info, spec=replace(info.spec, validation=aside)))
    runs, skipped = load_runs([tmp_path])
    assert skipped == ()
    assert len({run.setting for run in runs}) == 2
    infos = [run.info for run in runs]
    names = run_names(infos, [None, None])
    assert names[0].endswith("best epoch by subject held out")
    assert names[1].endswith("on the whole training side")


def test_sets_are_measured_on_the_test_records_of_calibrated_folds(place):
    run = load_runs([place / "runs/student"])[0][0]
    calibration = Calibration(
        model_sha256="0" * 64,
        by="subject",
        n_groups=2,
        n_records=12,
        accuracy=0.5,
        calibration_error=0.1,
        temperature=2.0,
        coverage=0.9,
        threshold=0.3,
    )
    folds = tuple(replace(fold, calibration=calibration) for fold in run.folds)
    calibrated = replace(run, folds=folds)
    ((_, sets),) = sets_compared(settings_of([calibrated]))
    votes = np.concatenate([fold.votes.probabilities for fold in folds])
    labels = np.concatenate([fold.votes.labels for fold in folds])
    whole = set_scores(calibration, votes, labels)
    assert sets.wanted == 0.9
    for name in ("coverage", "mean_size", "unsure", "accuracy_when_sure"):
        assert getattr(sets, name) == pytest.approx(getattr(whole, name))
    assert f"{100 * whole.coverage:.2f} %" in render_report([calibrated])
    half = replace(run, folds=(folds[0], run.folds[1]))
    assert list(sets_compared(settings_of([half]))) == []
    assert "Sets of classes" not in render_report([half])


def test_curves_of_people_held_out_are_drawn_where_there_are_any(place):
    run = load_runs([place / "runs/student"])[0][0]
    epochs = run.folds[0].epochs.assign(val_accuracy=[float("nan"), 0.75], val_loss=float("nan"))
    first = replace(run.folds[0], epochs=epochs)
    found = data_of(render_report([replace(run, folds=(first, *run.folds[1:]))]))
    with_them, without = found["runs"][0]["curves"]
    assert with_them["val_accuracy"] == [None, 0.75]
    assert (
        set(without) == {"fold", "epoch", "loss", "accuracy"} == set(with_them) - {"val_accuracy"}
    )


def test_the_same_fold_twice_stays_two_runs(place):
    runs, _ = load_runs([place / "runs/teacher/fold-subject-1", place / "apart/only-subject-1"])
    assert len(runs) == 2


def test_a_run_that_cannot_be_shown_is_listed_with_the_reason(place, tmp_path):
    shutil.copytree(place / "runs/teacher", tmp_path / "r")
    first, second = (tmp_path / "r" / f"fold-subject-{n}" for n in (1, 2))
    write_info(first, dataclasses.replace(read_info(first), outcome=None))
    (runs, skipped) = load_runs([tmp_path])
    assert len(runs[0].folds) == 1
    assert skipped == (
        f"{first}: its training has not ended; the same command again goes on with it",
    )
    (second / "metrics.json").unlink()
    with pytest.raises(ContractError, match=r"no finished run in there .*has no figures yet"):
        load_runs([tmp_path])


@pytest.mark.parametrize(
    ("file", "content", "match"),
    [
        ("predictions.json", '{"records": []}', "predictions.json is damaged .KeyError: 'labels'"),
        (
            "predictions.json",
            '{"records": ["r"], "labels": [9], "predicted": [0], "probabilities": [[1]]}',
            "9 is not a class from 0 to 2",
        ),
        ("metrics.json", '{"classes": ["x"]}', "has not the run's 3 classes"),
        (
            "metrics.json",
            '{"classes": ["class_0", "class_1", "class_2"], "accuracy": "good"}',
            r"(?s)macro_f1 is missing.*accuracy is 'good': wanted a number.*train again",
        ),
        (
            "predictions.json",
            '{"records": ["r"], "labels": [0], "predicted": [0, 1], "probabilities": [[1, 0, 0]]}',
            r"columns have \[1, 2\] entries: wanted as many in each",
        ),
    ],
)
def test_a_damaged_file_is_named(place, tmp_path, file, content, match):
    shutil.copytree(place / "apart/only-subject-1", tmp_path / "r")
    write_json(tmp_path / "r" / file, json.loads(content))
    with pytest.raises(ContractError, match=match):
        load_runs([tmp_path / "r"])


@pytest.mark.parametrize("file", ["run.json", "metrics.json", "predictions.json", "epochs.jsonl"])
def test_a_digit_that_changed_in_a_file_is_found(place, tmp_path, file):
    """A page showed whatever accuracy stood there."""
    path = Path(shutil.copytree(place / "apart/only-subject-1", tmp_path / "r")) / file
    content = path.read_text()
    at = next(i for i in range(len(content) // 2, len(content)) if content[i].isdigit())
    path.write_text(content[:at] + str((int(content[at]) + 1) % 10) + content[at + 1 :])
    with pytest.raises(ContractError, match=rf"{re.escape(file)} is not what was written"):
        load_runs([tmp_path / "r"])
    path.unlink()
    with pytest.raises(ContractError):
        load_runs([tmp_path / "r"])


def test_a_digit_that_changed_in_measured_faults_is_named(place, tmp_path):
    shutil.copytree(place / "apart/only-subject-1", tmp_path / "r")
    info = read_info(tmp_path / "r")
    write_json(tmp_path / "r/robustness.json", {"model_sha256": info.finished.model_sha256})
    path = tmp_path / "r/robustness.json"
    path.write_text(path.read_text().replace('": "', '": "0', 1))
    (run,), (line,) = load_runs([tmp_path / "r"])
    assert run.folds[0].faults == {}
    assert "robustness.json is not what was written" in line


def test_faults_of_another_version_are_a_few_lines_however_many_are_wrong(place, tmp_path):
    """One file filled the page with 117."""
    shutil.copytree(place / "apart/only-subject-1", tmp_path / "r")
    faults = {f"noise {k}": {"accuracy": 1.0} for k in range(40)}
    sha256 = read_info(tmp_path / "r").finished.model_sha256
    write_json(tmp_path / "r/robustness.json", {"model_sha256": sha256, "faults": faults})
    _, (line,) = load_runs([tmp_path / "r"])
    assert line.count("\n") == 5
    assert re.search(r"noise 0\.macro_f1 is missing.*\n  and \d+ more\nIt is damaged", line, re.S)


def test_faults_that_cannot_be_read_are_named_and_the_run_is_shown(place, tmp_path):
    shutil.copytree(place / "apart/only-subject-1", tmp_path / "r")
    write_json(tmp_path / "r/robustness.json", {"model_sha256": "other"})
    (run,), (line,) = load_runs([tmp_path / "r"])
    assert run.folds[0].faults == {}
    assert "robustness.json is of weights 'other'" in line


def test_what_is_no_folder_or_holds_no_run_is_refused(tmp_path):
    with pytest.raises(ContractError, match="nowhere is not a folder"):
        load_runs([tmp_path / "nowhere"])
    with pytest.raises(ContractError, match=r"no finished run in there\. Make one"):
        load_runs([tmp_path])


def test_a_page_asks_nothing_of_any_network_and_carries_its_numbers(place):
    runs, _ = load_runs([place / "runs"])
    page = render_report(runs)
    for tag, attributes in Page(page).elements:
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, attributes)
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest", page)
    found = data_of(page)
    assert [run["name"] for run in found["runs"]] == [
        "teacher",
        "student",
        "student-1",
        "distilled",
    ]
    for run, loaded in zip(found["runs"], runs, strict=True):
        assert run["confusion"]["all modalities"] == [list(row) for row in loaded.metrics.confusion]
        assert set(run["confusion"]) == {"all modalities", "skeleton", "inertial"}
        n_wrong = sum(map(sum, loaded.metrics.confusion)) - round(12 * run["pooled"])
        assert len(run["errors"]) == n_wrong


def test_a_page_has_every_part_once_and_its_ids_once(place):
    runs, _ = load_runs([place / "runs"])
    page = Page(render_report(runs, title="All <of> them"))
    identities = [a["id"] for _, a in page.elements if "id" in a]
    assert len(set(identities)) == len(identities)
    words = " ".join(page.words)
    for part in ("Headline", "All runs", "Missing modalities", "Provenance", "Most confused pairs"):
        assert part in words
    assert "Teacher, raw student and distilled student" in words
    assert "All <of> them" in words


def test_words_from_files_cannot_become_markup(place, tmp_path):
    shutil.copytree(place / "apart/only-subject-1", tmp_path / "r<b>")
    evil = "</script><script>alert(1)</script>"
    for name in ("run.json", "metrics.json"):
        said = json.loads((tmp_path / "r<b>" / name).read_text())
        (said["spec"] if name == "run.json" else said)["classes"][0] = evil
        write_json(tmp_path / "r<b>" / name, said)
    runs, _ = load_runs([tmp_path / "r<b>"])
    page = render_report(runs, skipped=[f"{evil}: no"], title=evil)
    assert evil not in page
    assert [tag for tag, _ in Page(page).elements].count("script") == 2
    assert "b" not in [tag for tag, _ in Page(page).elements]
    assert data_of(page)["classes"][0][0] == evil


def test_the_command_writes_the_page_and_says_what_is_next(place, tmp_path):
    arguments = ["report", str(place / "runs"), "-o", str(tmp_path / "new/r.html")]
    done = CliRunner().invoke(dmft, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    assert "4 runs, " in done.stdout
    assert done.stdout.endswith("in a browser\n")
    assert (tmp_path / "new/r.html").read_text().startswith("<!doctype html>")


def test_the_command_exits_1_where_a_run_could_not_be_shown(place, tmp_path):
    shutil.copytree(place / "runs/teacher", tmp_path / "r")
    (tmp_path / "r/fold-subject-2/metrics.json").unlink()
    arguments = ["report", str(tmp_path / "r"), "-o", str(tmp_path / "r.html")]
    done = CliRunner().invoke(dmft, arguments, catch_exceptions=False)
    assert done.exit_code == 1
    assert "not shown: " in done.stderr
    assert "has no figures yet" in (tmp_path / "r.html").read_text()


def test_forty_runs_of_27_classes_stay_a_small_page(place, monkeypatch):
    (run,), _ = load_runs([place / "runs/teacher"])
    names = tuple(f"an_action_called_{k}" for k in range(27))
    matrix = [[20 if i == j else (i + j) % 3 for j in range(27)] for i in range(27)]
    infos = [replace(fold.info, spec=replace(fold.info.spec, classes=names)) for fold in run.folds]
    modalities = {m: replace(own, confusion=matrix) for m, own in run.metrics.modalities.items()}
    metrics = replace(run.metrics, classes=names, confusion=matrix, modalities=modalities)
    wrong = pd.DataFrame(
        {
            "record": [f"a1_s{k}_t1" for k in range(100)],
            "label": [k % 27 for k in range(100)],
            "predicted": [(k + 1) % 27 for k in range(100)],
            "probability": 0.5,
            "correct": False,
        }
    )
    folds = tuple(
        replace(fold, info=info, metrics=metrics, predictions=wrong)
        for fold, info in zip(run.folds, infos, strict=True)
    )
    many = [replace(run, name=f"run-{n}", folds=folds, metrics=metrics) for n in range(40)]
    assert len(render_report(many)) < 3_000_000
