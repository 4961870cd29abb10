"""The record table, the data card and Croissant beside a cache's arrays."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr

from dmft.data import open_cache
from pipeline.cache.checksums import read_sums
from pipeline.cache.companions import parquet_bytes
from pipeline.cache.edit.drop import drop
from pipeline.cache.edit.source import open_source
from pipeline.cache.objects import Objects
from pipeline.cache.verify import verify
from pipeline.contract import COMPANIONS
from tests.fabricate import arrays_of, encode_here, objects_of, path_of, record_ids, write_raw
from tests.factories import seal


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Five records; one lacks its inertial file and one has a damaged skeleton."""
    at = tmp_path_factory.mktemp("companions")
    raw = write_raw(at / "raw", record_ids(5))
    (raw / path_of("a2_s1_t1", "inertial")).unlink()
    damaged = raw / path_of("a3_s1_t1", "skeleton")
    damaged.write_bytes(damaged.read_bytes()[:300])
    encode_here(raw, at / "cache", licence="CC-BY-4.0")
    return at


@pytest.fixture
def cache(scene, tmp_path):
    return Path(shutil.copytree(scene / "cache", tmp_path / "cache"))


def test_the_record_table_says_what_the_arrays_say(cache):
    table, stored = pd.read_parquet(cache / "records.parquet"), arrays_of(cache)
    assert table["record"].tolist() == [str(each) for each in stored["record_id"]]
    for column in ("label", "action", "subject", "trial", "skeleton_length", "inertial_length"):
        assert table[column].tolist() == stored[column].tolist()
    for name in ("skeleton", "inertial"):
        codes = table[f"{name}_presence"].map({"present": 1, "absent": 2, "failed": 3})
        assert codes.tolist() == stored[f"{name}_presence"].tolist()
        assert (table[f"has_{name}"] == (codes == 1)).all()
        assert table[f"{name}_source"].tolist() == [str(s) for s in stored[f"{name}_source"]]
    assert set(table["skeleton_presence"]) == {"present", "failed"}
    assert set(table["inertial_presence"]) == {"present", "absent"}
    classes = open_source(str(cache)).store.spec.classes
    assert table["class_name"].tolist() == [classes[label] for label in stored["label"]]


def test_the_card_counts_and_its_lines_load_the_cache(cache, monkeypatch, capsys):
    text = (cache / "README.md").read_text()
    assert text.startswith("---\nlicense: cc-by-4.0\ntags:\n- human-activity-recognition\n")
    assert "\n    path: records.parquet\n---\n\n# utd-mhad: 5 records" in text
    assert "Licence: CC-BY-4.0." in text
    assert "| skeleton | 64 | 60 | float32 | 4 | 0 | 1 |" in text
    assert "| inertial | 128 | 6 | float32 | 4 | 1 | 0 |" in text
    by_subject = text.partition("## Records by subject")[2]
    assert "| 1 | 4 |\n| 2 | 1 |" in by_subject
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    assert len([line for line in code.splitlines() if line]) == 5
    monkeypatch.chdir(cache)
    found: dict = {}
    exec(code, found)
    assert "(5, 64, 60)" in capsys.readouterr().out
    assert len(found["records"]) == 5


@pytest.mark.filterwarnings("ignore")
def test_the_root_has_the_arrays_metadata_as_zarr_would_consolidate_it(cache):
    root = (cache / "zarr.json").read_bytes()
    zarr.consolidate_metadata(cache)
    assert (cache / "zarr.json").read_bytes() == root


