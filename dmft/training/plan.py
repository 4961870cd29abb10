"""What one training takes, gathered before anything is trained or written."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dmft.config import RunConfig
from dmft.data import Cache, FeatureTransform, make_features
from dmft.data.shuffle import ShuffleBuffer
from dmft.models.config import require
from dmft.own import Own
from dmft.protocols import Fold, Protocol
from dmft.protocols.shared_files import seen_by
from dmft.runs.folder import RUN_FILE, read_info
from dmft.runs.spec import RunInfo, RunSpec
from dmft.runs.trained import TrainedRun
from dmft.training.final import expected_figures
from dmft.training.log import Callback
from dmft.training.losses import Objective, hard_objective, soft_objective
from dmft.training.own_parts import Augmentation, load_augment, load_loss
from dmft.training.validation import hold_out


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One model to be trained on one fold, into one folder."""

    cache: Cache
    """What to train on."""
    fold: Fold
    """Its records."""
    info: RunInfo
    """What it is."""
    folder: Path
    """Where to."""
    objective: Objective
    """The loss."""
    transform: FeatureTransform
    """Makes the model's features."""
    callback: Callback | None = None
    """Told how it goes."""
    augment: Augmentation | None = None
    """The user's own changes to training records; None for ours alone."""
    learnt: Tensor
    """The records that are learnt from: the fold's, without those held out. Shapes: (n,) int64."""
    watched: Tensor | None = None
    """Training records that are held out; None for none. Shapes: (n,) int64."""


def plan_training(
    cache: Cache,
    protocol: Protocol,
    fold: Fold,
    folder: Path,
    *,
    kind: str,
    config: RunConfig,
    seed: int,
    on: torch.device,
    network: Own | None = None,
    loss: Own | None = None,
    augment: Own | None = None,
    teachers: Sequence[TrainedRun] = (),
    figures_of: str | Path | None = None,
    validate: str = "",
    keep: str = "last",
    patience: int = 0,
    callback: Callback | None = None,
) -> Training:
    """Gather what a training takes, on labels alone or on teachers too.

    Raises:
        ConfigError: the weights of a distillation are not those of the cache's branches.
    """
    seen, learnt, validation, watched = seen_by(fold, cache), fold.train, None, None
    if validate or keep != "last" or patience:
        require(bool(validate), "validate", validate, "an attribute, with keep and patience")
        validation, inner = hold_out(seen, protocol, fold, validate, keep=keep, patience=patience)
        learnt, watched = inner.train, inner.test
    spec = RunSpec.of(
        seen,
        dataclasses.replace(fold, train=learnt),
        kind=kind,
        config=config,
        seed=seed,
        device=on.type,
        shuffle_buffer=choose_shuffle_buffer(cache, learnt, folder),
        teachers=[run.spec.identity for run in teachers],
        network=network,
        loss=loss,
        augment=augment,
        validation=validation,
    )
    on_labels = load_loss(loss, config)
    objective = hard_objective(config, on_labels)
    if teachers:
        objective = soft_objective(config, teachers, spec.modalities, on_labels)
    return Training(
        cache=seen,
        fold=fold,
        info=RunInfo.of(
            cache,
            spec,
            protocol,
            teachers=[str(run.folder.resolve()) for run in teachers],
            shared=fold.shared,
            expected={} if figures_of is None else expected_figures(spec, figures_of),
        ),
        folder=folder,
        objective=objective,
        augment=load_augment(augment, config),
        transform=teachers[0].transform if teachers else make_features(cache, config, learnt),
        callback=callback,
        learnt=learnt,
        watched=watched,
    )


def choose_shuffle_buffer(cache: Cache, learnt: Tensor, folder: Path) -> ShuffleBuffer | None:
    """Return the buffer over which a run's epochs are mixed; None where it is all records.

    An interrupted run keeps the one that it began with, whatever memory there is now.
    """
    if (folder / RUN_FILE).exists():
        return read_info(folder).spec.shuffle_buffer
    too_small = cache.shuffle_buffer is not None and not cache.shuffle_buffer.holds(learnt)
    return cache.shuffle_buffer if too_small else None
