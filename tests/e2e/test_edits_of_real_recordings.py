"""Subset, drop, merge and relabel on real recordings against encoding the same lists anew."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.cache.edit.drop import drop
from pipeline.cache.edit.merge import merge
from pipeline.cache.edit.relabel import Change, relabel
from pipeline.cache.edit.source import open_source
from pipeline.cache.edit.subset import subset
from tests.fabricate import SIGNALS, encode_here, manifest_of
from tests.real_recordings import utd_mhad_root
from tests.unit.pipeline.cache.test_edits import described, files_of

pytestmark = pytest.mark.real


@pytest.fixture(autouse=True)
def _without_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda _: None)


def test_edits_of_the_real_cache_are_encodings_of_their_lists(tmp_path: Path):
    raw, cache = utd_mhad_root(), tmp_path / "cache"
    encode_here(raw, cache, manifest_of(raw), modalities=SIGNALS)

    def check(made: Path) -> None:
        anew = tmp_path / "anew"
        encode_here(raw, anew, open_source(str(made)).manifest, modalities=SIGNALS)
        assert files_of(made) == files_of(anew)
        assert described(made) == described(anew)
        assert not encode_here(
            raw, made, open_source(str(made)).manifest, modalities=SIGNALS
        ).plan.tasks
        shutil.rmtree(anew)

    one, other = tmp_path / "one", tmp_path / "other"
    subset(str(cache), str(one), where="subject in (1, 5) and label != 4")
    check(one)
    subset(str(cache), str(other), where="not (subject in (1, 5) and label != 4)")
    merge([str(other), str(one)], str(tmp_path / "both"))
    check(tmp_path / "both")
    drop(str(cache), where="subject == 3")
    check(cache)
    first = open_source(str(cache)).store.records[0]
    classes = open_source(str(cache)).store.spec.classes
    relabel(str(cache), [Change(record=first.id, old=classes[first.label], new=classes[-1])])
    check(cache)
