"""The last stage of a training: how far each modality is to be believed.

The branches are trained by then and stay as they are. Training records are shown once more, some
with a sensor that lies (``doubt.faults``), and the heads of the reliability learn what makes the
vote right. So doubt costs what was learnt nothing, and is learnt from the answers of a model that
never met such signals, as they will be when one comes.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor, nn

from dmft.config import RunConfig
from dmft.data import BatchSource, FeatureTransform
from dmft.data.augment import Augmenter
from dmft.data.counter_rng import derive_seed
from dmft.models import Answer, answer_of, overall_vote
from dmft.models.config import VotingConfig
from dmft.training.device import deterministic
from dmft.training.optimizer import Adam, Group
from dmft.training.schedule import cosine

RELIABILITY = ".reliability."
"""In the names of the weights that are learnt here."""


def vote_loss(answer: Answer, present: Tensor, labels: Tensor, voting: VotingConfig) -> Tensor:
    """Negative log-likelihood of the labels under the overall vote.

    Shapes: answer of B records, present (B, M), labels (B,) -> ().
    """
    votes = overall_vote(answer, present, voting)
    chosen = votes.gather(1, labels[:, None])[:, 0]
    loss: Tensor = -chosen.clamp(min=1e-9).log().mean()
    return loss


def learn_reliability(
    model: nn.Module,
    source: BatchSource,
    transform: FeatureTransform,
    config: RunConfig,
    seed: int,
) -> None:
    """Train the heads of the reliability in place, all other weights held; nothing without such.

    Args:
        model: Trained, on the device of the source.
        source: Gives the training records.
        transform: Makes the model's features of them.
        config: The run's; ``doubt`` says how.
        seed: With the epoch and the record, the source of everything random.
    """
    learnt = [weight for name, weight in model.named_parameters() if RELIABILITY in name]
    doubt = config.doubt
    n_epochs = min(doubt.epochs, config.training.epochs)
    if not learnt or n_epochs == 0:
        return
    held = [weight for name, weight in model.named_parameters() if RELIABILITY not in name]
    optimizer = Adam([Group(learnt)], doubt.learning_rate, decoupled=True)
    size = config.training.batch_size
    n_steps = n_epochs * math.ceil(source.n_records / size)
    shown = dataclasses.replace(config.augment, drop_modality=0.0)
    own_seed = derive_seed(seed, "doubt")
    model.eval()
    for weight in held:
        weight.requires_grad_(False)
    try:
        with deterministic():
            step = 0
            for epoch in range(n_epochs):
                augmenter = Augmenter(config=shown, seed=own_seed, epoch=epoch, doubt=doubt)
                for stored in source.batches(own_seed, epoch, size):
                    features = transform.apply(
                        stored.patches, stored.present, stored.rows, augmenter
                    )
                    answer = answer_of(model(features, stored.present))
                    loss = vote_loss(answer, stored.present, stored.labels, config.voting)
                    optimizer.learning_rate = doubt.learning_rate * cosine(step / n_steps)
                    optimizer.zero_grad()
                    torch.autograd.backward(loss)
                    optimizer.step()
                    step += 1
    finally:
        for weight in held:
            weight.requires_grad_(True)
        for weight in learnt:
            weight.grad = None
