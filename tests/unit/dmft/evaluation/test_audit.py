"""Planted faults are found by kind, and a sound cache has none."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr
from click.testing import CliRunner

from dmft.commands.audit import audit as command
from dmft.data import open_cache
from dmft.evaluation.audit import audit
from dmft.evaluation.predictions import Predictions, write_predictions
from dmft.protocols import choose_folds, load_protocol
from pipeline.contract import ContractError
from tests.factories import seal, write_cache


@pytest.fixture
def path(tmp_path):
    return write_cache(tmp_path / "cache", n_classes=3, n_trials=4)


def write_votes(path: Path, cache, wrong: dict[str, list[float]]) -> Path:
    """A run's predictions: right of all records but some."""
    K = len(cache.spec.classes)
    table = np.full((len(cache), K), 0.1 / (K - 1))
    table[np.arange(len(cache)), cache.labels.numpy()] = 0.9
    for record, probabilities in wrong.items():
        table[cache.record_ids.index(record)] = probabilities
    path.mkdir(parents=True)
    (path / "run.json").write_text("{}")
    told = Predictions(
        records=cache.record_ids,
        labels=cache.labels.numpy(),
        predicted=table.argmax(1),
        probabilities=table,
    )
    write_predictions(path / "predictions.json", told)
    return path


def test_a_sound_cache_has_no_suspects(path, tmp_path):
    cache = open_cache(path)
    folds = choose_folds(load_protocol("utd-loso"), cache, "all")
    assert audit(cache, folds, [write_votes(tmp_path / "run", cache, {})]) == []


def test_a_copy_with_noise_on_the_other_side_is_found_and_one_on_the_same_side_is_not(path):
    group = zarr.open_group(str(path), mode="r+")
    ids = list(group["record_id"][...])
    rows = [ids.index(each) for each in ("a1_s1_t1", "a2_s2_t3", "a1_s1_t4")]
    values = group["skeleton"][...]
    for row in rows[1:]:
        values[row] = values[rows[0]] + np.random.default_rng(row).normal(0, 1e-3, values[0].shape)
    group["skeleton"][...] = values
    cache = open_cache(seal(path))
    folds = choose_folds(load_protocol("utd-loso"), cache, "all")
    found = {(s.other, s.record) for s in audit(cache, folds)}
    assert found == {("a1_s1_t1", "a2_s2_t3"), ("a1_s1_t4", "a2_s2_t3")}
    assert len(audit(cache)) == 3  # without a split, every pair
    assert audit(cache, folds, nearer_than=1e-6) == []


@pytest.fixture
def cut(tmp_path):
    """A cache in which one trial is in two: a2_s2_t2 goes on where a2_s2_t1 ends."""
    path = write_cache(tmp_path / "cut", noise=0.02)
    group = zarr.open_group(str(path), mode="r+")
    ids = list(group["record_id"][...])
    first, second = (ids.index(each) for each in ("a2_s2_t1", "a2_s2_t2"))
    for name in ("skeleton", "inertial"):
        values = group[name][...]
        whole, P = values[first].copy(), values.shape[1]
        at = (np.arange(2 * P) + 0.5) / 2 - 0.5
        twice = np.stack([np.interp(at, np.arange(P), feature) for feature in whole.T], axis=1)
        values[first], values[second] = twice[:P], twice[P:]
        group[name][...] = values
    return seal(path)


def test_a_trial_that_was_cut_in_two_is_found_where_a_fold_parts_it(cut):
    cache = open_cache(cut)
    found = [s for s in audit(cache) if s.kind == "cut"]
    assert {(s.other, s.record) for s in found} == {("a2_s2_t1", "a2_s2_t2")}
    assert "begins where a2_s2_t1 of the same person ends" in found[0].note
    by_person = choose_folds(load_protocol("utd-loso"), cache, "all")
    assert "cut" not in {s.kind for s in audit(cache, by_person)}
    trial = np.asarray(cache.columns["trial"])
    by_trial = replace(
        by_person[0],
        name="2",
        train=np.flatnonzero(trial != 2).tolist(),
        test=np.flatnonzero(trial == 2).tolist(),
    )
    parted = {s.note for s in audit(cache, [by_trial]) if s.kind == "cut"}
    assert parted == {"on the two sides of fold 2; begins where a2_s2_t1 of the same person ends"}


def test_a_cache_elsewhere_is_audited_where_it_lies(cut, tmp_path, monkeypatch):
    monkeypatch.setenv("DMFT_CHUNKS", str(tmp_path / "chunks"))
    fsspec = pytest.importorskip("fsspec")
    fsspec.filesystem("memory").put(str(cut), "/audited.zarr", recursive=True)
    done = CliRunner().invoke(command, ["memory://audited.zarr", "--kind", "cut", "--json"])
    fsspec.filesystem("memory").rm("/audited.zarr", recursive=True)
    assert done.exit_code == 0, done.output
    assert {each["record"] for each in json.loads(done.stdout)} == {"a2_s2_t2"}


def test_one_file_on_both_sides_is_found(path):
    cache = open_cache(path)
    files = [f"{row:016}" for row in range(len(cache))]
    files[cache.record_ids.index("a1_s2_t1")] = files[cache.record_ids.index("a1_s1_t1")]
    cache = replace(cache, sources={"inertial": tuple(files)})
    folds = choose_folds(load_protocol("utd-loso"), cache, "all")
    found = audit(cache, folds)
    assert {(s.kind, s.modality, s.record) for s in found} == {
        ("shared-file", "inertial", "a1_s1_t1"),
        ("shared-file", "inertial", "a1_s2_t1"),
    }


