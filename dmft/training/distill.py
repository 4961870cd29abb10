"""Distil trained teachers into a student (paper 3.4): Eqs (13)-(15) over the teacher's folds."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dmft.config import Configuration, RunConfig, config_of_fold, make_config
from dmft.data import Cache
from dmft.evaluation.metrics import RunMetrics
from dmft.models.own import find_own
from dmft.own import Own
from dmft.protocols import Fold, make_fold
from dmft.runs.folder import RUN_FILE, fold_folders
from dmft.runs.spec import Validation
from dmft.runs.trained import TrainedRun, check_cache_fits, load_run
from dmft.training.device import resolve_device
from dmft.training.log import Callback
from dmft.training.own_parts import find_augment, find_loss
from dmft.training.plan import Training, plan_training
from dmft.training.train import train_folds
from pipeline.common.settings import to_table
from pipeline.contract import ConfigError, ContractError

log = logging.getLogger(__name__)


def distill(
    cache: Cache,
    teachers: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    model: str | type[nn.Module] | None = None,
    loss: str | Callable[..., Any] | None = None,
    augment: str | Callable[..., Any] | None = None,
    config: Configuration | None = None,
    figures_of: str | Path | None = None,
    validate: str = "",
    keep: str = "last",
    patience: int = 0,
    seed: int | None = None,
    device: str = "auto",
    callback: Callback | None = None,
) -> RunMetrics:
    """Train a student on labels and on the teachers' predictions; return the figures.

    Protocol, folds and features are the first teacher's, and so are configuration and seed where
    not given; a table of changes is laid over the teacher's configuration. Several teachers of the
    same folds answer in turn, a record of a batch each. ``model`` is a network of your own in the
    student's place, as :func:`dmft.train` takes it, ``loss`` (the hard one of Eq. (15)) and
    ``augment`` likewise, and ``figures_of`` says what to expect where
    the teacher was trained on every record. ``validate``, ``keep`` and ``patience`` are those of
    :func:`dmft.train`; whom they hold out the teachers must not have learnt from either.

    Example::

        cache = open_cache("raw.zarr")
        figures = distill(cache, ["teacher"], "student", config={"distill.temperature": 2.0})

    Raises:
        ConfigError: the configuration changes the features, its weights do not sum to 1, or a
            teacher has learnt from who is to be held out.
        ContractError: a teacher is not finished, of another cache, or of other folds.
    """
    network, own_loss, own_augment = find_own(model), find_loss(loss), find_augment(augment)
    if isinstance(teachers, str | Path):
        teachers = [teachers]
    plans = {
        fold.name: functools.partial(
            plan_distillation,
            cache,
            fold,
            runs,
            network=network,
            loss=own_loss,
            augment=own_augment,
            config=config_of_fold(config, fold.name),
            figures_of=figures_of,
            validate=validate,
            keep=keep,
            patience=patience,
            seed=seed,
            callback=callback,
        )
        for fold, runs in load_teachers(cache, teachers, resolve_device(device))
    }
    return train_folds(Path(out), plans, many=not (Path(teachers[0]) / RUN_FILE).exists())


def load_teachers(
    cache: Cache, teachers: Sequence[str | Path], on: torch.device
) -> list[tuple[Fold, list[TrainedRun]]]:
    """Load the teachers of each fold that they were trained on, first to last.

    Raises:
        ContractError: a teacher is not finished, of another cache, or of other folds.
    """
    folders = [fold_folders(Path(teacher)) for teacher in teachers]
    counts = [len(of_teacher) for of_teacher in folders]
    if len(set(counts)) != 1:
        raise ContractError(f"the teachers have {counts} folds: wanted as many in each")
    loaded = []
    for folders_of_fold in zip(*folders, strict=True):
        runs = [load_run(folder, on) for folder in folders_of_fold]
        first = runs[0].info
        fold = make_fold(first.spec.fold, cache, first.source.protocol.name)
        for run in runs:
            _check_teacher(run, cache, fold, like=runs[0])
        loaded.append((fold, runs))
    return loaded


def plan_distillation(
    cache: Cache,
    fold: Fold,
    teachers: Sequence[TrainedRun],
    folder: Path,
    *,
    network: Own | None = None,
    loss: Own | None = None,
    augment: Own | None = None,
    config: Configuration | None = None,
    figures_of: str | Path | None = None,
    validate: str = "",
    keep: str = "last",
    patience: int = 0,
    seed: int | None = None,
    callback: Callback | None = None,
) -> Training:
    """Gather what the training of a student on its teachers takes, on the teachers' device.

    Raises:
        ConfigError: the configuration changes the features, its weights do not sum to 1, or a
            teacher has learnt from who is to be held out.
    """
    first = teachers[0].spec
    chosen = make_config(config, first.config)
    if len(teachers) > 1 and not chosen.distill.joint_teachers:
        raise ConfigError(
            f"distill.joint_teachers is false and there are {len(teachers)} teachers: give one, or "
            "say --set distill.joint_teachers=true"
        )
    if chosen.modality != first.config.modality:
        raise ConfigError(
            f"modality is {to_table(chosen)['modality']}: wanted the teacher's settings, "
            "unchanged, because student and teacher read the same features"
        )
    configs = [run.spec.config for run in teachers]
    for misfit in _misfits(chosen, configs, cache.modalities, network):
        log.warning("%s", misfit)
    training = plan_training(
        cache,
        teachers[0].info.source.protocol,
        fold,
        folder,
        kind="distilled",
        network=network,
        loss=loss,
        augment=augment,
        config=chosen,
        figures_of=figures_of,
        validate=validate,
        keep=keep,
        patience=patience,
        seed=first.seed if seed is None else seed,
        on=teachers[0].device,
        teachers=teachers,
        callback=callback,
    )
    if training.info.spec.validation is not None:
        for run in teachers:
            _check_has_not_seen(run, training.info.spec.validation)
    return training


def _misfits(
    config: RunConfig,
    teachers: Sequence[RunConfig],
    modalities: Sequence[str],
    network: Own | None,
) -> Iterator[str]:
    """What works between a student and its teachers and is hardly what was meant."""
    width, taught_width = config.student.width, teachers[0].encoder.width
    if network is None and 0 < taught_width < width:
        yield (
            f"the student is {width} wide (student.width) and its teacher {taught_width} "
            "(encoder.width): set student.width=0 for a student as wide as its teacher"
        )
    never_alone = any(teacher.augment.drop_modality == 0 for teacher in teachers)
    if config.distill.target == "unimodal" and len(modalities) > 1 and never_alone:
        yield (
            "a teacher that was trained with augment.drop_modality=0 has never missed a modality "
            "and is asked about one alone: set distill.target=branches, or train it with "
            "modalities hidden"
        )


def _check_has_not_seen(run: TrainedRun, held_out: Validation) -> None:
    """What a teacher says of people whom it learnt from tells nothing of others."""
    without = run.spec.validation
    if without is None or without.split_hash != held_out.split_hash:
        whom = held_out.rule.name.removeprefix("without-")
        raise ConfigError(
            f"{run.folder} was trained with {whom}, which --validate {held_out.by} holds out: "
            f"wanted a teacher that was trained with --validate {held_out.by} too"
        )


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
