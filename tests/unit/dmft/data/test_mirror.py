"""A cache in an object store is read in place: the same numbers, within a stated room."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from cli import dmft
from dmft.data import open_cache
from dmft.data.mirror import mirror_of
from dmft.data.out_of_core import StoredPatches
from pipeline.common.publishing import publish, read_listing
from pipeline.common.stores import open_store
from pipeline.contract import ConfigError, ContractError
from tests.factories import CHUNK, write_cache
from tests.small_runs import SMALL, same, train_student, weights, write_place

CHUNK_BYTES = CHUNK * 16 * 6 * 4 + 4
"""Of skeleton."""


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch):
    """Where chunks are kept."""
    monkeypatch.setattr("os.fsync", lambda handle: None)
    monkeypatch.setenv("DMFT_CHUNKS", str(tmp_path / "chunks"))
    monkeypatch.delenv("DMFT_CHUNKS_SIZE", raising=False)
    return tmp_path / "chunks"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return write_place(tmp_path_factory.mktemp("here"))


def send(cache: Path, url: str) -> str:
    store = open_store(str(cache))
    publish(store, read_listing(store), open_store(url), replace=True)
    return url


def chunks(kept: Path) -> list[str]:
    """Chunks of features that are here, ``skeleton/0``."""
    return sorted(f"{p.parts[-5]}/{p.parts[-3]}" for p in kept.glob("*/cache.zarr/*/c/*/0/0"))


def test_it_holds_what_the_cache_holds_and_brings_what_is_read(place, s3, kept):
    url, here = send(place / "cache.zarr", s3), open_cache(place / "cache.zarr", ["skeleton"])
    there = open_cache(url, ["skeleton"])
    assert torch.equal(there.features["skeleton"], here.features["skeleton"])
    assert torch.equal(there.present, here.present)
    assert there.record_ids == here.record_ids
    assert chunks(kept) == ["skeleton/0", "skeleton/1"]
    open_store(s3).delete("skeleton/c")  # what is here is not asked for again
    assert torch.equal(
        open_cache(url, ["skeleton"]).features["skeleton"], there.features["skeleton"]
    )


def test_a_training_on_it_gives_the_weights_that_one_here_gives(place, s3, tmp_path):
    send(place / "cache.zarr", s3)
    train_student(place, open_cache(place / "cache.zarr"), tmp_path / "here", fold="subject-1")
    settings = [part for change in SMALL for part in ("--set", change)]
    done = CliRunner().invoke(
        dmft,
        [
            *("train", s3, "--protocol", str(place / "loso.toml"), "--fold", "subject-1"),
            *("--model", "student", "--device", "cpu", *settings, "--out", str(tmp_path / "there")),
        ],
        catch_exceptions=False,
    )
    assert done.exit_code == 0, done.stderr
    assert f"{s3} is read in place: chunks are kept in " in done.stderr
    assert "at most 20 GB (DMFT_CHUNKS_SIZE)" in done.stderr
    assert same(weights(tmp_path / "here"), weights(tmp_path / "there"))
    evaluate = ["evaluate", str(tmp_path / "there"), "--device", "cpu", "--json"]
    assert json.loads(CliRunner().invoke(dmft, evaluate, catch_exceptions=False).stdout)


def test_chunks_take_no_more_than_the_stated_room(s3, kept, tmp_path, monkeypatch):
    cache = write_cache(tmp_path / "cache", n_trials=12, modalities={"skeleton": (16, 6)})
    send(cache, s3)
    monkeypatch.setenv("DMFT_CHUNKS_SIZE", f"{2 * CHUNK_BYTES}")
    whole = open_cache(cache).features["skeleton"]
    there = open_cache(s3, memory=60_000).features["skeleton"]
    assert isinstance(there, StoredPatches)
    for rows in torch.randperm(192, generator=torch.Generator().manual_seed(0)).split(24):
        assert torch.equal(there[rows], whole[rows])
        assert 1 <= len(chunks(kept)) <= 2
    assert torch.equal(torch.from_numpy(there.read(0, 192)), whole)
    assert len(chunks(kept)) <= 2


def test_a_chunk_that_is_not_what_the_list_says_is_refused_and_is_not_kept(place, s3, kept):
    send(place / "cache.zarr", s3)
    store = open_store(s3)
    content = store.read("skeleton/c/1/0/0")
    store.write("skeleton/c/1/0/0", bytes([content[0] ^ 1]) + content[1:])
    with pytest.raises(ContractError, match=rf"{s3}/skeleton/c/1/0/0 is missing or is not what"):
        open_cache(s3, ["skeleton"])
    assert "skeleton/1" not in chunks(kept)


def test_a_cache_that_was_encoded_again_is_another_one(place, s3, kept, tmp_path):
    send(place / "cache.zarr", s3)
    mirror = mirror_of(s3)
    other = write_cache(tmp_path / "other", n_trials=2, seed=1)
    send(other, s3)
    assert torch.equal(open_cache(s3).features["skeleton"], open_cache(other).features["skeleton"])
    with pytest.raises(ContractError, match="encoded again since this began"):
        open_cache(mirror)
    with pytest.raises(ContractError, match=r"is not opened with --trust"):
        open_cache(mirror, trust=True)


def test_what_is_no_finished_cache_is_refused(s3, monkeypatch):
    for command in (
        ["train", s3, "--protocol", "utd-loso", "--out", "r"],
        ["distill", s3, "--teacher", "t", "--out", "r"],
        ["experiment", "x", "--cache", s3, "--out", "r"],
    ):
        with pytest.raises(ContractError, match=f"{s3} is no finished cache: wanted one with its"):
            CliRunner().invoke(dmft, command, catch_exceptions=False)
    monkeypatch.setenv("DMFT_CHUNKS_SIZE", "much")
    with pytest.raises(ConfigError, match="DMFT_CHUNKS_SIZE: size 'much' is not an amount"):
        open_cache(s3)