def test_croissant_names_the_files_that_are_there(cache):
    described = json.loads((cache / "croissant.json").read_text())
    table, *arrays = described["distribution"]
    content = (cache / table["contentUrl"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == table["sha256"]
    assert table["encodingFormat"] == "application/x-parquet"  # by this name mlcroissant reads it
    assert {each["name"] for each in arrays} == {"skeleton", "inertial"}
    assert all(list(cache.glob(each["includes"])) for each in arrays)
    assert described["license"] == "CC-BY-4.0"
    kinds = {f["name"]: f["dataType"] for f in described["recordSet"][0]["field"]}
    assert kinds["subject"] == "sc:Integer"
    assert (kinds["record"], kinds["has_skeleton"]) == ("sc:Text", "sc:Boolean")
    assert list(kinds) == list(pd.read_parquet(cache / "records.parquet"))


def test_a_cache_of_an_earlier_version_is_read_and_gets_them_without_encoding_again(scene, cache):
    for name in COMPANIONS:
        (cache / name).unlink()
    (cache / ".ledger/lock").unlink()
    seal(cache)
    assert verify(str(cache), full=True).findings == ()
    assert len(open_cache(cache)) == 5
    before = {name: content for name, (content, _) in objects_of(cache).items()}
    summary = encode_here(scene / "raw", cache)
    assert not summary.plan.tasks
    after = {name: content for name, (content, _) in objects_of(cache).items()}
    made = COMPANIONS | {".ledger/lock"}
    assert after.keys() - before.keys() == made
    assert {name for name in before if before[name] != after[name]} <= {"SHA256SUMS", "zarr.json"}
    assert read_sums(Objects(str(cache))).keys() >= COMPANIONS
    assert verify(str(cache), full=True).findings == ()
    untouched = objects_of(cache)
    encode_here(scene / "raw", cache)
    assert {k: v for k, v in objects_of(cache).items() if k != ".ledger/lock"} == {
        k: v for k, v in untouched.items() if k != ".ledger/lock"
    }


@pytest.mark.parametrize("name", sorted(COMPANIONS))
def test_a_changed_one_is_found_keeps_nobody_from_working_and_is_written_again(scene, cache, name):
    sound = (cache / name).read_bytes()
    (cache / name).write_bytes(b"corrected by hand")
    (finding,) = verify(str(cache), full=True).findings
    assert (finding.where, finding.record_ids) == (name, ())
    assert "'dmft encode --check-stored' writes it again" in finding.message
    assert len(open_cache(cache)) == 5
    encode_here(scene / "raw", cache, check_stored=True)
    assert (cache / name).read_bytes() == sound
    (cache / name).unlink()
    drop(str(cache), record_ids=["a1_s1_t1"])
    assert verify(str(cache), full=True).findings == ()
    kept = set(record_ids(5)) - {"a1_s1_t1"}
    assert set(pd.read_parquet(cache / "records.parquet")["record"]) == kept


def test_an_encode_that_was_stopped_leaves_none_that_speak_of_what_was(scene, cache):
    write_raw(scene / "more", record_ids(6))
    (scene / "more" / path_of("a4_s1_t1", "skeleton")).write_bytes(b"no recording")
    encode_here(scene / "more", cache, retry_failed=True, fail_fast=True)
    assert not any((cache / name).exists() for name in COMPANIONS)


def test_the_licence_stays_until_another_is_said(scene, cache):
    encode_here(scene / "raw", cache)
    assert "Licence: CC-BY-4.0." in (cache / "README.md").read_text()
    encode_here(scene / "raw", cache, licence="CC0-1.0")
    assert "Licence: CC0-1.0." in (cache / "README.md").read_text()
    assert open_source(str(cache)).store.spec.provenance["licence"] == "CC0-1.0"


@pytest.mark.parametrize(
    "columns",
    [
        {
            "record": ["a", 'ü"\n\\'],
            "label": [3, -1],
            "has_rgb": [True, False],
            "name": ["", "\U0001f3c3"],
        },
        {"record": ["a"] * 70_000, "label": list(range(70_000))},
        {"record": [], "label": []},
    ],
    ids=["odd texts", "many rows", "no rows"],
)
def test_a_table_that_passes_through_json_is_that_of_the_lists(columns):
    plain = io.BytesIO()
    pq.write_table(pa.table(columns), plain)
    assert parquet_bytes(columns) == plain.getvalue()
