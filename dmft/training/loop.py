"""The training loop: a source gives batches of stored patches, each makes one step.

Whether the patches are in memory is the source's business. Everything random is a function of
(seed, epoch, record), so a training that is interrupted and resumed at an epoch's end gives the
weights of one that was not. No test record comes in here. The last epoch's weights, or their moving
average, are the model, or those of the epoch that was best on training people who were held out.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from dmft.config import RunConfig
from dmft.data import Batch, BatchSource, FeatureTransform, StoredBatch
from dmft.data.augment import Augmenter
from dmft.data.blend import blend
from dmft.data.counter_rng import derive_seed
from dmft.models import Answer, answer_of, overall_vote, set_dropout_keys
from dmft.runs.spec import HeldOutScores
from dmft.training.checkpoint import TrainingState
from dmft.training.device import deterministic
from dmft.training.doubt import learn_reliability
from dmft.training.log import EpochReport, RunLogger
from dmft.training.losses import Objective, soft_targets
from dmft.training.own_parts import Augmentation, Draws
from dmft.training.schedule import learning_rate
from dmft.training.stages import (
    AUGMENTING,
    BACKWARD,
    DOUBT,
    EVALUATING,
    FORWARD,
    KEEPING,
    UPDATING,
    TrainingStages,
    wait_for_gpu,
)
from dmft.training.validation import HeldOut
from pipeline.contract import ContractError


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a model learns from at once."""

    number: int
    """From 0, over all epochs."""
    batch: Batch
    """Its records, augmented; behind them what a teacher alone answers, where asked."""
    labels: Tensor
    """Shapes: (B,) int64, before any blending."""


