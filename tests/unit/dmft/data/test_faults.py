"""What each fault does to patches, and who has one in training."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dmft.config import AugmentConfig, DoubtConfig
from dmft.data.augment import Augmenter
from dmft.data.fault_words import BOTH
from dmft.data.fault_words import FAULTS as WORDS
from dmft.data.faults import FAULTS, STANDARD_GRAVITY, Signals, spoil
from dmft.data.geometry import find_geometry
from pipeline.contract import ConfigError

B, P = 6, 40
NAMES = tuple(
    f"{joint}_{axis}" for joint in ("hip_center", "left_hand", "right_hand") for axis in "xyz"
)
POINTS = find_geometry("points", 9, NAMES)
AXES = find_geometry("axes", 6)


def some(D: int, severity: float = 1.0, geometry: object = None) -> Signals:
    draws = torch.Generator().manual_seed(D)
    time = torch.linspace(0, 6, P)[None, :, None]
    phases = torch.rand(B, 1, D, generator=draws) * 6
    patches = torch.sin(time + phases) * (1 + torch.rand(B, 1, D, generator=draws))
    return Signals(
        patches=patches,
        severity=torch.full((B,), severity),
        others=patches.roll(1, 0),
        indices=torch.arange(B),
        key=8,
        geometry=geometry,  # type: ignore[arg-type]
    )


def spoilt(name: str, signals: Signals) -> Tensor:
    return FAULTS[name].spoil(signals)


def test_every_fault_has_words_and_every_word_a_fault():
    assert list(FAULTS) == list(WORDS)
    assert set(BOTH) <= set(FAULTS)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_changes_every_record_finitely_and_is_a_function_of_its_key(name):
    for geometry, D in ((POINTS, 9), (AXES, 6)):
        if not FAULTS[name].fits(geometry):
            continue
        signals = some(D, geometry=geometry)
        kept = signals.patches.clone()
        after = spoilt(name, signals)
        assert torch.equal(signals.patches, kept), "what came in is left alone"
        assert after.shape == kept.shape
        assert torch.isfinite(after).all()
        assert ((after - kept).abs().amax(dim=(1, 2)) > 0).all()
        assert torch.equal(spoilt(name, some(D, geometry=geometry)), after)


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.has_degrees])
def test_the_more_severe_the_further_from_the_truth(name):
    def distance(severity: float) -> float:
        signals = some(9, severity, POINTS)
        return float((spoilt(name, signals) - signals.patches).square().mean())

    near, middle, far = (distance(severity) for severity in (0.1, 0.4, 1.0))
    assert near < middle < far


def test_what_is_lost_holds_the_last_value_that_there_was():
    signals = some(2, 0.5)
    before = signals.patches
    start, end = spoilt("cut-start", signals), spoilt("cut-end", signals)
    assert torch.equal(start[:, :17], before[:, 16:17].expand(-1, 17, -1))
    assert torch.equal(start[:, 16:], before[:, 16:])
    assert torch.equal(end[:, :24], before[:, :24])
    assert torch.equal(end[:, 24:], before[:, 23:24].expand(-1, 16, -1))
    gap = spoilt("gap", signals)
    moved = (gap != before).any(dim=2).sum(dim=1)
    assert ((moved >= 14) & (moved <= 17)).all(), "0.8 of a half of 40 patches"
    assert torch.equal(spoilt("frozen", signals), before[:, :1].expand(-1, P, -1))
    assert torch.equal(spoilt("late", signals)[:, 10:], before[:, :30])


def test_axes_units_and_sides():
    signals = some(6, geometry=AXES)
    before = signals.patches.view(B, P, 2, 3)
    axes = spoilt("axes", signals).view(B, P, 2, 3)
    torch.testing.assert_close(axes.norm(dim=3), before.norm(dim=3))
    assert torch.equal(spoilt("mirrored", signals).view(B, P, 2, 3)[..., 0], -before[..., 0])
    ratio = (spoilt("unit", signals) / signals.patches).mean(dim=(1, 2))
    up = ratio > 1
    assert up.any()
    assert not up.all()
    torch.testing.assert_close(ratio[up], torch.full_like(ratio[up], STANDARD_GRAVITY))
    points = some(9, geometry=POINTS)
    swapped = spoilt("sides-swapped", points)
    assert torch.equal(swapped[..., 3:6], points.patches[..., 6:9])
    assert torch.equal(swapped[..., :3], points.patches[..., :3])


def test_faults_of_axes_leave_masks_alone_and_fit_no_pictures():
    names = (*NAMES[:3], "has_sensor")
    geometry = find_geometry("axes", 4, names)
    signals = some(4, geometry=geometry)
    assert torch.equal(spoilt("unit", signals)[..., 3], signals.patches[..., 3])
    assert not FAULTS["unit"].fits(None)
    assert not FAULTS["joints-lost"].fits(AXES)
    assert FAULTS["frozen"].fits(None)


def test_a_part_of_the_records_has_one_of_the_faults_named():
    n = 2000
    patches = torch.randn(n, 8, 2, generator=torch.Generator().manual_seed(0))
    signals = Signals(
        patches=patches,
        severity=torch.ones(n),
        others=patches.roll(1, 0),
        indices=torch.arange(n),
        key=3,
        geometry=None,
    )
    after = spoil(signals, ["frozen", "swapped", "unit"], 0.3)
    frozen = (after == patches[:, :1]).all(dim=(1, 2)).double().mean()
    swapped = (after == patches.roll(1, 0)).all(dim=(1, 2)).double().mean()
    same = (after == patches).all(dim=(1, 2)).double().mean()
    assert abs(float(same) - 0.7) < 0.03
    assert abs(float(frozen) - 0.15) < 0.02, "a fault that does not fit takes no part"
    assert abs(float(swapped) - 0.15) < 0.02
    assert torch.equal(spoil(signals, ["frozen"], 0.0), patches)
    assert torch.equal(spoil(signals, ["unit"], 1.0), patches)


def test_augmentation_spoils_by_epoch_and_record():
    patches = torch.randn(B, P, 6, generator=torch.Generator().manual_seed(0))
    doubt = DoubtConfig(chance=0.5, faults=("frozen",))
    epochs = [
        Augmenter(config=AugmentConfig(), seed=0, epoch=epoch, doubt=doubt) for epoch in (0, 0, 1)
    ]
    first, again, next_epoch = (
        augmenter.patches("m", patches, AXES, torch.arange(B)) for augmenter in epochs
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, next_epoch)
    moved = (first != patches).any(dim=2).any(dim=1)
    assert moved.any()
    assert not moved.all()


def test_faults_are_named_and_known():
    with pytest.raises(ConfigError, match=r"faults is \['smell'\]: wanted some of noise"):
        DoubtConfig(faults=("noise", "smell"))
    with pytest.raises(ConfigError, match="at least one, because epochs is above 0"):
        DoubtConfig(epochs=1)
