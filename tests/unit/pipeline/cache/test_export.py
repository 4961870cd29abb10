"""An exported cache holds the same numbers, and says what it holds."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from pipeline.cache.export import export
from pipeline.contract import ConfigError, ContractError
from tests.fabricate import arrays_of, encode_here, path_of, record_ids, write_raw


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    at = tmp_path_factory.mktemp("export")
    raw = write_raw(at / "raw", record_ids(5))
    (raw / path_of("a2_s1_t1", "inertial")).unlink()
    encode_here(raw, at / "cache")
    return at / "cache"


@pytest.mark.parametrize("form", ["npz", "csv", "webdataset", "hf-datasets"])
def test_an_export_has_the_numbers_the_table_and_what_describes_them(cache, tmp_path, form):
    out = tmp_path / "out"
    export(str(cache), out, form, licence="CC-BY-4.0")
    stored = arrays_of(cache)
    ids = [str(each) for each in stored["record_id"]]
    table = pd.read_csv(out / "records.csv", index_col="record")
    assert list(table.index) == ids
    assert table["inertial_presence"].to_dict()["a2_s1_t1"] == "absent"
    assert table["skeleton_length"].tolist() == stored["skeleton_length"].tolist()
    assert pd.read_parquet(out / "records.parquet")["record"].tolist() == ids
    for row, each in enumerate(ids):
        if form == "npz":
            found = np.load(out / "skeleton.npz")["patches"][row]
        elif form == "hf-datasets":
            rows = pd.read_parquet(out / "train-00000-of-00001.parquet")
            assert rows["record"].tolist() == ids
            found = np.stack(rows["skeleton"][row])
        elif form == "csv":
            found = pd.read_csv(out / "skeleton.csv").query(f"record == '{each}'").iloc[:, 2:]
        else:
            with tarfile.open(out / "shard-000000.tar") as tar:
                file = tar.extractfile(f"{row:08}.skeleton.npy")
                found = np.load(io.BytesIO(file.read()))
                about = json.loads(tar.extractfile(f"{row:08}.record.json").read())
            assert about["record"] == each
        np.testing.assert_array_equal(np.asarray(found, np.float32), stored["skeleton"][row])
    text = (out / "README.md").read_text()
    assert "Licence: CC-BY-4.0." in text
    assert "| inertial | 128 | 6 | float32 | 4 | 1 | 0 |" in text
    described = json.loads((out / "croissant.json").read_text())
    for file in described["distribution"]:
        content = (out / file["contentUrl"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
    fields = {field["name"] for field in described["recordSet"][0]["field"]}
    assert {"record", "class_name", "subject", "skeleton_presence"} <= fields
    sums = (out / "SHA256SUMS").read_text()
    assert {"README.md", "croissant.json", "records.csv"} <= set(sums.split())


def test_what_hugging_face_reads_has_classes_and_gaps(cache, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.cache.hf_datasets.SHARD_RECORDS", 2)
    export(str(cache), tmp_path / "out", "hf-datasets")
    shards = sorted(path.name for path in (tmp_path / "out").glob("train-*"))
    assert shards == [f"train-0000{k}-of-00003.parquet" for k in range(3)]
    table = pq.read_table([tmp_path / "out" / name for name in shards])
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features.keys() == set(table.column_names)
    assert (features["label"]["_type"], len(features["label"]["names"])) == ("ClassLabel", 27)
    assert features["skeleton"] == {"shape": [64, 60], "dtype": "float32", "_type": "Array2D"}
    lacks = [each is None for each in table["inertial"].to_pylist()]
    assert lacks == (arrays_of(cache)["inertial_presence"] != 1).tolist()
    assert sum(lacks) == 1
    head = (tmp_path / "out/README.md").read_text().split("---")[1]
    assert "path: train-*.parquet" in head


@pytest.mark.slow
def test_hugging_face_datasets_opens_what_was_stored(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    datasets = pytest.importorskip("datasets", reason="datasets is not installed: make slow")
    monkeypatch.setattr("pipeline.cache.hf_datasets.SHARD_RECORDS", 2)
    export(str(cache), tmp_path / "out", "hf-datasets")
    found = datasets.load_dataset(str(tmp_path / "out"), split="train").with_format("numpy")
    stored = arrays_of(cache)
    assert list(found["record"]) == stored["record_id"].tolist()
    assert [int(each) for each in found["label"]] == stored["label"].tolist()
    assert found.features["label"].int2str(0) == "swipe_left"
    for name in ("skeleton", "inertial"):
        for row, is_there in enumerate(stored[f"{name}_presence"] == 1):
            matrix = found[row][name]
            if is_there:
                assert np.asarray(matrix, np.float32).tobytes() == stored[name][row].tobytes()
            else:
                assert matrix is None or np.isnan(matrix).all()


def test_nothing_is_written_over_and_no_half_of_a_damaged_cache_is_left(cache, tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(ConfigError, match="there exists: name a folder that does not"):
        export(str(cache), tmp_path / "there", "npz")
    chunk = cache / "skeleton/c/0/0/0"
    sound = chunk.read_bytes()
    chunk.write_bytes(sound[:9] + bytes([sound[9] ^ 1]) + sound[10:])
    with pytest.raises(ContractError, match=r"skeleton of record .* is not what was written"):
        export(str(cache), tmp_path / "out", "npz")
    chunk.write_bytes(sound)
    assert not (tmp_path / "out").exists()
