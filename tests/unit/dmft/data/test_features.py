"""Features: draws, augmentation, pooling, derived columns, statistics, the batch's check."""

import math

import pytest
import torch

from dmft.config import AugmentConfig, ModalityConfig, load_config
from dmft.data import Batch, make_features, open_cache
from dmft.data.augment import Augmenter, bend_time, rotation
from dmft.data.counter_rng import _mix, derive_seed, normal, uniform
from dmft.data.features import FeaturePlan, pooling
from dmft.data.geometry import find_geometry
from dmft.data.standardise import fit_standardizer, floor_std
from dmft.models import InputShape
from pipeline.contract import ContractError, Presence
from tests.factories import write_cache


def plan(P, D, **settings):
    stored = InputShape(n_patches=P, n_features=D)
    return FeaturePlan(stored=stored, config=ModalityConfig(**settings))


def test_the_mixer_is_splitmix64():
    def reference(z):
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
        return z ^ (z >> 31)

    states = [1, 2**63 - 1, -1, -(2**62), 123456789]
    found = _mix(torch.tensor(states)).tolist()
    assert [each % 2**64 for each in found] == [reference(state % 2**64) for state in states]


def test_draws_are_uniform_and_normal():
    indices = torch.arange(2000)
    flat = uniform(derive_seed(0, "x"), indices, 20)
    assert flat.min() >= 0
    assert flat.max() < 1
    assert float(flat.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(flat.var()) == pytest.approx(1 / 12, abs=0.002)
    bell = normal(derive_seed(0, "x"), indices, 21)
    assert float(bell.mean()) == pytest.approx(0, abs=0.02)
    assert float(bell.std()) == pytest.approx(1, abs=0.02)


def test_a_records_draws_do_not_depend_on_its_batch():
    whole = uniform(7, torch.arange(10), 5)
    assert torch.equal(uniform(7, torch.tensor([9, 4]), 5), whole[[9, 4]])
    assert not torch.equal(uniform(8, torch.arange(10), 5), whole)


def test_pooling_averages_equal_windows_and_shares_patches_across_borders():
    torch.testing.assert_close(pooling(4, 2), torch.tensor([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]))
    torch.testing.assert_close(pooling(3, 2), torch.tensor([[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]]))


def test_derived_features_stand_beside_the_values():
    made = plan(8, 3, n_patches=4, velocities=True, deviations=True)
    assert made.output == InputShape(n_patches=4, n_features=9)
    ramp = torch.arange(8.0)[None, :, None].expand(1, 8, 3)
    features = made.derive(ramp)
    torch.testing.assert_close(features[0, :, 0], torch.tensor([0.5, 2.5, 4.5, 6.5]))
    torch.testing.assert_close(features[0, 1:3, 3], torch.tensor([8.0, 8.0]))
    torch.testing.assert_close(features[0, :, 6], torch.full((4,), 0.5))


def test_a_coarser_cache_is_not_stretched_and_has_no_deviations():
    made = plan(16, 3, n_patches=32, deviations=True)
    assert made.output == InputShape(n_patches=16, n_features=3)


def test_a_coarse_cache_is_said_to_be_coarse(tmp_path, caplog):
    cache = open_cache(write_cache(tmp_path / "c.zarr"))
    make_features(cache, load_config("default"), torch.arange(10))
    assert "skeleton is stored in 16 patches, fewer than the 32" in caplog.text
    assert "inertial is stored too coarsely for deviations" in caplog.text


def test_bending_by_nothing_changes_nothing():
    patches = torch.randn(3, 9, 4)
    torch.testing.assert_close(bend_time(patches, torch.randn(3, 3), 0.0), patches)


def test_bending_moves_the_start_and_the_end():
    ramp = torch.linspace(0, 1, 101)[None, :, None].expand(2, 101, 1)
    bent = bend_time(ramp, torch.tensor([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0]]), 0.1)[:, :, 0]
    assert bent[0, 0] == pytest.approx(0.1, abs=1e-4)
    assert bent[0, -1] == pytest.approx(0.9, abs=1e-4)
    assert bent[1, 5] == 0
    assert bent[1, -5] == 1


def test_points_turn_about_the_vertical_and_keep_their_height():
    upright = torch.tensor([[0.0, 1.0, 0.0]])
    turned = torch.tensor([[1.0, 2.0, 0.0]]) @ rotation(upright, torch.tensor([math.pi / 2])).mT
    torch.testing.assert_close(turned[0, 0], torch.tensor([0.0, 2.0, -1.0]), atol=1e-6, rtol=0)


def test_hiding_modalities_always_leaves_one():
    hider = Augmenter(config=AugmentConfig(drop_modality=0.5), seed=0, epoch=0)
    present = torch.tensor([[True, True], [True, False]]).repeat(200, 1)
    kept = hider.presence(present, torch.arange(400))
    assert kept.any(dim=1).all()
    assert not (kept & ~present).any()
    assert 0.2 < float((~kept[::2]).any(dim=1).float().mean()) < 0.8


