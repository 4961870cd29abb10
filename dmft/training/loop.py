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
from dmft.data.blend import blend
from dmft.data.counter_rng import derive_seed
from dmft.models import overall_vote, set_dropout_keys
from dmft.training.checkpoint import (
    optimizer_tensors,
    read_tensors,
    restore_optimizer,
    write_tensors,
)
from dmft.training.losses import soft_targets
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
    """Of this epoch; where models train together, this one's share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a model learns from at once."""

    number: int
    """From 0, over all epochs."""
    batch: Batch
    """Of its records, augmented; behind them what a teacher alone answers, where asked."""
    labels: Tensor
    """Shapes: (B,) int64, before any blending."""


class Learner:
    """One training under way: a model, its optimizer, its average and the epoch's sums.

    What it does before and after logits are computed; :func:`fit` computes those of one model,
    :func:`dmft.training.together.fit_together` those of many at once.
    """

    optimizer: torch.optim.Optimizer
    average: dict[str, Tensor]

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        data: TrainingData,
        config: RunConfig,
        *,
        seed: int,
        checkpoint: Path | None = None,
        identity: str = "",
        transfer: bool = False,
        on_epoch: Callable[[EpochReport], None] | None = None,
        on_resume: Callable[[int], None] | None = None,
    ) -> None:
        """Gather what a training needs.

        Args:
            model: On the device of ``data``'s source.
            objective: The loss.
            data: The training records.
            config: The whole configuration.
            seed: With the epoch and the record, the source of everything random.
            checkpoint: File that is rewritten at every epoch's end.
            identity: What the run is; a checkpoint of another run is refused.
            transfer: Put a second view of a batch's records, without labels, behind the first.
            on_epoch: Called after every epoch, before its checkpoint is written.
            on_resume: Called with the number of epochs already done, once, before training.
        """
        self.model, self.objective, self.data, self.config = model, objective, data, config
        self.seed, self.checkpoint, self.identity = seed, checkpoint, identity
        self.transfer, self.on_epoch, self.on_resume = transfer, on_epoch, on_resume
        self.n_steps = math.ceil(data.source.n_records / config.training.batch_size)
        self.done = 0
        self.rate = config.training.learning_rate

    def begin(self) -> None:
        """Make the optimizer and go on from the checkpoint, where that file exists.

        Raises:
            ContractError: the checkpoint is of another run.
        """
        self.optimizer = make_optimizer(self.model, self.config.training)
        self.average = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        if self.checkpoint is not None and self.checkpoint.exists():
            self.done = _resume(
                self.checkpoint, self.model, self.optimizer, self.average, self.identity
            )
        if self.on_resume is not None:
            self.on_resume(self.done)

    def steps(self) -> Iterator[Step]:
        """Yield the steps of the next epoch; each has to be learnt from before the next."""
        source, training = self.data.source, self.config.training
        augmenter = Augmenter(config=self.config.augment, seed=self.seed, epoch=self.done)
        transfer_seed = derive_seed(self.seed, "transfer")
        transfer = Augmenter(config=self.config.transfer, seed=transfer_seed, epoch=self.done)
        self.total, self.hits = (torch.zeros((), device=source.device) for _ in range(2))
        self.model.train()
        stored_batches = source.batches(self.seed, self.done, training.batch_size)
        for position, stored in enumerate(stored_batches):
            number = self.done * self.n_steps + position
            set_dropout_keys(self.model, derive_seed(self.seed, number, "dropout"))
            blend_seed = derive_seed(self.seed, number, "mixup")
            batch = make_batch(self.data, stored, augmenter, training.label_smoothing, blend_seed)
            if self.transfer:
                blend_seed = derive_seed(self.seed, number, "transfer")
                second = make_batch(self.data, stored, transfer, 0.0, blend_seed)
                batch = batch.with_unlabelled(second)
            yield Step(number=number, batch=batch, labels=stored.labels)

    def learn(self, step: Step, logits: Tensor, loss: Tensor) -> None:
        """Move the weights along the gradients that they have, and note the step's figures."""
        training = self.config.training
        self.rate = learning_rate(training, step.number, self.n_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate
        if training.clip_norm > 0:
            nn.utils.clip_grad_norm_(self.model.parameters(), training.clip_norm)
        self.optimizer.step()
        with torch.no_grad():
            if training.average_decay > 0:
                decay = min(training.average_decay, (step.number + 1) / (step.number + 10))
                weights: list[Tensor] = list(self.model.parameters())
                torch._foreach_lerp_(list(self.average.values()), weights, 1 - decay)
            self.total += loss.detach() * len(step.labels)
            n, rule = step.batch.n_labelled, self.config.voting.rule
            voted = overall_vote(logits[:n].detach(), step.batch.present[:n], rule).argmax(-1)
            self.hits += (voted == step.labels).sum()

    def end_epoch(self, seconds: float) -> None:
        """Report the epoch, and write the checkpoint.

        Raises:
            ContractError: the loss is no longer finite.
        """
        n_records = self.data.source.n_records
        mean_loss = float(self.total) / n_records
        if not np.isfinite(mean_loss):
            raise ContractError(
                f"the loss of epoch {self.done + 1} is {mean_loss}: training has diverged. "
                "Lower training.learning_rate or set training.clip_norm, in a new folder."
            )
        self.done += 1
        # Noted first: a line too many is dropped on resuming, one too few could not be made.
        if self.on_epoch is not None:
            report = EpochReport(
                epoch=self.done,
                loss=mean_loss,
                accuracy=float(self.hits) / n_records,
                learning_rate=self.rate,
                seconds=seconds,
            )
            self.on_epoch(report)
        if self.checkpoint is not None:
            tensors = {f"weights/{k}": v for k, v in self.model.state_dict().items()}
            tensors |= {f"average/{k}": v for k, v in self.average.items()}
            state = optimizer_tensors(self.model, self.optimizer)
            tensors |= {f"optimizer/{k}": v for k, v in state.items()}
            write_tensors(self.checkpoint, tensors, {"epoch": self.done, "identity": self.identity})

    def finish(self) -> None:
        """Make the average the model, where there is one."""
        if self.config.training.average_decay > 0:
            with torch.no_grad():
                for name, parameter in self.model.named_parameters():
                    parameter.copy_(self.average[name])


def fit(learner: Learner) -> None:
    """Train one model in place, going on from its checkpoint where that file exists.

    Raises:
        ContractError: the checkpoint is of another run, or the loss is no longer finite.
    """
    learner.begin()
    with repeatable():
        while learner.done < learner.config.training.epochs:
            began = time.perf_counter()
            for step in learner.steps():
                logits = learner.model(step.batch.features, step.batch.present)
                loss = learner.objective(logits, step.batch)
                learner.optimizer.zero_grad(set_to_none=True)
                torch.autograd.backward(loss)
                learner.learn(step, logits, loss)
            learner.end_epoch(time.perf_counter() - began)
    learner.finish()


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


def make_batch(
    data: TrainingData, stored: StoredBatch, augmenter: Augmenter, smoothing: float, seed: int
) -> Batch:
    """Augment, derive and standardise some training records, and blend them where asked."""
    present = augmenter.presence(stored.present, stored.rows)
    features = data.maker.make(stored.patches, present, stored.rows, augmenter)
    targets = soft_targets(stored.labels, data.n_classes, smoothing)
    blended = blend(features, targets, present, augmenter.config, seed)
    return Batch(
        features=blended.features,
        present=present,
        targets=blended.targets,
        inputs=data.maker.inputs,
    )


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
