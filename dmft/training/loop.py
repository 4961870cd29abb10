"""The training loop: a source gives batches of stored patches, each makes one step.

Whether the patches are in memory is the source's business. Everything random is a function of
(seed, epoch, record), so a training that is interrupted and resumed at an epoch's end gives the
weights of one that was not. No test record comes in here, and nothing is selected: the last
epoch's weights, or their moving average, are the model.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from dmft.config import RunConfig
from dmft.data import Batch, BatchSource, FeatureTransform, StoredBatch
from dmft.data.augment import Augmenter
from dmft.data.blend import blend
from dmft.data.counter_rng import derive_seed
from dmft.models import overall_vote, set_dropout_keys
from dmft.training.checkpoint import TrainingState
from dmft.training.device import deterministic
from dmft.training.losses import soft_targets
from dmft.training.schedule import learning_rate
from pipeline.contract import ContractError

Objective = Callable[[Tensor, Batch], Tensor]
"""Logits (B, M, 2, K) and their batch to a loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """The records to learn from, and what is made of them."""

    source: BatchSource
    """Gives the training records."""
    transform: FeatureTransform
    """Makes the model's features of them, on the source's device."""
    n_classes: int
    """K."""
    second_view: bool = False
    """Put a second view of a batch's records, changed as ``[transfer]`` says and without labels,
    behind the first."""


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


class Recorder(Protocol):
    """Keeps a training as it goes, so that it can go on after it was interrupted."""

    def resume(self, state: TrainingState) -> None:
        """Bring a new state to where an interrupted training stopped; called once, before it."""

    def epoch(self, report: EpochReport, state: TrainingState) -> None:
        """An epoch has ended."""


class Learner:
    """One training under way.

    :func:`fit` trains one model and :func:`dmft.training.together.fit_together` many at once; both
    call :meth:`begin`, then for every epoch :meth:`steps`, computing logits, loss and gradients of
    each step and handing them to :meth:`learn` before the next, then :meth:`end_epoch`, and at
    last :meth:`finish`.
    """

    state: TrainingState

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        data: TrainingData,
        config: RunConfig,
        *,
        seed: int,
        recorder: Recorder | None = None,
    ) -> None:
        """Gather what a training needs.

        Args:
            model: On the device of ``data``'s source.
            objective: The loss.
            data: The training records.
            config: The whole configuration.
            seed: With the epoch and the record, the source of everything random.
            recorder: Where it is kept.
        """
        self.model, self.objective, self.data, self.config = model, objective, data, config
        self.seed, self.recorder = seed, recorder
        self.n_steps = math.ceil(data.source.n_records / config.training.batch_size)
        self.rate = config.training.learning_rate

    def begin(self) -> None:
        """Make the optimizer, and go on where an interrupted training stopped.

        Raises:
            ContractError: what was kept is of another run.
        """
        self.state = TrainingState(self.model, self.config.training)
        if self.recorder is not None:
            self.recorder.resume(self.state)

    def steps(self) -> Iterator[Step]:
        """Yield the steps of the next epoch; each has to be learnt from before the next."""
        source, training = self.data.source, self.config.training
        augmenter = Augmenter(config=self.config.augment, seed=self.seed, epoch=self.state.done)
        transfer_seed = derive_seed(self.seed, "transfer")
        transfer = Augmenter(config=self.config.transfer, seed=transfer_seed, epoch=self.state.done)
        self.total, self.hits = (torch.zeros((), device=source.device) for _ in range(2))
        self.model.train()
        stored_batches = source.batches(self.seed, self.state.done, training.batch_size)
        for position, stored in enumerate(stored_batches):
            number = self.state.done * self.n_steps + position
            set_dropout_keys(self.model, derive_seed(self.seed, number, "dropout"))
            blend_seed = derive_seed(self.seed, number, "mixup")
            batch = make_batch(self.data, stored, augmenter, training.label_smoothing, blend_seed)
            if self.data.second_view:
                blend_seed = derive_seed(self.seed, number, "transfer")
                second = make_batch(self.data, stored, transfer, 0.0, blend_seed)
                batch = batch.with_unlabelled(second)
            yield Step(number=number, batch=batch, labels=stored.labels)

    def learn(self, step: Step, logits: Tensor, loss: Tensor) -> None:
        """Move the weights along the gradients that they have, and note the step's figures."""
        training = self.config.training
        self.rate = learning_rate(training, step.number, self.n_steps)
        for group in self.state.optimizer.param_groups:
            group["lr"] = self.rate
        if training.clip_norm > 0:
            nn.utils.clip_grad_norm_(self.model.parameters(), training.clip_norm)
        self.state.optimizer.step()
        with torch.no_grad():
            if training.average_decay > 0:
                decay = min(training.average_decay, (step.number + 1) / (step.number + 10))
                weights: list[Tensor] = list(self.model.parameters())
                torch._foreach_lerp_(list(self.state.average.values()), weights, 1 - decay)
            self.total += loss.detach() * len(step.labels)
            n, rule = step.batch.n_labelled, self.config.voting.rule
            voted = overall_vote(logits[:n].detach(), step.batch.present[:n], rule).argmax(-1)
            self.hits += (voted == step.labels).sum()

    def end_epoch(self, seconds: float) -> None:
        """Report the epoch to the recorder.

        Raises:
            ContractError: the loss is no longer finite.
        """
        n_records = self.data.source.n_records
        mean_loss = float(self.total) / n_records
        if not np.isfinite(mean_loss):
            raise ContractError(
                f"the loss of epoch {self.state.done + 1} is {mean_loss}: training has diverged. "
                "Lower training.learning_rate or set training.clip_norm, in a new folder."
            )
        self.state.done += 1
        report = EpochReport(
            epoch=self.state.done,
            loss=mean_loss,
            accuracy=float(self.hits) / n_records,
            learning_rate=self.rate,
            seconds=seconds,
        )
        if self.recorder is not None:
            self.recorder.epoch(report, self.state)

    def finish(self) -> None:
        """Make the average the model, where there is one."""
        if self.config.training.average_decay > 0:
            with torch.no_grad():
                for name, parameter in self.model.named_parameters():
                    parameter.copy_(self.state.average[name])


def fit(learner: Learner) -> None:
    """Train one model in place, going on where an interrupted training of it stopped.

    Raises:
        ContractError: what was kept is of another run, or the loss is no longer finite.
    """
    learner.begin()
    with deterministic():
        while learner.state.done < learner.config.training.epochs:
            began = time.perf_counter()
            for step in learner.steps():
                logits = learner.model(step.batch.features, step.batch.present)
                loss = learner.objective(logits, step.batch)
                learner.state.optimizer.zero_grad(set_to_none=True)
                torch.autograd.backward(loss)
                learner.learn(step, logits, loss)
            learner.end_epoch(time.perf_counter() - began)
    learner.finish()


def make_batch(
    data: TrainingData, stored: StoredBatch, augmenter: Augmenter, smoothing: float, seed: int
) -> Batch:
    """Augment, derive and standardise some training records, and blend them where asked."""
    present = augmenter.presence(stored.present, stored.rows)
    features = data.transform.apply(stored.patches, present, stored.rows, augmenter)
    targets = soft_targets(stored.labels, data.n_classes, smoothing)
    blended = blend(features, targets, present, augmenter.config, seed)
    return Batch(
        features=blended.features,
        present=present,
        targets=blended.targets,
        inputs=data.transform.inputs,
    )