@pytest.mark.parametrize("geometry", ["points", "axes", "none"])
def test_augmentation_is_a_function_of_seed_epoch_and_record(geometry):
    config = AugmentConfig(
        time=0.2,
        rotate_points_deg=30,
        tilt_points_deg=10,
        shear_points=0.2,
        rotate_axes_deg=30,
        scale=0.2,
        jitter=0.1,
    )
    patches = torch.randn(6, 8, 6)
    rows = torch.arange(6)

    def augmented(seed, epoch, some):
        augmenter = Augmenter(config=config, seed=seed, epoch=epoch)
        bent = augmenter.patches("m", patches[some], find_geometry(geometry, 6), some)
        return augmenter.features("m", bent, some)

    whole = augmented(0, 1, rows)
    torch.testing.assert_close(augmented(0, 1, rows[[5, 2]]), whole[[5, 2]])
    assert not torch.equal(augmented(0, 2, rows), whole)
    assert not torch.equal(augmented(1, 1, rows), whole)
    assert not torch.equal(whole, patches)


def test_statistics_are_those_of_the_training_records_alone(tmp_path):
    cache = open_cache(
        write_cache(tmp_path / "c.zarr", absent={"a1_s1_t1/inertial": Presence.ABSENT})
    )
    train = torch.arange(24)
    config = load_config("paper", ["modality.inertial.standardise=fold"])
    transform = make_features(cache, config, train)
    patches = {m: x[train] for m, x in cache.features.items()}
    features = transform.apply(patches, cache.present[train])
    seen = features["inertial"][cache.present[train, 1]]
    torch.testing.assert_close(seen.mean(dim=(0, 1)), torch.zeros(6), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen.std(dim=(0, 1)), torch.ones(6), atol=1e-2, rtol=0)
    assert not features["inertial"][0].any()

    cache.features["inertial"][24:] = 1e6
    again = make_features(cache, config, train)
    one, other = (each.standardizers["inertial"].mean for each in (again, transform))
    assert torch.equal(one, other)


def test_the_papers_features_are_the_stored_ones(tmp_path):
    cache = open_cache(write_cache(tmp_path / "c.zarr", modalities={"inertial": (32, 6)}))
    transform = make_features(cache, load_config("paper"), torch.arange(24))
    stored = {"inertial": cache.features["inertial"][30:33] * 100}
    features = transform.apply(stored, cache.present[30:33])
    torch.testing.assert_close(features["inertial"], stored["inertial"], rtol=1e-6, atol=1e-5)


def test_a_column_that_hardly_moves_is_not_blown_up():
    deviation = torch.tensor([1e-9, 1.0, 2.0, 3.0, 0.0, 2.0])
    assert floor_std(deviation, "points", 1).min() == pytest.approx(0.1)
    triples = floor_std(torch.tensor([0.5, 0.5, 0.6, 100.0, 120.0, 1.0]), "axes", 1)
    torch.testing.assert_close(triples, torch.tensor([0.5, 0.5, 0.6, 100.0, 120.0, 10.0]))
    assert floor_std(torch.zeros(4), "none", 1).tolist() == [1, 1, 1, 1]


def test_a_modality_without_any_training_record_has_neutral_statistics():
    fitted = fit_standardizer([torch.zeros(0, 4, 3)], 3)
    assert fitted.mean.tolist() == [0, 0, 0]
    assert fitted.std.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": {"b": torch.zeros(2, 4, 3)}}, r"modalities \['b'\]: wanted \['a'\]"),
        ({"features": {"a": torch.zeros(2, 5, 3)}}, r"a of shape \(2, 5, 3\): wanted \(2, 4, 3\)"),
        ({"present": torch.ones(2, 2)}, r"mask of shape \(2, 2\): wanted \(2, 1\)"),
        ({"targets": torch.zeros(3, 7)}, r"3 targets: wanted 2"),
    ],
)
def test_a_batch_of_the_wrong_shape_does_not_exist(changes, message):
    right = {
        "features": {"a": torch.zeros(2, 4, 3)},
        "present": torch.ones(2, 1, dtype=torch.bool),
        "targets": None,
        "inputs": {"a": InputShape(n_patches=4, n_features=3)},
    }
    assert Batch(**right)
    with pytest.raises(ContractError, match=message):
        Batch(**(right | changes))


def test_records_behind_the_labelled_ones_have_no_targets():
    labelled = Batch(
        features={"a": torch.zeros(2, 4, 3)},
        present=torch.ones(2, 1, dtype=torch.bool),
        targets=torch.eye(2),
        inputs={"a": InputShape(n_patches=4, n_features=3)},
    )
    more = Batch(
        features={"a": torch.ones(3, 4, 3)},
        present=torch.zeros(3, 1, dtype=torch.bool),
        targets=torch.eye(3),
        inputs=labelled.inputs,
    )
    both = labelled.with_unlabelled(more)
    assert (len(both.present), both.n_labelled) == (5, 2)
    assert both.features["a"][:, 0, 0].tolist() == [0, 0, 1, 1, 1]
    assert both.present[:, 0].tolist() == [True, True, False, False, False]
