"""Runs from end to end on a small cache: train, resume, evaluate, refuse."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from dmft.config import load_config
from dmft.data import open_cache
from dmft.evaluation.evaluate import evaluate
from dmft.evaluation.metrics import read_metrics
from dmft.runs.files import seal_of, write_json
from dmft.runs.folder import read_info
from dmft.runs.trained import load_run
from dmft.training.device import resolve_device
from dmft.training.schedule import learning_rate
from dmft.training.train import train
from pipeline.contract import ConfigError, ContractError, Presence
from tests.factories import write_cache
from tests.small_runs import (
    PROTOCOL,
    Callback,
    PowerCutError,
    same,
    small,
    train_student,
    weights,
)


def test_a_run_folder_says_what_it_is(teacher, cache):
    said = json.loads((teacher / "run.json").read_text())
    outcome = said["outcome"]
    assert said["spec"]["cache_fingerprint"] == cache.spec.fingerprint
    assert said["spec"]["classes"] == list(cache.spec.classes)
    assert outcome["n_parameters"] == sum(p.numel() for p in load_run(teacher).model.parameters())
    assert outcome["saved_bytes"] == (teacher / "model.safetensors").stat().st_size
    assert said["source"]["versions"]["torch"]
    lines = [json.loads(x) for x in (teacher / "epochs.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert list(teacher.glob("events.out.tfevents.*"))
    assert not list(teacher.glob("*checkpoint*"))
    assert not list(teacher.glob(".*partial"))


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(place, cache, tmp_path):
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        train_student(place, cache, tmp_path / name, seed=seed)
    assert same(weights(tmp_path / "one"), weights(tmp_path / "two"))
    assert not same(weights(tmp_path / "one"), weights(tmp_path / "three"))


@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_an_interrupted_training_ends_with_the_same_weights(place, cache, tmp_path, stop_after):
    changes = ("training.average_decay=0.9", "augment.mixup=0.3", "augment.drop_modality=0.2")
    train_student(place, cache, tmp_path / "whole", *changes)
    with pytest.raises(PowerCutError):
        train_student(place, cache, tmp_path / "cut", *changes, callback=Callback(stop_after))
    with pytest.raises(ContractError, match="cut holds a training that has not ended"):
        load_run(tmp_path / "cut")
    torch.rand(7)  # The state of the world's generator must not matter.
    callback = Callback()
    train_student(place, cache, tmp_path / "cut", *changes, callback=callback)
    assert callback.starts == [("subject-1", stop_after - 1)]
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))
    lines = [json.loads(x) for x in (tmp_path / "cut" / "epochs.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]


def test_a_finished_run_is_not_trained_again(place, cache, teacher):
    callback = Callback()
    before = (teacher / "model.safetensors").stat().st_mtime_ns
    train(cache, str(place / "loso.toml"), teacher, config=small(), device="cpu", callback=callback)
    assert callback.epochs == []
    assert (teacher / "model.safetensors").stat().st_mtime_ns == before


def test_figures_lost_at_the_very_end_are_measured_again(place, cache, tmp_path):
    figures = train_student(place, cache, tmp_path / "run")
    (tmp_path / "run" / "metrics.json").unlink()
    callback = Callback()
    again = train_student(place, cache, tmp_path / "run", callback=callback)
    assert callback.epochs == []
    assert again.confusion == figures.confusion


def test_a_folder_with_another_run_is_refused_saying_what_differs(place, cache, teacher):
    with pytest.raises(ContractError, match=r"config\.training\.epochs is 3 there and 4 here"):
        train(
            cache,
            str(place / "loso.toml"),
            teacher,
            config=small("training.epochs=4"),
            device="cpu",
        )


@pytest.mark.parametrize("fold", [None, "all"])
def test_a_folder_with_something_else_is_refused(place, cache, tmp_path, fold):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letters.txt").touch()
    with pytest.raises(ContractError, match="mine exists and does not hold this run"):
        train_student(place, cache, tmp_path / "mine", fold=fold)


def test_a_checkpoint_of_another_run_is_refused(place, cache, tmp_path):
    for seed in (0, 1):
        with pytest.raises(PowerCutError):
            train_student(place, cache, tmp_path / f"s{seed}", callback=Callback(2), seed=seed)
    shutil.copy(tmp_path / "s0/checkpoint.safetensors", tmp_path / "s1/checkpoint.safetensors")
    with pytest.raises(ContractError, match=r"checkpoint\.safetensors is of another run"):
        train_student(place, cache, tmp_path / "s1", seed=1)


def test_a_truncated_checkpoint_is_refused(place, cache, tmp_path):
    with pytest.raises(PowerCutError):
        train_student(place, cache, tmp_path / "run", callback=Callback(2))
    file = tmp_path / "run" / "checkpoint.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ContractError, match=r"checkpoint\.safetensors cannot be read"):
        train_student(place, cache, tmp_path / "run")


def test_training_that_diverges_says_so(place, cache, tmp_path):
    changes = ("training.learning_rate=1e30", "training.warmup_epochs=0")
    with pytest.raises(ContractError, match=r"loss of epoch \d is nan: training has diverged"):
        train_student(place, cache, tmp_path / "run", *changes)


def test_records_without_any_modality_are_neither_learnt_from_nor_measured(tmp_path):
    absent = {"a1_s1_t1/inertial": Presence.ABSENT, "a1_s2_t1/inertial": Presence.FAILED}
    path = write_cache(
        tmp_path / "c.zarr", modalities={"inertial": (8, 3)}, n_subjects=2, absent=absent
    )
    (tmp_path / "p.toml").write_text(PROTOCOL)
    figures = train(
        open_cache(path), str(tmp_path / "p.toml"), tmp_path / "r", config=small(), device="cpu"
    )
    assert (figures.n_records, figures.n_without_modality) == (11, 1)


def test_a_training_side_without_any_features_is_refused(tmp_path):
    absent = {f"a{a}_s2_t{t}/inertial": Presence.ABSENT for a in (1, 2, 3, 4) for t in (1, 2, 3)}
    path = write_cache(
        tmp_path / "c.zarr", modalities={"inertial": (8, 3)}, n_subjects=2, absent=absent
    )
    (tmp_path / "p.toml").write_text(PROTOCOL)
    with pytest.raises(ContractError, match="none of its 12 training records has any of inertial"):
        train(open_cache(path), str(tmp_path / "p.toml"), tmp_path / "r", config=small())


def test_every_fold_goes_into_a_folder_of_its_own_and_is_summed_up(place, cache, tmp_path):
    figures = train_student(place, cache, tmp_path / "all", fold="all")
    assert figures.n_folds == 4
    assert figures.n_records == len(cache)
    assert (tmp_path / "all" / "fold-subject-3" / "run.json").exists()
    assert evaluate(tmp_path / "all") == figures
    confusion = torch.tensor(figures.confusion)
    assert int(confusion.sum()) == len(cache)


class Killed(BaseException):
    """Like SIGKILL: nothing of ours handles it."""


def killed_at(fatal, monkeypatch):
    """Die before the n-th file is renamed into place, what is half-written left behind."""
    rename, n_renamed = os.replace, iter(range(1000))

    def dying(partial, target):
        if next(n_renamed) == fatal:
            monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
            raise Killed
        return rename(partial, target)

    monkeypatch.setattr(os, "replace", dying)


def test_a_training_killed_at_any_of_its_files_goes_on(place, cache, tmp_path, monkeypatch):
    """It was refused as another run, or its predictions never came."""
    train_student(place, cache, tmp_path / "whole")
    names = {p.name for p in (tmp_path / "whole").iterdir() if "tfevents" not in p.name}
    for fatal in range(100):
        out = tmp_path / f"killed-{fatal}"
        with monkeypatch.context() as patched:
            killed_at(fatal, patched)
            try:
                train_student(place, cache, out)
                break
            except Killed:
                pass
        for partial in out.glob(".*.partial"):  # as of a process that is dead
            partial.rename(out / partial.name.replace(str(os.getpid()), "99999999"))
        train_student(place, cache, out)
        assert same(weights(out), weights(tmp_path / "whole"))
        assert {p.name for p in out.iterdir() if "tfevents" not in p.name} == names
    assert fatal > 4


def test_a_folder_of_other_folds_is_refused(place, cache, tmp_path):
    (tmp_path / "all").mkdir()
    write_json(tmp_path / "all" / "folds.json", {"folds": ["x"]})
    with pytest.raises(ContractError, match=r"holds the folds \['x'\], wanted \['subject-1'"):
        train_student(place, cache, tmp_path / "all", fold="all")


def test_evaluating_again_gives_the_figures_of_training(teacher):
    assert evaluate(teacher) == read_metrics(
        teacher / "metrics.json", read_info(teacher).spec.classes
    )
    predictions = json.loads((teacher / "predictions.json").read_text())
    assert sum(predictions["probabilities"][0]) == pytest.approx(1, abs=1e-4)


def test_nothing_is_hidden_from_a_student(place, cache, tmp_path):
    for chance in (0.0, 0.5):
        changes = (f"augment.drop_modality={chance}", "training.epochs=1")
        train_student(place, cache, tmp_path / f"s{chance}", *changes)
        how = {"config": small(*changes), "device": "cpu"}
        train(cache, str(place / "loso.toml"), tmp_path / f"t{chance}", **how)
    assert same(weights(tmp_path / "s0.0"), weights(tmp_path / "s0.5"))
    assert not same(weights(tmp_path / "t0.0"), weights(tmp_path / "t0.5"))


def test_a_changed_cache_is_refused_unless_it_is_named(place, cache, teacher, tmp_path):
    shutil.copytree(teacher, tmp_path / "run")
    other = write_cache(tmp_path / "other.zarr", n_trials=2, seed=5)
    said = json.loads((tmp_path / "run" / "run.json").read_text())
    said["cache_path"] = str(other)
    (tmp_path / "run" / "run.json").write_text(json.dumps(said))
    with pytest.raises(ContractError, match=r"other\.zarr has changed since the run: its"):
        evaluate(tmp_path / "run")
    assert evaluate(tmp_path / "run", cache_path=other).n_records == 8


def test_a_cache_with_other_patches_or_classes_does_not_fit(teacher, tmp_path):
    shapes = {"skeleton": (16, 6), "inertial": (16, 6)}
    other = write_cache(tmp_path / "patches.zarr", modalities=shapes)
    with pytest.raises(ContractError, match=r"inertial as \(16, 6\) .* learnt on \(32, 6\)"):
        evaluate(teacher, cache_path=other)
    other = write_cache(tmp_path / "classes.zarr", n_classes=3)
    with pytest.raises(ContractError, match=r"classes\.zarr has classes \['class_0'.*\(4 in all\)"):
        evaluate(teacher, cache_path=other)


def test_what_is_no_run_is_named(tmp_path):
    with pytest.raises(ContractError, match="is not a run: wanted a run folder"):
        evaluate(tmp_path)
    with pytest.raises(ContractError, match=r"run\.json does not exist"):
        read_info(tmp_path)
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(ContractError, match=r"run\.json holds list"):
        read_info(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(ContractError, match=r"run\.json cannot be read"):
        read_info(tmp_path)
    (tmp_path / "run.json").write_text('{"format": "other"}')
    with pytest.raises(ContractError, match="does not describe a run: wanted 'dmft-run'"):
        read_info(tmp_path)
    (tmp_path / "run.json").write_text('{"format": "dmft-run", "version": 9}')
    with pytest.raises(ContractError, match="has run version 9; this software reads 2"):
        read_info(tmp_path)


def test_a_run_of_an_unknown_kind_is_refused(teacher, tmp_path):
    said = json.loads((teacher / "run.json").read_text())
    said["spec"]["kind"] = "pupil"
    (tmp_path / "run.json").write_text(json.dumps(said | {"sha256": seal_of(said)}))
    with pytest.raises(ConfigError, match="kind is 'pupil': wanted one of teacher, student"):
        read_info(tmp_path)


def test_weights_of_another_run_are_refused(teacher, place, cache, tmp_path):
    train_student(place, cache, tmp_path / "raw")
    shutil.copy(teacher / "model.safetensors", tmp_path / "raw" / "model.safetensors")
    with pytest.raises(ContractError, match=r"model\.safetensors belongs to another run"):
        load_run(tmp_path / "raw")


def test_the_python_interface_predicts_probabilities(teacher, cache):
    run = load_run(teacher)
    probabilities = run.predict(cache, torch.arange(5))
    assert probabilities.shape == (5, 4)
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(5))


def test_a_device_is_auto_cpu_or_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto").type == "cpu"
    with pytest.raises(ConfigError, match="device 'cuda' is asked for and torch sees no GPU"):
        resolve_device("cuda")
    with pytest.raises(ConfigError, match="device is 'tpu': wanted auto, cpu or cuda"):
        resolve_device("tpu")


def test_the_learning_rate_rises_and_falls():
    config = load_config("default", ["training.epochs=10", "training.warmup_epochs=2"]).training
    rates = [learning_rate(config, step, 5) for step in range(50)]
    assert rates.index(max(rates)) == 10
    assert rates[10] == pytest.approx(config.learning_rate)
    assert rates[-1] < 0.01 * config.learning_rate
    flat = load_config("paper").training
    assert {learning_rate(flat, step, 5) for step in range(50)} == {flat.learning_rate}


def test_a_model_learns_the_courses_of_people_it_has_not_seen(tmp_path):
    path = write_cache(tmp_path / "c.zarr", n_trials=4)
    (tmp_path / "p.toml").write_text(PROTOCOL)
    config = small("training.epochs=20")
    figures = train(
        open_cache(path), str(tmp_path / "p.toml"), tmp_path / "r", config=config, device="cpu"
    )
    assert figures.accuracy > 0.8


def test_a_run_is_evaluated_from_any_folder(place, tmp_path, monkeypatch):
    monkeypatch.chdir(place)
    config = small("training.epochs=1")
    train(open_cache("cache.zarr"), "loso.toml", tmp_path / "r", config=config, device="cpu")
    monkeypatch.chdir(tmp_path)
    assert evaluate("r").n_records == 8


def test_training_holds_the_cache_once(place, cache, tmp_path, monkeypatch):
    import dmft.training.together

    held = {}

    def look(learner):
        held.update(learner.source.patches)
        raise PowerCutError

    monkeypatch.setattr(dmft.training.together, "fit", look)
    with pytest.raises(PowerCutError):
        train_student(place, cache, tmp_path / "r")
    assert {m: x.data_ptr() for m, x in held.items()} == {
        m: x.data_ptr() for m, x in cache.features.items()
    }
