"""Dropout whose mask is a function of a key and of the element, not of a generator's state.

``torch.nn.Dropout`` draws from one generator for the process, so its mask depends on everything
drawn before. Here the training loop sets a key each step: a model gets the same masks whether it
trains alone or beside others (``torch.func.vmap``), on any device. It is also no slower: a CPU's
generator draws one number after another.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dmft.models.own import OwnNetwork

_GOLDEN = -0x61C88647  # 0x9E3779B1 as a signed number
_MIX = -0x7A1435B3  # 0x85EBCA4D as a signed number
_BITS = 32


class Dropout(nn.Module):
    """Zero elements with chance ``p`` in training and scale up the others; else do nothing.

    Shapes: (B, ...) -> (B, ...).
    """

    key: Tensor

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.register_buffer("key", torch.zeros((), dtype=torch.int32), persistent=False)

    def forward(self, hidden: Tensor, token: int = 0, n_tokens: int = 0) -> Tensor:
        """Hash each element's place with the key; what falls below ``p`` is dropped.

        Where ``hidden`` is token ``token`` of ``n_tokens``, (B, 1, D), its places are those that it
        would have among all of them, so that computing fewer tokens drops the same elements.
        """
        if not self.training or self.p == 0:
            return hidden
        B, D = hidden.shape[0], hidden.shape[-1]
        if n_tokens:
            rows = torch.arange(B, dtype=torch.int32, device=hidden.device) * n_tokens + token
            columns = torch.arange(D, dtype=torch.int32, device=hidden.device)
            places = rows[:, None] * D + columns
        else:
            places = torch.arange(hidden.numel(), dtype=torch.int32, device=hidden.device)
        bits = (places.view(hidden.shape) ^ self.key) * _GOLDEN
        bits = (bits ^ (bits >> 15)) * _MIX
        threshold = int(self.p * 2**_BITS) - 2 ** (_BITS - 1)
        return torch.where(bits >= threshold, hidden / (1 - self.p), 0.0)


def set_dropout_keys(model: nn.Module, seed: int) -> None:
    """Give every dropout of ``model`` a key of its own, each a function of ``seed``.

    A network of the user's own has PyTorch's generator seeded instead, while it computes.

    Args:
        model: On any device.
        seed: Of this step; the same one gives the same masks.
    """
    if isinstance(model, OwnNetwork):
        model.step_seed = seed
    layers = [module for module in model.modules() if isinstance(module, Dropout)]
    if layers:
        draws = torch.Generator().manual_seed(seed)
        bounds = torch.iinfo(torch.int32)
        keys = torch.randint(bounds.min, bounds.max, (len(layers),), generator=draws)
        for layer, key in zip(layers, keys.tolist(), strict=True):
            layer.key.fill_(key)
