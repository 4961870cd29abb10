"""Nothing in a cache is believed that is not what was written: each was trained on once."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr

from dmft.data import open_cache
from pipeline.common.checksums import SUMS_FILE, Checksums
from pipeline.contract import ContractError
from tests.factories import seal, write_cache


@pytest.fixture
def cache(tmp_path):
    return write_cache(tmp_path / "c.zarr")


def swap(one: Path, other: Path) -> None:
    """Exchange two files."""
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def chunk(cache: Path, array: str) -> Path:
    """The only chunk of a small array."""
    return cache / array / "c" / "0"


@pytest.mark.parametrize(
    "name",
    [
        *("attributes", "zarr_format", "node_type", "consolidated_metadata", "metadata", "kind"),
        *("must_understand", "shape", "data_type", "chunk_grid", "configuration", "chunk_shape"),
        *("chunk_key_encoding", "fill_value", "codecs", "name", "label", "dmft"),
    ],
)
@pytest.mark.filterwarnings("ignore::zarr.errors.ZarrUserWarning")
def test_a_bit_that_flipped_in_a_name_of_the_root_is_damage_and_no_traceback(cache, name):
    """Found by the machine over the store: Zarr raised a TypeError of `aTtributes`."""
    zarr.consolidate_metadata(str(cache))  # as an encode leaves it
    seal(cache)
    root = cache / "zarr.json"
    flipped = name[0] + name[1].swapcase() + name[2:]
    content = root.read_text()
    assert f'"{name}"' in content
    root.write_text(content.replace(f'"{name}"', f'"{flipped}"', 1))
    with pytest.raises(ContractError, match=str(cache)):
        open_cache(cache)


def test_labels_whose_chunk_is_gone_are_not_zeros(cache):
    chunk(cache, "label").unlink()
    with pytest.raises(ContractError, match=r"label/c/0 is missing\. Run 'dmft cache verify'"):
        open_cache(cache)


def test_labels_that_were_exchanged_with_another_column_are_refused(cache):
    swap(chunk(cache, "subject"), chunk(cache, "trial"))
    with pytest.raises(ContractError, match=r"(subject|trial)/c/0 is not what was written"):
        open_cache(cache)


def test_presence_that_was_exchanged_between_modalities_is_refused(tmp_path):
    gone = {"a1_s1_t1/skeleton": 2}
    cache = write_cache(tmp_path / "c.zarr", absent=gone)
    swap(chunk(cache, "skeleton_presence"), chunk(cache, "inertial_presence"))
    with pytest.raises(ContractError, match=r"_presence/c/0 is not what was written"):
        open_cache(cache)


def test_labels_that_were_edited_with_a_tool_are_refused(cache):
    zarr.open_group(str(cache), mode="r+")["label"][0] = 1
    with pytest.raises(ContractError, match=r"label/c/0 is not what was written"):
        open_cache(cache)


def test_a_description_that_was_edited_is_refused(cache):
    root = json.loads((cache / "zarr.json").read_text())
    root["attributes"]["dmft"]["classes"].reverse()
    (cache / "zarr.json").write_text(json.dumps(root))
    with pytest.raises(ContractError, match=r"zarr\.json is not what was written"):
        open_cache(cache)


@pytest.mark.parametrize("memory", [None, 80_000], ids=["in memory", "out of core"])
def test_a_chunk_of_another_cache_is_refused_though_its_own_checksum_is_right(tmp_path, memory):
    one, other = (write_cache(tmp_path / f"{seed}.zarr", n_trials=12, seed=seed) for seed in (0, 1))
    shutil.copy(other / "skeleton/c/1/0/0", one / "skeleton/c/1/0/0")

    def read_all():
        cache = open_cache(one, memory=memory)
        return list(cache.blocks(torch.arange(len(cache)), 8, cache.modalities))

    with pytest.raises(ContractError, match=r"skeleton/c/1/0/0 is not the chunk that was written"):
        read_all()


def test_without_checksums_of_chunks_as_earlier_encodes_wrote_chunks_are_hashed(cache, tmp_path):
    listed = Checksums.from_bytes((cache / SUMS_FILE).read_bytes(), where="here")
    (cache / SUMS_FILE).write_bytes(Checksums(sha256=listed.sha256).to_bytes())
    wanted = open_cache(cache)
    assert len(wanted) == 48
    other = write_cache(tmp_path / "other.zarr", seed=1)
    shutil.copy(other / "skeleton/c/1/0/0", cache / "skeleton/c/1/0/0")
    with pytest.raises(ContractError, match=r"skeleton/c/1/0/0 is not what was written"):
        open_cache(cache)


def test_without_a_list_a_cache_is_used_only_where_it_is_trusted(cache):
    (cache / SUMS_FILE).unlink()
    with pytest.raises(ContractError, match=r"has no SHA256SUMS.*--trust"):
        open_cache(cache)
    assert len(open_cache(cache, trust=True)) == 48


def test_a_list_that_was_edited_is_refused(cache):
    content = (cache / SUMS_FILE).read_bytes()
    (cache / SUMS_FILE).write_bytes(content.replace(b"label/c/0", b"label/c/1"))
    with pytest.raises(ContractError, match=r"SHA256SUMS is not what was written"):
        open_cache(cache)


def test_a_list_that_leaves_the_description_out_is_refused(cache):
    listed = Checksums.from_bytes((cache / SUMS_FILE).read_bytes(), where="here")
    fewer = {key: digest for key, digest in listed.sha256.items() if key != "zarr.json"}
    (cache / SUMS_FILE).write_bytes(Checksums(sha256=fewer, crc32c=listed.crc32c).to_bytes())
    with pytest.raises(ContractError, match=r"does not list zarr\.json"):
        open_cache(cache)


def test_opening_a_cache_of_zarrs_version_2_runs_none_of_its_pickles(tmp_path):
    (tmp_path / "c.zarr" / "label").mkdir(parents=True)
    (tmp_path / "c.zarr" / ".zgroup").write_text('{"zarr_format": 2}')
    meta = {
        "zarr_format": 2,
        "shape": [1],
        "chunks": [1],
        "dtype": "|O",
        "compressor": None,
        "fill_value": None,
        "order": "C",
        "filters": [{"id": "pickle", "protocol": 5}],
    }
    (tmp_path / "c.zarr" / "label" / ".zarray").write_text(json.dumps(meta))
    (tmp_path / "c.zarr" / "label" / "0").write_bytes(pickle.dumps(np.array([1], dtype=object)))
    with pytest.raises(ContractError, match="is not a Zarr group"):
        open_cache(tmp_path / "c.zarr", trust=True)


@pytest.mark.parametrize("consolidated", [False, True])
def test_a_codec_that_is_not_on_the_list_is_refused_before_it_is_made(cache, consolidated):
    file = cache / "zarr.json" if consolidated else cache / "label" / "zarr.json"
    metadata = json.loads(file.read_text())
    array = {"node_type": "array", "codecs": [{"name": "numcodecs.pickle"}]}
    if consolidated:
        metadata["consolidated_metadata"] = {"metadata": {"label": array}}
    else:
        metadata |= array
    file.write_text(json.dumps(metadata))
    seal(cache)
    with pytest.raises(
        ContractError, match=r"asks for the codec 'numcodecs\.pickle': wanted blosc"
    ):
        open_cache(cache, trust=True)
