"""Faults at test time: what they change, what they leave alone, and what they cost."""

import json
import re
import shutil

import pytest
import torch
from click.testing import CliRunner

from cli import dmft
from dmft.config import load_config
from dmft.data import open_cache
from dmft.data.fault_words import FAULTS, REMOVED
from dmft.data.faults import FAULTS as FAMILIES
from dmft.data.features import plan_features
from dmft.evaluation.evaluate import evaluate
from dmft.evaluation.fault_scores import FaultScores, read_faults, suite_scores
from dmft.evaluation.robustness import robustness, spoilt
from dmft.protocols import choose_folds, load_protocol
from dmft.reports.load import load_runs
from dmft.reports.page.html import render_report
from dmft.runs.files import write_json
from dmft.runs.folder import fold_folders, read_info
from dmft.runs.trained import load_run
from dmft.training.distill import distill
from dmft.training.train import train
from pipeline.contract import ContractError, Presence
from tests.factories import write_cache

UNMEASURED = shutil.ignore_patterns("robustness.json")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("robustness")
    absent = {"a1_s1_t1/skeleton": Presence.ABSENT}
    chunks = {"skeleton": 2, "inertial": 2}
    how = {"noise": 0.2, "absent": absent, "records_per_chunk": chunks}
    write_cache(folder / "c.zarr", n_subjects=2, n_classes=3, **how)
    (folder / "p.toml").write_text('name = "p"\n[leave_one_out]\nattribute = "subject"\n')
    cache = open_cache(folder / "c.zarr")
    config = load_config("default", ("encoder.width=16", "training.epochs=12"))
    train(cache, str(folder / "p.toml"), folder / "t", config=config, fold="all", device="cpu")
    distill(cache, [folder / "t"], folder / "s", device="cpu")
    return folder


@pytest.fixture
def cache(place):
    return open_cache(place / "c.zarr")


@pytest.fixture
def fold(place, cache):
    return choose_folds(load_protocol(str(place / "p.toml")), cache, "0")[0]


@pytest.fixture
def geometry(cache):
    return plan_features(cache, load_config())["skeleton"].geometry


@pytest.mark.parametrize("fault", [REMOVED, *FAULTS])
def test_a_fault_changes_one_modality_of_the_test_records_and_nothing_else(
    cache, fold, geometry, fault
):
    if fault != REMOVED and not FAMILIES[fault].fits(geometry):
        return
    changed, rows = spoilt(cache, fold, "skeleton", fault, geometry), torch.arange(len(cache))
    assert torch.equal(changed.features["inertial"], cache.features["inertial"])
    assert torch.equal(
        changed.features["skeleton"][fold.train], cache.features["skeleton"][fold.train]
    )
    assert torch.equal(changed.present[fold.train], cache.present[fold.train])
    moved = not torch.equal(changed.features["skeleton"][rows], cache.features["skeleton"])
    gone = not torch.equal(changed.present, cache.present)
    assert (moved, gone) == ((False, True) if fault == REMOVED else (True, False))
    again = spoilt(cache, fold, "skeleton", fault, geometry)
    assert torch.equal(again.features["skeleton"][rows], changed.features["skeleton"][rows])


def test_another_record_is_of_the_test_side_and_a_stranger_of_the_training_side(cache, fold):
    rows = fold.test[cache.present[fold.test, 0]]
    before = cache.features["skeleton"][rows]
    swapped = spoilt(cache, fold, "skeleton", "swapped").features["skeleton"][rows]
    assert sorted(swapped[:, 0, 0].tolist()) == sorted(before[:, 0, 0].tolist())
    assert (swapped != before).any(dim=2).any(dim=1).all(), "nobody keeps its own"
    stranger = spoilt(cache, fold, "skeleton", "stranger").features["skeleton"][rows]
    learnt = cache.features["skeleton"][fold.train]
    assert all((one == learnt).all(dim=2).all(dim=1).any() for one in stranger)


