"""Settings are chosen by people inside the training side, and by nobody else."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr
from click.testing import CliRunner

import dmft
from dmft.commands.tune import TrialProgress, next_commands, tune
from dmft.config import RunConfig, config_text
from dmft.experiments import PlannedRow
from dmft.tuning.found import TRIALS_FILE
from dmft.tuning.space import read_space
from dmft.tuning.teachers import TeacherSettings, refuse_shared, teacher_settings
from pipeline.contract import CACHE_ATTRIBUTE, ConfigError, ContractError
from tests.factories import seal, write_cache
from tests.small_runs import PROTOCOL, PowerCutError
from tests.trained import shared_place

TINY = {
    "encoder": {"width": 16, "feed_forward": 16},
    "student.width": 0,
    "doubt.epochs": 0,
    "training.epochs": 2,
    "training.batch_size": 8,
}
SPACE = {
    "training.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "encoder.feed_forward": [16, 32],
}
ARGUMENTS = {"kind": "student", "config": TINY, "n_held_out": 2, "device": "cpu"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of three people and a protocol beside it."""
    folder = tmp_path_factory.mktemp("tune")
    modalities = {"inertial": (32, 6)}
    sizes = {"n_subjects": 3, "n_trials": 2, "noise": 0.2}
    write_cache(folder / "cache.zarr", modalities=modalities, **sizes)
    (folder / "loso.toml").write_text(PROTOCOL)
    return folder


def search(place: Path, out: Path, n: int = 3, cache: str = "cache.zarr", **more) -> dmft.Tuning:
    """A search on the first fold."""
    opened = dmft.open_cache(place / cache)
    protocol = str(place / "loso.toml")
    return dmft.tune(opened, protocol, SPACE, out, trials=n, **{**ARGUMENTS, **more})


@pytest.fixture(scope="module")
def found(place: Path) -> dmft.Tuning:
    """A search of four trials."""
    return search(place, place / "found", 4)


def figures(trials: pd.DataFrame) -> list[list[object]]:
    """All that a trial is."""
    return trials.to_numpy().tolist()


def test_what_is_found_is_a_configuration_that_train_takes(place, found, tmp_path):
    assert found.held_out == ("without-subject-2", "without-subject-3")
    assert found.best_trial is None or found.value > found.value_before
    assert figures(found.trials)[0][1:3] == [0.002, 16], "the first trial is what was there before"
    assert dmft.load_config(found.folder) == dmft.load_config(found.folder / "config.toml")
    assert dmft.load_config(found.folder) == found.config
    assert {*found.importance} == {*SPACE}
    cache = dmft.open_cache(place / "cache.zarr")
    changed = dmft.load_config(found.folder, {"training.learning_rate": 0.05})
    dmft.train(cache, str(place / "loso.toml"), tmp_path / "run", config=changed, device="cpu")
    assert dmft.load(tmp_path / "run").info.spec.config.training.learning_rate == 0.05


def test_nothing_of_the_test_side_has_an_influence(place, found, tmp_path):
    shutil.copytree(place / "cache.zarr", tmp_path / "cache.zarr")
    group = zarr.open_group(str(tmp_path / "cache.zarr"))
    tested = group["subject"][:] == 1
    labels, patches = group["label"][:], group["inertial"][:]
    labels[tested] = np.random.default_rng(1).permutation(labels[tested])
    assert (labels != group["label"][:]).any()
    patches[tested] = 1000.0
    group["label"][:], group["inertial"][:] = labels, patches
    group.attrs[CACHE_ATTRIBUTE] = {**group.attrs[CACHE_ATTRIBUTE], "fingerprint": "f" * 64}
    seal(tmp_path / "cache.zarr")
    (tmp_path / "loso.toml").write_text(PROTOCOL)
    again = search(tmp_path, tmp_path / "out", 4)
    assert figures(again.trials) == figures(found.trials)
    assert again.importance == found.importance
    assert again.config == found.config


class PowerCut(TrialProgress):
    """A power cut in a trial's second training."""

    n_ended = 0

    def end(self, row: PlannedRow, result: object) -> None:
        """Count, and break off."""
        self.n_ended += 1
        if self.n_ended == 4:  # 2 of what was there before, which trial 0 shares, and 2 of trial 1
            raise PowerCutError


def test_a_search_that_was_cut_off_goes_on_and_finds_the_same(place, found, tmp_path):
    with pytest.raises(PowerCutError):
        search(place, tmp_path / "out", 3, callback=PowerCut())
    assert not (tmp_path / "out" / TRIALS_FILE).exists()
    assert figures(search(place, tmp_path / "out", 2).trials) == figures(found.trials)[:2]
    assert figures(search(place, tmp_path / "out", 3).trials) == figures(found.trials)[:3]


