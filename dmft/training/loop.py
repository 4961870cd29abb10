"""The training loop: a source gives batches of stored patches, each makes one step.

Whether the patches are in memory is the source's business. Everything random is a function of
(seed, epoch, record), so a training that is interrupted and resumed at an epoch's end gives the
weights of one that was not. No test record comes in here, and nothing is selected: the last
epoch's weights, or their moving average, are the model.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dmft.config import RunConfig, TrainingConfig
from dmft.data import Batch, BatchSource, FeatureMaker, StoredBatch
from dmft.data.augment import Augmenter
from dmft.data.draws import derive_seed
from dmft.losses import soft_targets
from dmft.models import overall_vote, set_dropout_keys
from dmft.training.checkpoint import (
    optimizer_tensors,
    read_tensors,
    restore_optimizer,
    write_tensors,
)
from dmft.training.schedule import learning_rate
from pipeline.contract import ContractError

log = logging.getLogger(__name__)

Objective = Callable[[Tensor, Batch], Tensor]
"""Logits (B, M, 2, K) and their batch to a loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """The records to learn from, and what is made of them."""

    source: BatchSource
    """Gives the training records."""
    maker: FeatureMaker
    """Makes the model's features of them, on the source's device."""
    n_classes: int
    """K."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochReport:
    """One line of ``epochs.jsonl``."""

    epoch: int
    """From 1."""
    loss: float
    """Mean training loss, with augmentation and dropout."""
    accuracy: float
    """On the augmented training records, as the epoch went by."""
    learning_rate: float
    """At the epoch's last step."""
    seconds: float
    """Of this epoch."""


def fit(
    model: nn.Module,
    objective: Objective,
    data: TrainingData,
    config: RunConfig,
    *,
    seed: int,
    checkpoint: Path | None = None,
    identity: str = "",
    on_epoch: Callable[[EpochReport], None] | None = None,
    on_resume: Callable[[int], None] | None = None,
) -> None:
    """Train ``model`` in place, going on from ``checkpoint`` where that file exists.

    Args:
        model: On the device of ``data``'s source.
        objective: The loss.
        data: The training records.
        config: The whole configuration.
        seed: With the epoch and the record, the source of everything random.
        checkpoint: File that is rewritten at every epoch's end.
        identity: What the run is; a checkpoint of another run is refused.
        on_epoch: Called after every epoch, before its checkpoint is written.
        on_resume: Called with the number of epochs already done, once, before training.

    Raises:
        ContractError: the checkpoint is of another run, or the loss is no longer finite.
    """
    training = config.training
    optimizer = make_optimizer(model, training)
    average = {name: p.detach().clone() for name, p in model.named_parameters()}
    done = 0
    if checkpoint is not None and checkpoint.exists():
        done = _resume(checkpoint, model, optimizer, average, identity)
    if on_resume is not None:
        on_resume(done)
    with repeatable():
        for epoch in range(done, training.epochs):
            report = _run_epoch(model, objective, data, config, optimizer, average, seed, epoch)
            # Noted first: a line too many is dropped on resuming, one too few could not be made.
            if on_epoch is not None:
                on_epoch(report)
            if checkpoint is not None:
                tensors = {f"weights/{k}": v for k, v in model.state_dict().items()}
                tensors |= {f"average/{k}": v for k, v in average.items()}
                state = optimizer_tensors(model, optimizer)
                tensors |= {f"optimizer/{k}": v for k, v in state.items()}
                write_tensors(checkpoint, tensors, {"epoch": epoch + 1, "identity": identity})
    if training.average_decay > 0:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(average[name])