def test_a_suite_counts_each_family_the_same():
    def scored(accuracy, sure_wrong=0.0):
        return FaultScores(
            accuracy=accuracy,
            macro_f1=0.0,
            n_records=4,
            confidence=0.5,
            answered={"0.5": 1.0},
            wrong={"0.5": sure_wrong},
            reliability={},
            by_severity={},
        )

    faults = {
        "intact": scored(1.0),
        "removed a": scored(0.9),
        "noise a": scored(0.8),
        "noise b": scored(0.6),
        "frozen a": scored(0.2),
        "frozen a and swapped b": scored(0.0, 0.25),
        "frozen a and frozen b": scored(0.0, 0.75),
    }
    suite = suite_scores(faults, "accuracy", ["noise"])
    assert suite.families == pytest.approx({"removed": 0.9, "noise": 0.7, "frozen": 0.2})
    assert suite.score == pytest.approx(0.6)
    assert suite.seen == pytest.approx(0.8)
    assert suite.unseen == pytest.approx(0.2)
    assert suite.both_sure_wrong == pytest.approx(0.5)
    nothing = suite_scores({"intact": scored(1.0)}, "accuracy", [])
    assert (nothing.score, nothing.seen, nothing.both_sure_wrong) == (0.0, None, None)


def test_intact_is_what_evaluate_says_and_removing_is_what_it_says_of_the_rest(place):
    report = robustness([place / "t/fold-subject-1"])
    said = evaluate(place / "t/fold-subject-1")
    assert report.faults["intact"].accuracy == said.accuracy
    left = {subset.modalities: subset for subset in said.missing_modalities}
    found = report.faults["removed inertial"].accuracy
    assert found == left["skeleton",].accuracy
    assert report.n_runs == 1
    singles = [name for name in report.faults if " and " not in name]
    assert {name.split()[0] for name in singles} == {"intact", "removed", *FAULTS} - {
        "sides-swapped"
    }
    assert len(report.faults) - len(singles) == 4
    degrees = report.faults["noise skeleton"].by_severity
    assert list(degrees) == ["0.25", "0.5", "1.0"]
    assert report.faults["noise skeleton"].accuracy == pytest.approx(sum(degrees.values()) / 3)


def test_the_cache_of_several_runs_is_read_once(place, monkeypatch):
    """Every run once read the whole cache again."""
    opened = []

    def counted(*arguments, **options):
        opened.append(arguments)
        return open_cache(*arguments, **options)

    monkeypatch.setattr("dmft.evaluation.evaluate.open_cache", counted)
    assert robustness(fold_folders(place / "t")).n_runs == 2
    assert len(opened) == 1
    evaluate(place / "t")
    assert len(opened) == 2


def test_a_cache_that_stays_on_the_disk_gives_the_same_figures(place):
    folders, rows = fold_folders(place / "t"), []
    held = robustness(folders)
    assert robustness(folders, memory=12_000, on_cache=rows.append) == held
    assert rows[0].shuffle_buffer is not None


def test_a_removed_modality_is_not_looked_at(place, cache, fold):
    run = load_run(place / "t/fold-subject-1")
    removed = spoilt(cache, fold, "skeleton", "removed")
    one = run.predict(removed, fold.test)
    removed.features["skeleton"][fold.test] = 1e3
    assert torch.equal(run.predict(removed, fold.test), one)


def test_runs_of_different_modalities_are_not_averaged(place, cache):
    config = load_config("default", ("encoder.width=16", "training.epochs=1"))
    alone = open_cache(place / "c.zarr", ["skeleton"])
    out = place / "alone"
    train(alone, str(place / "p.toml"), out, config=config, device="cpu")
    with pytest.raises(ContractError, match=r"alone has modalities \['skeleton'\] and .*inertial"):
        robustness([place / "t/fold-subject-1", out])
    assert "removed skeleton" not in robustness([out]).faults


def test_a_cache_that_has_changed_is_refused_unless_it_is_named(place, tmp_path):
    info = json.loads((place / "t/fold-subject-1/run.json").read_text())
    other = write_cache(tmp_path / "c.zarr", n_subjects=2, n_classes=3, seed=5)
    shutil.move(place / "c.zarr", place / "kept.zarr")
    shutil.copytree(other, place / "c.zarr")
    try:
        with pytest.raises(ContractError, match=info["spec"]["cache_fingerprint"][:12]):
            robustness([place / "t/fold-subject-1"])
        assert robustness([place / "t/fold-subject-1"], cache_path=other).n_runs == 1
    finally:
        shutil.rmtree(place / "c.zarr")
        shutil.move(place / "kept.zarr", place / "c.zarr")


