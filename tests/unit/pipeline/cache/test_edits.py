"""Caches made of caches are what encoding their lists of records anew gives, bit for bit."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from pipeline.cache.edit.compare import compare
from pipeline.cache.edit.drop import drop
from pipeline.cache.edit.history import HISTORY
from pipeline.cache.edit.merge import merge
from pipeline.cache.edit.relabel import Change, relabel
from pipeline.cache.edit.source import open_source
from pipeline.cache.edit.subset import subset
from pipeline.cache.lock import Holder
from pipeline.cache.verify import verify
from pipeline.contract import CACHE_ATTRIBUTE, ConfigError, ContractError
from tests.fabricate import encode_here, manifest_of, path_of, write_raw

IDS = [f"a{action}_s{subject}_t1" for action in range(1, 5) for subject in range(1, 4)][:11]
"""In the order of a manifest."""
UNLIKE = {"zarr.json", "SHA256SUMS", ".ledger/lock", "README.md"}
"""The history and what sums it; compared apart."""


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr("pipeline.cache.writer.MAX_CHUNK_RECORDS", 3)
    monkeypatch.setattr("os.fsync", lambda _: None)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Eleven records; one lacks its inertial file and one has a damaged skeleton."""
    raw = write_raw(tmp_path_factory.mktemp("tree") / "raw", IDS)
    (raw / path_of(IDS[4], "inertial")).unlink()
    damaged = raw / path_of(IDS[9], "skeleton")
    damaged.write_bytes(damaged.read_bytes()[:300])
    return raw


@pytest.fixture(scope="module")
def whole(raw, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.cache.writer.MAX_CHUNK_RECORDS", 3)
        cache = tmp_path_factory.mktemp("whole") / "c"
        encode_here(raw, cache)
    return cache


@pytest.fixture
def cache(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / "cache"))


def described(cache: Path) -> dict:
    about = json.loads((cache / "zarr.json").read_bytes())["attributes"][CACHE_ATTRIBUTE]
    about["provenance"].pop(HISTORY, None)
    return about


def files_of(cache: Path) -> dict[str, bytes]:
    names = [path for path in cache.rglob("*") if path.is_file()]
    files = {path.relative_to(cache).as_posix(): path.read_bytes() for path in names}
    return {name: content for name, content in files.items() if name not in UNLIKE}


def card_of(cache: Path) -> list[str]:
    return (cache / "README.md").read_text().splitlines()


def assert_is_encoding_of(cache: Path, raw: Path, tmp_path: Path, **options) -> None:
    """The same bytes as an encode of its manifest, sound, and nothing left to encode."""
    manifest = open_source(str(cache)).manifest
    anew = tmp_path / "anew"
    encode_here(raw, anew, manifest, **options)
    assert files_of(cache) == files_of(anew)
    assert described(cache) == described(anew)
    assert set(card_of(anew)) <= set(card_of(cache))
    assert all(" on 20" in line for line in set(card_of(cache)) - set(card_of(anew)))
    assert verify(str(cache), full=True).findings == ()
    before = {p: p.stat().st_mtime_ns for p in cache.rglob("*") if p.is_file()}
    summary = encode_here(raw, cache, manifest, **options)
    assert not summary.plan.tasks
    after = {p: p.stat().st_mtime_ns for p in cache.rglob("*") if p.is_file()}
    assert {p for p in after if before.get(p) != after[p]} <= {cache / ".ledger/lock"}
    shutil.rmtree(anew)


@pytest.mark.parametrize(
    "where",
    ["subject in (1, 3)", "label != 2 and not has_inertial == False", "record == 'a1_s1_t1'"],
)
def test_a_subset_is_the_encoding_of_the_shorter_list(cache, raw, tmp_path, where):
    before = files_of(cache)
    subset(str(cache), str(tmp_path / "few"), where=where)
    assert_is_encoding_of(tmp_path / "few", raw, tmp_path)
    assert files_of(cache) == before


