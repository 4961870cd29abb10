"""Numbers pinned once the laws hold: sizes of the networks, and one short training."""

import pytest
import torch

from dmft.config import load_config
from dmft.data import open_cache
from dmft.models import InputShape, ModelShape, Student, Teacher
from dmft.runs.trained import load_run
from dmft.training.train import train
from tests.factories import write_cache

UTD = {
    "paper": {
        "skeleton": InputShape(n_patches=32, n_features=60),
        "inertial": InputShape(n_patches=32, n_features=6),
    },
    "default": {
        "skeleton": InputShape(n_patches=32, n_features=120),
        "inertial": InputShape(n_patches=32, n_features=12),
    },
}


@pytest.mark.parametrize(
    ("name", "kind", "n_parameters"),
    [
        ("paper", "teacher", 286842),
        ("paper", "student", 95238),
        ("default", "teacher", 426670),
        ("default", "student", 139246),
    ],
)
def test_the_networks_of_skeleton_and_inertial_have_so_many_parameters(name, kind, n_parameters):
    config = load_config(name)
    shape = ModelShape(inputs=UTD[name], n_classes=27)
    model = (
        Teacher(shape, config.teacher, config.encoder)
        if kind == "teacher"
        else Student(shape, config.student, config.encoder)
    )
    assert sum(p.numel() for p in model.parameters()) == n_parameters


def test_a_short_training_ends_where_it_always_has(tmp_path):
    (tmp_path / "p.toml").write_text('name = "p"\n[leave_one_out]\nattribute = "subject"\n')
    cache = open_cache(write_cache(tmp_path / "c.zarr"))
    fold = [f"modality.{name}.standardise=fold" for name in ("other", "inertial")]
    config = load_config("paper", ["training.epochs=3", "encoder.dropout=0.0", *fold])
    train(cache, str(tmp_path / "p.toml"), tmp_path / "r", config=config, device="cpu")
    logits = load_run(tmp_path / "r").ask(cache, torch.tensor([0])).logits[0, :, :, 0]
    expected = torch.tensor([[0.6215, 0.6688], [0.5860, 0.6791]])
    torch.testing.assert_close(logits, expected, atol=2e-3, rtol=0)
