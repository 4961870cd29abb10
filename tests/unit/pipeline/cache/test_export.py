"""An exported cache holds the same numbers, and says what it holds."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile

import numpy as np
import pandas as pd
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


@pytest.mark.parametrize("form", ["npz", "csv", "webdataset"])
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
