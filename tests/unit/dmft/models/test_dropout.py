"""Keyed dropout: how much it drops, and what its masks depend on."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dmft.models import set_dropout_keys
from dmft.models.dropout import Dropout


def masks(seed: int, p: float = 0.2) -> torch.Tensor:
    model = nn.Sequential(Dropout(p), Dropout(p))
    set_dropout_keys(model, seed)
    ones = torch.ones(32, 50, 64)
    return torch.stack([layer(ones) for layer in model])


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_share_that_is_dropped_is_p_along_every_axis(p: float) -> None:
    dropped = (masks(0, p)[0] == 0).float()
    error = (p * (1 - p)) ** 0.5
    for axes in ((0, 1), (0, 2), (1, 2)):
        shares = dropped.mean(dim=axes)
        n = dropped.numel() / shares.numel()
        assert (shares - p).abs().max() < 5 * error / n**0.5
        assert shares.std() == pytest.approx(error / n**0.5, rel=0.4)


def test_what_is_kept_is_scaled_so_that_the_mean_stays() -> None:
    kept = masks(0, 0.2)[0]
    assert kept.unique().tolist() == pytest.approx([0.0, 1.25])
    assert kept.mean() == pytest.approx(1, abs=0.01)


def test_the_same_seed_gives_the_same_masks_and_no_other_does() -> None:
    assert torch.equal(masks(3), masks(3))
    assert not torch.equal(masks(3), masks(4))


def test_two_layers_and_two_steps_drop_independently() -> None:
    first, second = (masks(5) == 0).float()
    other = (masks(6)[0] == 0).float()
    for beside in (second, other):
        both = (first * beside).mean()
        assert both == pytest.approx(0.04, abs=0.004)


def test_the_process_generator_is_not_touched() -> None:
    before = torch.get_rng_state()
    masks(1)
    assert torch.equal(torch.get_rng_state(), before)


def test_evaluation_drops_nothing() -> None:
    hidden = torch.randn(4, 5)
    assert Dropout(0.5).eval()(hidden) is hidden


def test_models_beside_each_other_get_the_masks_that_each_has_alone() -> None:
    layer, ones = Dropout(0.3), torch.ones(8, 9, 16)
    keys = torch.tensor([11, -7], dtype=torch.int32)

    def drop(key: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(layer, {"key": key}, (hidden,))

    together = torch.func.vmap(drop, in_dims=(0, None))(keys, ones)
    for key, mask in zip(keys, together, strict=True):
        assert torch.equal(drop(key, ones), mask)
