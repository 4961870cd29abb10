"""A network of the user's own stands in an experiment beside ours, and in its tables."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli import dmft
from dmft.data import open_cache
from dmft.experiments import load_experiment, load_results, plan_rows, run_experiment
from dmft.own import _imported
from dmft.runs.folder import read_info
from pipeline.contract import ConfigError
from tests.factories import write_cache

SOURCE = """
import torch
from torch import nn

class Mean(nn.Module):
    def __init__(self, shape, config):
        super().__init__()
        sizes = [each.n_features for each in shape.inputs.values()]
        self.head = nn.Linear(sum(sizes), shape.n_classes)

    def forward(self, features, present):
        return self.head(torch.cat([x.mean(dim=1) for x in features.values()], dim=1))

class NoNetwork:
    pass
"""
GRID = """
name = "beside"
[[grids]]
protocols = ["p.toml"]
modalities = [["skeleton", "inertial"]]
models = ["student", "mean_net:Mean"]
fusion = ["mid", "late"]
folds = ["0"]
seeds = [0, 1]
set = ["encoder.width=8", "encoder.feed_forward=8", "training.epochs=1", "doubt.epochs=0"]
set_for = { "mean_net:Mean" = ["voting.rule=sum"] }
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder with a cache, a protocol, an experiment and a network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(_imported, "mean_net", raising=False)
    write_cache(tmp_path / "c.zarr", n_subjects=2, n_classes=3, n_trials=1)
    (tmp_path / "p.toml").write_text('name = "p"\n[leave_one_out]\nattribute = "subject"\n')
    (tmp_path / "e.toml").write_text(GRID)
    (tmp_path / "mean_net.py").write_text(SOURCE)
    yield tmp_path
    sys.modules.pop("mean_net", None)


def planned(place: Path, old: str = "", new: str = ""):
    """The rows of the experiment, with a change to its file."""
    (place / "e2.toml").write_text(GRID.replace(old, new))
    return plan_rows(load_experiment(str(place / "e2.toml")), open_cache(place / "c.zarr"), "cpu")


def test_it_is_trained_beside_ours_and_stands_in_one_table_with_them(place):
    rows = planned(place)
    assert [row.model_name for row in rows].count("Mean") == 2, "fusion is not its own"
    outcome = run_experiment(
        rows, place / "c.zarr", place / "out", experiment="e", n_workers=0, together=4
    )
    assert outcome.failures == {}
    own = [each for each in load_results(place / "out") if each.network is not None]
    assert {(each.model, each.recipe.split()[-1]) for each in own} == {("Mean", "voting.rule=sum")}
    info = read_info(place / "out" / own[0].run)
    assert (info.spec.network, info.spec.config.voting.rule) == (own[0].network, "sum")
    assert own[0].together == 1, "whether it can be computed as one with others is not known"
    done = CliRunner().invoke(dmft, ["tables", str(place / "out"), "--table", "models"])
    lines = [line for line in done.stdout.splitlines() if line.startswith("| p ")]
    assert [line.split("|")[3].strip() for line in lines] == [
        "Mean",
        "student, fusion late",
    ]
    compared = [f"{place / 'out'}#model={name}" for name in ("student", "Mean")]
    done = CliRunner().invoke(dmft, ["compare", *compared], catch_exceptions=False)
    assert done.exit_code == 0


def test_another_source_is_another_row_and_another_line(place):
    rows = planned(place)
    sys.modules.pop("mean_net")
    _imported.pop("mean_net")
    (place / "mean_net.py").write_text(SOURCE + "\n# better\n")
    again = planned(place)
    keys = {row.key for row in rows} & {row.key for row in again}
    assert keys == {row.key for row in rows if row.network is None}
    assert {row.key for row in again if row.network} - keys


def test_what_is_no_network_is_refused_before_anything_is_trained(place):
    with pytest.raises(ConfigError, match="there is no module meen_net here"):
        planned(place, "mean_net:Mean", "meen_net:Mean")
    with pytest.raises(ConfigError, match=r"wanted an nn\.Module"):
        planned(place, "mean_net:Mean", "mean_net:NoNetwork")
    with pytest.raises(
        ConfigError, match=r"set_for is 'gru': wanted one of teacher, .*mean_net:Mean"
    ):
        planned(place, 'set_for = { "mean_net:Mean"', "set_for = { gru")
