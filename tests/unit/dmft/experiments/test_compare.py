"""Two runs on the same records: pairing, tests, and what cannot be compared."""

import dataclasses
import json
import shutil

import pytest
from click.testing import CliRunner

from cli import dmft
from dmft.commands.compare import comparison_text
from dmft.data import open_cache
from dmft.data.cache import open_columns
from dmft.experiments import (
    load_experiment,
    load_results,
    plan_rows,
    read_results,
    run_experiment,
)
from dmft.experiments.compare import Comparison, SeedTest, compare, load_side, pair_up, select
from pipeline.common.settings import parse_table
from pipeline.contract import ConfigError, ContractError
from tests.factories import write_cache

EXPERIMENT = """
name = "pairs"
[[grids]]
protocols = ["p.toml"]
modalities = [["skeleton", "inertial"]]
models = ["teacher", "student"]
seeds = [0, 1]
set = ["encoder.width=16", "training.epochs=1"]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    cache = write_cache(folder / "c.zarr", n_subjects=2, n_classes=3, n_trials=2)
    (folder / "p.toml").write_text('name = "p"\n[leave_one_out]\nattribute = "subject"\n')
    (folder / "e.toml").write_text(EXPERIMENT)
    rows = plan_rows(load_experiment(str(folder / "e.toml")), open_columns(cache), "cpu")
    run_experiment(rows, cache, folder / "out", experiment="pairs", n_workers=0)
    return folder


def results(place):
    return {(r.model, r.fold, r.seed): r for r in load_results(place / "out")}


def run_of(place, *which):
    return str(place / "out" / results(place)[which].run)


def test_one_run_against_itself_differs_in_nothing(place):
    run = run_of(place, "teacher", "subject-1", 0)
    report = compare(run, run)
    assert report.difference == 0
    assert report.mcnemar == (SeedTest(seed=0, only_first=0, only_second=0, p=1.0),)
    assert report.people == {"1": 0.0}
    assert report.n_records == 6
    assert report.difference_interval is None
    assert report.first.interval is None
    assert "(one person: no interval for new people can be had)" in comparison_text(report)


def test_runs_of_an_experiment_are_paired_by_fold_and_seed(place):
    found = results(place)
    report = compare(f"{place}/out#model=teacher", f"{place}/out#model=student")
    assert report.n_pairs == 4
    assert report.n_records == 12
    wanted = {
        str(seed): sum(
            found["student", f, seed].accuracy - found["teacher", f, seed].accuracy
            for f in ("subject-1", "subject-2")
        )
        / 2
        for seed in (0, 1)
    }
    assert report.seeds == pytest.approx(wanted)
    assert set(report.people) == {"1", "2"}
    assert report.interval_draws == "people"
    low, high = report.difference_interval
    assert low <= report.difference + 1e-9
    assert high >= report.difference - 1e-9
    assert report.first.folds.keys() == {"subject-1", "subject-2"}


def test_without_the_cache_records_are_drawn(place, tmp_path):
    shutil.copytree(place / "out", tmp_path / "out")
    shutil.move(place / "c.zarr", place / "away.zarr")
    try:
        report = compare(f"{tmp_path}/out#model=teacher", f"{tmp_path}/out#model=student")
    finally:
        shutil.move(place / "away.zarr", place / "c.zarr")
    assert report.interval_draws == "records"
    assert report.people is None


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("models=teacher", "selection 'models=teacher': wanted FIELD=VALUE with one of model"),
        ("model=tutor", "no result has 'model=tutor': there are student, teacher"),
        ("seed=0,modalities=rgb", "no result has 'modalities=rgb': there are skeleton.inertial"),
    ],
)
def test_a_selection_that_selects_nothing_says_what_there_is(place, wanted, found):
    with pytest.raises(ConfigError, match=found):
        select(read_results(place / "out"), wanted)


def test_runs_of_different_records_are_refused(place):
    one = run_of(place, "teacher", "subject-1", 0)
    other = run_of(place, "teacher", "subject-2", 0)
    with pytest.raises(ContractError, match=r"\(fold subject-[12], seed 0\) has no partner"):
        compare(one, other)


def test_two_runs_of_one_fold_and_seed_on_a_side_are_refused(place):
    with pytest.raises(ContractError, match="are both of fold subject-1, seed 0: select one"):
        compare(f"{place}/out#seed=0", f"{place}/out#model=teacher")


def test_predictions_in_another_order_are_refused(place):
    (run,) = load_side(run_of(place, "teacher", "subject-1", 0))
    backwards = dataclasses.replace(run.predictions, records=run.predictions.records[::-1])
    turned = dataclasses.replace(run, predictions=backwards)
    with pytest.raises(ContractError, match=r"tested on 6 records and .* on 6 others"):
        pair_up([run], [turned])


def invoke(*arguments):
    return CliRunner().invoke(dmft, ["compare", *map(str, arguments)], catch_exceptions=False)


def test_the_command_prints_lines_or_json(place):
    sides = (f"{place}/out#model=teacher", f"{place}/out#model=student")
    shown = invoke(*sides)
    assert shown.exit_code == 0
    assert "12 test records, 4 pairs of runs" in shown.stdout
    assert "McNemar, seed 1" in shown.stdout
    assert "paired over 2 people" in shown.stdout
    printed = json.loads(invoke(*sides, "--json").stdout)
    assert parse_table(Comparison, printed, where="--json") == compare(*sides)


def test_the_columns_are_read_with_one_modality(place):
    assert open_columns(place / "c.zarr").modalities == ("skeleton",)
    assert len(open_cache(place / "c.zarr").modalities) == 2
