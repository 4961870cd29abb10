"""Distil trained teachers into a student (paper 3.4): Eqs (13)-(15) over the teacher's folds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from dmft.config import RunConfig
from dmft.data import Batch, Cache
from dmft.evaluation.metrics import RunMetrics
from dmft.protocols import Fold, make_fold
from dmft.runs.folder import RUN_FILE, fold_folders
from dmft.runs.spec import RunSource, RunSpec
from dmft.runs.trained import TrainedRun, check_cache_fits, load_run
from dmft.training.device import resolve_device
from dmft.training.log import Callback
from dmft.training.loop import Objective
from dmft.training.losses import HARD_LOSSES, resolve_weights, soft_loss, softened_vote, vote_loss
from dmft.training.train import Training, choose_shuffle_buffer, describe, train_folds
from pipeline.common.settings import to_table
from pipeline.contract import ConfigError, ContractError

log = logging.getLogger(__name__)


def distill(
    cache: Cache,
    teachers: Sequence[str | Path],
    out: str | Path,
    *,
    config: RunConfig | None = None,
    seed: int | None = None,
    device: str = "auto",
    callback: Callback | None = None,
) -> RunMetrics:
    """Train a student on labels and on the teachers' predictions; return the figures.

    Protocol, folds and features are the first teacher's, and so are configuration and seed where
    not given. Several teachers of the same folds answer in turn, a record of a batch each.

    Raises:
        ConfigError: the configuration changes the features, or its weights do not sum to 1.
        ContractError: a teacher is not finished, of another cache, or of other folds.
    """
    loaded = load_teachers(cache, teachers, resolve_device(device))
    by_fold = {fold.name: runs for fold, runs in loaded}

    def plan(fold: Fold, folder: Path) -> Training:
        return plan_distillation(
            cache, fold, by_fold[fold.name], folder, config=config, seed=seed, callback=callback
        )

    many = not (Path(teachers[0]) / RUN_FILE).exists()
    return train_folds([fold for fold, _ in loaded], Path(out), plan, many=many)


def load_teachers(
    cache: Cache, teachers: Sequence[str | Path], on: torch.device
) -> list[tuple[Fold, list[TrainedRun]]]:
    """Load the teachers of each fold that they were trained on, first to last.

    Raises:
        ContractError: a teacher is not finished, of another cache, or of other folds.
    """
    folders = [fold_folders(Path(teacher)) for teacher in teachers]
    if len({len(each) for each in folders}) != 1:
        counts = [len(each) for each in folders]
        raise ContractError(f"the teachers have {counts} folds: wanted as many in each")
    found = []
    for each in zip(*folders, strict=True):
        runs = [load_run(folder, on) for folder in each]
        first = runs[0].info
        fold = make_fold(first.spec.fold, cache, first.source.protocol.name)
        for run in runs:
            _check_teacher(run, cache, fold, like=runs[0])
        found.append((fold, runs))
    return found


def plan_distillation(
    cache: Cache,
    fold: Fold,
    teachers: Sequence[TrainedRun],
    folder: Path,
    *,
    config: RunConfig | None = None,
    seed: int | None = None,
    callback: Callback | None = None,
) -> Training:
    """Gather what the training of a student on its teachers takes, on the teachers' device.

    Raises:
        ConfigError: the configuration changes the features, or its weights do not sum to 1.
    """
    first = teachers[0].spec
    chosen = config or first.config
    if chosen.modality != first.config.modality:
        raise ConfigError(
            f"modality is {to_table(chosen)['modality']}: wanted the teacher's settings, "
            "unchanged, because student and teacher read the same features"
        )
    spec = RunSpec.of(
        cache,
        fold,
        kind="distilled",
        config=chosen,
        seed=first.seed if seed is None else seed,
        device=teachers[0].device.type,
        shuffle_buffer=choose_shuffle_buffer(cache, fold, folder),
        teachers=[run.spec.identity for run in teachers],
    )
    folders = [str(run.folder.resolve()) for run in teachers]
    source = RunSource.of(cache, teachers[0].info.source.protocol, folders)
    for misfit in _misfits(chosen, [run.spec.config for run in teachers], spec.modalities):
        log.warning("%s", misfit)
    return Training(
        cache=cache,
        fold=fold,
        info=describe(cache, spec, source),
        folder=folder,
        objective=soft_objective(chosen, teachers, spec.modalities),
        transform=teachers[0].transform,
        callback=callback,
    )


def _misfits(
    config: RunConfig, teachers: Sequence[RunConfig], modalities: Sequence[str]
) -> Iterator[str]:
    """What works between a student and its teachers and is hardly what was meant."""
    width, taught_width = config.student.width, teachers[0].encoder.width
    if 0 < taught_width < width:
        yield (
            f"the student is {width} wide (student.width) and its teacher {taught_width} "
            "(encoder.width): set student.width=0 for a student as wide as its teacher"
        )
    never_alone = any(each.augment.drop_modality == 0 for each in teachers)
    if config.distill.target == "unimodal" and len(modalities) > 1 and never_alone:
        yield (
            "a teacher that was trained with augment.drop_modality=0 has never missed a modality "
            "and is asked about one alone: set distill.target=branches, or train it with "
            "modalities hidden"
        )


def soft_objective(
    config: RunConfig, teachers: Sequence[TrainedRun], modalities: Sequence[str]
) -> Objective:
    """Eq. (15): the hard loss and what the teachers say, weighted.

    The teacher sees the very records that the student sees, augmentation and blending included:
    the unlabelled ones of a batch that has any (``distill.transfer``), or else all.
    """
    hard = HARD_LOSSES[config.training.loss]
    settings, rule = config.distill, config.voting.rule
    weights = resolve_weights(settings, modalities)
    soft_weights = weights.matrix(modalities).to(teachers[0].device)
    unimodal = settings.target == "unimodal"

    def soft(logits: Tensor, teacher_logits: Tensor, present: Tensor) -> Tensor:
        if settings.target != "vote":
            return soft_loss(logits, teacher_logits, present, soft_weights, settings)
        student, teacher = (
            softened_vote(each, present, rule, settings.temperature)
            for each in (logits, teacher_logits)
        )
        return (1 - weights.hard) * vote_loss(student, teacher, present, settings)

    def objective(logits: Tensor, batch: Batch) -> Tensor:
        assert batch.targets is not None
        n = batch.n_labelled
        loss = weights.hard * hard(logits[:n], batch.present[:n], batch.targets)
        first = n if batch.n_unlabelled else 0
        features, present = {m: x[first:] for m, x in batch.features.items()}, batch.present[first:]
        with torch.no_grad():
            teacher_logits = ask_in_turn(
                [run.model for run in teachers], features, present, unimodal=unimodal
            )
        return loss + soft(logits[first:], teacher_logits, present)

    return objective


def ask_in_turn(
    teachers: Sequence[Callable[..., Tensor]],
    features: Mapping[str, Tensor],
    present: Tensor,
    *,
    unimodal: bool,
) -> Tensor:
    """Logits of each record by one of the teachers, the first, the second and so on.

    Batches are drawn anew in each epoch, so a student hears all of them on every record. What it
    learns is their mean, because KL(teacher || student), averaged over teachers, has the gradient
    of the divergence from their mean. It costs as much as asking one.

    Shapes: features {m: (B, P, D)}, present (B, M) -> (B, M, 2, K).
    """
    n = len(teachers)
    answers = [
        teacher({m: x[k::n] for m, x in features.items()}, present[k::n], unimodal=unimodal)
        for k, teacher in enumerate(teachers[: len(present)])
    ]
    logits = answers[0].new_empty(len(present), *answers[0].shape[1:])
    for k, each in enumerate(answers):
        logits[k::n] = each
    return logits


def _check_teacher(run: TrainedRun, cache: Cache, fold: Fold, *, like: TrainedRun) -> None:
    spec = run.spec
    if spec.kind != "teacher":
        raise ContractError(f"{run.folder} is a {spec.kind}: wanted the run of a teacher")
    if spec.cache_fingerprint != cache.spec.fingerprint or spec.split_hash != fold.split_hash:
        raise ContractError(
            f"{run.folder} was trained on other records: cache "
            f"{spec.cache_fingerprint[:12]!r} and split {spec.split_hash[:12]!r}, here "
            f"{cache.spec.fingerprint[:12]!r} and {fold.split_hash[:12]!r}. "
            "Distil on the teacher's own cache."
        )
    check_cache_fits(spec, cache)
    if spec.modalities != cache.modalities:
        raise ContractError(
            f"{run.folder} has modalities {list(spec.modalities)}: wanted {list(cache.modalities)}"
        )
    if spec.config.modality != like.spec.config.modality:
        raise ContractError(
            f"{run.folder} reads other features than {like.folder}: wanted teachers with the same "
            "[modality] settings"
        )
