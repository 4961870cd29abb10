"""Models trained together get what each gets alone, whatever the others are."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dmft.config import RunConfig, load_config
from dmft.data import Cache, FeatureTransform, make_features, open_cache
from dmft.data.sources import choose_source
from dmft.evaluation.metrics import RunMetrics
from dmft.models import ModelShape, Student, Teacher
from dmft.protocols import Fold, choose_folds, load_protocol
from dmft.runs.folder import read_info
from dmft.runs.trained import TrainedRun, load_run
from dmft.training import EpochReport, Learner, fit, fit_together
from dmft.training.checkpoint import TrainingState
from dmft.training.distill import distill, load_teachers, plan_distillation
from dmft.training.losses import hard_objective, soft_objective
from dmft.training.plan import Training, plan_training
from dmft.training.together import Stack
from dmft.training.train import train, train_together
from pipeline.contract import ContractError, Presence
from tests.factories import write_cache
from tests.small_runs import PowerCutError

CPU = torch.device("cpu")
SMALL = (
    "encoder.width=16",
    "student.width=0",
    "encoder.feed_forward=16",
    "encoder.dropout=0.1",
    "training.epochs=3",
    "training.batch_size=8",
    "training.clip_norm=0.5",
    "augment.mixup=0.3",
    "augment.drop_modality=0.2",
)
FOLDS = """
name = "uneven"
[[folds]]
name = "two"
train = { subject = [1, 2] }
test = { subject = [3] }
[[folds]]
name = "one"
train = { subject = [3] }
test = { subject = [1] }
[[folds]]
name = "all-but-one"
train = { subject = [1, 3] }
test = { subject = [2] }
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    write_cache(
        folder / "cache.zarr",
        n_subjects=3,
        n_classes=3,
        absent={"a1_s1_t1/skeleton": Presence.FAILED, "a2_s3_t1/inertial": Presence.ABSENT},
    )
    (folder / "uneven.toml").write_text(FOLDS)
    return folder


@pytest.fixture(scope="module")
def cache(place: Path) -> Cache:
    return open_cache(place / "cache.zarr")


@pytest.fixture(scope="module")
def folds(place: Path, cache: Cache) -> Sequence[Fold]:
    return choose_folds(load_protocol(str(place / "uneven.toml")), cache, "all")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DoubleTransform:
    """Makes features of 64 bits, so that rounding is far below any difference that matters."""

    transform: FeatureTransform

    @property
    def inputs(self) -> Mapping[str, Any]:
        return self.transform.inputs

    def apply(self, *arguments: Any) -> dict[str, Tensor]:
        return {name: each.double() for name, each in self.transform.apply(*arguments).items()}


def new_learner(
    cache: Cache,
    rows: Tensor,
    config: RunConfig,
    seed: int,
    kind: type[Student] | type[Teacher] = Student,
    teacher: Learner | None = None,
    **options: Any,
) -> Learner:
    """A training of 64 bits on some rows."""
    transform = make_features(cache, config, rows)
    shape = ModelShape(inputs=transform.inputs, n_classes=len(cache.spec.classes))
    torch.manual_seed(seed)
    model: nn.Module = (
        Student(shape, config.student, config.encoder)
        if kind is Student
        else Teacher(shape, config.teacher, config.encoder)
    )
    objective = hard_objective(config)
    if teacher is not None:
        info: Any = None
        run = TrainedRun(
            folder=Path(), info=info, model=copy.deepcopy(teacher.model).eval(), transform=transform
        )
        objective = soft_objective(config, [run], cache.modalities)
    return Learner(
        model=model.double(),
        objective=objective,
        source=choose_source(cache, rows, None, CPU),
        transform=DoubleTransform(transform=transform),  # type: ignore[arg-type]
        config=config,
        seed=seed,
        **options,
    )


class Kept:
    """Keeps reports in a list and checkpoints in a file, until the power is cut."""

    def __init__(
        self, reports: list[EpochReport], file: Path | None = None, *, cut_at: int = 0
    ) -> None:
        self.reports, self.file, self.cut_at = reports, file, cut_at
        self.resumed = 0

    def resume(self, state: TrainingState) -> None:
        """Go on where the file is."""
        if self.file is not None and self.file.exists():
            state.load(self.file, "x")
        self.resumed = state.done

    def epoch(self, report: EpochReport, state: TrainingState) -> None:
        """Keep it, or break off before the checkpoint."""
        self.reports.append(report)
        if report.epoch == self.cut_at:
            raise PowerCutError
        if self.file is not None:
            state.save(self.file, "x")


def weights_of(learner: Learner) -> Tensor:
    return torch.cat([p.detach().flatten() for p in learner.model.parameters()])


def assert_equal_weights(found: Learner, wanted: Learner) -> None:
    torch.testing.assert_close(weights_of(found), weights_of(wanted), rtol=0, atol=1e-11)


