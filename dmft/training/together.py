"""Models of one shape trained together: one forward and one backward pass for all of them.

Each model keeps its own records, draws, loss, optimizer, average and checkpoint, all by the code
that trains it alone; only the passes are joint (``torch.func.vmap``). So what a training gives
does not depend on the others, but for the rounding of sums in another order.

A small model leaves a GPU idle between its kernels, and many beside each other fill it. A CPU is
filled by one: there, processes beside each other are faster (docs/how-to/reproduce-the-paper.md).
"""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional as F

from dmft.models import Answer, answer_of
from dmft.models.layers import SelfAttention
from dmft.training.device import deterministic
from dmft.training.loop import Learner, Step, fit
from dmft.training.stages import BACKWARD, FORWARD, UPDATING, wait_for_gpu
from pipeline.common.stages import Meter
from pipeline.contract import ContractError


class Stack:
    """Models of one shape, their weights beside each other, computed as one.

    The models stay usable: their weights are views of the stacked ones.
    """

    def __init__(self, models: Sequence[nn.Module]) -> None:
        self.models = models
        self.weights, self.buffers = stack_module_state(list(models))
        for position, model in enumerate(models):
            for name, stacked in self.weights.items():
                owner, _, last = name.rpartition(".")
                view = nn.Parameter(stacked.detach()[position])
                setattr(model.get_submodule(owner), last, view)
            for name, stacked in self.buffers.items():
                owner, _, last = name.rpartition(".")
                setattr(model.get_submodule(owner), last, stacked[position])
        self._shape = copy.deepcopy(models[0]).to("meta").train()
        for module in self._shape.modules():
            if isinstance(module, SelfAttention):
                module.attend = _Attention.apply
        self._forward = vmap(self._one, in_dims=(0, 0, 0, 0))

    def _one(
        self,
        weights: dict[str, Tensor],
        buffers: dict[str, Tensor],
        features: Mapping[str, Tensor],
        present: Tensor,
    ) -> Answer:
        output = functional_call(self._shape, (weights, buffers), (features, present))
        return answer_of(output)

    def __call__(self, features: Mapping[str, Tensor], present: Tensor) -> Answer:
        """What every model says of its own records, as in training.

        Shapes: N models; features {m: (N, B, P, D)}, present (N, B, M) -> logits (N, B, M, 2, K),
        reliability (N, B, M).
        """
        answers: Answer = self._forward(self.weights, self.buffers, features, present)
        return answers

    def backward(self, loss: Tensor) -> None:
        """Give every model the gradients of the sum of the models' losses."""
        for stacked in self.weights.values():
            stacked.grad = None
        torch.autograd.backward(loss)
        for position, model in enumerate(self.models):
            for name, weight in model.named_parameters():
                gradient = self.weights[name].grad
                weight.grad = None if gradient is None else gradient[position]


class _Attention(torch.autograd.Function):
    """Attention of many models is attention of more records.

    Without this, vmap computes the models one after another on a CPU.
    """

    generate_vmap_rule = False

    @staticmethod
    def forward(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """One model's, Eq. (5)."""
        return F.scaled_dot_product_attention(q, k, v)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Nothing is kept: the batched call below differentiates itself."""

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int, int, int], q: Tensor, k: Tensor, v: Tensor
    ) -> tuple[Tensor, int]:
        """All models': (N, B, H, T, D / H) each, N wherever ``in_dims`` says."""
        q, k, v = (x.movedim(dim, 0) for x, dim in zip((q, k, v), in_dims, strict=True))
        shape = q.shape
        mixed = F.scaled_dot_product_attention(q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1))
        return mixed.view(shape), 0


def fit_together(learners: Sequence[Learner]) -> list[ContractError | None]:
    """Train models of one shape in place, each as :func:`dmft.training.fit` would; one by it.

    They may differ in weights, records, seed and objective, and in how many epochs are done. A
    model whose epoch has fewer steps than another's waits for the next. One whose training
    diverges stops; the others go on.

    Args:
        learners: Their models have the same layers, and their configurations the same training.

    Returns:
        What stopped each learner; None where it has finished.

    Raises:
        ContractError: a checkpoint is of another run.
    """
    if len(learners) < 2:
        return [_alone(learner) for learner in learners]
    stack = Stack([learner.model for learner in learners])
    stopped: list[ContractError | None] = [None for _ in learners]
    for learner in learners:
        learner.begin()
    last = learners[0].config.training.epochs
    with deterministic():
        for epoch in range(min(learner.state.done for learner in learners), last):
            # A group that was interrupted may have written the checkpoints of some members only.
            running = [
                position
                for position, learner in enumerate(learners)
                if learner.state.done == epoch
                and stopped[position] is None
                and not learner.has_ended
            ]
            began = time.perf_counter()
            joint = Meter()
            _run_epoch(stack, learners, running, joint)
            wait_for_gpu(learners[0].source.device, joint)
            share = (time.perf_counter() - began) / max(len(running), 1)
            for position in running:
                for stage in joint.report(share).stages:
                    learners[position].stages.meter.add(
                        stage.name,
                        busy_s=stage.busy_s / len(running),
                        n_items=learners[position].source.n_records,
                    )
                try:
                    learners[position].end_epoch(share)
                except ContractError as error:
                    stopped[position] = error
    for learner, why in zip(learners, stopped, strict=True):
        if why is None:
            learner.finish()
    return stopped


def _alone(learner: Learner) -> ContractError | None:
    try:
        fit(learner)
    except ContractError as error:
        return error
    return None


def _run_epoch(
    stack: Stack, learners: Sequence[Learner], running: Sequence[int], joint: Meter
) -> None:
    """Train all for one epoch; ``joint`` measures what is done for all of them at once."""
    epochs = [learners[position].steps() for position in running]
    for next_steps in itertools.zip_longest(*epochs):
        steps = {p: step for p, step in zip(running, next_steps, strict=True) if step is not None}
        with joint.busy(FORWARD):
            answers = stack(*_side_by_side(steps, len(learners)))
            own = {
                p: Answer(answers.logits[p], answers.reliability[p]).at(
                    slice(len(step.batch.present))
                )
                for p, step in steps.items()
            }
            losses = {p: learners[p].objective(own[p], step.batch) for p, step in steps.items()}
        with joint.busy(BACKWARD):
            stack.backward(torch.stack(list(losses.values())).sum())
        for position, step in steps.items():
            with learners[position].stages.meter.busy(UPDATING, len(step.batch.present)):
                learners[position].learn(step, own[position], losses[position])


def _side_by_side(steps: Mapping[int, Step], n_models: int) -> tuple[dict[str, Tensor], Tensor]:
    """Put batches beside each other, filled up with records that have no modality.

    Shapes: returns {m: (N, B, P, D)} and (N, B, M), B that of the longest batch.
    """
    batches = {position: step.batch for position, step in steps.items()}
    longest = max((batch.present for batch in batches.values()), key=len)
    like = next(iter(batches.values()))
    present = longest.new_zeros(n_models, *longest.shape)
    features = {
        name: tensor.new_zeros(n_models, len(longest), *tensor.shape[1:])
        for name, tensor in like.features.items()
    }
    for position, batch in batches.items():
        n_records = len(batch.present)
        present[position, :n_records] = batch.present
        for name, tensor in batch.features.items():
            features[name][position, :n_records] = tensor
    return features, present