def test_a_subset_of_modalities_can_be_encoded_on(cache, raw, tmp_path):
    few = tmp_path / "few"
    subset(str(cache), str(few), modalities=["inertial"])
    assert_is_encoding_of(few, raw, tmp_path, modalities=("inertial",))
    encode_here(raw, few)
    assert compare(str(few), str(cache)).is_same


@pytest.mark.parametrize(
    "where",
    ["subject == 1", "subject == 3", "label == 0", "record != 'a3_s2_t1'", "record == 'a3_s3_t1'"],
)
def test_a_cache_that_records_were_dropped_from_is_the_encoding_of_the_others(
    cache, raw, tmp_path, where
):
    gone = set(open_source(str(cache)).where(where))
    _, n = drop(str(cache), where=where)
    assert n == len(gone) > 0
    kept = [record.id for record in open_source(str(cache)).store.records]
    assert sorted(kept) == sorted(set(IDS) - gone)
    assert_is_encoding_of(cache, raw, tmp_path)


def test_dropping_writes_the_chunks_that_it_must_and_leaves_the_others(cache):
    before = {p: p.stat().st_ino for p in cache.glob("*/c/*/0/0")}
    drop(str(cache), record_ids=[IDS[4]])  # of the second chunk of four; the last fills its row
    untouched = {
        p.parent.parent.name for p in cache.glob("*/c/*/0/0") if before[p] == p.stat().st_ino
    }
    assert untouched == {"0", "2"}


