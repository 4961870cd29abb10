"""Experiments: the rows of a file, doing them once, and the results file."""

import dataclasses
import json
import os
import signal
import time

import pytest

from dmft.data import open_cache
from dmft.experiments import (
    RESULTS_FILE,
    load_experiment,
    load_results,
    plan_rows,
    run_experiment,
)
from dmft.experiments.pool import Pool
from dmft.experiments.results import append_result
from dmft.experiments.task import Task, do_rows
from dmft.runs.files import to_sealed_json
from dmft.training.train import train
from pipeline.contract import ConfigError, ContractError
from tests.factories import write_cache
from tests.unit.dmft.experiments.conftest import HEAD

CPU = "cpu"


def rows_of(place, cache, text="", seeds=(0,)):
    path = place / f"other-{abs(hash((text, seeds)))}.toml"
    path.write_text(HEAD.replace("seeds = [0]", f"seeds = {list(seeds)}") + text)
    return plan_rows(load_experiment(str(path)), cache, CPU)


@pytest.fixture(scope="module")
def finished(place, cache):
    rows = rows_of(place, cache)
    out = place / "finished"
    outcome = run_experiment(rows, place / "c.zarr", out, experiment="small", n_workers=0)
    return rows, out, outcome


# -- the rows --------------------------------------------------------------------------------------


def test_fusions_are_tokens_the_vote_alone_or_each_modality_alone(place, cache):
    rows = rows_of(place, cache, 'fusion = ["none", "late", "mid"]\nfusion_tokens = [2, 8]\n')
    teachers = {r.title.split(",")[0]: r for r in rows if r.model == "teacher"}
    assert set(teachers) == {"teacher none", "teacher late", "teacher mid F=2", "teacher mid F=8"}
    assert teachers["teacher late"].config.teacher.fusion_layers == 0
    assert teachers["teacher mid F=8"].config.teacher.fusion_tokens == 8
    alone = {r.modalities for r in rows if r.fusion == "none"}
    assert alone == {("skeleton",), ("inertial",)}
    together = [r for r in rows if r.model == "student" and len(r.modalities) == 2]
    assert len(together) == 1, "a raw student does not depend on the teacher's fusion"
    assert len({r.key for r in rows}) == len(rows)


def test_a_distilled_row_brings_its_teachers_and_comes_after_them(place, cache):
    more = 'models = ["distilled"]\nset_for = { distilled = ["distill.joint_teachers=false"] }\n'
    one, other, *students = rows_of(place, cache, more, seeds=(0, 1))
    assert [t.model for t in (one, other)] == ["teacher", "teacher"]
    assert [s.teachers for s in students] == [(one.key,), (other.key,)]


def test_the_teachers_of_all_seeds_teach_every_student(place, cache):
    one, other, *students = rows_of(place, cache, 'models = ["distilled"]\n', seeds=(0, 1))
    assert [s.teachers for s in students] == [(one.key, other.key)] * 2


def test_settings_for_one_model_leave_the_others_alone(place, cache):
    rows = rows_of(place, cache, 'set_for = { student = ["student.layers=3"] }\n')
    layers = {row.model: row.config.student.layers for row in rows}
    assert layers == {"teacher": 2, "student": 3, "distilled": 2}


def test_mid_fusion_of_a_configuration_without_fusion_layers_is_refused(place, cache):
    with pytest.raises(ConfigError, match=r"teacher.fusion_layers is 0: wanted at least 1"):
        rows_of(place, cache, 'set_for = { teacher = ["teacher.fusion_layers=0"] }\n')


def test_a_modality_that_the_cache_lacks_is_refused(place, cache):
    text = HEAD.replace('"skeleton"', '"rgb"')
    (place / "rgb.toml").write_text(text)
    with pytest.raises(ContractError, match="no modality 'rgb': it has skeleton, inertial"):
        plan_rows(load_experiment(str(place / "rgb.toml")), cache, CPU)


# -- doing them ------------------------------------------------------------------------------------


