"""Students and their teachers: what is taught, who may teach, what does not fit."""

import pytest
import torch
from click.testing import CliRunner

from dmft.commands.distill import distill as distill_command
from dmft.config import change_config, config_text
from dmft.data import Batch, open_cache
from dmft.models import answer_of
from dmft.runs.folder import fold_folders, read_info
from dmft.runs.trained import load_run
from dmft.training.distill import distill
from dmft.training.losses import soft_objective
from dmft.training.train import train
from pipeline.contract import ConfigError, ContractError
from tests.factories import write_cache
from tests.small_runs import (
    PROTOCOL,
    Callback,
    PowerCutError,
    same,
    small,
    train_student,
    train_teacher,
    weights,
)


def test_a_distilled_student_comes_from_the_teachers_run(place, cache, teacher, tmp_path):
    figures = distill(cache, [teacher], tmp_path / "student", device="cpu")
    info = read_info(tmp_path / "student")
    assert figures.kind == info.spec.kind == "distilled"
    assert info.spec.split_hash == read_info(teacher).spec.split_hash
    assert info.spec.teachers == (read_info(teacher).spec.identity,)
    assert info.finished.n_parameters < read_info(teacher).finished.n_parameters
    raw = train_student(place, cache, tmp_path / "raw")
    assert raw.kind == "student"
    assert not same(weights(tmp_path / "raw"), weights(tmp_path / "student"))


def test_what_is_taught_decides_the_student(cache, teacher, tmp_path):
    found = {}
    for target in ("unimodal", "branches", "vote"):
        config = small("training.epochs=1", f"distill.target={target}")
        distill(cache, [teacher], tmp_path / target, config=config, device="cpu")
        found[target] = weights(tmp_path / target)
    assert not same(found["unimodal"], found["branches"])
    assert not same(found["vote"], found["branches"])


def test_labels_teach_the_labelled_and_the_teacher_those_behind_them(cache, teacher):
    run = load_run(teacher)
    rows = torch.arange(4)
    patches = {m: x[rows] for m, x in cache.features.items()}
    present = cache.present[rows]
    features = run.transform.apply(patches, present)
    n_classes = len(cache.spec.classes)
    batch = Batch(
        features=features,
        present=present,
        targets=torch.eye(n_classes)[cache.labels[rows]],
        inputs=run.transform.inputs,
    )
    batch = batch.with_unlabelled(batch)
    for hard, moved in ((1.0, slice(0, 4)), (0.0, slice(4, 8))):
        logits = torch.zeros(8, len(cache.modalities), 2, n_classes, requires_grad=True)
        config = small(f"distill.hard_weight={hard}", "distill.transfer=true")
        soft_objective(config, [run], cache.modalities)(answer_of(logits), batch).backward()
        assert (logits.grad[moved].abs().amax(dim=(1, 2, 3)) > 0).all()
        still = slice(4, 8) if moved.start == 0 else slice(0, 4)
        assert not logits.grad[still].any()


def test_a_view_of_its_own_decides_the_student_and_is_the_same_after_an_interruption(
    cache, teacher, tmp_path
):
    def distilled(name, *changes, callback=None):
        config = small("training.epochs=2", *changes)
        distill(cache, [teacher], tmp_path / name, config=config, device="cpu", callback=callback)
        return weights(tmp_path / name)

    whole = distilled("whole")
    assert not same(whole, distilled("first view", "distill.transfer=false"))
    assert not same(whole, distilled("no cut", "transfer.cut=0"))
    with pytest.raises(PowerCutError):
        distilled("stopped", callback=Callback(2))
    assert same(whole, distilled("stopped"))


def test_two_teachers_teach_together_over_all_folds(place, cache, tmp_path):
    for seed in (0, 1):
        train(
            cache,
            str(place / "loso.toml"),
            tmp_path / f"t{seed}",
            config=small("training.epochs=1"),
            fold="all",
            seed=seed,
            device="cpu",
        )
    figures = distill(cache, [tmp_path / "t0", tmp_path / "t1"], tmp_path / "s", device="cpu")
    assert figures.n_folds == 4
    with pytest.raises(ContractError, match=r"the teachers have \[4, 1\] folds"):
        distill(cache, [tmp_path / "t0", tmp_path / "t1/fold-subject-1"], tmp_path / "x")