@pytest.mark.slow
def test_processes_find_what_one_finds(place, found, tmp_path):
    assert figures(search(place, tmp_path / "out", 4, n_workers=2).trials) == figures(found.trials)


def test_a_distilled_student_is_tuned_by_people_whom_its_teacher_has_not_seen(place, tmp_path):
    few = {**TINY, "training.epochs": 1}
    taught, given = {"kind": "distilled", "config": few}, dmft.load_config(changes=few)
    found = search(place, tmp_path / "out", 1, **taught, teacher=given)
    trained = dmft.read_results(tmp_path / "out" / "trainings")
    teachers = trained[trained["model"] == "teacher"]
    assert {*teachers["fold"]} == {*found.held_out}
    assert {*trained["subjects"].map(lambda people: (*people,))} == {("2",), ("3",)}
    students = trained[trained["model"] == "distilled"]
    assert {*students["teachers"].explode()} == {*teachers["key"]}
    assert len(trained) == 4, "trial 0 is what was there before"
    assert found.before == {row.fold: row.score for row in students.itertuples()}
    kept = [folder.name for folder in (tmp_path / "out" / "trainings" / "runs").iterdir()]
    assert sorted(kept) == sorted(Path(run).name for run in teachers["run"])

    more = search(place, tmp_path / "out", 2, **taught, teacher=given)
    again = dmft.read_results(tmp_path / "out" / "trainings")
    assert (again["model"] == "teacher").sum() == 2, "teachers are trained once"
    assert figures(more.trials)[:1] == figures(found.trials)

    dmft.train(
        dmft.open_cache(place / "cache.zarr"),
        *(str(place / "loso.toml"), tmp_path / "teacher"),
        config=given,
        device="cpu",
    )
    of_a_run = teacher_settings(tmp_path / "teacher", "subject-1", ("inertial",))
    assert of_a_run == TeacherSettings(config=given)
    with pytest.raises(ConfigError, match=r"teacher has modalities inertial and .* --modalities i"):
        teacher_settings(tmp_path / "teacher", "subject-1", ("inertial", "skeleton"))


def test_what_cannot_teach_in_a_search_is_refused(place, tmp_path, tmp_path_factory):
    with pytest.raises(ConfigError, match="teacher is None: wanted the teachers' configuration"):
        search(place, tmp_path / "a", kind="distilled")
    with pytest.raises(ConfigError, match=r"teacher is 'default': wanted .* None for the others"):
        search(place, tmp_path / "a", teacher="default")
    for key in ("teacher.layers", "modality.inertial.velocities"):
        with pytest.raises(ConfigError, match=f"the space has {key}, which is the teacher's"):
            refuse_shared({"training.epochs": 1, key: 2})
    with pytest.raises(ConfigError, match="run is a student: wanted the run of a teacher"):
        teacher_settings(shared_place(tmp_path_factory).run, "one", ("skeleton", "inertial"))
    done = CliRunner().invoke(
        tune,
        [
            *(str(place / "cache.zarr"), "--protocol=utd-loso", f"--out={tmp_path / 'c'}"),
            *("--space=space.toml", "--teacher=default", "--model=teacher"),
        ],
    )
    assert (done.exit_code, "--teacher goes with a student" in done.output) == (2, True)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            {"chosen_for": "subject-1", "model": "student"},
            "Chosen for 1 of 3 folds, subject-1: .*\nNext: dmft train c.zarr --protocol p --fold "
            "subject-1 --model student --config t/config.toml --out t-run$",
        ),
        (
            {"chosen_for": "--on all", "how": ["--modalities", "inertial"]},
            "^Next: dmft train c.zarr --protocol p --on all --modalities inertial --config "
            "t/config.toml --out t-run$",
        ),
        (
            {"chosen_for": "--fold all", "model": "student", "teacher": "default"},
            "^Next: dmft train c.zarr --protocol p --fold all --config default --out t-teacher\n"
            "then: dmft distill c.zarr --teacher t-teacher --config t --out t-student$",
        ),
        (
            {"chosen_for": "--fold all", "model": "my:Gru", "teacher": "RUN"},
            "^Next: dmft distill c.zarr --teacher .* --model my:Gru --config t --out t-student$",
        ),
    ],
)
def test_what_is_next_trains_what_was_tuned(tmp_path_factory, asked, said):
    usual = {"n_folds": 3, "how": [], "model": "teacher", "teacher": None}
    if asked.get("teacher") == "RUN":
        asked = {**asked, "teacher": str(shared_place(tmp_path_factory).run)}
    told = next_commands(Path("c.zarr"), "p", Path("t"), **{**usual, **asked})
    assert re.search(said, told), told


def test_another_search_in_the_same_folder_is_refused(place, found):
    with pytest.raises(ContractError, match="another search: seed is 0 there and 1 here"):
        search(place, found.folder, seed=1)
    (place / "full").mkdir(exist_ok=True)
    (place / "full" / "notes").touch()
    with pytest.raises(ContractError, match="full exists and does not hold this"):
        search(place, place / "full")


