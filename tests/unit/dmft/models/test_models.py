"""The networks: shapes, the equations written out plainly, and what an absence must not do."""

import math

import pytest
import torch

from dmft.models import (
    Answer,
    EncoderConfig,
    InputShape,
    ModelShape,
    Student,
    StudentConfig,
    Teacher,
    TeacherConfig,
    VotingConfig,
    answer_of,
    modality_votes,
    overall_vote,
    set_dropout_keys,
)
from dmft.models.layers import EncoderLayer, SelfAttention, fitting_heads, sinusoids
from dmft.models.mid_fusion import FusionLayer, MidFusion
from dmft.models.mstt import Mstt
from pipeline.contract import ConfigError

PRODUCT = VotingConfig(rule="product")
PAPER = EncoderConfig(
    width=0, norm="post", activation="relu", temporal_encoding=False, narrow_above=0
)
INPUTS = {
    "skeleton": InputShape(n_patches=8, n_features=12),
    "inertial": InputShape(n_patches=8, n_features=6),
    "rgb": InputShape(n_patches=6, n_features=300),
}


def build(kind, encoder, modalities=("skeleton", "inertial"), n_classes=5):
    torch.manual_seed(0)
    shape = ModelShape(inputs={m: INPUTS[m] for m in modalities}, n_classes=n_classes)
    if kind is Teacher:
        return Teacher(shape, TeacherConfig(fusion_tokens=3), encoder).eval()
    return Student(shape, StudentConfig(), encoder).eval()


def some_features(modalities, B=4):
    random = torch.Generator().manual_seed(1)
    return {
        m: torch.randn(B, INPUTS[m].n_patches, INPUTS[m].n_features, generator=random)
        for m in modalities
    }


@pytest.mark.parametrize("kind", [Teacher, Student])
@pytest.mark.parametrize("encoder", [EncoderConfig(), PAPER])
@pytest.mark.parametrize("n_modalities", [1, 2, 3])
def test_logits_have_a_row_a_modality_and_stream(kind, encoder, n_modalities):
    modalities = tuple(INPUTS)[:n_modalities]
    model = build(kind, encoder, modalities)
    present = torch.ones(4, n_modalities, dtype=torch.bool)
    answer = model(some_features(modalities), present)
    assert answer.logits.shape == (4, n_modalities, 2, 5)
    assert torch.equal(answer.reliability, torch.ones(4, n_modalities)), "it has no opinion"


def test_equation_1_is_the_usual_table():
    table = sinusoids(7, 6)
    for pos in range(7):
        for i in range(3):
            angle = pos / 10_000 ** (2 * i / 6)
            assert table[pos, 2 * i] == pytest.approx(math.sin(angle), abs=1e-5)
            assert table[pos, 2 * i + 1] == pytest.approx(math.cos(angle), abs=1e-5)
    assert sinusoids(3, 5).shape == (3, 5)


def test_attention_is_equations_4_to_6_written_out():
    torch.manual_seed(0)
    attention = SelfAttention(6, 3)
    hidden = torch.randn(2, 5, 6)
    q, k, v = attention.project_in(hidden).chunk(3, dim=-1)
    heads = []
    for h in range(3):
        part = slice(2 * h, 2 * h + 2)
        scores = torch.softmax(q[..., part] @ k[..., part].transpose(1, 2) / math.sqrt(2), dim=-1)
        heads.append(scores @ v[..., part])
    expected = attention.project_out(torch.cat(heads, dim=-1))
    torch.testing.assert_close(attention(hidden), expected)


def test_a_post_norm_layer_is_torchs_own_with_the_same_weights():
    torch.manual_seed(0)
    config = EncoderConfig(norm="post", activation="relu", dropout=0.0, feed_forward=16, heads=2)
    ours = EncoderLayer(8, config)
    theirs = torch.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    theirs.self_attn.in_proj_weight.data = ours.attention.project_in.weight.data
    theirs.self_attn.in_proj_bias.data = ours.attention.project_in.bias.data
    theirs.self_attn.out_proj = ours.attention.project_out
    theirs.linear1, theirs.linear2 = ours.feed_forward[0], ours.feed_forward[2]
    theirs.norm1, theirs.norm2 = ours.attention_norm, ours.feed_forward_norm
    hidden = torch.randn(2, 5, 8)
    torch.testing.assert_close(ours(hidden), theirs(hidden))


