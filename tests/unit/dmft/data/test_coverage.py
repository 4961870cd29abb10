"""How much of a published data set a cache holds, and what its two sides share."""

from __future__ import annotations

import dataclasses
import json
from importlib.resources import files
from types import SimpleNamespace

import numpy as np
import pytest

from dmft.data import open_cache
from dmft.data.coverage import LISTS, _listed, _n_people, coverage_of
from dmft.protocols import FoldRule, Protocol, choose_folds, load_protocol
from dmft.protocols.shared_files import forbid_shared, seen_by
from pipeline.contract import SOURCE_DIGITS, ContractError
from pipeline.manifests import shipped_manifest
from tests.factories import write_cache

BOTH = ("skeleton", "inertial")


@pytest.fixture(scope="module")
def listed():
    text = (files("data_manifests") / "utd-mhad.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()[1:]]


def cache_of(entries, **changes):
    """As much of a cache as coverage looks at."""
    made = {
        "spec": SimpleNamespace(dataset="utd-mhad"),
        "record_ids": tuple(entry["id"] for entry in entries),
        "modalities": BOTH,
        "present": np.ones((len(entries), 2), bool),
        "sources": {
            m: tuple(entry["streams"][m][0]["sha256"][:SOURCE_DIGITS] for entry in entries)
            for m in BOTH
        },
    }
    return SimpleNamespace(**{**made, **changes})


def test_the_whole_data_set_is_known_by_its_checksums(listed):
    found = coverage_of(cache_of(listed), BOTH)
    assert found.is_whole
    assert str(found) == "8 of 8 people, 861 of 861 records, checksums agree"


def test_a_part_says_which(listed):
    four = [entry for entry in listed if entry["attributes"]["subject"] % 2]
    found = coverage_of(cache_of(four), BOTH)
    assert not found.is_whole
    assert str(found) == "4 of 8 people, 431 of 861 records, checksums agree"


def test_one_other_file_is_seen(listed):
    sources = cache_of(listed).sources
    other = ("0" * SOURCE_DIGITS, *sources["inertial"][1:])
    found = coverage_of(cache_of(listed, sources={**sources, "inertial": other}), BOTH)
    assert not found.is_whole
    assert "checksums differ in 1" in str(found)
    assert coverage_of(cache_of(listed, sources={**sources, "inertial": other}), BOTH[:1]).is_whole


def test_records_that_lack_a_modality_or_are_of_nobody_do_not_count(listed):
    present = np.ones((861, 2), bool)
    present[5, 1] = False
    assert coverage_of(cache_of(listed, present=present), BOTH).n_records == 860
    ids = ("mine", *(entry["id"] for entry in listed[1:]))
    found = coverage_of(cache_of(listed, record_ids=ids), BOTH)
    assert (found.n_others, found.is_whole) == (1, False)


@pytest.mark.parametrize("dataset", LISTS)
def test_the_lists_name_records_as_their_manifests_do(dataset):
    published = shipped_manifest(dataset)
    assert set(_listed(LISTS[dataset])) == {record.id for record in published.records}
    people = {record.attributes["subject"] for record in published.records}
    assert _n_people(_listed(LISTS[dataset]).values()) == len(people)


def test_what_no_list_is_of_has_no_coverage(listed):
    assert coverage_of(cache_of(listed, spec=SimpleNamespace(dataset="mine")), BOTH) is None


def test_a_cache_that_names_no_files_is_of_unknown_recordings(tmp_path):
    found = coverage_of(open_cache(write_cache(tmp_path / "c.zarr")), BOTH)
    assert (found.n_records, found.n_unknown) == (48, 48)
    assert "checksums not known of 48" in str(found)


@pytest.fixture
def shared(tmp_path):
    """Each trial's inertial file is that of the same trial by another subject."""
    cache = open_cache(write_cache(tmp_path / "c.zarr"))
    own = {
        "skeleton": tuple(f"{row:016x}" for row in range(len(cache))),
        "inertial": tuple(f"aa {row % 12:016x}".split()[1] for row in range(len(cache))),
    }
    return dataclasses.replace(cache, sources=own)


def test_a_file_on_both_sides_of_a_fold_is_a_warning_with_counts(shared, caplog):
    (fold,) = choose_folds(load_protocol("utd-loso"), shared, None)
    assert fold.shared == {"inertial": 12}
    assert "12 of 12 by inertial" in caplog.text
    with pytest.raises(ContractError, match=r"fold subject-1: test records whose very recording"):
        forbid_shared([fold])
    alone = dataclasses.replace(shared, modalities=("skeleton",), present=shared.present[:, :1])
    (fold,) = choose_folds(load_protocol("utd-loso"), alone, None)
    assert fold.shared == {}
    forbid_shared([fold])


def test_what_one_fold_of_a_file_hides_is_hidden_there(shared):
    rule = FoldRule(name="f", train={"subject": (1,)}, test={"subject": (2,)}, hide_shared=True)
    (fold,) = choose_folds(Protocol(name="p", folds=(rule,)), shared, None)
    assert fold.shared == {}
    assert len(fold.hidden["inertial"]) == 12


def test_what_both_sides_share_can_be_hidden(shared, caplog):
    protocol = dataclasses.replace(load_protocol("utd-loso"), hide_shared=True)
    (fold,) = choose_folds(protocol, shared, None)
    assert fold.shared == {}
    seen = seen_by(fold, shared)
    assert not seen.present[fold.test, 1].any()
    assert seen.present[fold.test, 0].all()
    assert seen.present[fold.train].all()
    assert "hidden from test records, being trained on: 12 of inertial" in caplog.text
