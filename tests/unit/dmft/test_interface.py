"""``import dmft`` has what a notebook needs, and loads nothing heavy before it is used."""

import subprocess
import sys

import dmft
from tests.factories import write_cache


def test_every_name_is_there_and_documented():
    assert dir(dmft) == dmft.__all__
    for name in dir(dmft):
        assert getattr(dmft, name).__doc__


def test_importing_it_imports_neither_torch_nor_pandas_nor_zarr():
    code = "import sys, dmft; sys.exit(len({'torch', 'pandas', 'zarr'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_cache_shows_itself_in_a_line_and_its_records_as_a_table(tmp_path):
    cache = dmft.open_cache(write_cache(tmp_path / "c.zarr"))
    assert repr(cache) == (
        f"<Cache {tmp_path / 'c.zarr'}: utd-mhad, 48 records, skeleton (48, 16, 6), "
        "inertial (48, 32, 6)>"
    )
    frame = cache.to_frame()
    assert frame.index.tolist() == list(cache.record_ids)
    assert frame["label"].tolist() == cache.labels.tolist()
    assert {"class_name", "subject", "has_skeleton", "has_inertial"} <= set(frame)
    assert frame.groupby("subject")["has_inertial"].sum().tolist() == [12, 12, 12, 12]
