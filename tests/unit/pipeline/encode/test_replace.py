"""Features that are stored are dropped only where that is asked for."""

import shutil

import pytest

from pipeline.cache.verify import verify
from pipeline.contract import ConfigError, ContractError
from pipeline.encoders.config import load_config
from tests.fabricate import (
    arrays_of,
    assert_same_arrays,
    encode_here,
    record_ids,
    rehearse_here,
    write_raw,
)

OTHER = load_config(None, ["inertial.patches=16"])


def test_another_encoding_of_what_is_stored_needs_replace(tmp_path):
    """It threw the stored features away, under a running training too."""
    raw, cache = write_raw(tmp_path / "raw", record_ids(2)), tmp_path / "c"
    encode_here(raw, cache)
    before = {p: p.read_bytes() for p in cache.rglob("*") if p.is_file()}
    refusal = r"holds inertial encoded otherwise \(n_patches is 128 there and 16 here.*--replace"
    for attempt in (encode_here, rehearse_here):
        with pytest.raises(ConfigError, match=refusal):
            attempt(raw, cache, config=OTHER)
    after = {p: p.read_bytes() for p in cache.rglob("*") if p.is_file()}
    assert {k: v for k, v in after.items() if "lock" not in k.name} == {
        k: v for k, v in before.items() if "lock" not in k.name
    }
    encode_here(raw, cache, config=OTHER, replace=True)
    assert arrays_of(cache)["inertial"].shape[1] == 16


def test_a_new_modality_or_an_unstarted_one_needs_nothing(tmp_path):
    raw, cache = write_raw(tmp_path / "raw", record_ids(2)), tmp_path / "c"
    encode_here(raw, cache, modalities=("skeleton",))
    encode_here(raw, cache, config=OTHER)
    assert arrays_of(cache)["inertial"].shape[1] == 16


def test_a_cache_without_its_ledger_is_mended_as_the_message_says(tmp_path):
    """Encode advised --check-stored, which failed with the same sentence."""
    raw, cache = write_raw(tmp_path / "raw", record_ids(3)), tmp_path / "c"
    encode_here(raw, cache)
    whole = arrays_of(cache)
    shutil.rmtree(cache / ".ledger")
    with pytest.raises(ContractError, match="--check-stored"):
        encode_here(raw, cache)
    encode_here(raw, cache, check_stored=True)
    assert_same_arrays(arrays_of(cache), whole)
    assert not verify(str(cache), full=True).findings