def test_a_label_that_all_runs_contradict_is_told_from_a_record_that_they_miss(path, tmp_path):
    cache = open_cache(path)
    first = {"a1_s1_t1": [0.1, 0.8, 0.1], "a2_s1_t1": [0.6, 0.1, 0.3], "a3_s1_t1": [0.9, 0.1, 0]}
    second = {"a1_s1_t1": [0.2, 0.7, 0.1], "a2_s1_t1": [0.3, 0.2, 0.5]}
    runs = [write_votes(tmp_path / n, cache, w) for n, w in (("x", first), ("y", second))]
    found = {s.record: s for s in audit(cache, runs=runs)}
    assert found.keys() == {"a1_s1_t1", "a2_s1_t1"}
    assert (found["a1_s1_t1"].kind, found["a1_s1_t1"].new_label) == ("label", "class_1")
    assert (found["a2_s1_t1"].kind, found["a2_s1_t1"].new_label) == ("missed", "")
    with pytest.raises(ContractError, match=r"predictions of 1 records that .*a1_s1_t1"):
        audit(cache.select("record_id != 'a1_s1_t1'"), runs=runs)


def changed(path: Path, modality: str, row: int, change) -> Path:
    group = zarr.open_group(str(path), mode="r+")
    values = group[modality][...]
    values[row] = change(values[row])
    group[modality][...] = values
    return seal(path)


def test_values_out_of_their_family_are_found_with_the_feature(path):
    """A unit that was mixed up, and a sensor that was dead."""
    scale, dead = np.ones(6, np.float32), np.ones(6, np.float32)
    scale[2], dead[4] = 9.81, 0
    changed(path, "inertial", 3, lambda row: row * scale)
    changed(path, "skeleton", 8, lambda row: row * dead + 0.1 * (1 - dead))
    cache = open_cache(path)
    found = {(s.record, s.modality): s.note for s in audit(cache)}
    assert found.keys() == {(cache.record_ids[3], "inertial"), (cache.record_ids[8], "skeleton")}
    assert found[cache.record_ids[3], "inertial"].startswith("feature 3 goes to ")
    assert found[cache.record_ids[8], "skeleton"].startswith("feature 5 moves by 0; the median")


def test_a_stream_that_a_record_lacks_is_no_range_out_of_its_family(path):
    """It is stored as zeros, and its column has_STREAM says so."""
    names = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "has_gyro")
    group = zarr.open_group(str(path), mode="r+")
    values = group["inertial"][...]
    values[..., 5] = 1
    values[3, :, 3:] = 0
    group["inertial"][...] = values
    about = dict(group.attrs["dmft"])
    about["modalities"]["inertial"]["feature_names"] = names
    group.attrs["dmft"] = about
    assert audit(open_cache(seal(path))) == []


def test_the_page_has_each_suspect_beside_what_it_is_held_against(path, tmp_path):
    changed(path, "inertial", 3, lambda row: row * 50)
    cache = open_cache(path)
    ids = cache.record_ids
    run = write_votes(tmp_path / "run", cache, {"a1_s1_t1": [0.1, 0.8, 0.1]})
    page = tmp_path / "page.html"
    answer = CliRunner().invoke(command, [str(path), str(run), "--html", str(page)])
    assert answer.exit_code == 0, answer.output
    assert f"{page}: 0." in answer.output
    text = page.read_text()
    found = json.loads(text.split('id="found">')[1].split("</script>")[0])
    assert [s["kind"] for s in found["suspects"]] == ["label", "range"]
    (label, of_range) = found["beside"]
    assert [words for _, words in label] == [
        "the suspect, labelled class_0",
        "a typical class_0",
        "a typical class_1",
    ]
    assert of_range[0][0] == ids[3]
    typical = {ids[i]: cache.spec.classes[int(cache.labels[i])] for i in range(len(ids))}
    assert all(words.endswith(typical[record]) for record, words in label[1:] + of_range[1:])
    assert {record for each in (label, of_range) for record, _ in each} == set(
        found["drawn"]["records"]
    )
    traces = found["drawn"]["records"]["a1_s1_t1"]["traces"]["inertial"]
    np.testing.assert_allclose(traces, cache.features["inertial"][0].numpy(), rtol=1e-2)
    again = ["--html", str(page), "--records", "0"]
    assert CliRunner().invoke(command, [str(path), str(run), *again]).exit_code == 0
    assert '"beside":[[],[]]' in page.read_text()


def test_a_length_out_of_its_family_is_found_and_the_table_is_what_relabel_takes(path, tmp_path):
    group = zarr.open_group(str(path), mode="r+")
    lengths = group["inertial_length"][...]
    lengths[5] = 900
    group["inertial_length"][...] = lengths
    seal(path)
    cache = open_cache(path)
    run = write_votes(tmp_path / "run", cache, {"a1_s1_t1": [0.1, 0.8, 0.1]})
    table = tmp_path / "suspects.csv"
    answer = CliRunner().invoke(command, [str(path), str(run), "-o", str(table), "--json"])
    assert answer.exit_code == 0, answer.output
    found = {s["kind"]: s for s in json.loads(answer.output)}
    assert found["length"]["record"] == cache.record_ids[5]
    assert found["length"]["note"].startswith("900 rows; the median of its class is 32")
    lines = list(csv.DictReader(table.open()))
    assert [(x["record"], x["old_label"], x["new_label"]) for x in lines] == [
        ("a1_s1_t1", "class_0", "class_1"),
        (cache.record_ids[5], cache.spec.classes[int(cache.labels[5])], ""),
    ]
