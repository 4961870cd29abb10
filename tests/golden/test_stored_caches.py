"""Caches that earlier versions wrote are opened, for ever.

``caches/`` has a small one of each schema version, and of each way to write it that differs: five
fabricated records of UTD-MHAD's form, chunks of two, skeletons of 4 patches and inertial data of 8;
one record lacks its inertial file and one has a damaged skeleton. Who raises the schema version
adds a converter and, made by the version before, a cache.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from dmft.data import open_cache
from pipeline.cache.edit.history import history_of
from pipeline.cache.edit.migrate import migrate
from pipeline.cache.edit.subset import subset
from pipeline.cache.verify import verify
from pipeline.cache.versions import CONVERTERS
from pipeline.commands.cache import cache as command
from pipeline.contract import CACHE_ATTRIBUTE, COMPANIONS, SCHEMA_VERSION, ContractError
from tests.unit.pipeline.cache.test_first_instants import KILLED, Countdown, in_a_process

STORED = sorted((Path(__file__).parent / "caches").glob("*.tar.xz"))
PATCHES = "25a1ef4288e73a241d83796274ca9305e39dc643ecacb22454221b7ae9a2c79f"
"""SHA-256 of every present row of both modalities, and of the labels."""


@pytest.fixture(autouse=True)
def _without_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda _: None)


def unpacked(stored: Path, place: Path) -> Path:
    with tarfile.open(stored) as tar:
        tar.extractall(place, filter="data")
    return place


def sum_of(cache: Path) -> str:
    opened = open_cache(cache)
    digest = hashlib.sha256(opened.labels.numpy().astype("<i8").tobytes())
    for column, name in enumerate(("skeleton", "inertial")):
        rows = np.asarray(opened.features[name])[opened.present[:, column].numpy()]
        digest.update(rows.astype("<f4").tobytes())
    return digest.hexdigest()


def kept(cache: Path) -> dict[str, bytes]:
    """What no migration changes: patches, their arrays' metadata, and ledgers."""
    names = [
        *cache.glob("skeleton/**/*"),
        *cache.glob("inertial/**/*"),
        *cache.glob(".ledger/**/*"),
    ]
    return {str(p): p.read_bytes() for p in names if p.is_file() and p.name != "lock"}


def test_every_version_has_a_cache_and_every_earlier_one_a_converter():
    versions = {int(path.name.removeprefix("schema-")[0]) for path in STORED}
    assert versions == set(range(1, SCHEMA_VERSION + 1))
    assert CONVERTERS.keys() == set(range(1, SCHEMA_VERSION))


@pytest.mark.parametrize("stored", STORED, ids=lambda path: path.name)
def test_a_stored_cache_is_opened_with_its_numbers_and_edited(stored, tmp_path):
    cache = unpacked(stored, tmp_path / "c")
    if stored.name.startswith(f"schema-{SCHEMA_VERSION}"):
        assert sum_of(cache) == PATCHES  # as it is
    assert verify(str(cache), full=True).findings == ()
    before = kept(cache)
    done = migrate(str(cache))
    assert set(done.added) in (set(), COMPANIONS)
    assert kept(cache) == before
    assert sum_of(cache) == PATCHES
    assert verify(str(cache), full=True).findings == ()
    assert len(pd.read_parquet(cache / "records.parquet")) == 5
    assert migrate(str(cache)).added == ()
    assert subset(str(cache), str(tmp_path / "few"), where="subject == 2").n_records == 3


def test_the_command_says_what_it_did(tmp_path):
    old = next(path for path in STORED if path.name == "schema-1-before-companions.tar.xz")
    cache = str(unpacked(old, tmp_path / "c"))
    first = CliRunner().invoke(command, ["migrate", cache])
    assert first.output == "3 objects added: README.md, croissant.json, records.parquet\n"
    again = CliRunner().invoke(command, ["migrate", cache])
    assert again.output == f"{cache} is up to date: schema version {SCHEMA_VERSION}\n"
    as_json = json.loads(CliRunner().invoke(command, ["migrate", cache, "--json"]).output)
    assert (as_json["before"], as_json["after"], as_json["added"]) == (1, 1, [])


class NextVersion:
    """A version 2 that calls the data set otherwise, to have something to convert."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr("pipeline.contract.cache.SCHEMA_VERSION", 2)
        patch.setattr("pipeline.cache.edit.migrate.SCHEMA_VERSION", 2)
        patch.setitem(CONVERTERS, 1, lambda old: {**old, "dataset": old["dataset"] + "-two"})


def about(cache: Path) -> dict:
    return json.loads((cache / "zarr.json").read_bytes())["attributes"][CACHE_ATTRIBUTE]


def test_a_cache_of_an_earlier_version_is_named_with_the_command_that_converts_it(
    tmp_path, monkeypatch
):
    cache = unpacked(STORED[-1], tmp_path / "c")
    fingerprint = about(cache)["fingerprint"]
    NextVersion(monkeypatch)
    with pytest.raises(ContractError, match=r"version 1; .* version 2: 'dmft cache migrate .*/c'"):
        open_cache(cache)
    done = migrate(str(cache))
    assert (done.before, done.after, done.spec.dataset) == (1, 2, "utd-mhad-two")
    assert (about(cache)["schema_version"], about(cache)["dataset"]) == (2, "utd-mhad-two")
    (deed,) = history_of(about(cache)["provenance"])
    assert (deed["operation"], deed["schema_version"]) == ("migrate", 1)
    assert deed["before"] == fingerprint == done.spec.fingerprint
    assert sum_of(cache) == PATCHES


def test_a_migration_that_is_killed_at_any_write_is_finished_by_the_same_command(
    tmp_path, monkeypatch
):
    NextVersion(monkeypatch)
    for n_writes in range(0, 100, 7):
        cache = unpacked(STORED[-1], tmp_path / f"killed-{n_writes}")

        def work(cache=cache, n_writes=n_writes):
            Countdown(n_writes, after=n_writes % 2 == 1)
            migrate(str(cache))

        if (code := in_a_process(work)) == 0:
            break
        assert code == KILLED
        migrate(str(cache))
        assert about(cache)["schema_version"] == 2
        assert [deed["operation"] for deed in history_of(about(cache)["provenance"])] == ["migrate"]
        assert sum_of(cache) == PATCHES
        assert verify(str(cache), full=True).findings == ()
    assert 5 < n_writes < 100


def test_a_later_version_is_not_guessed_at(tmp_path):
    cache = unpacked(STORED[0], tmp_path / "c")
    content = (cache / "zarr.json").read_text()
    (cache / "zarr.json").write_text(content.replace('"schema_version": 1', '"schema_version": 7'))
    with pytest.raises(ContractError, match=r"schema version 7; .*a later version of it wrote"):
        migrate(str(cache))
