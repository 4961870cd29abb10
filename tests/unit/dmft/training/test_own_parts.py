"""A loss, an augmentation and callbacks of the user's own take part in a training."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import dmft
from dmft.commands.train import train as train_command
from dmft.data import Cache, open_cache
from dmft.own import _imported
from dmft.runs.folder import read_info
from dmft.training.own_parts import own_callback
from pipeline.contract import ConfigError, ContractError
from tests.factories import write_cache
from tests.small_runs import PROTOCOL, Callback, PowerCutError, same, small, weights

SOURCE = '''
import json

import torch


def zero(logits, present, targets):
    """Nothing is learnt from it."""
    return 0 * logits.sum()


class Focal:
    """Hard records count more (Lin et al. 2017), on the vote of a record's branches."""

    def __init__(self, config):
        self.gamma = 2.0

    def __call__(self, logits, present, targets):
        chosen = (logits.log_softmax(-1) * targets[:, None, None]).sum(-1)
        losses = (1 - chosen.exp()) ** self.gamma * -chosen
        here = present[:, :, None].expand_as(losses)
        return losses[here].mean()


class Rows:
    """A loss a record, which is not a loss."""

    def __init__(self, config):
        pass

    def __call__(self, logits, present, targets):
        return logits.sum(dim=(1, 2, 3))


class Gain:
    """Another loudness each epoch."""

    def __init__(self, config):
        self.most = 0.3

    def __call__(self, patches, draws):
        return {
            name: x * (1 + self.most * (2 * draws.uniform(name) - 1))[:, :, None]
            for name, x in patches.items()
        }


class Shorter(Gain):
    def __call__(self, patches, draws):
        return {name: x[:, 1:] for name, x in patches.items()}


class Wants:
    def __init__(self):
        pass


class Notes:
    """Writes what it is told."""

    def __init__(self, out):
        self.out, self.told = out, []

    def start(self, fold, n_epochs, done):
        self.told.append([fold, n_epochs, done])

    def epoch(self, report):
        self.told.append(report.epoch)

    def end(self, fold, metrics):
        (self.out / "notes.json").write_text(json.dumps(self.told))