def make_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Adam, or AdamW that does not decay biases, norms and learnt tokens."""
    if config.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), lr=config.learning_rate, foreach=True)
    decayed = [p for p in model.parameters() if p.dim() == 2]
    others = [p for p in model.parameters() if p.dim() != 2]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, foreach=True)


def _run_epoch(
    model: nn.Module,
    objective: Objective,
    data: TrainingData,
    config: RunConfig,
    optimizer: torch.optim.Optimizer,
    average: dict[str, Tensor],
    seed: int,
    epoch: int,
) -> EpochReport:
    began = time.perf_counter()
    training, source = config.training, data.source
    augmenter = Augmenter(config=config.augment, seed=seed, epoch=epoch)
    n_steps = math.ceil(source.n_records / training.batch_size)
    total, hits = (torch.zeros((), device=source.device) for _ in range(2))
    rate = training.learning_rate
    model.train()
    for number, stored in enumerate(source.batches(seed, epoch, training.batch_size)):
        step = epoch * n_steps + number
        rate = learning_rate(training, step, n_steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        set_dropout_keys(model, derive_seed(seed, step, "dropout"))
        batch = make_batch(data, stored, config, augmenter, derive_seed(seed, step, "mixup"))
        logits = model(batch.features, batch.present)
        loss = objective(logits, batch)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        if training.clip_norm > 0:
            nn.utils.clip_grad_norm_(model.parameters(), training.clip_norm)
        optimizer.step()
        with torch.no_grad():
            if training.average_decay > 0:
                decay = min(training.average_decay, (step + 1) / (step + 10))
                torch._foreach_lerp_(list(average.values()), list(model.parameters()), 1 - decay)
            total += loss.detach() * len(stored.rows)
            voted = overall_vote(logits.detach(), batch.present, config.voting.rule).argmax(-1)
            hits += (voted == stored.labels).sum()
    mean_loss = float(total) / source.n_records
    if not np.isfinite(mean_loss):
        raise ContractError(
            f"the loss of epoch {epoch + 1} is {mean_loss}: training has diverged. "
            "Lower training.learning_rate or set training.clip_norm, in a new folder."
        )
    return EpochReport(
        epoch=epoch + 1,
        loss=mean_loss,
        accuracy=float(hits) / source.n_records,
        learning_rate=rate,
        seconds=time.perf_counter() - began,
    )


def make_batch(
    data: TrainingData,
    stored: StoredBatch,
    config: RunConfig,
    augmenter: Augmenter,
    mixup_seed: int,
) -> Batch:
    """Augment, derive and standardise some training records, and blend them where asked."""
    rows = stored.rows
    present = augmenter.presence(stored.present, rows)
    features = data.maker.make(stored.patches, present, rows, augmenter)
    targets = soft_targets(stored.labels, data.n_classes, config.training.label_smoothing)
    alpha = config.augment.mixup
    if alpha > 0:
        # Records that lack different modalities are not blended.
        share = np.random.default_rng(mixup_seed).beta(alpha, alpha, size=len(rows))
        keep = torch.from_numpy(np.maximum(share, 1 - share)).float().to(rows.device)
        alike = (present == present.flip(0)).all(dim=1)
        keep = torch.where(alike, keep, 1.0)
        blend = keep[:, None, None]
        features = {m: x * blend + x.flip(0) * (1 - blend) for m, x in features.items()}
        targets = targets * keep[:, None] + targets.flip(0) * (1 - keep[:, None])
    return Batch(features=features, present=present, targets=targets, inputs=data.maker.inputs)


def _resume(
    checkpoint: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: dict[str, Tensor],
    identity: str,
) -> int:
    tensors, header = read_tensors(checkpoint)
    if header.get("identity") != identity:
        raise ContractError(
            f"{checkpoint} is of another run ({header.get('identity')!r}, wanted {identity!r}): "
            "choose another folder"
        )
    parts: dict[str, dict[str, Any]] = {"weights": {}, "average": {}, "optimizer": {}}
    for name, tensor in tensors.items():
        part, _, key = name.partition("/")
        parts[part][key] = tensor
    model.load_state_dict(parts["weights"])
    restore_optimizer(model, optimizer, parts["optimizer"])
    for name, tensor in parts["average"].items():
        average[name].copy_(tensor)
    done = int(header["epoch"])
    log.info("going on after epoch %d", done)
    return done


@contextmanager
def repeatable() -> Iterator[None]:
    """Deterministic kernels, put back to what they were at the end."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
