"""Laws of protocols, draws, augmentation, pooling and voting that hold for any input."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dmft.data.augment import bend_time, rotation
from dmft.data.counter_rng import derive_seed, uniform
from dmft.data.features import pooling
from dmft.models import Answer, VotingConfig, overall_vote
from dmft.protocols import FoldRule, LeaveOneOut, Protocol, fold_rules, make_fold
from dmft.training.losses import divergence

small = settings(max_examples=50, deadline=None)
seeds = st.integers(0, 2**32 - 1)


class Table:
    """Stands in for a cache: what a protocol looks at."""

    def __init__(self, subjects):
        self.path, self.spec = "table", SimpleNamespace(dataset="any", provenance={})
        self.record_ids = tuple(f"r{i}" for i in range(len(subjects)))
        self.columns, self.modalities = {"subject": np.array(subjects)}, ()

    def __len__(self):
        return len(self.record_ids)


@small
@given(st.lists(st.integers(1, 6), min_size=2, max_size=40).filter(lambda s: len(set(s)) > 1))
def test_leaving_one_out_shares_no_subject_and_tests_every_record_once(subjects):
    cache = Table(subjects)
    protocol = Protocol(name="x", leave_one_out=LeaveOneOut(attribute="subject"))
    folds = [make_fold(rule, cache, "x") for rule in fold_rules(protocol, cache)]
    tested = sorted(row for fold in folds for row in fold.test.tolist())
    assert tested == list(range(len(subjects)))
    for fold in folds:
        sides = [{subjects[i] for i in side.tolist()} for side in (fold.train, fold.test)]
        assert not sides[0] & sides[1]
        assert len(fold.train) + len(fold.test) == len(subjects)


@small
@given(st.permutations([1, 1, 2, 2, 3, 4]))
def test_the_split_hash_does_not_depend_on_the_order_of_values(subjects):
    cache = Table(subjects)
    hashes = {
        make_fold(
            FoldRule(name="f", train={"subject": train}, test={"subject": (2, 4)}), cache, "x"
        ).split_hash
        for train in ((1, 3), (3, 1))
    }
    assert len(hashes) == 1


@small
@given(seeds, st.lists(st.integers(0, 10**9), min_size=1, max_size=20), st.integers(1, 8))
def test_draws_are_a_function_of_key_and_record(seed, records, n):
    key = derive_seed(seed, "law")
    together = uniform(key, torch.tensor(records), n)
    alone = torch.cat([uniform(key, torch.tensor([record]), n) for record in records])
    assert torch.equal(together, alone)
    assert (together >= 0).all()
    assert (together < 1).all()


@small
@given(st.integers(1, 64), st.integers(1, 64))
def test_pooling_keeps_the_mean(n_stored, n_patches):
    if n_patches > n_stored:
        return
    weights = pooling(n_stored, n_patches)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(n_patches))
    torch.testing.assert_close(
        weights.mean(dim=0), torch.full((n_stored,), 1 / n_stored), atol=1e-6, rtol=1e-5
    )


@small
@given(seeds)
def test_a_rotation_keeps_lengths_and_handedness(seed):
    random = torch.Generator().manual_seed(seed)
    axes, angles = torch.randn(3, 3, generator=random), torch.randn(3, generator=random) * 3
    matrices = rotation(axes, angles)
    torch.testing.assert_close(torch.linalg.det(matrices), torch.ones(3), atol=1e-4, rtol=0)
    points = torch.randn(3, 4, 3, generator=random)
    before, after = points.norm(dim=-1), (points @ matrices.mT).norm(dim=-1)
    torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-4)


@small
@given(seeds, st.floats(0, 0.5), st.integers(2, 40))
def test_bent_time_stays_in_order_and_inside_the_record(seed, amount, P):
    draws = torch.rand(4, 3, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    ramp = torch.linspace(0, 1, P)[None, :, None].expand(4, P, 1)
    bent = bend_time(ramp, draws, amount)[:, :, 0]
    if amount <= 0.3:
        assert (bent.diff(dim=1) >= -1e-5).all()
    assert (bent >= 0).all()
    assert (bent <= 1 + 1e-6).all()


@small
@given(seeds, st.integers(1, 4), st.integers(2, 6), st.sampled_from(["sum", "product"]))
def test_a_vote_is_a_distribution_whoever_is_absent(seed, M, K, rule):
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(5, M, 2, K, generator=random) * 10
    present = torch.rand(5, M, generator=random) > 0.5
    answer = Answer(logits, torch.rand(5, M, generator=random))
    voting = VotingConfig(rule=rule)
    vote = overall_vote(answer, present, voting)
    torch.testing.assert_close(vote.sum(dim=1), torch.ones(5))
    order = torch.randperm(M, generator=random)
    other = Answer(logits[:, order], answer.reliability[:, order])
    torch.testing.assert_close(overall_vote(other, present[:, order], voting), vote)


@small
@given(seeds, st.sampled_from(["reverse_kl", "forward_kl"]))
def test_a_divergence_is_never_negative_and_nothing_only_for_equals(seed, direction):
    random = torch.Generator().manual_seed(seed)
    one = torch.randn(4, 5, generator=random).log_softmax(-1)
    other = torch.randn(4, 5, generator=random).log_softmax(-1)
    assert (divergence(one, other, direction) > 0).all()
    assert divergence(one, one, direction).abs().max() == pytest.approx(0, abs=1e-6)