@dataclass(kw_only=True)
class Learner:
    """One training under way: what learns, from what, and how far it is.

    :func:`fit` trains one and :func:`dmft.training.together.fit_together` many at once, each by the
    same calls in this order, with whoever computes the passes in between::

        begin
        for each epoch:
            for step in steps():     answer and loss of step.batch, gradients in the parameters
                learn(step, answer, loss)
            end_epoch
        finish
    """

    model: nn.Module
    """On the device of the source."""
    objective: Objective
    """The loss."""
    source: BatchSource
    """Gives the training records."""
    transform: FeatureTransform
    """Makes the model's features of them, on the source's device."""
    config: RunConfig
    """The whole configuration."""
    seed: int
    """With the epoch and the record, the source of everything random."""
    second_view: bool = False
    """Put a second view of a batch's records, changed as ``[transfer]`` says and without labels,
    behind the first."""
    logger: RunLogger | None = None
    """Keeps it, so that it can go on after it was interrupted."""
    augment: Augmentation | None = None
    """The user's own changes to training records, before the configuration's; None for none."""
    held_out: HeldOut | None = None
    """Training people who are looked at after each epoch; None for nobody."""

    stages: TrainingStages = field(default_factory=TrainingStages)
    """Measures where the time goes."""

    @property
    def has_ended(self) -> bool:
        """Whether all epochs are done, or enough of them without a better one."""
        state, patience = self.state, 0
        if self.held_out is not None:
            patience = self.held_out.settings.patience
        is_tired = patience > 0 and state.done - state.best_epoch >= patience
        return state.done >= self.config.training.epochs or is_tired

    @property
    def n_steps(self) -> int:
        """Steps in an epoch."""
        return math.ceil(self.source.n_records / self.config.training.batch_size)

    def begin(self) -> None:
        """Make the optimizer, and go on where an interrupted training stopped.

        Raises:
            ContractError: what was kept is of another run.
        """
        self.state = TrainingState(self.model, self.config.training)
        self.rate = self.config.training.learning_rate
        if self.logger is not None:
            self.logger.resume(self.state)

    def steps(self) -> Iterator[Step]:
        """Yield the steps of the next epoch; each has to be learnt from before the next."""
        config, epoch = self.config, self.state.done
        augmenter = Augmenter(config=config.augment, seed=self.seed, epoch=epoch)
        transfer_seed = derive_seed(self.seed, "transfer")
        transfer = Augmenter(config=config.transfer, seed=transfer_seed, epoch=epoch)
        self.total, self.n_correct = (torch.zeros((), device=self.source.device) for _ in range(2))
        self.model.train()
        meter, smoothing = self.stages.meter, config.training.label_smoothing
        stored_batches = self.source.batches(self.seed, epoch, config.training.batch_size, meter)
        if self.source.block_records:  # a thread reads: here one waits for it
            stored_batches = meter.pulled(AUGMENTING, stored_batches)
        for number, stored in enumerate(stored_batches, start=epoch * self.n_steps):
            with meter.busy(AUGMENTING, len(stored.labels)):
                set_dropout_keys(self.model, derive_seed(self.seed, number, "dropout"))
                blend_seed = derive_seed(self.seed, number, "mixup")
                batch = self.make_batch(stored, augmenter, smoothing, blend_seed)
                if self.second_view:
                    blend_seed = derive_seed(self.seed, number, "transfer")
                    second = self.make_batch(stored, transfer, 0.0, blend_seed)
                    batch = batch.with_unlabelled(second)
            yield Step(number=number, batch=batch, labels=stored.labels)

    def make_batch(
        self, stored: StoredBatch, augmenter: Augmenter, smoothing: float, blend_seed: int
    ) -> Batch:
        """Augment, derive and standardise some training records, and blend them where asked."""
        present = augmenter.presence(stored.present, stored.rows)
        patches = stored.patches
        if self.augment is not None:
            draws = Draws(seed=augmenter.seed, epoch=augmenter.epoch, rows=stored.rows)
            patches = self.augment({m: x.float() for m, x in patches.items()}, draws)
        features = self.transform.apply(patches, present, stored.rows, augmenter)
        targets = soft_targets(stored.labels, self.source.n_classes, smoothing)
        features, targets = blend(features, targets, present, augmenter.config, blend_seed)
        inputs = self.transform.inputs
        return Batch(features=features, present=present, targets=targets, inputs=inputs)

    def learn(self, step: Step, answer: Answer, loss: Tensor) -> None:
        """Move the weights along the gradients that they have, and note the step's figures."""
        training = self.config.training
        self.rate = learning_rate(training, step.number, self.n_steps)
        self.state.optimizer.learning_rate = self.rate
        if training.clip_norm > 0:
            nn.utils.clip_grad_norm_(self.model.parameters(), training.clip_norm)
        self.state.optimizer.step()
        with torch.no_grad():
            if training.average_decay > 0:
                decay = min(training.average_decay, (step.number + 1) / (step.number + 10))
                weights: list[Tensor] = list(self.model.parameters())
                torch._foreach_lerp_(list(self.state.average.values()), weights, 1 - decay)
            self.total += loss.detach() * len(step.labels)
            own = slice(step.batch.n_labelled)
            voted = overall_vote(
                answer.at(own).detach(), step.batch.present[own], self.config.voting
            ).argmax(-1)
            self.n_correct += (voted == step.labels).sum()

    def end_epoch(self, seconds: float) -> None:
        """Report the epoch to the logger.

        Raises:
            ContractError: the loss is no longer finite.
        """
        n_records, stages = self.source.n_records, self.stages
        stages.seconds += seconds
        mean_loss = float(self.total) / n_records
        if not math.isfinite(mean_loss):
            raise ContractError(
                f"the loss of epoch {self.state.done + 1} is {mean_loss}: training has diverged. "
                "Lower training.learning_rate or set training.clip_norm, in a new folder."
            )
        self.state.done += 1
        seen = None
        if self.held_out is not None:
            with stages.behind(EVALUATING, len(self.held_out.rows)):
                seen = self._look()
        if self.logger is not None:
            report = EpochReport(
                epoch=self.state.done,
                loss=mean_loss,
                accuracy=float(self.n_correct) / n_records,
                learning_rate=self.rate,
                seconds=seconds,
                val_loss=None if seen is None else seen.loss,
                val_accuracy=None if seen is None else seen.accuracy,
                val_macro_f1=None if seen is None else seen.macro_f1,
            )
            with stages.behind(KEEPING):
                self.logger.epoch(report, self.state)

    def _look(self) -> HeldOutScores:
        """Measure what the model would be now on those who are held out; keep it if it is best."""
        assert self.held_out is not None
        state, going = self.state, None
        if self.config.training.average_decay > 0:
            going = [weight.detach().clone() for weight in self.model.parameters()]
            self._take_average()
        seen = self.held_out.measure(self.model, state.done)
        score = (float(getattr(seen, self.held_out.metric)), -seen.loss)
        if self.held_out.settings.keep == "best" and score > (state.best_score or (-1.0,)):
            state.best_epoch, state.best_score = state.done, score
            state.best = {name: w.detach().clone() for name, w in self.model.state_dict().items()}
        if going is not None:
            with torch.no_grad():
                torch._foreach_copy_(list(self.model.parameters()), going)
        return seen

    def _take_average(self) -> None:
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(self.state.average[name])

    @property
    def kept_epoch(self) -> int:
        """Whose weights are the model."""
        return self.state.best_epoch or self.state.done

    def finish(self) -> None:
        """Make the best epoch or the average the model; then learn whom to believe."""
        if self.state.best_epoch:
            self.model.load_state_dict(self.state.best)
        elif self.config.training.average_decay > 0:
            self._take_average()
        with self.stages.behind(DOUBT):
            learn_reliability(self.model, self.source, self.transform, self.config, self.seed)


def fit(learner: Learner) -> None:
    """Train one model in place, going on where an interrupted training of it stopped.

    Raises:
        ContractError: what was kept is of another run, or the loss is no longer finite.
    """
    learner.begin()
    meter = learner.stages.meter
    with deterministic():
        while not learner.has_ended:
            began = time.perf_counter()
            for step in learner.steps():
                n_records = len(step.batch.present)
                with meter.busy(FORWARD, n_records):
                    answer = answer_of(learner.model(step.batch.features, step.batch.present))
                    loss = learner.objective(answer, step.batch)
                with meter.busy(BACKWARD, n_records):
                    learner.state.optimizer.zero_grad()
                    torch.autograd.backward(loss)
                with meter.busy(UPDATING, n_records):
                    learner.learn(step, answer, loss)
            wait_for_gpu(learner.source.device, meter)
            learner.end_epoch(time.perf_counter() - began)
    learner.finish()