# -- the same as alone -----------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "optimizer"), [(Student, "adam"), (Teacher, "adamw")])
def test_folds_and_seeds_together_get_the_weights_that_each_gets_alone(
    cache: Cache, folds: Sequence[Fold], kind: type[Student], optimizer: str
) -> None:
    decay = "training.weight_decay=" + ("0.1" if optimizer == "adamw" else "0")
    config = load_config("default", [*SMALL, f"training.optimizer={optimizer}", decay])
    wanted = [(fold, seed) for fold in folds[:2] for seed in (0, 1)]

    def learners() -> list[Learner]:
        return [new_learner(cache, fold.train, config, seed, kind) for fold, seed in wanted]

    alone, together = learners(), learners()
    before = weights_of(alone[0])
    for learner in alone:
        fit(learner)
    assert len({learner.n_steps for learner in alone}) == 2, "wanted folds of other lengths"
    assert fit_together(together) == [None] * len(wanted)
    assert (weights_of(alone[0]) - before).abs().max() > 1e-3
    for one, beside in zip(alone, together, strict=True):
        assert_equal_weights(beside, one)


@pytest.mark.parametrize("transfer", [False, True])
def test_students_of_teachers_of_their_own_get_what_each_gets_alone(
    cache: Cache, folds: Sequence[Fold], transfer: bool
) -> None:
    config = load_config("default", [*SMALL, f"distill.transfer={str(transfer).lower()}"])
    teachers = [new_learner(cache, fold.train, config, 7, Teacher) for fold in folds]

    def learners() -> list[Learner]:
        return [
            new_learner(cache, fold.train, config, 0, Student, teacher, second_view=transfer)
            for fold, teacher in zip(folds, teachers, strict=True)
        ]

    alone, together = learners(), learners()
    for learner in alone:
        fit(learner)
    fit_together(together)
    for one, beside in zip(alone, together, strict=True):
        assert_equal_weights(beside, one)


def test_the_order_of_a_group_changes_nothing(cache: Cache, folds: Sequence[Fold]) -> None:
    config = load_config("default", SMALL)
    first = [new_learner(cache, fold.train, config, 3) for fold in folds]
    second = [new_learner(cache, fold.train, config, 3) for fold in reversed(folds)]
    fit_together(first)
    fit_together(second)
    for one, other in zip(first, reversed(second), strict=True):
        assert_equal_weights(one, other)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_native_widths_and_weights_without_a_gradient_are_as_alone(
    cache: Cache, folds: Sequence[Fold], norm: str
) -> None:
    config = load_config("default", [*SMALL, "encoder.width=0", f"encoder.norm={norm}"])
    alone, beside = (new_learner(cache, folds[0].train, config, 0, Teacher) for _ in range(2))
    other = new_learner(cache, folds[1].train, config, 1, Teacher)
    fit(alone)
    fit_together([beside, other])
    assert_equal_weights(beside, alone)


def test_epochs_are_reported_with_the_figures_of_a_run_alone(
    cache: Cache, folds: Sequence[Fold]
) -> None:
    config = load_config("default", SMALL)
    alone: list[EpochReport] = []
    beside: list[EpochReport] = []
    fit(new_learner(cache, folds[0].train, config, 0, logger=Kept(alone)))
    fit_together(
        [
            new_learner(cache, folds[0].train, config, 0, logger=Kept(beside)),
            new_learner(cache, folds[1].train, config, 0),
        ]
    )
    assert [report.epoch for report in beside] == [1, 2, 3]
    for one, other in zip(alone, beside, strict=True):
        assert other.loss == pytest.approx(one.loss, rel=1e-5)
        assert (other.accuracy, other.learning_rate) == (one.accuracy, one.learning_rate)


def test_a_stacked_model_is_computed_on_its_own_weights(cache: Cache) -> None:
    config = load_config("default", [*SMALL, "encoder.dropout=0"])
    learners = [new_learner(cache, torch.arange(6), config, seed) for seed in (0, 1)]
    learners[0].begin()
    (batch, *_) = [step.batch for step in learners[0].steps()]
    wanted = [learner.model(batch.features, batch.present) for learner in learners]
    stack = Stack([learner.model for learner in learners])
    features = {name: each.expand(2, *each.shape) for name, each in batch.features.items()}
    found = stack(features, batch.present.expand(2, *batch.present.shape))
    for position, one in enumerate(wanted):
        torch.testing.assert_close(found.logits[position], one.logits)
        torch.testing.assert_close(found.reliability[position], one.reliability)
    assert not torch.allclose(wanted[0].logits, wanted[1].logits)


# -- what happens to one of a group ----------------------------------------------------------------