def test_students_of_several_folds_have_the_settings_of_their_own_teachers(tmp_path):
    sizes = {"modalities": {"inertial": (32, 6)}, "n_subjects": 2, "n_trials": 1}
    (tmp_path / "loso.toml").write_text(PROTOCOL)
    cache = open_cache(write_cache(tmp_path / "cache.zarr", **sizes))
    for n_records, fold in enumerate(("subject-1", "subject-2"), start=7):
        config = small("training.epochs=1", "doubt.epochs=0", f"training.batch_size={n_records}")
        (tmp_path / "tuned" / f"fold-{fold}").mkdir(parents=True)
        (tmp_path / "tuned" / f"fold-{fold}" / "config.toml").write_text(
            config_text(config, "default")
        )
    teachers, tuned = tmp_path / "teachers", tmp_path / "tuned"
    asked = {"config": tuned, "fold": "all", "device": "cpu"}
    train(cache, str(tmp_path / "loso.toml"), teachers, **asked)
    command = [str(cache.path), f"--teacher={teachers}", "--device=cpu", "--temperature=2"]
    done = CliRunner().invoke(
        distill_command, [*command, f"--out={tmp_path / 'students'}"], catch_exceptions=False
    )
    assert done.exit_code == 0
    configs = [read_info(each).spec.config for each in fold_folders(tmp_path / "students")]
    assert [config.training.batch_size for config in configs] == [7, 8]
    assert [config.distill.temperature for config in configs] == [2.0, 2.0]


def test_a_student_cannot_teach(place, cache, tmp_path):
    train_student(place, cache, tmp_path / "raw")
    with pytest.raises(ContractError, match="raw is a student: wanted the run of a teacher"):
        distill(cache, [tmp_path / "raw"], tmp_path / "out", device="cpu")


def test_a_teacher_of_another_cache_is_refused(teacher, tmp_path):
    other = open_cache(write_cache(tmp_path / "other.zarr", n_trials=2, seed=5))
    with pytest.raises(ContractError, match="was trained on other records: cache '"):
        distill(other, [teacher], tmp_path / "out", device="cpu")


def test_a_teacher_of_other_modalities_is_refused(place, teacher, tmp_path):
    swapped = open_cache(place / "cache.zarr", ["inertial", "skeleton"])
    with pytest.raises(ContractError, match=r"has modalities \['skeleton', 'inertial'\]: wanted"):
        distill(swapped, [teacher], tmp_path / "out", device="cpu")


def test_a_student_reads_its_teachers_features(cache, teacher, tmp_path):
    config = change_config(read_info(teacher).spec.config, ["modality.skeleton.velocities=false"])
    with pytest.raises(ConfigError, match=r"modality is .*: wanted the teacher's settings"):
        distill(cache, [teacher], tmp_path / "out", config=config, device="cpu")


def test_teachers_that_read_different_features_cannot_teach_together(
    place, cache, teacher, tmp_path
):
    other = tmp_path / "other"
    config = small("modality.skeleton.velocities=false", "training.epochs=1")
    train(cache, str(place / "loso.toml"), other, config=config, device="cpu")
    with pytest.raises(ContractError, match="other reads other features than"):
        distill(cache, [teacher, other], tmp_path / "out", device="cpu")


def test_what_is_hardly_meant_is_said(place, cache, teacher, tmp_path, caplog):
    def said(name, run, *changes):
        caplog.clear()
        config = small("training.epochs=1", *changes)
        distill(cache, [run], tmp_path / name, config=config, device="cpu")
        return caplog.text

    assert said("as wide", teacher) == ""
    assert "the student is 32 wide (student.width) and its teacher 16" in said(
        "wider", teacher, "student.width=32"
    )
    never = train_teacher(place, cache, tmp_path / "never", "augment.drop_modality=0")
    assert "has never missed a modality" in said("unimodal", never)
    assert said("branches", never, "distill.target=branches") == ""
