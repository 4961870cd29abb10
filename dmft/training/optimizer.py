"""Adam and AdamW by PyTorch's own update function, without its optimizer classes.

Whoever makes a ``torch.optim.Optimizer`` imports PyTorch's compiler, which is not used here and
takes longer than a short training. The arithmetic is the same to the bit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

from dmft.config import TrainingConfig

BETAS = (0.9, 0.999)
EPS = 1e-8


@dataclass(slots=True)
class Group:
    """Weights that are updated alike."""

    params: list[nn.Parameter]
    weight_decay: float = 0.0


class Adam:
    """Adam (Kingma and Ba 2015), or AdamW (Loshchilov and Hutter 2019) where decay is decoupled.

    Its state has PyTorch's names: ``step`` (), ``exp_avg`` and ``exp_avg_sq`` of a weight's shape.
    """

    def __init__(self, groups: Iterable[Group], learning_rate: float, *, decoupled: bool) -> None:
        self.groups = list(groups)
        self.learning_rate = learning_rate
        self.decoupled = decoupled
        self.state: defaultdict[nn.Parameter, dict[str, Tensor]] = defaultdict(dict)

    @torch.no_grad()
    def step(self) -> None:
        """Update every weight that has a gradient."""
        for group in self.groups:
            params = [p for p in group.params if p.grad is not None]
            states = [self.state[p] or self._begin(p) for p in params]
            adam(
                params=list(params),
                grads=[p.grad for p in params if p.grad is not None],
                exp_avgs=[state["exp_avg"] for state in states],
                exp_avg_sqs=[state["exp_avg_sq"] for state in states],
                max_exp_avg_sqs=[],
                state_steps=[state["step"] for state in states],
                foreach=True,
                decoupled_weight_decay=self.decoupled,
                amsgrad=False,
                beta1=BETAS[0],
                beta2=BETAS[1],
                lr=self.learning_rate,
                weight_decay=group.weight_decay,
                eps=EPS,
                maximize=False,
            )

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for group in self.groups:
            for parameter in group.params:
                parameter.grad = None

    def _begin(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        state = self.state[parameter]
        state["step"] = torch.tensor(0.0)  # on the host, where no step waits for a device
        state["exp_avg"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        state["exp_avg_sq"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        return state


def make_optimizer(model: nn.Module, config: TrainingConfig) -> Adam:
    """Adam, or AdamW that does not decay biases, norms and learnt tokens."""
    everything = list(model.parameters())
    if config.optimizer == "adam":
        return Adam([Group(everything)], config.learning_rate, decoupled=False)
    groups = [
        Group([p for p in everything if p.dim() == 2], config.weight_decay),
        Group([p for p in everything if p.dim() != 2]),
    ]
    return Adam(groups, config.learning_rate, decoupled=True)
