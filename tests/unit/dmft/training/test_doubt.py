"""The last stage of a training: whom to believe, learnt with everything else held."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dmft.config import load_config
from dmft.data import Cache, make_features, open_cache
from dmft.data.faults import FAULTS, Fault
from dmft.data.sources import choose_source
from dmft.models import Answer
from dmft.models.config import VotingConfig
from dmft.protocols import choose_folds, load_protocol
from dmft.runs.folder import MODEL_FILE
from dmft.runs.tensors import read_tensors
from dmft.runs.trained import load_run, present_of
from dmft.training.doubt import RELIABILITY, learn_reliability, vote_loss
from dmft.training.train import train
from tests.factories import write_cache

QUICK = ("encoder.width=16", "training.epochs=12", "augment.mixup=0.0")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("doubt")
    write_cache(folder / "c.zarr", n_subjects=3, n_classes=4, noise=0.2)
    (folder / "p.toml").write_text('name = "p"\n[leave_one_out]\nattribute = "subject"\n')
    return folder


@pytest.fixture(scope="module")
def cache(place: Path) -> Cache:
    return open_cache(place / "c.zarr")


def trained(place: Path, cache: Cache, name: str, *changes: str) -> Path:
    config = load_config("default", [*QUICK, *changes])
    train(cache, str(place / "p.toml"), place / name, config=config, device="cpu")
    return place / name


def test_doubt_moves_its_own_weights_alone_and_always_alike(place: Path, cache: Cache) -> None:
    without, with_doubt, again = (
        read_tensors(trained(place, cache, name, f"doubt.epochs={n}") / MODEL_FILE)[0]
        for name, n in (("none", 0), ("some", 6), ("again", 6))
    )
    for name, tensor in without.items():
        assert torch.equal(with_doubt[name], tensor) == (RELIABILITY not in name), name
        assert torch.equal(with_doubt[name], again[name])


def test_a_model_without_heads_for_it_is_left_alone(place: Path, cache: Cache) -> None:
    folder = trained(place, cache, "plain", "encoder.reliability=0")
    run = load_run(folder)
    answer = run.ask(cache, torch.arange(len(cache)))
    assert torch.equal(answer.reliability, torch.ones(len(cache), 2))
    config, rows = run.spec.config, torch.arange(8)
    source = choose_source(cache, rows, None, torch.device("cpu"))
    before = [weight.clone() for weight in run.model.parameters()]
    learn_reliability(run.model, source, make_features(cache, config, rows), config, 0)
    assert all(torch.equal(a, b) for a, b in zip(before, run.model.parameters(), strict=True))


def test_a_sensor_that_is_dead_is_believed_less(
    place: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = Fault(spoil=lambda signals: torch.zeros_like(signals.patches))
    monkeypatch.setitem(FAULTS, "frozen", dead)  # type: ignore[arg-type]
    folder = trained(
        place,
        cache,
        "dead",
        *("training.epochs=40", "doubt.epochs=40", "doubt.chance=0.5", 'doubt.faults=["frozen"]'),
    )
    run = load_run(folder)
    (fold,) = choose_folds(load_protocol(str(place / "p.toml")), cache, None)
    patches = {m: cache.features[m][fold.train].float() for m in run.spec.modalities}
    present = present_of(cache, run.spec.modalities)[fold.train]
    intact = run.ask_batch(patches, present).reliability.mean(dim=0)
    nothing = {**patches, "skeleton": torch.zeros_like(patches["skeleton"])}
    spoilt = run.ask_batch(nothing, present).reliability.mean(dim=0)
    assert spoilt[0] < intact[0] - 0.2


def test_the_loss_is_that_of_the_vote() -> None:
    logits = torch.zeros(2, 1, 2, 4)
    answer = Answer(logits, torch.ones(2, 1))
    present, labels = torch.ones(2, 1, dtype=torch.bool), torch.tensor([0, 3])
    loss = vote_loss(answer, present, labels, VotingConfig(rule="product"))
    assert float(loss) == pytest.approx(torch.tensor(4.0).log().item())