@pytest.mark.parametrize("encoder", [EncoderConfig(dropout=0.3), PAPER])
@pytest.mark.parametrize("token", [0, 2])
def test_a_layer_for_one_token_gives_what_the_whole_layer_gives_there(encoder, token):
    torch.manual_seed(0)
    layer = EncoderLayer(8, encoder).train()
    set_dropout_keys(layer, 7)
    hidden = torch.randn(3, 5, 8)
    torch.testing.assert_close(layer(hidden, token), layer(hidden)[:, token : token + 1])


def test_the_last_fusion_layer_gives_the_class_tokens_of_a_whole_one():
    torch.manual_seed(0)
    layer = FusionLayer(4, 8, EncoderConfig(dropout=0.3)).train()
    set_dropout_keys(layer, 7)
    each, narrow, wide = torch.randn(2, 3, 4), torch.randn(2, 5, 4), torch.randn(2, 6, 8)
    tokens = (each, each)
    whole = layer(tokens, narrow, wide, torch.ones(2, 2, dtype=torch.bool))
    for side, alone in zip(whole[1:], layer.finish(tokens, narrow, wide), strict=True):
        torch.testing.assert_close(alone, side[:, :1])


def test_heads_divide_native_widths():
    assert [fitting_heads(width, 4) for width in (6, 60, 32, 7, 3)] == [3, 4, 4, 1, 3]


def test_the_paper_keeps_native_widths_and_the_default_projects():
    native = Mstt(INPUTS["inertial"], 1, PAPER, class_only=False)
    assert (native.spatial.width, native.temporal.width) == (8, 6)
    assert native.temporal.positions is None
    spatial, temporal = native(torch.randn(2, 8, 6))
    assert spatial.shape == (2, 1, 8)
    assert temporal.shape == (2, 9, 6)
    projected = Mstt(INPUTS["inertial"], 1, EncoderConfig(), class_only=True)
    assert (projected.spatial.width, projected.temporal.width) == (64, 64)
    assert projected.temporal.positions is not None
    assert projected(torch.randn(2, 8, 6))[1].shape == (2, 1, 64)


def test_a_wide_modality_is_narrowed_for_the_spatial_stream_only_by_default():
    narrowed = Mstt(INPUTS["rgb"], 1, EncoderConfig(narrow_to=16), class_only=False)
    spatial, temporal = narrowed(torch.randn(2, 6, 300))
    assert narrowed.spatial.positions.shape == (17, 64)
    assert spatial.shape == (2, 1, 64)
    assert temporal.shape == (2, 7, 64)
    whole = Mstt(INPUTS["rgb"], 1, PAPER, class_only=False)
    assert whole.spatial.positions.shape == (301, 6)


def test_fusion_has_a_module_for_every_unordered_pair_with_tokens_of_the_smaller_width():
    fusion = MidFusion({"a": 4, "b": 8, "c": 6}, TeacherConfig(fusion_tokens=3), EncoderConfig())
    assert list(fusion.pairs) == ["a-b", "a-c", "b-c"]
    widths = {name: tuple(pair.tokens.shape[1:]) for name, pair in fusion.pairs.items()}
    assert widths == {"a-b": (3, 4), "a-c": (3, 4), "b-c": (3, 6)}


def test_a_modalitys_fused_stream_is_the_mean_over_its_pairs():
    torch.manual_seed(0)
    widths = {"a": 4, "b": 8, "c": 6}
    fusion = MidFusion(widths, TeacherConfig(), EncoderConfig(dropout=0.0))
    branches = {m: torch.randn(2, 5, width) for m, width in widths.items()}
    present = torch.ones(2, 3, dtype=torch.bool)
    both = present[:, :2]
    with_a = fusion.pairs["a-b"](branches["a"], branches["b"], both)[1]
    with_c = fusion.pairs["b-c"](branches["b"], branches["c"], both)[0]
    assert with_a.shape == (2, 1, 8)
    torch.testing.assert_close(fusion(branches, present)["b"], (with_a + with_c) / 2)


