"""Train a model on the folds of a protocol, each into a run folder of its own.

Read it from the top: :func:`train` plans a training for each fold (:mod:`dmft.training.plan`);
:func:`train_together` claims its folder, trains, writes the model and measures it, of one fold or
of many at once. Distillation finds its teachers (:mod:`dmft.training.distill`) and goes the same
way.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dmft.config import Configuration, RunConfig, config_of_fold, make_config
from dmft.data import Cache, FeatureTransform
from dmft.data.sources import choose_source
from dmft.evaluation.averages import mean_of_folds
from dmft.evaluation.evaluate import measure, without_scores, write_measurement
from dmft.evaluation.metrics import RunMetrics, read_metrics
from dmft.models.config import require
from dmft.models.own import find_own
from dmft.protocols import Protocol, choose_folds, every_record, load_protocol
from dmft.protocols.shared_files import forbid_shared
from dmft.runs.files import file_sha256, write_json
from dmft.runs.folder import (
    CHECKPOINT_FILE,
    EPOCHS_FILE,
    METRICS_FILE,
    PREDICTIONS_FILE,
    claim,
    claim_folds,
    write_info,
)
from dmft.runs.spec import HeldOutScores, RunOutcome
from dmft.runs.trained import build_model, load_run, save_model
from dmft.training.device import resolve_device
from dmft.training.final import ON
from dmft.training.log import Callback, RunLogger, note_reached
from dmft.training.loop import Learner
from dmft.training.own_parts import find_augment, find_loss
from dmft.training.plan import Training, plan_training
from dmft.training.stages import EVALUATING
from dmft.training.together import fit_together
from dmft.training.validation import HeldOut
from pipeline.common.settings import to_table
from pipeline.contract import ContractError

log = logging.getLogger(__name__)


def train(
    cache: Cache,
    protocol: str | Protocol,
    out: str | Path,
    *,
    kind: str = "teacher",
    model: str | type[nn.Module] | None = None,
    loss: str | Callable[..., Any] | None = None,
    augment: str | Callable[..., Any] | None = None,
    config: Configuration | None = None,
    fold: str | None = None,
    on: str = "folds",
    figures_of: str | Path | None = None,
    validate: str = "",
    keep: str = "last",
    patience: int = 0,
    seed: int = 0,
    device: str = "auto",
    may_share: bool = True,
    callback: Callback | None = None,
) -> RunMetrics:
    """Train a teacher or a student on one fold, on all of them, or on every record at once.

    Example::

        cache = open_cache("raw.zarr")
        figures = train(cache, "utd-loso", "teacher", config={"training.epochs": 20}, fold="all")

    Args:
        cache: The features.
        protocol: A shipped protocol's name, a file, or a protocol.
        out: The run folder; of a run of all folds, the folder of their folders.
        kind: ``teacher`` or ``student``.
        model: A network of your own in the teacher's or student's place: its class, or its name as
            ``my_package.gru:GruFusion`` (docs/how-to/own-model.md).
        loss: A loss of your own on labels, instead of ``training.loss``; likewise.
        augment: Changes of your own to training records, before those of ours; likewise.
        config: The configuration, its name or file, what ``tune`` chose (for each fold, where it
            did for all), or changes to the default one.
        fold: One fold's name, ``all``, or None for the first.
        on: ``folds``, or ``all`` for one model on every record: the one to use, with nothing left
            to measure it on; what is returned then has no records and no accuracy.
        figures_of: The run of all folds whose figures say what to expect of that model.
        validate: Attribute, such as ``subject``, of which about a fifth of the training side's
            values are held out of it and measured after each epoch; empty for nobody.
        keep: With ``validate``: ``last`` epoch's weights, or those of the ``best`` on them.
        patience: With ``keep="best"``: epochs without a better one after which it stops.
        seed: Source of everything random.
        device: ``auto``, ``cpu`` or ``cuda``.
        may_share: Train also where test records share raw files with training records.
        callback: Told how it goes.

    Raises:
        ConfigError: the protocol, fold or device cannot be used.
        ContractError: the folder holds another run, the fold cannot be made, or its sides share.
    """
    network, own_loss, own_augment = find_own(model), find_loss(loss), find_augment(augment)
    rules = load_protocol(protocol) if isinstance(protocol, str) else protocol
    require(on in ON, "on", on, " or ".join(ON))
    folds = (every_record(cache),) if on == "all" else choose_folds(rules, cache, fold)
    if not may_share:
        forbid_shared(folds)
    plans = {
        chosen.name: functools.partial(
            plan_training,
            cache,
            rules,
            chosen,
            kind=kind,
            network=network,
            loss=own_loss,
            augment=own_augment,
            config=make_config(config_of_fold(config, chosen.name)),
            seed=seed,
            on=resolve_device(device),
            figures_of=figures_of,
            validate=validate,
            keep=keep,
            patience=patience,
            callback=callback,
        )
        for chosen in folds
    }
    return train_folds(Path(out), plans, many=fold == "all" and on != "all")


def train_folds(
    out: Path, plans: Mapping[str, Callable[[Path], Training]], *, many: bool
) -> RunMetrics:
    """Train one fold into ``out``, or several into its sub-folders and sum them up.

    Args:
        out: The run folder.
        plans: A fold's name to what plans its training into a folder.
        many: Whether ``out`` is a folder of folds, be they several or one.

    Raises:
        ContractError: ``out`` holds something else, or a training diverges.
    """
    if not many:
        (plan,) = plans.values()
        return train_fold(plan(out))
    folders = claim_folds(out, list(plans))
    measured = [
        train_fold(plan(folder)) for plan, folder in zip(plans.values(), folders, strict=True)
    ]
    metrics = mean_of_folds(measured)
    write_json(out / METRICS_FILE, to_table(metrics))
    return metrics


def train_fold(training: Training) -> RunMetrics:
    """Train one model, going on where an interrupted run of the same stopped; its figures.

    Raises:
        ContractError: the folder holds something else, or the training diverges.
    """
    (ended,) = train_together([training])
    if isinstance(ended, ContractError):
        raise ended
    return ended


def train_together(trainings: Sequence[Training]) -> list[RunMetrics | ContractError]:
    """Train models of one shape at once, each into its folder; those that are finished stay.

    Args:
        trainings: Their runs have the same kind, configuration, features and device.

    Returns:
        Each one's figures, or why it could not be trained.
    """
    failures: dict[int, ContractError | None] = {}
    begun: dict[int, Learner] = {}
    for position, training in enumerate(trainings):
        try:
            if claim(training.folder, training.info).outcome is None:
                begun[position] = _learner(training)
            else:  # one that was killed in its last instant left what only a training needs
                (training.folder / CHECKPOINT_FILE).unlink(missing_ok=True)
        except ContractError as error:
            failures[position] = error
    failures.update(zip(begun, fit_together(list(begun.values())), strict=True))
    for position, learner in begun.items():
        if failures[position] is None:
            _complete(trainings[position], learner)
    ended: list[RunMetrics | ContractError] = []
    for position, training in enumerate(trainings):
        why = failures.get(position)
        if why is not None or position not in begun:
            ended.append(why or _metrics(training))
            continue
        stages = begun[position].stages
        with stages.behind(EVALUATING, len(training.fold.test)):
            ended.append(_metrics(training))
        stages.write(training.folder)
    return ended


def _learner(training: Training) -> Learner:
    """A training's records and its new model, ready to learn.

    Raises:
        ContractError: no training record has any of the modalities.
    """
    cache, fold, spec = training.cache, training.fold, training.info.spec
    learnt = training.learnt
    rows = learnt[cache.present[learnt].any(dim=1)]
    if len(rows) < len(learnt):
        log.warning("%d training records have no modality", len(learnt) - len(rows))
    if not len(rows):
        raise ContractError(
            f"fold {fold.name}: none of its {len(learnt)} training records has any of "
            f"{', '.join(cache.modalities)}. Look into the cache's quarantined records."
        )
    device = torch.device(spec.device)
    transform = training.transform.to(device)
    return Learner(
        model=build_model(spec, transform.inputs).to(device),
        objective=training.objective,
        source=choose_source(cache, rows, spec.shuffle_buffer, device),
        transform=transform,
        augment=training.augment,
        config=learnt_with(spec.kind, spec.config),
        seed=spec.seed,
        second_view=spec.kind == "distilled" and spec.config.distill.transfer,
        logger=RunLogger(training.folder, spec, training.callback),
        held_out=_held_out(training, transform, device),
    )


def _held_out(
    training: Training, transform: FeatureTransform, device: torch.device
) -> HeldOut | None:
    """Who is looked at while a training goes on; None for nobody.

    Raises:
        ContractError: none of them has any of the modalities.
    """
    cache, settings, watched = training.cache, training.info.spec.validation, training.watched
    if settings is None or watched is None:
        return None
    rows = watched[cache.present[watched].any(dim=1)]
    if not len(rows):
        raise ContractError(
            f"fold {training.fold.name}: none of the {len(watched)} records held out "
            f"({settings.rule.name}) has any of {', '.join(cache.modalities)}"
        )
    return HeldOut(
        settings=settings,
        metric=training.info.source.protocol.metric,
        cache=cache,
        rows=rows,
        transform=transform,
        config=training.info.spec.config,
        device=device,
    )


def learnt_with(kind: str, config: RunConfig) -> RunConfig:
    """A model's configuration; without hidden modalities for a student, whose branches never meet.

    Hiding one would teach the others nothing, and keep its records from it.
    """
    if kind == "teacher":
        return config
    augment = dataclasses.replace(config.augment, drop_modality=0.0)
    return dataclasses.replace(config, augment=augment)


def _complete(training: Training, learner: Learner) -> None:
    """Write the trained model and say that the run is complete."""
    logger, model = learner.logger, learner.model
    assert logger is not None
    logger.close()
    saved = save_model(training.folder, training.info.spec, model, learner.transform)
    outcome = RunOutcome(
        n_parameters=sum(p.numel() for p in model.parameters()),
        saved_bytes=saved.stat().st_size,
        seconds_per_epoch=logger.seconds_per_epoch,
        model_sha256=file_sha256(saved),
        epochs_sha256=file_sha256(training.folder / EPOCHS_FILE),
        held_out=_held_out_scores(learner),
    )
    learner.stages.write(training.folder)
    write_info(training.folder, dataclasses.replace(training.info, outcome=outcome))
    logger.checkpoint.unlink(missing_ok=True)


def _held_out_scores(learner: Learner) -> HeldOutScores | None:
    if learner.held_out is None:
        return None
    with learner.stages.behind(EVALUATING, len(learner.held_out.rows)):
        return learner.held_out.measure(learner.model, learner.kept_epoch)


def _metrics(training: Training) -> RunMetrics:
    """Measure a finished run, where that has not been done and there is something to measure on."""
    folder = training.folder
    if not len(training.fold.test):
        run = load_run(folder, training.info.spec.device)
        return without_scores(measure(run, training.cache, training.fold).metrics)
    if not all((folder / name).exists() for name in (METRICS_FILE, PREDICTIONS_FILE)):
        run = load_run(folder, training.info.spec.device)
        measured = measure(run, training.cache, training.fold)
        note_reached(folder, training.info.spec, measured.metrics)
        write_measurement(folder, measured)
    metrics = read_metrics(folder / METRICS_FILE, training.info.spec.classes)
    if training.callback is not None:
        training.callback.end(training.fold.name, metrics)
    return metrics