def test_a_trial_that_cannot_be_trained_is_noted_and_the_others_go_on(place, tmp_path, caplog):
    space = {"training.optimizer": ["adam", "adamw"]}
    cache, protocol = dmft.open_cache(place / "cache.zarr"), str(place / "loso.toml")
    made = dmft.tune(cache, protocol, space, tmp_path / "out", trials=4, **ARGUMENTS)
    assert "training.optimizer = 'adam' cannot be had by itself (training.weight" in caplog.text
    failed = made.trials[made.trials["training.optimizer"] == "adam"]
    assert len(failed)
    assert failed["failed"].str.contains("weight_decay is 0.01").all()
    assert made.trials["value"].notna().sum() == 4 - len(failed)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "it names no setting"),
        ({"encoder.widht": [1, 2]}, r"encoder\.widht is not a setting.*did you mean 'width'"),
        ({"encoder": {"width": [16]}}, r"encoder\.width: \[16\]: wanted at least two different"),
        ({"doubt.faults": [["noise"], ["gain"]]}, r"\['noise'\] is a list"),
        ({"encoder.width": {"low": 64, "high": 16}}, "low is 64 and high is 16"),
        ({"training.loss": {"low": 1, "high": 2}}, r"training\.loss is 1: wanted a text"),
        ({"encoder.width": {"low": 16}}, r"{'low': 16}: wanted a list of values, or"),
        ({"encoder.dropout": {"low": 0, "high": 0.5, "log": True}}, "is no range: .*log"),
        ({"encoder.width": 16}, "16: wanted a list of values"),
    ],
)
def test_a_wrong_space_is_refused_by_name(space, message):
    with pytest.raises(ConfigError, match=f"(?s)the space has 1 problem.*{message}"):
        read_space(space, RunConfig())


def test_a_file_of_ranges_may_be_nested_and_takes_the_type_of_the_setting(tmp_path):
    file = tmp_path / "space.toml"
    file.write_text(
        'encoder.width = [16, 32]\n"augment.jitter" = { low = 0, high = 1 }\n'
        "[training]\nepochs = { low = 10, high = 30, step = 10 }\n"
    )
    space = read_space(file, RunConfig())
    kinds = {key: type(each).__name__.removesuffix("Distribution") for key, each in space.items()}
    assert kinds == {
        "encoder.width": "Categorical",
        "augment.jitter": "Float",
        "training.epochs": "Int",
    }
    file.write_text("encoder = [")
    with pytest.raises(ConfigError, match=r"space\.toml is not valid TOML"):
        read_space(file, RunConfig())
    with pytest.raises(ConfigError, match=r"nowhere\.toml cannot be read: No such file"):
        read_space("nowhere.toml", RunConfig())


@pytest.mark.parametrize("base", ["default", "paper"])
def test_a_written_configuration_is_read_as_it_was(tmp_path, base):
    changes = {"training.learning_rate": 1e-5, "doubt.faults": ["noise"], "distill.transfer": True}
    config = dmft.load_config(base, changes)
    (tmp_path / "config.toml").write_text(config_text(config, base))
    assert dmft.load_config(tmp_path / "config.toml") == config


@pytest.mark.slow
def test_each_fold_gets_a_configuration_of_its_own_and_is_trained_with_it(place, tmp_path):
    (tmp_path / "space.toml").write_text("training.learning_rate = [0.001, 0.01]")
    changes = [
        f"--set={key}={value}" for key, value in [("encoder.width", 16), ("doubt.epochs", 0)]
    ]
    done = CliRunner().invoke(
        tune,
        [
            *(str(place / "cache.zarr"), f"--protocol={place / 'loso.toml'}", "--fold=all"),
            *(f"--space={tmp_path / 'space.toml'}", f"--out={tmp_path / 'tuned'}", "--trials=1"),
            *("--epochs=1", "--workers=0", "--held-out=2", "--json", "--model=student", *changes),
        ],
        catch_exceptions=False,
    )
    assert done.exit_code == 0
    assert '"subject-3": {' in done.stdout
    config = tmp_path / "tuned" / "fold-subject-2" / "config.toml"
    config.write_text(config.read_text().replace("[training]", "[training]\nbatch_size = 7"))
    dmft.train(
        dmft.open_cache(place / "cache.zarr"),
        str(place / "loso.toml"),
        tmp_path / "runs",
        kind="student",
        config=tmp_path / "tuned",
        fold="all",
        device="cpu",
    )
    run = dmft.load(tmp_path / "runs")
    sizes = [run[name].info.spec.config.training.batch_size for name in ("subject-1", "subject-2")]
    assert sizes == [32, 7]
