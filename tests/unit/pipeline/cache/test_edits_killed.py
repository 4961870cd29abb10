"""An edit killed at any of its writes: nothing is lost, and the same command finishes it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dmft.data import open_cache
from pipeline.cache.checksums import EDIT
from pipeline.cache.edit.drop import drop
from pipeline.cache.edit.merge import merge
from pipeline.cache.edit.relabel import Change, relabel
from pipeline.cache.edit.source import open_source
from pipeline.cache.edit.subset import subset
from pipeline.cache.objects import Objects
from pipeline.contract import ContractError
from tests.attack.kills import before_each_write
from tests.fabricate import encode_here, rehearse_here, write_raw
from tests.unit.pipeline.cache.test_edits import described, everything
from tests.unit.pipeline.cache.test_first_instants import KILLED, in_a_process

IDS = [f"a{action}_s{subject}_t1" for action in (1, 2) for subject in (1, 2, 3)]
STRIDES = {"subset": 31, "merge": 31, "relabel": 11, "drop": 23}
"""In CI every so many writes, another of them in each edit; all by the slow test."""

Edit = Callable[[Path], object]
"""Done in a folder that holds ``cache`` and ``other``."""
EDITS: dict[str, tuple[Edit, str]] = {
    "subset": (lambda at: subset(f"{at}/cache", f"{at}/out", where="subject != 2"), "out"),
    "merge": (
        lambda at: merge([f"{at}/cache", f"{at}/other"], f"{at}/out", names=["a", "b"]),
        "out",
    ),
    "relabel": (
        lambda at: relabel(f"{at}/cache", [Change(record=IDS[0], old="0", new="1")]),
        "cache",
    ),
    "drop": (lambda at: drop(f"{at}/cache", where="subject == 1"), "cache"),
}
"""What is done, and where its result lies."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Six records with two to a chunk, and the same again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.cache.writer.MAX_CHUNK_RECORDS", 2)
        patch.setattr("os.fsync", lambda _: None)
        at = tmp_path_factory.mktemp("scene")
        encode_here(write_raw(at / "raw", IDS), at / "cache")
        shutil.copytree(at / "cache", at / "other")
        yield at


def without_history(cache: Path) -> dict[str, bytes | str]:
    files: dict[str, bytes | str] = dict(everything(cache))
    del files["SHA256SUMS"], files["README.md"]
    return files | {"zarr.json": repr(described(cache))}


def killed_at(number: int, at: Path, edit: Edit) -> int:
    """Do an edit in another process that ends just before one of its writes."""

    def act(n: int) -> None:
        if n == number:
            os._exit(KILLED)

    def work() -> None:
        before_each_write(at, act)()
        edit(at)

    return in_a_process(work)


def try_kills(scene: Path, tmp_path: Path, name: str, numbers: range) -> int:
    """Kill an edit before some of its writes, each time of a fresh scene; how many there were."""
    edit, result = EDITS[name]
    whole = tmp_path / "whole"
    shutil.copytree(scene, whole)
    before = {part: everything(whole / part) for part in ("cache", "other", "raw")}
    edit(whole)
    wanted, manifest = without_history(whole / result), open_source(str(whole / result)).manifest
    for n_killed, number in enumerate(numbers):
        at = tmp_path / "killed"
        shutil.copytree(scene, at)
        if (code := killed_at(number, at, edit)) == 0:
            return n_killed
        assert code == KILLED
        for part in ("cache", "other", "raw"):
            if part != result:
                assert_same_but_lock(everything(at / part), before[part])
        try:  # whoever reads it meanwhile gets the old, the new or a refusal
            read = open_cache(at / result)
        except ContractError:
            pass
        else:
            assert set(read.record_ids) in ({r.id for r in manifest.records}, set(IDS))
        if Objects(str(at / result)).read(EDIT):
            with pytest.raises(ContractError, match="was interrupted: run the same command again"):
                rehearse_here(at / "raw", at / result, manifest)
        if number % 2 and Objects(str(at / result)).read(EDIT):
            encode_here(at / "raw", at / result, manifest)  # goes on with it, too
        else:
            edit(at)
        assert_same_but_lock(without_history(at / result), wanted)
        shutil.rmtree(at)
    raise AssertionError("more writes than were asked for")


def assert_same_but_lock(found: dict, wanted: dict) -> None:
    assert found.keys() - {".ledger/lock"} == wanted.keys() - {".ledger/lock"}
    assert [n for n in wanted.keys() - {".ledger/lock"} if found[n] != wanted[n]] == []


@pytest.mark.parametrize(("offset", "name"), list(enumerate(EDITS, start=1)))
def test_an_edit_that_is_killed_loses_nothing_and_is_finished(scene, tmp_path, offset, name):
    assert try_kills(scene, tmp_path, name, range(offset, 2000, STRIDES[name])) > 1


@pytest.mark.slow
@pytest.mark.parametrize("name", EDITS)
def test_an_edit_that_is_killed_at_any_write_loses_nothing_and_is_finished(scene, tmp_path, name):
    assert try_kills(scene, tmp_path, name, range(1, 2000)) > 20
