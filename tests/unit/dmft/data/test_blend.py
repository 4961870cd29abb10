"""Blends of records: what is taken from another is counted in the target."""

from __future__ import annotations

import pytest
import torch

from dmft.config import AugmentConfig
from dmft.data.blend import blend

B, K = 6, 4
LABELS = torch.tensor([0, 1, 2, 3, 0, 1])
TARGETS = torch.nn.functional.one_hot(LABELS, K).float()
PRESENT = torch.ones(B, 2, dtype=torch.bool)


def numbered(n_patches: int) -> torch.Tensor:
    """Every value of a record is its number."""
    return torch.arange(B, dtype=torch.float32)[:, None, None].expand(B, n_patches, 3)


def features() -> dict[str, torch.Tensor]:
    return {"a": numbered(40), "b": numbered(80)}


def test_nothing_asked_changes_nothing() -> None:
    given = features()
    blended, targets = blend(given, TARGETS, PRESENT, AugmentConfig(), seed=0)
    assert blended is given
    assert targets is TARGETS


def test_mixup_keeps_the_larger_part_of_a_record_and_says_so() -> None:
    blended, targets = blend(features(), TARGETS, PRESENT, AugmentConfig(mixup=1.0), seed=0)
    other = B - 1 - torch.arange(B)
    for record in range(B):
        part = blended["a"][record, 0, 0]
        keep = float((part - other[record]) / (record - other[record]))
        assert 0.5 <= keep <= 1
        assert torch.allclose(blended["a"][record], part)
        torch.testing.assert_close(blended["b"][record, :40], blended["a"][record])
        wanted = keep * TARGETS[record] + (1 - keep) * TARGETS[other[record]]
        torch.testing.assert_close(targets[record], wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("longest", [0.3, 1.0])
def test_a_cut_is_one_stretch_at_the_same_time_in_all_modalities(longest: float) -> None:
    changed = 0
    for seed in range(20):
        blended, targets = blend(
            features(), TARGETS, PRESENT, AugmentConfig(cut=longest), seed=seed
        )
        for record in range(B):
            before = (record - 1) % B
            coarse = blended["a"][record, :, 0] == before
            fine = blended["b"][record, :, 0] == before
            assert ((blended["a"][record, :, 0] == record) | coarse).all()
            assert int((coarse[1:] != coarse[:-1]).sum()) <= 2
            assert abs(float(coarse.float().mean() - fine.float().mean())) <= 0.05
            assert float(coarse.float().mean()) <= longest + 0.03
            assert float(targets[record].sum()) == pytest.approx(1, abs=1e-5)
            taken = float(targets[record, LABELS[before]])
            assert taken == pytest.approx(float(fine.float().mean()), abs=0.02)
            changed += bool(coarse.any())
    assert changed > 60


@pytest.mark.parametrize("change", [{"mixup": 1.0}, {"cut": 1.0}])
def test_records_that_lack_other_modalities_are_not_blended(change: dict[str, float]) -> None:
    present = PRESENT.clone()
    present[::2, 1] = False  # The one before and the one opposite lack what this one has.
    blended, targets = blend(features(), TARGETS, present, AugmentConfig(**change), seed=0)
    assert torch.equal(blended["a"], numbered(40))
    assert torch.equal(targets, TARGETS)


def test_a_seed_blends_always_alike() -> None:
    config = AugmentConfig(mixup=0.4, cut=0.5)
    one, two, three = (blend(features(), TARGETS, PRESENT, config, seed) for seed in (0, 0, 1))
    assert torch.equal(one[0]["a"], two[0]["a"])
    assert not torch.equal(one[0]["a"], three[0]["a"])