def test_tokens_are_averaged_over_the_sides_that_are_present():
    torch.manual_seed(0)
    layer = FusionLayer(4, 8, EncoderConfig(dropout=0.0))
    each, narrow, wide = torch.randn(1, 2, 4), torch.randn(1, 3, 4), torch.randn(1, 3, 8)

    def tokens_of(*present):
        found = layer((each, each), narrow, wide, torch.tensor([present]))[0]
        assert found[0] is found[1]
        return found[0]

    both, first, second = tokens_of(True, True), tokens_of(True, False), tokens_of(False, True)
    torch.testing.assert_close(both, (first + second) / 2)
    apart = layer((each, each), narrow, wide, None)[0]
    assert torch.equal(apart[0], first)
    assert torch.equal(apart[1], second)


@pytest.mark.parametrize("encoder", [EncoderConfig(), PAPER])
def test_what_stands_in_an_absent_modality_changes_no_other_stream(encoder):
    modalities = tuple(INPUTS)
    model = build(Teacher, encoder, modalities)
    present = torch.tensor([[True, False, True]]).expand(4, 3)
    features = some_features(modalities)
    before = model(features, present)
    after = model(features | {"inertial": torch.full_like(features["inertial"], 100.0)}, present)
    assert torch.equal(before.logits[:, [0, 2]], after.logits[:, [0, 2]])
    assert torch.equal(overall_vote(before, present), overall_vote(after, present))


def test_a_present_modality_does_reach_the_others_in_the_teacher():
    model = build(Teacher, EncoderConfig())
    features = some_features(("skeleton", "inertial"))
    present = torch.ones(4, 2, dtype=torch.bool)
    after = model(features | {"inertial": features["inertial"] + 1}, present).logits
    before = model(features, present).logits
    assert not torch.equal(before[:, 0, 1], after[:, 0, 1])
    assert torch.equal(before[:, 0, 0], after[:, 0, 0])


@pytest.mark.parametrize("encoder", [EncoderConfig(), PAPER])
def test_a_stream_alone_is_what_the_teacher_says_where_the_others_are_absent(encoder):
    modalities = tuple(INPUTS)
    model, features = build(Teacher, encoder, modalities), some_features(modalities)
    present = torch.tensor([[True, True, True], [True, False, True]] * 2)
    found = model(features, present, unimodal=True).logits
    assert found.shape == (4, 3, 2, 5)
    for column in range(3):
        only = present & (torch.arange(3) == column)
        there = present[:, column]
        assert torch.equal(found[there, column], model(features, only).logits[there, column])
    together = model(features, present).logits
    assert torch.equal(found[:, :, 0], together[:, :, 0]), "spatial branches are never fused"
    assert not torch.allclose(found[:, :, 1], together[:, :, 1])


def test_a_teacher_of_one_modality_is_always_alone():
    model, features = build(Teacher, EncoderConfig(), ("skeleton",)), some_features(("skeleton",))
    present = torch.ones(4, 1, dtype=torch.bool)
    alone = model(features, present, unimodal=True)
    assert torch.equal(alone.logits, model(features, present).logits)


def test_the_votes_are_equations_11_and_12():
    logits = torch.randn(3, 2, 2, 4, generator=torch.Generator().manual_seed(0))
    votes = modality_votes(logits)
    torch.testing.assert_close(votes, logits[:, :, 0].softmax(-1) + logits[:, :, 1].softmax(-1))
    everyone = overall_vote(answer_of(logits), torch.ones(3, 2, dtype=torch.bool))
    torch.testing.assert_close(everyone, votes.sum(dim=1) / 4)


