"""Losses: Eqs (13)-(15), both directions, weights that sum to one, and absences."""

import pytest
import torch

from dmft.config import DistillConfig
from dmft.models import VotingConfig, answer_of, overall_vote
from dmft.training.losses import (
    HARD_LOSSES,
    ask_in_turn,
    divergence,
    per_branch_loss,
    soft_loss,
    soft_targets,
    soft_weights,
    softened,
    softened_vote,
    summed_softmax_loss,
    vote_loss,
)
from pipeline.contract import ConfigError

MODALITIES = ("skeleton", "inertial")


def some_logits(seed):
    return torch.randn(3, 2, 2, 5, generator=torch.Generator().manual_seed(seed))


EVERYONE = torch.ones(3, 2, dtype=torch.bool)
TARGETS = soft_targets(torch.tensor([0, 2, 4]), 5)


def test_one_cross_entropy_a_stream_is_torchs_averaged():
    logits = some_logits(0)
    labels = torch.tensor([0, 2, 4])
    each = [
        torch.nn.functional.cross_entropy(logits[:, m, s], labels)
        for m in range(2)
        for s in range(2)
    ]
    torch.testing.assert_close(per_branch_loss(logits, EVERYONE, TARGETS), torch.stack(each).mean())


def test_the_loss_on_the_vote_is_the_log_of_equation_12():
    logits = some_logits(0)
    vote = overall_vote(answer_of(logits), EVERYONE)
    expected = -(vote[0, 0].log() + vote[1, 2].log() + vote[2, 4].log()) / 3
    torch.testing.assert_close(summed_softmax_loss(logits, EVERYONE, TARGETS), expected)


@pytest.mark.parametrize("name", sorted(HARD_LOSSES))
def test_an_absent_modality_gets_no_gradient_and_a_record_with_none_no_loss(name):
    logits = some_logits(0).requires_grad_()
    present = torch.tensor([[True, False], [False, True], [False, False]])
    loss = HARD_LOSSES[name](logits, present, TARGETS)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert not gradient[~present].any()
    assert gradient[present].abs().sum(dim=(1, 2)).gt(0).all()
    alone = HARD_LOSSES[name](logits[:2], present[:2], TARGETS[:2])
    torch.testing.assert_close(loss, alone)


def test_smoothing_spreads_a_part_of_the_target():
    row = soft_targets(torch.tensor([1]), 4, 0.2)[0]
    torch.testing.assert_close(row, torch.tensor([0.05, 0.85, 0.05, 0.05]))


def test_temperature_softens_as_equation_13_means():
    logits = torch.tensor([2.0, 0.0])
    expected = torch.tensor([1.0, 0.0]).softmax(-1).log()
    torch.testing.assert_close(softened(logits, 2.0), expected)


def test_equation_14_is_student_against_teacher_and_its_mirror_the_usual_one():
    student, teacher = some_logits(0).log_softmax(-1), some_logits(1).log_softmax(-1)
    printed = (student.exp() * (student / 1 - teacher)).sum(-1)
    torch.testing.assert_close(divergence(student, teacher, "reverse_kl"), printed)
    usual = torch.nn.functional.kl_div(student, teacher, reduction="none", log_target=True).sum(-1)
    torch.testing.assert_close(divergence(student, teacher, "forward_kl"), usual)


def test_weights_are_shared_out_equally_where_none_are_given():
    weights = soft_weights(DistillConfig(hard_weight=0.2), MODALITIES)
    torch.testing.assert_close(weights, torch.full((2, 2), 0.2))


def test_named_weights_are_taken():
    soft = {"a_spatial": 0.1, "a_temporal": 0.6}
    weights = soft_weights(DistillConfig(hard_weight=0.3, weights=soft), ("a",))
    torch.testing.assert_close(weights, torch.tensor([[0.1, 0.6]]))


def test_weights_that_name_other_streams_are_refused():
    config = DistillConfig(hard_weight=0.3, weights={"b_spatial": 0.7})
    with pytest.raises(ConfigError, match=r"names \['b_spatial'\]: wanted exactly \['a_spatial'"):
        soft_weights(config, ("a",))


def test_weights_that_do_not_sum_to_one_are_refused():
    wanted = r"'a_spatial': 0\.3.*with hard_weight 0\.5 a sum of 1, Eq\. \(15\), not 0\.8"
    with pytest.raises(ConfigError, match=wanted):
        DistillConfig(hard_weight=0.5, weights={"a_spatial": 0.3})


