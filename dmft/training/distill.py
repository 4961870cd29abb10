"""Distil trained teachers into a student (paper 3.4): Eqs (13)-(15) over the teacher's folds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dmft.config import RunConfig
from dmft.data import Batch, Cache
from dmft.protocols import Fold, make_fold
from dmft.runs.folder import RUN_FILE, TrainedRun, check_cache_fits, fold_folders, load_run
from dmft.training.log import Watcher
from dmft.training.loop import Objective
from dmft.training.losses import HARD_LOSSES, resolve_weights, soft_loss, softened_vote, vote_loss
from dmft.training.train import (
    Training,
    choose_window,
    describe_run,
    over_folds,
    resolve_device,
    train_fold,
)
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
    watcher: Watcher | None = None,
) -> dict[str, Any]:
    """Train a student on labels and on the teachers' predictions; return the figures.

    Protocol, folds and features are the first teacher's, and so are configuration and seed where
    not given. Several teachers of the same folds answer in turn, a record of a batch each.

    Raises:
        ConfigError: the configuration changes the features, or its weights do not sum to 1.
        ContractError: a teacher is not finished, of another cache, or of other folds.
    """
    target = resolve_device(device)
    taught = load_teachers(cache, teachers, target)
    by_fold = {fold.name: runs for fold, runs in taught}

    def one(fold: Fold, folder: Path) -> dict[str, Any]:
        return train_fold(
            plan_distillation(
                cache, fold, by_fold[fold.name], folder, config=config, seed=seed, watcher=watcher
            )
        )

    many = not (Path(teachers[0]) / RUN_FILE).exists()
    return over_folds([fold for fold, _ in taught], Path(out), many=many, one=one)


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
        fold = make_fold(first.fold, cache, first.protocol.name)
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
    watcher: Watcher | None = None,
) -> Training:
    """Gather what the training of a student on its teachers takes, on the teachers' device.

    Raises:
        ConfigError: the configuration changes the features, or its weights do not sum to 1.
    """
    first = teachers[0].info
    chosen = config or first.config
    if chosen.modality != first.config.modality:
        raise ConfigError(
            f"modality is {to_table(chosen)['modality']}: wanted the teacher's settings, "
            "unchanged, because student and teacher read the same features"
        )
    info = describe_run(
        cache,
        first.protocol,
        fold,
        kind="distilled",
        config=chosen,
        seed=first.seed if seed is None else seed,
        on=teachers[0].device,
        window=choose_window(cache, fold, folder),
        teachers=teachers,
    )
    for misfit in _misfits(chosen, [run.info.config for run in teachers], info.modalities):
        log.warning("%s", misfit)
    return Training(
        cache=cache,
        fold=fold,
        info=info,
        folder=folder,
        objective=soft_objective(chosen, teachers, info.modalities),
        maker=teachers[0].maker,
        watcher=watcher,
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
    if config.distill.target == "alone" and len(modalities) > 1 and never_alone:
        yield (
            "a teacher that was trained with augment.drop_modality=0 has never missed a modality "
            "and is asked about one alone: set distill.target=streams, or train it with modalities "
            "hidden"
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
    alone = settings.target == "alone"

    def soft(logits: Tensor, taught: Tensor, present: Tensor) -> Tensor:
        if settings.target != "vote":
            return soft_loss(logits, taught, present, soft_weights, settings)
        student, teacher = (
            softened_vote(each, present, rule, settings.temperature) for each in (logits, taught)
        )
        return (1 - weights.hard) * vote_loss(student, teacher, present, settings)

    def objective(logits: Tensor, batch: Batch) -> Tensor:
        assert batch.targets is not None
        n = batch.n_labelled
        loss = weights.hard * hard(logits[:n], batch.present[:n], batch.targets)
        first = n if batch.n_unlabelled else 0
        features, present = {m: x[first:] for m, x in batch.features.items()}, batch.present[first:]
        with torch.no_grad():
            taught = ask_in_turn([run.model for run in teachers], features, present, alone=alone)
        return loss + soft(logits[first:], taught, present)

    return objective


def ask_in_turn(
    teachers: Sequence[Callable[..., Tensor]],
    features: Mapping[str, Tensor],
    present: Tensor,
    *,
    alone: bool,
) -> Tensor:
    """Logits of each record by one of the teachers, the first, the second and so on.

    Batches are drawn anew in each epoch, so a student hears all of them on every record. What it
    learns is their mean, because KL(teacher || student), averaged over teachers, has the gradient
    of the divergence from their mean. It costs as much as asking one.

    Shapes: features {m: (B, P, D)}, present (B, M) -> (B, M, 2, K).
    """
    n = len(teachers)
    answers = [
        teacher({m: x[k::n] for m, x in features.items()}, present[k::n], alone=alone)
        for k, teacher in enumerate(teachers[: len(present)])
    ]
    logits = answers[0].new_empty(len(present), *answers[0].shape[1:])
    for k, each in enumerate(answers):
        logits[k::n] = each
    return logits


def _check_teacher(run: TrainedRun, cache: Cache, fold: Fold, *, like: TrainedRun) -> None:
    info = run.info
    if info.kind != "teacher":
        raise ContractError(f"{run.folder} is a {info.kind}: wanted the run of a teacher")
    if info.cache_fingerprint != cache.spec.fingerprint or info.split_hash != fold.split_hash:
        raise ContractError(
            f"{run.folder} was trained on other records: cache "
            f"{info.cache_fingerprint[:12]!r} and split {info.split_hash[:12]!r}, here "
            f"{cache.spec.fingerprint[:12]!r} and {fold.split_hash[:12]!r}. "
            "Distil on the teacher's own cache."
        )
    check_cache_fits(info, cache)
    if info.modalities != cache.modalities:
        raise ContractError(
            f"{run.folder} has modalities {list(info.modalities)}: wanted {list(cache.modalities)}"
        )
    if info.config.modality != like.info.config.modality:
        raise ContractError(
            f"{run.folder} reads other features than {like.folder}: wanted teachers with the same "
            "[modality] settings"
        )