def test_the_product_multiplies_the_votes_of_those_present():
    logits = torch.randn(2, 2, 2, 4, generator=torch.Generator().manual_seed(0))
    present = torch.tensor([[True, True], [False, True]])
    probabilities = logits.softmax(-1)
    everyone = probabilities[0].reshape(4, 4).prod(dim=0) ** (1 / 2)
    one = probabilities[1, 1].prod(dim=0) ** (1 / 2)
    vote = overall_vote(answer_of(logits), present, PRODUCT)
    torch.testing.assert_close(vote[0], everyone / everyone.sum())
    torch.testing.assert_close(vote[1], one / one.sum())
    torch.testing.assert_close(modality_votes(logits, PRODUCT)[1, 1], vote[1])
    nobody = overall_vote(answer_of(logits), torch.zeros(2, 2, dtype=torch.bool), PRODUCT)
    torch.testing.assert_close(nobody, torch.full((2, 4), 0.25))


def test_an_absent_modality_does_not_vote_and_nobody_voting_is_uniform():
    logits = torch.randn(2, 2, 2, 4, generator=torch.Generator().manual_seed(0))
    present = torch.tensor([[False, True], [False, False]])
    vote = overall_vote(answer_of(logits), present)
    torch.testing.assert_close(vote[0], modality_votes(logits)[0, 1] / 2)
    torch.testing.assert_close(vote[1], torch.full((4,), 0.25))


def test_a_teacher_without_fusion_layers_exchanges_nothing_and_holds_no_tokens():
    inputs = {m: InputShape(n_patches=8, n_features=6) for m in ("skeleton", "inertial")}
    shape = ModelShape(inputs=inputs, n_classes=3)
    encoder = EncoderConfig(width=8, feed_forward=8)
    teacher = Teacher(shape, TeacherConfig(fusion_layers=0), encoder).eval()
    assert not list(teacher.fusion.parameters())
    features = {m: torch.randn(2, 8, 6) for m in inputs}
    present = torch.ones(2, 2, dtype=torch.bool)
    before = teacher(features, present).logits
    features["inertial"] = torch.randn(2, 8, 6)
    after = teacher(features, present).logits
    assert torch.equal(before[:, 0], after[:, 0]), "the skeleton's branches saw the inertial ones"
    assert not torch.equal(before[:, 1], after[:, 1])


@pytest.mark.parametrize("n_layers", [-1, 1])
def test_fusion_layers_that_fuse_nothing_are_refused(n_layers):
    with pytest.raises(ConfigError, match=f"fusion_layers is {n_layers}: wanted 0 for late fusion"):
        TeacherConfig(fusion_layers=n_layers)


def test_a_modality_that_is_not_believed_does_not_decide():
    """Of two that are sure of different classes the more reliable one decides."""
    sure = torch.tensor([[9.0, 0, 0, 0], [0, 9.0, 0, 0]])
    logits = sure[None, :, None].expand(3, 2, 2, 4)
    reliability = torch.tensor([[0.9, 0.1], [0.1, 0.9], [0.0, 0.0]])
    vote = overall_vote(Answer(logits, reliability), torch.ones(3, 2, dtype=torch.bool), PRODUCT)
    assert vote.argmax(dim=1)[:2].tolist() == [0, 1]
    torch.testing.assert_close(vote[2], torch.full((4,), 0.25))
    odds = float(vote[0, 0] / vote[0, 1])  # (0.9 + 0.1 / 4) (0.9 / 4) : (0.1 + 0.9 / 4) (0.1 / 4)
    assert odds == pytest.approx(0.925 * 0.225 / (0.325 * 0.025), rel=0.01)
    believed = overall_vote(
        Answer(logits, torch.ones(3, 2)), torch.ones(3, 2, dtype=torch.bool), PRODUCT
    )
    torch.testing.assert_close(believed[0, 0], believed[0, 1])


@pytest.mark.parametrize("kind", [Teacher, Student])
def test_reliability_is_learnt_from_the_branches_and_sends_nothing_back(kind):
    model = build(kind, EncoderConfig(reliability=4))
    answer = model(some_features(("skeleton", "inertial")), torch.ones(4, 2, dtype=torch.bool))
    assert answer.reliability.shape == (4, 2)
    answer.reliability.sum().backward()
    moved = {name for name, weight in model.named_parameters() if weight.grad is not None}
    assert moved
    assert all(".reliability." in name for name in moved)
