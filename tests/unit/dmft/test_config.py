"""Configuration: strict reading, named configurations, changes from the command line."""

import re

import pytest

from dmft.config import (
    AugmentConfig,
    DistillConfig,
    ModalityConfig,
    RunConfig,
    TrainingConfig,
    change_config,
    load_config,
)
from dmft.models import (
    EncoderConfig,
    InputShape,
    ModelShape,
    StudentConfig,
    TeacherConfig,
    VotingConfig,
)
from pipeline.common.settings import parse_table, shipped_names, to_table
from pipeline.contract import ConfigError


def test_both_named_configurations_ship_and_survive_a_round_trip():
    assert shipped_names("configs") == ("default", "paper", "paper-sizes")
    for name in shipped_names("configs"):
        config = load_config(name)
        assert parse_table(RunConfig, to_table(config), where="here") == config


def test_the_paper_configuration_is_the_paper():
    config = load_config("paper")
    assert config.encoder.width == 0
    assert config.encoder.norm == "post"
    assert not config.encoder.temporal_encoding
    assert config.augment == AugmentConfig()
    assert config.distill.direction == "reverse_kl"
    assert not config.of_modality("skeleton").velocities


def test_a_file_overlays_its_base_and_set_overlays_the_file(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('base = "paper"\n[training]\nepochs = 7\n[encoder]\nheads = 2\n')
    config = load_config(str(file), ["training.epochs=9", "training.loss=summed_softmax"])
    assert (config.training.epochs, config.encoder.heads) == (9, 2)
    assert config.training.loss == "summed_softmax"
    assert config.encoder.norm == "post"
    assert change_config(config, ["encoder.heads=1"]).encoder.heads == 1


def test_all_problems_are_reported_at_once_with_their_paths(tmp_path):
    file = tmp_path / "wrong.toml"
    file.write_text(
        "[training]\nepochz = 7\nbatch_size = 'many'\n[encoder]\nheads = 0\n"
        "[modality.skeleton]\nn_patches = 2.5\n[nonsense]\nx = 1\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_config(str(file))
    text = str(caught.value)
    assert "5 problem(s)" in text
    for part in (
        "training.epochz is not a setting",
        "training.batch_size is 'many': wanted a whole number",
        "encoder.heads is 0: wanted a positive number",
        "modality.skeleton.n_patches is 2.5: wanted a whole number",
        "nonsense is not a setting",
    ):
        assert part in text


def test_an_unknown_configuration_is_named():
    with pytest.raises(ConfigError, match=r"'papper' is neither a file nor one of default, paper"):
        load_config("papper")


def test_a_file_that_is_not_toml_is_named(tmp_path):
    file = tmp_path / "broken.toml"
    file.write_text("[training\n")
    with pytest.raises(ConfigError, match=r"broken\.toml is not valid TOML"):
        load_config(str(file))


def test_an_unknown_base_is_named(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('base = "other"\n')
    with pytest.raises(ConfigError, match="base is 'other': wanted one of default, paper"):
        load_config(str(file))


@pytest.mark.parametrize("change", ["epochs=3", "training.epochs", ".=3"])
def test_a_change_without_section_key_and_value_is_refused(change):
    with pytest.raises(ConfigError, match=re.escape(f"--set {change!r}")):
        load_config("default", [change])


def test_a_missing_or_wrongly_nested_value_is_named():
    with pytest.raises(ConfigError, match="n_patches is missing: wanted a whole number"):
        parse_table(InputShape, {"n_features": 3}, where="here")
    with pytest.raises(ConfigError, match="training is 3: wanted a table"):
        parse_table(RunConfig, {"training": 3}, where="here")
    with pytest.raises(ConfigError, match=r"modality is \[1\]: wanted a table"):
        parse_table(RunConfig, {"modality": [1]}, where="here")


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (EncoderConfig, "width", -1),
        (EncoderConfig, "heads", 0),
        (EncoderConfig, "feed_forward", 0),
        (EncoderConfig, "narrow_above", -1),
        (EncoderConfig, "narrow_to", 0),
        (EncoderConfig, "norm", "batch"),
        (EncoderConfig, "activation", "tanh"),
        (EncoderConfig, "dropout", 1.0),
        (TeacherConfig, "layers", 0),
        (TeacherConfig, "fusion_tokens", 0),
        (StudentConfig, "layers", 0),
        (VotingConfig, "rule", "veto"),
        (ModalityConfig, "n_patches", 1),
        (ModalityConfig, "geometry", "round"),
        (AugmentConfig, "time", 0.6),
        (AugmentConfig, "drop_modality", -0.1),
        (AugmentConfig, "rotate_axes_deg", 181),
        (AugmentConfig, "mixup", -1),
        (TrainingConfig, "epochs", 0),
        (TrainingConfig, "optimizer", "sgd"),
        (TrainingConfig, "learning_rate", 0.0),
        (TrainingConfig, "weight_decay", -0.1),
        (TrainingConfig, "schedule", "step"),
        (TrainingConfig, "warmup_epochs", -1),
        (TrainingConfig, "loss", "hinge"),
        (TrainingConfig, "label_smoothing", 1.0),
        (DistillConfig, "temperature", 0),
        (DistillConfig, "hard_weight", 1.5),
        (DistillConfig, "direction", "both"),
        (DistillConfig, "weights", {"skeleton_spatial": 0.4}),
        (DistillConfig, "weights", {"a_spatial": 1.0, "a_temporal": -0.5}),
    ],
)
def test_a_value_out_of_range_is_named_with_what_was_wanted(kind, field, value):
    with pytest.raises(ConfigError, match=rf"^{field} is .*: wanted ") as caught:
        kind(**{field: value})
    wrong = {k: v for k, v in value.items() if v < 0} or value if field == "weights" else value
    assert repr(wrong) in str(caught.value)


def test_adam_has_no_weight_decay():
    with pytest.raises(ConfigError, match=r"weight_decay is 0\.01: wanted 0 or more, and 0 with"):
        TrainingConfig(optimizer="adam")


@pytest.mark.parametrize(("inputs", "n_classes"), [({}, 3), ({"a": (2, 2)}, 1)])
def test_a_model_needs_an_input_and_two_classes(inputs, n_classes):
    shapes = {k: InputShape(n_patches=p, n_features=d) for k, (p, d) in inputs.items()}
    with pytest.raises(ConfigError, match=r"inputs is \{\}|n_classes is 1"):
        ModelShape(inputs=shapes, n_classes=n_classes)
    with pytest.raises(ConfigError, match="n_features is 0"):
        InputShape(n_patches=2, n_features=0)