def test_the_command_shows_teacher_and_student_side_by_side(place, tmp_path):
    arguments = ["robustness", str(place / "t"), str(place / "s"), "--device", "cpu"]
    arguments += ["--threads", "1", "--memory", "1GB"]
    shown = CliRunner().invoke(dmft, [*arguments, "-o", str(tmp_path / "r.json")])
    assert shown.exit_code == 0
    head, _, intact, *rest = shown.stdout.splitlines()
    assert head.startswith("| at test time | teacher (")
    assert "| distilled (" in head
    assert intact.startswith("| intact | ")
    assert rest[0].startswith("| removed skeleton | ")
    assert "t: 2 of 2 measured" in shown.stderr
    assert "c.zarr: resident: skeleton, inertial take " in shown.stderr
    written = json.loads((tmp_path / "r.json").read_text())
    assert written == json.loads(CliRunner().invoke(dmft, [*arguments, "--json"]).stdout)
    folders = fold_folders(place / "t")
    assert written[str(place / "t")]["n_runs"] == len(folders) == 2


def test_what_is_found_is_saved_in_the_run_and_stands_in_its_report(place, tmp_path):
    run = shutil.copytree(place / "t", tmp_path / "t", ignore=UNMEASURED)
    (before,), _ = load_runs([run])
    assert "Failing modalities" not in render_report([before])
    done = CliRunner().invoke(dmft, ["robustness", str(run), "--device", "cpu"])
    assert done.stdout.endswith(f"Next: dmft report {run}\n")
    (after,), _ = load_runs([run])
    found = robustness(fold_folders(run)).faults
    for fault, figures in found.items():
        each = [fold.faults[fault].accuracy for fold in after.folds]
        assert sum(each) / 2 == pytest.approx(figures.accuracy)
    page = render_report([after]).partition('id="failing"')[2].partition("<h2")[0]
    shown = re.findall(r"<td>teacher, .*?</td><td>(.*?)</td>.*?value=\"([0-9.]+)\">[0-9.]+ %", page)
    assert [name for name, _ in shown] == list(found)
    for name, accuracy in shown:
        assert float(accuracy) == pytest.approx(found[name].accuracy, rel=1e-5)


def test_a_run_measured_on_another_cache_or_not_to_be_saved_keeps_its_folder(place, tmp_path):
    other = write_cache(tmp_path / "c.zarr", n_subjects=2, n_classes=3, seed=5)
    run = shutil.copytree(place / "t/fold-subject-1", tmp_path / "r", ignore=UNMEASURED)
    arguments = ["robustness", str(run), "--device", "cpu"]
    for more in (["--cache", str(other)], ["--no-save"]):
        done = CliRunner().invoke(dmft, [*arguments, *more], catch_exceptions=False)
        assert done.exit_code == 0
        assert "Next:" not in done.stdout
    assert not (run / "robustness.json").exists()


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ({"model_sha256": "other"}, r"robustness\.json is of weights 'other', wanted '"),
        (
            {"faults": {"intact": {"accuracy": 1}}},
            r"(?s)macro_f1 is missing.*is damaged: measure",
        ),
        ({"faults": {}}, r"(?s)faults is \[\]: wanted 'intact' .*is damaged: measure again with"),
        ({"faults": 7}, r"(?s)faults is 7: wanted a table.*is damaged: .*or remove it"),
    ],
)
def test_saved_faults_that_are_damaged_or_of_another_run_are_refused(
    place, tmp_path, content, match
):
    run = shutil.copytree(place / "t/fold-subject-1", tmp_path / "r", ignore=UNMEASURED)
    info = read_info(run)
    write_json(run / "robustness.json", {"model_sha256": info.finished.model_sha256} | content)
    with pytest.raises(ContractError, match=match):
        read_faults(run, info)
