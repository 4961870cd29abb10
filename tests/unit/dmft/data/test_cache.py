"""Opening a cache: what is loaded, and every kind of cache that is refused by name."""

import numpy as np
import pytest
import torch
import zarr

from dmft.data import open_cache
from pipeline.contract import CacheState, ContractError, Presence
from tests.factories import seal, write_cache


@pytest.fixture
def cache(tmp_path):
    return write_cache(tmp_path / "cache.zarr", absent={"a2_s1_t1/skeleton": Presence.FAILED})


def test_the_chosen_modalities_are_loaded_in_the_order_asked_for(cache):
    opened = open_cache(cache, ["inertial", "skeleton"])
    assert opened.modalities == ("inertial", "skeleton")
    assert opened.features["inertial"].shape == (48, 32, 6)
    assert len(opened) == 48
    assert opened.columns["subject"].tolist() == sorted(opened.columns["subject"].tolist())


def test_absent_rows_are_zero_and_masked(cache):
    opened = open_cache(cache)
    row = opened.record_ids.index("a2_s1_t1")
    assert opened.present[row].tolist() == [False, True]
    assert not opened.features["skeleton"][row].any()
    assert torch.isfinite(opened.features["skeleton"]).all()


def test_values_are_those_that_were_stored(cache):
    stored = zarr.open_group(str(cache), mode="r")["inertial"][...]
    np.testing.assert_array_equal(open_cache(cache, ["inertial"]).features["inertial"], stored)


def test_half_precision_stays_half_precision_in_memory(tmp_path):
    path = write_cache(tmp_path / "c.zarr", modalities={"rgb": (4, 20)})
    assert open_cache(path).features["rgb"].dtype == torch.float16


def test_a_missing_cache_is_named(tmp_path):
    with pytest.raises(ContractError, match=r"nowhere\.zarr does not exist\. Make a cache with"):
        open_cache(tmp_path / "nowhere.zarr")


def test_a_folder_that_is_no_zarr_group_is_named(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ContractError, match=r"folder is not a Zarr group"):
        open_cache(tmp_path / "folder")


def test_an_empty_file_is_no_cache(tmp_path):
    (tmp_path / "empty.zarr").touch()
    with pytest.raises(ContractError, match=r"empty\.zarr is not a Zarr group"):
        open_cache(tmp_path / "empty.zarr")


def test_a_group_of_another_kind_is_named(tmp_path):
    zarr.create_group(str(tmp_path / "other.zarr"))
    with pytest.raises(ContractError, match=r"other\.zarr is not a feature cache"):
        open_cache(tmp_path / "other.zarr")


def test_another_schema_version_is_refused(tmp_path):
    path = write_cache(tmp_path / "c.zarr", changes={"schema_version": 99})
    with pytest.raises(ContractError, match="cache schema version 99"):
        open_cache(path)


def test_a_half_made_cache_is_refused_with_what_to_do(tmp_path):
    path = write_cache(tmp_path / "c.zarr", state=CacheState.BUILDING)
    with pytest.raises(ContractError, match=r"state 'building'.*Run the same 'dmft encode' again"):
        open_cache(path)


def test_a_missing_modality_is_named_with_those_there_are(cache):
    with pytest.raises(ContractError, match="no modality 'depth': it has skeleton, inertial"):
        open_cache(cache, ["skeleton", "depth"])


@pytest.mark.parametrize("wanted", [[], ["skeleton", "skeleton"]])
def test_modalities_are_wanted_at_least_one_and_each_once(cache, wanted):
    with pytest.raises(ContractError, match=r"modalities are \[.*at least one, each once"):
        open_cache(cache, wanted)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_row_marked_present_must_be_finite(cache, value):
    group = zarr.open_group(str(cache), mode="r+")
    group["inertial"][5, 3, 2] = value
    seal(cache)
    record = open_cache(cache, ["skeleton"]).record_ids[5]
    with pytest.raises(ContractError, match=f"inertial of record '{record}' is marked present"):
        open_cache(cache)


def test_a_missing_chunk_is_not_taken_for_features(cache):
    next((cache / "skeleton" / "c").glob("1/*/*")).unlink()
    with pytest.raises(ContractError, match=r"skeleton/c/1/0/0 is missing"):
        open_cache(cache)


def test_a_pending_record_in_a_complete_cache_is_refused(cache):
    group = zarr.open_group(str(cache), mode="r+")
    group["inertial_presence"][3] = Presence.PENDING
    seal(cache)
    with pytest.raises(ContractError, match="inertial_presence has records that are not encoded"):
        open_cache(cache)


def test_a_missing_array_is_named(cache):
    group = zarr.open_group(str(cache), mode="r+")
    del group["label"]
    seal(cache)
    with pytest.raises(ContractError, match="lacks the array 'label'"):
        open_cache(cache)


def test_an_array_of_the_wrong_shape_is_named(cache):
    group = zarr.open_group(str(cache), mode="r+")
    del group["skeleton"]
    group.create_array("skeleton", shape=(48, 16, 5), dtype="float32")
    seal(cache)
    with pytest.raises(ContractError, match=r"shape \(48, 16, 5\): wanted \(48, 16, 6\)"):
        open_cache(cache)


def test_a_record_table_of_the_wrong_length_is_named(cache):
    group = zarr.open_group(str(cache), mode="r+")
    del group["label"]
    group.create_array("label", shape=(7,), dtype="int32")
    seal(cache)
    with pytest.raises(ContractError, match="label has 7 rows: wanted 48"):
        open_cache(cache)


def test_a_label_without_a_class_is_named(cache):
    zarr.open_group(str(cache), mode="r+")["label"][0] = 9
    seal(cache)
    with pytest.raises(ContractError, match="label 9 is outside 0 to 3"):
        open_cache(cache)


def test_a_damaged_chunk_is_named(cache):
    chunk = next((cache / "label" / "c").iterdir())
    chunk.write_bytes(b"not zstd at all")
    seal(cache)
    with pytest.raises(ContractError, match="array 'label' is damaged"):
        open_cache(cache)
