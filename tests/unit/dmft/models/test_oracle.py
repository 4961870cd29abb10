"""Our models against the paper's equations written out in numpy, to 1e-8 in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dmft.config import load_config
from dmft.models import InputShape, ModelShape, Student, Teacher, answer_of, overall_vote
from tests.unit.dmft.models.oracle import Oracle, positions, softmax

INPUTS = {
    "skeleton": InputShape(n_patches=7, n_features=12),
    "inertial": InputShape(n_patches=9, n_features=6),
    "rgb": InputShape(n_patches=5, n_features=300),
}
PRESENT = np.array([[1, 1, 1], [1, 0, 1], [0, 1, 0], [1, 1, 0], [0, 0, 1]], bool)
CONFIGS = {
    "paper": ("paper", []),
    "paper, a modality's weights": ("paper", ["teacher.fusion_weights=modality"]),
    "paper, three of fusion": ("paper", ["teacher.fusion_layers=3"]),
    "default": ("default", []),
    "default, late": ("default", ["teacher.fusion_layers=0"]),
}


def pair_of(model, config):
    """The model in float64, its weights moved off their beginnings, and its oracle."""
    torch.manual_seed(0)
    model = model.double().eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    # positions are a buffer in float32; the equation is in float64
    for name, buffer in model.named_buffers():
        if name.endswith("positions"):
            buffer.copy_(torch.from_numpy(positions(*buffer.shape)))
    weights = {name: w.detach().numpy() for name, w in model.state_dict().items()}
    encoder = config.encoder
    oracle = Oracle(
        weights,
        heads=encoder.heads,
        norm=encoder.norm,
        activation=encoder.activation,
        temporal_encoding=encoder.temporal_encoding,
    )
    return model, oracle


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_logits_are_those_of_the_equations(kind, name):
    config = load_config(*CONFIGS[name])
    shape = ModelShape(inputs=INPUTS, n_classes=4)
    if kind == "teacher":
        built = Teacher(shape, config.teacher, config.encoder)
    else:
        built = Student(shape, config.student, config.encoder)
    model, oracle = pair_of(built, config)
    random = np.random.default_rng(0)
    x = {
        m: random.normal(size=(len(PRESENT), s.n_patches, s.n_features)) for m, s in INPUTS.items()
    }
    features = {m: torch.from_numpy(values) for m, values in x.items()}
    with torch.no_grad():
        logits = model(features, torch.from_numpy(PRESENT)).logits
    for i, present in enumerate(PRESENT):
        record = {m: values[i] for m, values in x.items()}
        expected = oracle.teacher(record, present) if kind == "teacher" else oracle.student(record)
        np.testing.assert_allclose(logits[i].numpy(), expected, rtol=0, atol=1e-8)
        vote = (softmax(expected) * present[:, None, None]).sum(axis=(0, 1))  # (11) and (12)
        ours = overall_vote(answer_of(logits[i : i + 1]), torch.from_numpy(PRESENT[i : i + 1]))[0]
        np.testing.assert_allclose(ours.numpy(), vote / vote.sum(), rtol=0, atol=1e-8)


@pytest.mark.parametrize("weights", ["pair", "modality"])
@pytest.mark.parametrize("n_layers", [2, 3, 4])
@pytest.mark.parametrize("n_modalities", [2, 3])
@pytest.mark.parametrize("config", ["paper", "default"])
def test_a_modality_that_changes_changes_the_temporal_logits_of_each_other(
    config, n_modalities, n_layers, weights
):
    changes = [f"teacher.fusion_layers={n_layers}", f"teacher.fusion_weights={weights}"]
    loaded = load_config(config, changes)
    inputs = dict(list(INPUTS.items())[:n_modalities])
    torch.manual_seed(0)
    teacher = Teacher(ModelShape(inputs=inputs, n_classes=4), loaded.teacher, loaded.encoder).eval()
    features = {m: torch.randn(2, s.n_patches, s.n_features) for m, s in inputs.items()}
    present = torch.ones(2, n_modalities, dtype=torch.bool)
    with torch.no_grad():
        before = teacher(features, present).logits
        for i, changed in enumerate(inputs):
            other = {**features, changed: torch.randn_like(features[changed])}
            after = teacher(other, present).logits
            for j in range(n_modalities):
                assert not torch.equal(after[:, j, 1], before[:, j, 1])
                assert torch.equal(after[:, j, 0], before[:, j, 0]) == (i != j)


@pytest.mark.parametrize("n_layers", [2, 3])
@pytest.mark.parametrize("weights", ["pair", "modality"])
def test_every_weight_of_a_teacher_is_learnt(n_layers, weights):
    config = load_config(
        "paper", [f"teacher.fusion_layers={n_layers}", f"teacher.fusion_weights={weights}"]
    )
    teacher = Teacher(ModelShape(inputs=INPUTS, n_classes=4), config.teacher, config.encoder)
    features = {m: torch.randn(3, s.n_patches, s.n_features) for m, s in INPUTS.items()}
    teacher(features, torch.ones(3, 3, dtype=torch.bool)).logits.square().sum().backward()
    idle = [n for n, w in teacher.named_parameters() if w.grad is None or not w.grad.any()]
    assert not idle
