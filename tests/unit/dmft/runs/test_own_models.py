"""A network of the user's own trains, teaches, is taught and is loaded again, or refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import dmft
from dmft.data import Cache
from dmft.models import InputShape, ModelShape
from dmft.models.own import OwnNetwork, find_own
from dmft.own import _imported
from dmft.runs.folder import read_info
from pipeline.contract import ConfigError, ContractError
from tests.small_runs import Callback, PowerCutError, same, small, train_student, weights

SOURCE = '''
import torch
from torch import nn

class Late(nn.Module):
    """One GRU a modality."""

    def __init__(self, shape, config):
        super().__init__()
        D = {m: each.n_features for m, each in shape.inputs.items()}
        self.grus = nn.ModuleDict({m: nn.GRU(D[m], 8, batch_first=True) for m in D})
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(8, shape.n_classes)

    def forward(self, features, present):
        hidden = [gru(features[m])[0].mean(1) for m, gru in self.grus.items()]
        return self.head(self.dropout(torch.stack(hidden, dim=1)))

class NotOne:
    """No network."""

class Odd(Late):
    def forward(self, features, present):
        return super().forward(features, present)[..., :2]

class Stubborn(nn.Module):
    def __init__(self):
        super().__init__()
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A module of the user's in the folder where they are."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "late_net", raising=False)
    monkeypatch.delitem(_imported, "late_net", raising=False)
    (tmp_path / "late_net.py").write_text(SOURCE)
    (tmp_path / "broken_net.py").write_text("import nothing_such")
    yield tmp_path / "late_net.py"
    sys.modules.pop("late_net", None)


def train_own(place: Path, cache: Cache, out: Path, callback: Callback | None = None) -> None:
    """Train on the first fold."""
    protocol, config = str(place / "loso.toml"), small("augment.drop_modality=0.3")
    dmft.train(
        cache, protocol, out, model="late_net:Late", config=config, callback=callback, device="cpu"
    )


def test_it_trains_teaches_and_is_taught(place, cache, module, tmp_path):
    train_own(place, cache, tmp_path / "own")
    spec = read_info(tmp_path / "own").spec
    assert (spec.kind, spec.model_name) == ("teacher", "Late")
    dmft.distill(cache, tmp_path / "own", tmp_path / "student")
    assert dmft.load(tmp_path / "student").info.spec.model_name == "distilled"
    dmft.distill(cache, tmp_path / "own", tmp_path / "taught", model="late_net:Late")
    run = dmft.load(tmp_path / "taught")
    assert run.metrics.kind == run.info.spec.model_name == "Late, distilled"
    own = run.metrics.modalities["skeleton"]
    assert own.spatial == own.temporal
    assert dmft.evaluate(tmp_path / "taught").folds == run.metrics.folds


@pytest.mark.slow
def test_it_is_exported_and_the_graph_agrees_with_it(place, cache, module, tmp_path):
    train_own(place, cache, tmp_path / "own")
    info = dmft.load(tmp_path / "own").export(tmp_path / "out", int8=False)
    assert info.kind == "Late"
    assert info.figures["model.onnx"]["same_top1"] == 1.0


def test_what_it_draws_is_the_seeds_also_after_a_power_cut(place, cache, module, tmp_path):
    train_own(place, cache, tmp_path / "whole")
    torch.rand(7)  # the state of the process is nobody's business
    with pytest.raises(PowerCutError):
        train_own(place, cache, tmp_path / "cut", Callback(stop_after=1))
    train_own(place, cache, tmp_path / "cut")
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))


def test_a_run_is_refused_where_its_file_has_changed_or_is_gone(place, cache, module, tmp_path):
    train_own(place, cache, tmp_path / "own")
    module.write_text(SOURCE + "\n# a comment\n")
    with pytest.raises(ContractError, match=r"late_net.py has changed since the run was trained"):
        dmft.load(tmp_path / "own")
    with pytest.raises(ConfigError, match=r"late_net.py has changed since this process imported"):
        find_own("late_net:Late")
    module.unlink()
    sys.modules.pop("late_net")
    with pytest.raises(ContractError, match=r"there is no module late_net here\. Go to the folder"):
        dmft.load(tmp_path / "own")


def test_runs_of_ours_are_who_they_were(place, cache, tmp_path):
    train_student(place, cache, tmp_path / "run", "training.epochs=1")
    spec = read_info(tmp_path / "run").spec
    assert spec.network is None
    assert spec.model_name == "student"


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("teachr", r"'teachr' is not known \(did you mean 'teacher'\?\): wanted teacher, student"),
        ("nowhere:Net", "there is no module nowhere"),
        ("late_net:Missing", "late_net.Missing is None, wanted an nn.Module"),
        ("late_net:NotOne", "wanted an nn.Module"),
        ("broken_net:Net", "importing broken_net failed .No module named .nothing_such"),
        ("torch.nope.deeper:Net", "there is no module torch.nope.deeper"),
    ],
)
def test_what_is_no_network_is_refused_by_name(module, name, wanted):
    with pytest.raises(ConfigError, match=wanted):
        find_own(name)


def test_a_class_that_nothing_else_can_find_is_refused():
    class Here(nn.Module):
        """Of this function."""

    with pytest.raises(ConfigError, match=r"Here is of .*test_own_models: put it into a module"):
        find_own(Here)


def test_other_logits_and_other_constructors_are_refused(place, cache, module, tmp_path):
    protocol = str(place / "loso.toml")
    with pytest.raises(ContractError, match=r"Odd gives logits \(B, 2, 2\): wanted \(B, 4\)"):
        dmft.train(cache, protocol, tmp_path / "odd", model="late_net:Odd", config=small())
    with pytest.raises(ContractError, match=r"Stubborn cannot be built .*__init__\(self, shape"):
        dmft.train(cache, protocol, tmp_path / "s", model="late_net:Stubborn", config=small())


def test_one_row_of_logits_is_every_modalitys_and_each_alone_is_asked_alone():
    shape = ModelShape(
        inputs={m: InputShape(n_patches=2, n_features=3) for m in ("a", "b")}, n_classes=4
    )

    class Sum(nn.Module):
        """Logits that tell which modalities came in."""

        def forward(self, features, present):
            whole = sum(x.mean((1, 2)) for x in features.values())
            return whole[:, None].expand(-1, 4) + present.sum(1, keepdim=True)

    network = OwnNetwork(Sum(), "Sum", shape).eval()
    features = {"a": torch.full((1, 2, 3), 10.0), "b": torch.full((1, 2, 3), 20.0)}
    present = torch.ones(1, 2, dtype=torch.bool)
    assert network(features, present).shape == (1, 2, 2, 4)
    assert network(features, present).unique().tolist() == [32.0]
    alone = network(features, present, unimodal=True)
    assert alone[0, :, 0, 0].tolist() == [11.0, 21.0]
