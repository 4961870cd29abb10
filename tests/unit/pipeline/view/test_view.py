"""The page of a cache: what stands out, what is missing, and what is drawn."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from cli import dmft
from pipeline.contract import ConfigError, ContractError, ModalitySpec, Record
from pipeline.view import content, write_view
from pipeline.view.content import Values
from pipeline.view.outliers import length_outliers, value_outliers
from tests.fabricate import encode_here, path_of, record_ids, write_raw


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("view")
    ids = record_ids(10)
    raw = write_raw(folder / "raw", ids)
    (raw / path_of(ids[1], "inertial")).unlink()
    (raw / path_of(ids[2], "skeleton")).write_bytes(b"not <b>MATLAB</b>")
    encode_here(raw, folder / "c.zarr")
    return folder / "c.zarr"


@pytest.fixture(scope="module")
def page(cache, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "new" / "view.html"
    write_view(str(cache), path)
    return path.read_text()


def records(n, n_classes=1):
    return [Record(id=f"r{k}", label=k % n_classes) for k in range(n)]


def data_of(page):
    found = re.search(r'<script type="application/json" id="found">(.*?)</script>', page, re.S)
    return json.loads(found[1])


def test_a_record_whose_streams_differ_in_duration_stands_out():
    """As a25_s6_t3 of UTD-MHAD does: a ratio of 4.51 where the median is 2.63."""
    random = np.random.default_rng(0)
    skeleton = random.integers(45, 110, 40)
    inertial = (skeleton * random.normal(2.63, 0.2, 40)).astype(int)
    inertial[7] = int(4.51 * skeleton[7])
    found = length_outliers(records(40), pd.DataFrame({"inertial": inertial, "skeleton": skeleton}))
    suspects = [each for each in found if each.suspect]
    assert [each.record_id for each in suspects] == ["r7"]
    assert suspects[0].what == "length of inertial / skeleton"
    assert suspects[0].value == pytest.approx(4.51, abs=0.05)
    assert suspects[0].median == pytest.approx(2.63, abs=0.1)


def test_records_without_one_of_the_streams_have_no_ratio():
    lengths = pd.DataFrame({"a": [10, 10, 0, 10], "b": [20, 20, 20, 0]})
    found = length_outliers(records(4), lengths)
    assert {each.what for each in found} == {"length of a", "length of b"}


def test_a_value_is_held_against_its_own_class():
    spec = ModalitySpec(
        name="inertial", n_patches=4, n_features=2, dtype="float32", records_per_chunk=8
    )
    random = np.random.default_rng(0)
    patches = random.normal(0, 1, (40, 4, 2)).astype(np.float32)
    patches[1::2] += 50  # the other class, which is no outlier
    patches[6, 2, 1] = 4000
    values = Values(rows=np.arange(40), patches=patches, complete=True)
    suspects = [each for each in value_outliers(records(40, 2), spec, values) if each.suspect]
    assert [each.record_id for each in suspects] == ["r6"]
    assert suspects[0].what == "greatest magnitude of inertial, feature 2"
    assert suspects[0].value == pytest.approx(4000, rel=1e-4)


def test_gaps_are_listed_with_their_reason_and_escaped(page):
    gaps = page.partition('id="gaps"')[2].partition("<h2")[0]
    assert "<b>" not in gaps
    rows = re.findall(r"<tr><td>(.*?)</td><td>(.*?)</td><td>(.*?)</td><td>(.*?)</td>", gaps)
    assert [row[:3] for row in rows] == [
        ("a3_s1_t1", "skeleton", "failed"),
        ("a2_s1_t1", "inertial", "absent"),
    ]
    assert "open: " in rows[0][3] or "read: " in rows[0][3]


def test_counts_say_where_records_are_missing(page):
    counts = page.partition('id="counts"')[2].partition("<h2")[0]
    assert re.search(r"<td>swipe_left</td>.*?3.*?3.*?3", counts)
    assert "2 (!)" in counts


def test_records_are_drawn_from_what_is_stored(page):
    found = data_of(page)
    assert found["features"]["inertial"][:2] == ["acc_x", "acc_y"]
    whole = next(each for each in found["records"] if each["id"] == "a1_s1_t1")
    assert np.array(whole["skeleton"]).shape[1:] == (60,)
    assert np.array(whole["traces"]["inertial"]).shape[1:] == (6,)
    heat = np.array(whole["heat"]["skeleton"])
    assert heat.shape[1] == 60
    assert np.abs(heat).max() <= 30
    assert sum(found["lengths"]["skeleton"]["counts"]) == 9
    gap = next((each for each in found["records"] if each["id"] == "a3_s1_t1"), None)
    assert gap is None or gap["skeleton"] is None


def test_a_page_asks_nothing_of_any_network(page):
    for address in re.findall(r'(?:src|href)="([^"]*)"', page):
        assert address.startswith(("#", "data:")), address
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest", page)


def test_of_a_large_cache_whole_chunks_are_read_and_said_to_be_some(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(content, "READ_BYTES", 1)
    monkeypatch.setattr("pipeline.cache.writer.MAX_CHUNK_RECORDS", 4)
    raw = write_raw(tmp_path / "raw", record_ids(10), ["inertial"])
    encode_here(raw, tmp_path / "c.zarr")
    write_view(str(tmp_path / "c.zarr"), tmp_path / "v.html")
    assert "Of 4 records, spread evenly." in (tmp_path / "v.html").read_text()


def test_nothing_that_is_no_cache_is_viewed(tmp_path):
    with pytest.raises(ContractError, match=r"nowhere\.zarr: no cache there"):
        write_view(str(tmp_path / "nowhere.zarr"), tmp_path / "v.html")
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_what_is_next(cache, tmp_path):
    arguments = ["cache", "view", str(cache), "-o", str(tmp_path / "v.html"), "--records", "2"]
    done = CliRunner().invoke(dmft, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    assert done.stdout.endswith("in a browser\n")
    assert len(data_of((tmp_path / "v.html").read_text())["records"]) == 2


def test_a_cache_that_is_still_being_made_shows_what_is_pending(tmp_path):
    raw = write_raw(tmp_path / "raw", record_ids(4))
    encode_here(raw, tmp_path / "c.zarr")
    (tmp_path / "c.zarr/.ledger/inertial/0.json").unlink()
    root = json.loads((tmp_path / "c.zarr/zarr.json").read_text())
    root["attributes"]["dmft"]["state"] = "building"
    (tmp_path / "c.zarr/zarr.json").write_text(json.dumps(root))
    write_view(str(tmp_path / "c.zarr"), tmp_path / "v.html")
    text = (tmp_path / "v.html").read_text()
    assert "state building" in text
    assert text.count("<td>pending</td>") == 4
    assert all(set(each["traces"]) == set() for each in data_of(text)["records"])


@pytest.fixture(scope="module")
def sensors(tmp_path_factory):
    """A cache of MMAct's sensors, four streams and 16 columns, with one file missing."""
    folder = tmp_path_factory.mktemp("sensors")
    size = ["--subjects", "1", "--sessions", "1", "--cameras", "1", "--classes", "2"]
    steps = [
        ["synth", "mmact", "raw", *size, "--seconds", "1", "--modalities", "inertial"],
        ["manifest", "build", "mmact", "raw", "-o", "raw.jsonl"],
        ["encode", "raw.jsonl", "--raw", "raw", "--out", "c.zarr", "--workers", "0"],
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for number, arguments in enumerate(steps):
            if number == 1:
                next((folder / "raw").rglob("*gyro*/**/*.csv")).unlink()
            done = CliRunner().invoke(dmft, arguments, catch_exceptions=False)
            assert done.exit_code == 0, done.output
    return folder / "c.zarr"


def test_a_record_with_three_of_four_streams_is_not_whole_and_its_columns_are_drawn(
    sensors, tmp_path
):
    write_view(str(sensors), tmp_path / "v.html")
    text = (tmp_path / "v.html").read_text()
    n = len(data_of(text)["records"])
    assert "none missing; 1 without some stream" in text
    assert re.findall(r"<td>gyro</td><td[^>]*>(\d)</td><td[^>]*>1 \(!\)</td>", text) == [str(n - 1)]
    assert "Records with a part of their streams (1)" in text
    (partly,) = (each for each in data_of(text)["records"] if "without gyro" in each["about"])
    assert np.array(partly["traces"]["inertial"]).shape[1:] == (16,)


def test_named_records_are_drawn_first_and_unknown_ones_refused(cache, tmp_path):
    arguments = ["cache", "view", str(cache), "-o", str(tmp_path / "v.html"), "--records", "2"]
    done = CliRunner().invoke(dmft, [*arguments, "--record", "a4_s1_t1"], catch_exceptions=False)
    assert done.exit_code == 0
    drawn = [each["id"] for each in data_of((tmp_path / "v.html").read_text())["records"]]
    assert (drawn[0], len(drawn)) == ("a4_s1_t1", 3)
    with pytest.raises(ConfigError, match=r"no record 'a4_s1_tt' \(did you mean 'a4_s1_t1'\?\)"):
        write_view(str(cache), tmp_path / "v.html", named=["a4_s1_tt"])


def test_a_record_that_is_drawn_is_a_link_to_its_drawing(page):
    links = re.findall(r'<a href="#records" data-record="(\d+)">(.*?)</a>', page)
    assert links
    drawn = [each["id"] for each in data_of(page)["records"]]
    assert all(drawn[int(number)] == name for number, name in links)


def test_people_are_counted_though_they_are_as_many_as_classes(tmp_path):
    raw = write_raw(tmp_path / "raw", ["a1_s1_t1", "a2_s1_t1", "a1_s2_t1", "a2_s2_t1"])
    encode_here(raw, tmp_path / "c.zarr")
    write_view(str(tmp_path / "c.zarr"), tmp_path / "v.html")
    text = (tmp_path / "v.html").read_text()
    assert "By subject (2)" in text
    assert "By action" not in text, "which is the class"