'''
CHANGES = ("doubt.epochs=0", "training.batch_size=8")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small cache and a protocol beside it."""
    folder = tmp_path_factory.mktemp("parts")
    modalities = {"inertial": (32, 6)}
    write_cache(folder / "cache.zarr", modalities=modalities, n_subjects=2, n_trials=1)
    (folder / "loso.toml").write_text(PROTOCOL)
    return folder


@pytest.fixture(scope="module")
def cache(place: Path) -> Cache:
    """It, open."""
    return open_cache(place / "cache.zarr")


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A module of the user's in the folder where they are."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "own_parts", raising=False)
    monkeypatch.delitem(_imported, "own_parts", raising=False)
    (tmp_path / "own_parts.py").write_text(SOURCE)
    yield tmp_path / "own_parts.py"
    sys.modules.pop("own_parts", None)


def run(place: Path, cache: Cache, out: Path, *changes: str, kind: str = "student", **more) -> Path:
    """Train on the first fold."""
    config, protocol = small(*CHANGES, *changes), str(place / "loso.toml")
    dmft.train(cache, protocol, out, kind=kind, config=config, device="cpu", **more)
    return out


def losses(folder: Path) -> list[float]:
    """By epoch."""
    return [json.loads(line)["loss"] for line in (folder / "epochs.jsonl").read_text().splitlines()]


def test_a_loss_of_ones_own_is_what_is_minimised_on_labels_and_when_distilling(
    place, cache, module, tmp_path
):
    out = run(place, cache, tmp_path / "zero", loss="own_parts:zero")
    assert losses(out) == [0.0, 0.0, 0.0]
    spec = read_info(out).spec
    assert (spec.loss.name, spec.loss.title) == ("own_parts:zero", "zero")
    teacher = run(place, cache, tmp_path / "focal", kind="teacher", loss="own_parts:Focal")
    assert 0 < losses(teacher)[-1] < losses(run(place, cache, tmp_path / "t", kind="teacher"))[-1]
    soft = {"config": {"distill.hard_weight": 1.0, "training.epochs": 1}}
    dmft.distill(cache, teacher, tmp_path / "taught", loss="own_parts:zero", **soft)
    assert losses(tmp_path / "taught") == [0.0]
    module.unlink()
    sys.modules.pop("own_parts")
    assert len(dmft.load(teacher).predict(cache)) == len(cache), "to predict, it is not needed"


def test_an_augmentation_is_the_seeds_also_after_a_power_cut(place, cache, module, tmp_path):
    whole = run(place, cache, tmp_path / "whole", augment="own_parts:Gain")
    assert not same(weights(whole), weights(run(place, cache, tmp_path / "plain")))
    torch.rand(7)  # the state of the process is nobody's business
    with pytest.raises(PowerCutError):
        run(place, cache, tmp_path / "c", augment="own_parts:Gain", callback=Callback(stop_after=2))
    run(place, cache, tmp_path / "c", augment="own_parts:Gain")
    assert same(weights(whole), weights(tmp_path / "c"))


def test_a_changed_file_is_another_run(place, cache, module, tmp_path):
    out = run(place, cache, tmp_path / "run", "training.epochs=1", augment="own_parts:Gain")
    module.write_text(SOURCE + "\n# a comment\n")
    with pytest.raises(ConfigError, match=r"own_parts\.py has changed since this process imported"):
        run(place, cache, out, "training.epochs=1", augment="own_parts:Gain")
    sys.modules.pop("own_parts")
    _imported.pop("own_parts")
    with pytest.raises(ContractError, match=r"another run: augment\.source_sha256 is '"):
        run(place, cache, out, "training.epochs=1", augment="own_parts:Gain")


@pytest.mark.parametrize(
    ("part", "error", "message"),
    [
        ({"loss": "focal"}, ConfigError, "loss 'focal' is not known: wanted a class or function"),
        ({"loss": "nowhere:F"}, ConfigError, "loss nowhere:F: there is no module nowhere"),
        ({"loss": "own_parts:json"}, ConfigError, "is <module 'json'.*wanted a class or a func"),
        ({"loss": "own_parts:Rows"}, ContractError, r"Rows gives \(4,\): wanted a Tensor of shape"),
        ({"loss": "own_parts:Wants"}, ContractError, r"Wants cannot be built .*__init__\(self, c"),
        (
            {"augment": "own_parts:Shorter"},
            ContractError,
            r"Shorter gives {'inertial': \(4, 31, 6\)}: wanted {'inertial': \(4, 32, 6\)}",
        ),
    ],
)
def test_what_is_no_such_part_is_refused_by_name(
    place, cache, module, tmp_path, part, error, message
):
    with pytest.raises(error, match=message):
        run(place, cache, tmp_path / "run", **part)


def test_a_callback_is_told_and_changes_nothing(place, cache, module, tmp_path):
    arguments = [
        *(str(place / "cache.zarr"), f"--protocol={place / 'loso.toml'}", "--model=student"),
        *("--epochs=1", "--set=encoder.width=16", "--set=doubt.epochs=0"),
    ]
    for name, more in {"plain": [], "told": ["--callback=own_parts:Notes"]}.items():
        done = CliRunner().invoke(
            train_command, [*arguments, f"--out={tmp_path / name}", *more], catch_exceptions=False
        )
        assert done.exit_code == 0
    assert json.loads((tmp_path / "told" / "notes.json").read_text()) == [["subject-1", 1, 0], 1]
    assert same(weights(tmp_path / "told"), weights(tmp_path / "plain"))
    one, other = (read_info(tmp_path / name).spec.identity for name in ("plain", "told"))
    assert one == other
    with pytest.raises(ConfigError, match="Gain has no start and no epoch and no end: wanted a cl"):
        own_callback("own_parts:Gain", tmp_path)