def test_a_group_that_is_cut_off_between_two_checkpoints_goes_on(
    cache: Cache, folds: Sequence[Fold], tmp_path: Path
) -> None:
    config = load_config("default", SMALL)

    def learners(recorders: Sequence[Kept]) -> list[Learner]:
        return [
            new_learner(cache, fold.train, config, 0, logger=recorder)
            for fold, recorder in zip(folds, recorders, strict=False)
        ]

    first, second = (tmp_path / name for name in ("first", "second"))
    with pytest.raises(PowerCutError):
        fit_together(learners([Kept([], first), Kept([], second, cut_at=2)]))
    kept = [Kept([], first), Kept([], second)]
    again = learners(kept)
    fit_together(again)
    assert [one.resumed for one in kept] == [2, 1], "the second model's epoch was not kept"
    for fold, learner in zip(folds, again, strict=False):
        alone = new_learner(cache, fold.train, config, 0)
        fit(alone)
        assert_equal_weights(learner, alone)


def test_a_model_that_diverges_stops_and_the_others_are_as_alone(
    cache: Cache, folds: Sequence[Fold]
) -> None:
    config = load_config("default", SMALL)
    good, bad, alone = (new_learner(cache, folds[0].train, config, 0) for _ in range(3))
    with torch.no_grad():
        next(bad.model.parameters()).fill_(float("nan"))
    stopped = fit_together([bad, good])
    assert stopped[1] is None
    assert "the loss of epoch 1 is nan: training has diverged" in str(stopped[0])
    fit(alone)
    assert_equal_weights(good, alone)


# -- into folders ----------------------------------------------------------------------------------


def plans(
    cache: Cache, place: Path, folds: Sequence[Fold], config: RunConfig, out: Path, kind: str
) -> list[Training]:
    rules = load_protocol(str(place / "uneven.toml"))
    return [
        plan_training(cache, rules, fold, out / fold.name, kind=kind, config=config, seed=0, on=CPU)
        for fold in folds
    ]


def test_folders_of_a_group_hold_what_those_of_runs_alone_hold(
    place: Path, cache: Cache, folds: Sequence[Fold], tmp_path: Path
) -> None:
    config = load_config("default", [*SMALL, "training.epochs=2"])
    rules = load_protocol(str(place / "uneven.toml"))
    for fold in folds:
        folder = tmp_path / "alone" / fold.name
        train(cache, rules, folder, config=config, fold=fold.name, device="cpu")
    figures = train_together(plans(cache, place, folds, config, tmp_path / "beside", "teacher"))
    for fold, found in zip(folds, figures, strict=True):
        one, other = (tmp_path / way / fold.name for way in ("alone", "beside"))
        assert isinstance(found, RunMetrics)
        assert found.n_records == json.loads((one / "metrics.json").read_text())["n_records"]
        names = [{p.name.split(".tfevents")[0] for p in each.iterdir()} for each in (one, other)]
        assert names[0] == names[1]
        assert read_info(one).spec.identity == read_info(other).spec.identity
        assert read_info(other).outcome is not None
        assert len((other / "epochs.jsonl").read_text().splitlines()) == 2
        logits = [load_run(each).ask(cache, fold.test).logits for each in (one, other)]
        torch.testing.assert_close(logits[0], logits[1], rtol=0, atol=1e-3)

    def one_student(fold: Fold, out: Path) -> Training:
        (taught,) = load_teachers(cache, [tmp_path / "alone" / fold.name], CPU)
        return plan_distillation(cache, *taught, out / fold.name)

    students = train_together([one_student(fold, tmp_path / "students") for fold in folds])
    assert all(isinstance(each, RunMetrics) for each in students)
    distill(cache, [tmp_path / "alone" / folds[0].name], tmp_path / "student", device="cpu")
    places = (tmp_path / "student", tmp_path / "students" / folds[0].name)
    logits = [load_run(each).ask(cache, folds[0].test).logits for each in places]
    torch.testing.assert_close(logits[0], logits[1], rtol=0, atol=1e-3)


def test_an_occupied_folder_is_refused_and_finished_runs_are_not_trained_again(
    place: Path, cache: Cache, folds: Sequence[Fold], tmp_path: Path
) -> None:
    config = load_config("default", [*SMALL, "training.epochs=1"])
    (tmp_path / folds[0].name).mkdir()
    (tmp_path / folds[0].name / "other.txt").write_text("not a run")
    wanted = plans(cache, place, folds, config, tmp_path, "student")
    refused, *others = train_together(wanted)
    assert isinstance(refused, ContractError)
    assert "two exists and does not hold this run" in str(refused)
    files = [training.folder / "model.safetensors" for training in wanted[1:]]
    written = [path.stat().st_mtime_ns for path in files]
    assert train_together(wanted)[1:] == others
    assert [path.stat().st_mtime_ns for path in files] == written