def test_a_result_holds_what_is_needed_to_make_it_again(finished, place):
    rows, out, outcome = finished
    assert (outcome.n_done, outcome.n_found, outcome.failures) == (3, 0, {})
    results = {r.model: r for r in load_results(out)}
    assert set(results) == {"teacher", "student", "distilled"}
    found = results["teacher"]
    assert found.key == rows[0].key
    assert found.subjects["1"].n_records == found.n_records == 5  # one record has no modality
    assert found.subjects["1"].accuracy == found.accuracy
    assert set(found.by_modality) == {"skeleton", "inertial"}
    assert found.recipe == "default encoder.width=16 training.epochs=1"
    assert (out / found.predictions).exists()
    assert results["distilled"].teachers == (found.key,)

    again = train(
        open_cache(place / "c.zarr", found.modalities),
        rows[0].protocol,
        place / "again",
        kind=found.model,
        config=rows[0].config,
        fold=found.fold,
        seed=found.seed,
    )
    assert again.accuracy == found.accuracy
    said = json.loads((place / "again/run.json").read_text())
    assert said["identity"] == found.key, "a row's key is the identity of the run it makes"


def test_finished_rows_are_not_done_again_and_new_ones_are_added(finished, place, cache):
    _, out, _ = finished
    more = rows_of(place, cache, 'fusion = ["late"]\nmodels = ["teacher", "student"]\n')
    outcome = run_experiment(more, place / "c.zarr", out, experiment="x", n_workers=0)
    assert (outcome.n_rows, outcome.n_found, outcome.n_done) == (2, 1, 1)
    assert len(load_results(out)) == 4


def test_workers_change_no_result(finished, place):
    rows, out, _ = finished
    beside = place / "beside"
    outcome = run_experiment(rows, place / "c.zarr", beside, experiment="s", n_workers=2)
    assert outcome.n_done == 3
    one = {r.key: (r.accuracy, r.macro_f1, r.calibration_error) for r in load_results(out)}
    two = {r.key: (r.accuracy, r.macro_f1, r.calibration_error) for r in load_results(beside)}
    assert {key: one[key] for key in two} == two
    weights = [
        (place_ / "runs" / rows[0].folder / "model.safetensors").read_bytes()
        for place_ in (out, beside)
    ]
    assert weights[0] == weights[1]


def test_a_row_that_fails_is_said_and_its_students_with_it(place, cache):
    more = 'set_for = { teacher = ["training.learning_rate=1e30", "training.epochs=3", '
    more += '"training.schedule=constant"] }\nmodels = ["teacher", "distilled"]\n'
    rows = rows_of(place, cache, more)
    out = place / "failing"
    for n_workers in (0, 1):
        outcome = run_experiment(rows, place / "c.zarr", out, experiment="s", n_workers=n_workers)
        teacher, student = outcome.failures.values()
        assert "training has diverged" in teacher
        assert student == "its teacher could not be trained"
    assert not (out / RESULTS_FILE).exists()


def test_a_cache_that_changes_under_way_is_noticed(finished, place, tmp_path):
    rows, _, _ = finished
    other = write_cache(tmp_path / "d.zarr", n_subjects=2, n_classes=3, n_trials=2, seed=9)
    task = Task(rows=rows[:1], cache=other, out=tmp_path, experiment="s")
    (why,) = do_rows(task, lambda n: None).values()
    assert "has changed since the rows were planned" in why
    assert f"wanted '{rows[0].key[:12]}'" in why


def test_two_at_once_in_one_folder_are_refused(finished, place):
    import fcntl

    rows, out, _ = finished
    with (out / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ContractError, match="finished is in use: another"):
            run_experiment(rows, place / "c.zarr", out, experiment="s", n_workers=0)


def test_rows_of_one_shape_are_done_together_and_their_lines_are_those_of_rows_alone(
    place, cache, tmp_path
):
    rows = rows_of(place, cache, 'models = ["teacher", "distilled"]\n')
    rows += rows_of(place, cache, "[[grids]]\n" + HEAD.split("[[grids]]")[1].replace("[0]", "[1]"))
    rows = tuple({row.key: row for row in rows}.values())
    found = {}
    for name, together in (("alone", 1), ("beside", 8)):
        out = tmp_path / name
        outcome = run_experiment(
            rows, place / "c.zarr", out, experiment="s", n_workers=0, together=together
        )
        assert (outcome.n_done, outcome.failures) == (len(rows), {})
        found[name] = {r.key: r for r in load_results(out)}
    assert {r.together for r in found["alone"].values()} == {1}
    assert {r.model: r.together for r in found["beside"].values()} == {
        "teacher": 2,
        "student": 2,
        "distilled": 2,
    }
    measured = {"finished_at", "seconds_per_epoch", "together", "saved_bytes"}
    for key, line in found["alone"].items():
        one, other = dataclasses.asdict(line), dataclasses.asdict(found["beside"][key])
        assert other["calibration_error"] == pytest.approx(one["calibration_error"], abs=1e-3)
        for name in one.keys() - measured - {"calibration_error"}:
            assert other[name] == one[name], name