def test_no_byte_of_a_dropped_record_is_left_and_nothing_says_which_it_was(cache, whole):
    source = open_source(str(whole))
    gone = [record for record in source.store.records if record.attributes["subject"] == 2]
    relabel(str(cache), [Change(record=gone[0].id, old="0", new="2")])
    traces = {record.id.encode() for record in gone}
    for record in gone:
        for name, by_id in source.entries.items():
            entry = by_id[record.id]
            traces |= {s.sha256.encode() for s in entry.sources} | {entry.key.encode()} - {
                b"absent"
            }
            traces |= {s.path.encode() for s in record.streams.get(name, ())}
            if entry.digest:
                row = source.row(name, record.id)
                traces |= {entry.digest.encode(), row.tobytes()}
                traces |= {patch.tobytes() for patch in row[:: len(row) // 8]}
    found = {t for t in traces for c in everything(cache).values() if t in c}
    assert found == traces  # they are there to be found
    drop(str(cache), where="subject == 2")
    left = {(t[:40], name) for t in traces for name, c in everything(cache).items() if t in c}
    assert left == set()
    *_, tombstone = history(cache)
    assert tombstone.keys() == {"operation", "at", "before", "dmft"}
    assert tombstone["operation"] == "drop"


def everything(cache: Path) -> dict[str, bytes]:
    return {
        p.relative_to(cache).as_posix(): p.read_bytes() for p in cache.rglob("*") if p.is_file()
    }


def history(cache: Path) -> list[dict]:
    about = json.loads((cache / "zarr.json").read_bytes())["attributes"][CACHE_ATTRIBUTE]
    return about["provenance"][HISTORY]


def test_other_labels_are_those_of_encoding_the_corrected_list(cache, raw, tmp_path):
    first = open_source(str(cache)).store.records[0]
    before = open_source(str(cache)).store.spec
    classes = before.classes
    change = Change(record=first.id, old=classes[first.label], new=classes[3])
    spec, n = relabel(str(cache), [change])
    assert n == 1
    assert spec.fingerprint != before.fingerprint
    assert open_source(str(cache)).store.records[0].label == 3
    assert history(cache)[0]["changes"] == [
        {"record": first.id, "old": classes[first.label], "new": classes[3]}
    ]
    assert history(cache)[0]["before"] == before.fingerprint
    assert_is_encoding_of(cache, raw, tmp_path)
    assert relabel(str(cache), [change])[1] == 0  # it is so already


def test_a_label_that_is_not_the_old_one_changes_nothing(cache):
    before = everything(cache)
    records = open_source(str(cache)).store.records
    changes = [
        Change(record=records[0].id, old="0", new="1"),
        Change(record=records[1].id, old="nonsense", new="1"),
        Change(record="a9_s9_t9", old="0", new="1"),
        Change(record=records[2].id, old="2", new="juggle"),
    ]
    wrong = (
        r"(?s)3 of the.*the table says that it is 'nonsense'.*no record 'a9_s9_t9'.*'juggle' is no"
    )
    with pytest.raises(ConfigError, match=wrong):
        relabel(str(cache), changes)
    assert everything(cache) == before


def test_two_caches_of_halves_make_the_whole(cache, raw, tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    subset(str(cache), str(one), where="subject == 1")
    subset(str(cache), str(other), where="subject != 1")
    _, remarks = merge([str(one), str(other)], str(tmp_path / "both"))
    assert remarks == []
    assert compare(str(tmp_path / "both"), str(cache)).is_same
    assert_is_encoding_of(tmp_path / "both", raw, tmp_path)


def test_two_labs_that_call_everything_alike_are_told_apart(cache, raw, tmp_path):
    trees = tmp_path / "trees"
    shutil.copytree(raw, trees / "lab1")
    shutil.copytree(raw, trees / "lab2")
    other = tmp_path / "other"
    shutil.copytree(cache, other)
    both = tmp_path / "both"
    with pytest.raises(ConfigError, match=r"11 records are called alike in several .*--as"):
        merge([str(cache), str(other)], str(both))
    _, remarks = merge([str(cache), str(other)], str(both), names=["lab1", "lab2"])
    assert "subject 1, 2, 3 is in several" in remarks[0]
    assert "raw files are in several, bit for bit" in remarks[1]
    assert_is_encoding_of(both, trees, tmp_path)
    shutil.rmtree(both)
    merge([str(cache), str(other)], str(both), names=["lab1", "lab2"], apart=["subject"])
    subjects = [record.attributes["subject"] for record in open_source(str(both)).store.records]
    assert set(subjects[:11]) == {1, 2, 3}
    assert set(subjects[11:]) == {4, 5, 6}
    assert_is_encoding_of(both, trees, tmp_path)


def test_classes_are_joined_by_name(raw, tmp_path):
    manifest = manifest_of(raw)
    halves = [
        replace(
            manifest, records=tuple(r for r in manifest.records if r.attributes["subject"] in s)
        )
        for s in ((1,), (2, 3))
    ]
    names = manifest.classes
    turned = replace(
        halves[1],
        classes=("another", *reversed(names)),
        records=tuple(replace(r, label=len(names) - r.label) for r in halves[1].records),
    )
    for name, half in zip(("a", "b"), (halves[0], turned), strict=True):
        encode_here(raw, tmp_path / name, half)
    spec, _ = merge([str(tmp_path / "a"), str(tmp_path / "b")], str(tmp_path / "both"))
    assert spec.classes == (*names, "another")
    labels = {r.id: r.label for r in open_source(str(tmp_path / "both")).store.records}
    assert labels == {r.id: r.label for r in manifest.records}
    assert_is_encoding_of(tmp_path / "both", raw, tmp_path)


def test_caches_that_were_encoded_otherwise_are_not_merged_and_the_differences_are_listed(
    cache, raw, tmp_path
):
    from pipeline.encoders.config import load_config

    other = tmp_path / "other"
    encode_here(raw, other, config=load_config(None, ("inertial.patches=64",)))
    listed = r"(?s)inertial of .* is encoded otherwise .*n_patches is 128 there and 64 here"
    with pytest.raises(ConfigError, match=listed):
        merge([str(cache), str(other)], str(tmp_path / "both"), names=["a", "b"])
    found = compare(str(cache), str(other))
    assert "n_patches is 128 there and 64 here" in found.modalities["inertial"].encoding
    assert not found.is_same
    only = merge(
        [str(cache), str(other)], str(tmp_path / "s"), names=["a", "b"], modalities=["skeleton"]
    )
    assert set(only[0].modalities) == {"skeleton"}


def test_comparing_names_what_differs(cache, whole, tmp_path):
    assert compare(str(cache), str(whole)).is_same
    drop(str(cache), record_ids=[IDS[0]])
    relabel(str(cache), [Change(record=IDS[3], old="1", new="0")])
    found = compare(str(cache), str(whole))
    assert found.only_second == (IDS[0],)
    assert [each[0] for each in found.labels] == [IDS[3]]
    assert found.modalities["skeleton"].n_equal == 9
    assert not found.is_same


def test_an_encode_with_the_old_manifest_does_not_bring_back_what_was_dropped(cache, raw):
    drop(str(cache), where="subject == 2")
    with pytest.raises(
        ConfigError, match=r"the manifest has 4 that the cache lacks.*would be back"
    ):
        encode_here(raw, cache)
    assert encode_here(raw, cache, despite_edits=True).spec.n_records == 11


def test_an_encode_with_the_old_manifest_does_not_undo_a_label(cache, raw):
    relabel(str(cache), [Change(record=IDS[3], old="1", new="0")])
    with pytest.raises(ConfigError, match=r"gives 1 records another label \(a2_s1_t1, \.\.\.\)"):
        encode_here(raw, cache)
    encode_here(raw, cache, despite_edits=True)
    assert open_source(str(cache)).store.records[3].label == 1


def test_a_drop_that_was_killed_when_all_was_done_says_so_when_it_is_run_again(cache):
    """It found none of the records that it had dropped, and called the condition wrong."""
    drop(str(cache), where="subject == 2")
    dead = replace(Holder.this(), pid=1 << 30)
    (cache / ".ledger/session.1").write_text(json.dumps(asdict(dead)))
    spec, n = drop(str(cache), where="subject == 2")
    assert (n, spec.n_records) == (0, 7)
    with pytest.raises(ConfigError, match="holds for none of the 7 records"):
        drop(str(cache), where="subject == 2")


def test_a_damaged_cache_is_not_edited(cache):
    chunk = cache / "skeleton/c/1/0/0"
    content = bytearray(chunk.read_bytes())
    content[64 * 60 * 4 + 9] ^= 1
    chunk.write_bytes(content)
    before = everything(cache)
    with pytest.raises(ContractError, match=r"not whole \(skeleton/c/1/0/0: its bytes"):
        drop(str(cache), record_ids=[IDS[3]])
    assert everything(cache) == before
    (cache / "label/c/0").write_bytes(b"nonsense")
    with pytest.raises(ContractError, match=r"not whole \(label/c/0: its bytes"):
        drop(str(cache), record_ids=[IDS[3]])


def test_places_and_choices_that_cannot_be_are_refused(cache, tmp_path):
    with pytest.raises(ConfigError, match="holds for none of the 11 records"):
        drop(str(cache), where="subject == 77")
    with pytest.raises(ConfigError, match="these are all 11 records"):
        drop(str(cache), where="subject > 0")
    with pytest.raises(ConfigError, match="has no record 'x'"):
        drop(str(cache), record_ids=["x"])
    with pytest.raises(ConfigError, match="has no modality 'rgb'"):
        subset(str(cache), str(tmp_path / "o"), modalities=["rgb"])
    with pytest.raises(ConfigError, match="is what is taken from"):
        subset(str(cache), str(cache))
    subset(str(cache), str(tmp_path / "o"), where="subject == 1")
    with pytest.raises(ConfigError, match="is another cache"):
        subset(str(cache), str(tmp_path / "o"), where="subject == 2")
    with pytest.raises(ContractError, match="no cache there"):
        drop(str(tmp_path / "none"), where="subject == 1")
    assert not (tmp_path / "none").exists()
    with pytest.raises(ConfigError, match="wanted two different caches"):
        merge([str(cache), str(cache)], str(tmp_path / "m"))
