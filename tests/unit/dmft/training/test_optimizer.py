"""Our Adam is PyTorch's, to the bit, without what its class imports."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn

from dmft.config import TrainingConfig
from dmft.training.optimizer import make_optimizer


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 3))


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_weights_and_state_are_those_of_the_class(name):
    ours, theirs = network(), network()
    config = TrainingConfig(optimizer=name, weight_decay=0.1 if name == "adamw" else 0.0)
    optimizer = make_optimizer(ours, config)
    if name == "adam":
        reference = torch.optim.Adam(theirs.parameters(), foreach=True)
    else:
        groups = [
            {"params": [p for p in theirs.parameters() if p.dim() == 2], "weight_decay": 0.1},
            {"params": [p for p in theirs.parameters() if p.dim() != 2], "weight_decay": 0.0},
        ]
        reference = torch.optim.AdamW(groups, foreach=True)
    for step in range(5):
        rate = 1e-2 / (step + 1)
        optimizer.learning_rate = rate
        for group in reference.param_groups:
            group["lr"] = rate
        inputs = torch.randn(16, 6)
        for model, own in ((ours, optimizer), (theirs, reference)):
            own.zero_grad()
            model(inputs).square().mean().backward()
            own.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other)
        assert optimizer.state[mine].keys() == reference.state[other].keys()
        for key, value in reference.state[other].items():
            assert torch.equal(optimizer.state[mine][key], value)


def test_a_weight_without_a_gradient_stays():
    model = network()
    before = copy.deepcopy(model.state_dict())
    optimizer = make_optimizer(model, TrainingConfig())
    optimizer.step()
    assert not optimizer.state
    assert all(torch.equal(w, before[name]) for name, w in model.state_dict().items())


def test_a_step_does_not_import_the_compiler():
    code = """
import sys, torch
from dmft.config import TrainingConfig
from dmft.training.optimizer import make_optimizer
model = torch.nn.Linear(2, 2)
optimizer = make_optimizer(model, TrainingConfig())
model(torch.ones(1, 2)).sum().backward()
optimizer.step()
from dmft.training.device import deterministic
with deterministic():
    pass
sys.exit("torch._dynamo" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