# -- processes -------------------------------------------------------------------------------------


def sleep_or_die(task, report):
    """A task for the pool."""
    report(1)
    if task == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "raise":
        raise ValueError("as asked")
    time.sleep(0.1)
    return task


def die(task, report):
    """Every process that gets a row dies, as when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_row_that_kills_its_process_twice_is_given_up(place, cache, tmp_path, monkeypatch):
    monkeypatch.setattr("dmft.experiments.runner.do_rows", die)
    rows = rows_of(place, cache)[:1]
    outcome = run_experiment(rows, place / "c.zarr", tmp_path, experiment="s", n_workers=1)
    (why,) = outcome.failures.values()
    assert why.startswith("its process died 2 times (exit code -9); where memory is short")


def process_ids(pool):
    return [worker.process.pid for worker in pool._workers]


def test_a_killed_process_costs_its_own_task_alone():
    seen = []
    with Pool(2, sleep_or_die) as pool:
        before = process_ids(pool)
        pool.give("a", "die")
        pool.give("b", "fine")
        while len([e for e in seen if e.what in ("done", "died")]) < 2:
            seen += pool.wait(timeout_s=30)
        pool.give("c", "raise")
        while not any(e.what == "failed" for e in seen):
            seen += pool.wait(timeout_s=30)
        assert pool.n_idle == 2
        assert len(set(before) & set(process_ids(pool))) == 1
    by_ticket = {e.ticket: e for e in seen if e.what != "progress"}
    assert by_ticket["a"].what == "died"
    assert by_ticket["a"].content == "exit code -9"
    assert by_ticket["b"].content == "fine"
    assert by_ticket["c"].content == "ValueError: as asked"


# -- the results file ------------------------------------------------------------------------------


def test_a_torn_last_line_is_dropped_and_cut_off(finished, tmp_path, caplog):
    _, out, _ = finished
    first, second = load_results(out)[:2]
    append_result(tmp_path, first)
    with (tmp_path / RESULTS_FILE).open("a") as file:
        file.write('{"format": "dmft-re')
    assert load_results(tmp_path) == (first,)
    assert "last line is torn" in caplog.text
    append_result(tmp_path, second)
    append_result(tmp_path, dataclasses.replace(first, experiment="again"))
    assert load_results(tmp_path) == (first, second)


def test_a_full_disk_is_an_error_and_leaves_no_half_line(finished, tmp_path, monkeypatch):
    _, out, _ = finished
    first, second = load_results(out)[:2]
    append_result(tmp_path, first)
    write = os.write
    monkeypatch.setattr("os.write", lambda file, line: write(file, line[:50]))
    with pytest.raises(OSError, match=r"results.jsonl: the disk took only a part of a line"):
        append_result(tmp_path, second)
    monkeypatch.undo()
    append_result(tmp_path, second)
    assert load_results(tmp_path) == (first, second)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("not json", "line 1 cannot be read .*wanted a result; remove the line"),
        ('{"a": 1}', r"line 1 is '{\"a\": 1}': wanted a result"),
        ('{"format": "dmft-result", "version": 7}', "version 7: this software reads 2"),
        (
            to_sealed_json({"format": "dmft-result", "version": 2, "config": 3}),
            "config is 3: wanted a table",
        ),
        ('{"format": "dmft-result", "version": 2}', "line 1 is not what was written"),
    ],
)
def test_a_line_that_is_no_result_is_refused(tmp_path, line, found):
    (tmp_path / RESULTS_FILE).write_text(line + "\n")
    with pytest.raises(ContractError, match=found):
        load_results(tmp_path)


def test_a_result_with_a_wrong_field_is_refused(finished, tmp_path):
    _, out, _ = finished
    table = json.loads((out / RESULTS_FILE).read_text().splitlines()[0]) | {"seed": "x"}
    (tmp_path / RESULTS_FILE).write_text(to_sealed_json(table) + "\n")
    with pytest.raises(ContractError, match=r"(?s)line 1.*seed is 'x': wanted a whole number"):
        load_results(tmp_path)


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(ContractError, match=r"results.jsonl does not exist: wanted a folder"):
        load_results(tmp_path)