@pytest.mark.parametrize("direction", ["reverse_kl", "forward_kl"])
def test_the_soft_loss_is_nothing_when_the_student_agrees_and_something_when_not(direction):
    config = DistillConfig(direction=direction)
    weights = torch.full((2, 2), 0.125)
    same = soft_loss(some_logits(0), some_logits(0), EVERYONE, weights, config)
    assert float(same) == pytest.approx(0, abs=1e-6)
    assert soft_loss(some_logits(0), some_logits(1), EVERYONE, weights, config) > 0.01


def test_equation_15_is_the_weighted_sum_over_streams():
    config = DistillConfig(temperature=3.0, scale_by_temperature=False)
    weights = torch.tensor([[0.1, 0.2], [0.3, 0.1]])
    student, teacher = some_logits(0), some_logits(1)
    each = divergence(softened(student, 3.0), softened(teacher, 3.0), config.direction)
    expected = (each * weights).sum(dim=(1, 2)).mean()
    found = soft_loss(student, teacher, EVERYONE, weights, config)
    torch.testing.assert_close(found, expected)
    scaled = DistillConfig(temperature=3.0, scale_by_temperature=True)
    torch.testing.assert_close(soft_loss(student, teacher, EVERYONE, weights, scaled), 9 * expected)


def test_absent_modalities_drop_out_of_the_soft_loss():
    config = DistillConfig()
    weights = torch.full((2, 2), 0.125)
    present = torch.tensor([[True, False], [True, True], [False, False]])
    student = some_logits(0).requires_grad_()
    loss = soft_loss(student, some_logits(1), present, weights, config)
    (gradient,) = torch.autograd.grad(loss, student)
    assert torch.isfinite(gradient).all()
    assert not gradient[~present].any()


def test_several_teachers_answer_in_turn():
    def teacher(number):
        def answer(features, present, *, unimodal):
            assert unimodal
            return (features["a"] + number)[:, None, None, :1]

        return answer

    features, present = {"a": torch.arange(5.0)[:, None]}, torch.ones(5, 1, dtype=torch.bool)
    found = ask_in_turn([teacher(100), teacher(200)], features, present, unimodal=True)
    assert found.flatten().tolist() == [100, 201, 102, 203, 104]
    three = [teacher(100), teacher(200), teacher(300)]
    found = ask_in_turn(three, {"a": features["a"][:2]}, present[:2], unimodal=True)
    assert found.flatten().tolist() == [100, 201]


def test_a_student_of_teachers_in_turn_learns_their_mean():
    config, weights = DistillConfig(), torch.full((2, 2), 0.2)
    student, one, other = (some_logits(n) for n in range(3))
    student.requires_grad_()

    def gradient(teacher):
        loss = soft_loss(student, teacher, EVERYONE, weights, config)
        return torch.autograd.grad(loss, student)[0]

    T = config.temperature
    mean = (((one / T).softmax(-1) + (other / T).softmax(-1)) / 2).log() * T
    torch.testing.assert_close((gradient(one) + gradient(other)) / 2, gradient(mean))


@pytest.mark.parametrize("rule", ["sum", "product"])
def test_the_vote_loss_is_the_divergence_of_the_votes(rule):
    config = DistillConfig(target="vote", temperature=2.0, scale_by_temperature=False)
    one, other = (softened_vote(some_logits(n), EVERYONE, rule, 2.0) for n in (0, 1))
    votes = overall_vote(answer_of(some_logits(1) / 2), EVERYONE, VotingConfig(rule=rule))
    torch.testing.assert_close(other.exp(), votes)
    expected = (votes * (votes.log() - one)).sum(dim=1).mean()
    torch.testing.assert_close(vote_loss(one, other, EVERYONE, config), expected)
    assert float(vote_loss(one, one, EVERYONE, config)) == pytest.approx(0, abs=1e-6)
    scaled = DistillConfig(target="vote", temperature=2.0)
    torch.testing.assert_close(vote_loss(one, other, EVERYONE, scaled), 4 * expected)


@pytest.mark.parametrize("rule", ["sum", "product"])
def test_absent_modalities_get_no_gradient_from_the_vote(rule):
    config = DistillConfig(target="vote")
    present = torch.tensor([[True, False], [True, True], [False, False]])
    student = some_logits(0).requires_grad_()
    teacher_logits = softened_vote(some_logits(1), present, rule, 4.0)
    loss = vote_loss(softened_vote(student, present, rule, 4.0), teacher_logits, present, config)
    (gradient,) = torch.autograd.grad(loss, student)
    assert torch.isfinite(gradient).all()
    assert gradient[0, 0].abs().sum() > 0
    assert not gradient[~present].any()


def test_weights_of_streams_are_refused_where_the_vote_is_taught():
    with pytest.raises(ConfigError, match=r"weights is .*a_spatial.*wanted none, because the vote"):
        DistillConfig(target="vote", weights={"a_spatial": 0.25, "a_temporal": 0.25})
