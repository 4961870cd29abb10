"""Two writers of an object store, whichever of them is paused where: the owner's bytes stay."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import zarr

from pipeline.cache import writer
from pipeline.cache.array_metadata import column_metadata
from pipeline.cache.checksums import CLAIMS
from pipeline.cache.chunk_content import chunk_content, column_content
from pipeline.cache.ledger import Entry, read_ledger
from pipeline.cache.lock import Holder, check_owner, owners_put
from pipeline.cache.objects import Objects
from pipeline.cache.writer import CacheStore, digest_rows
from pipeline.contract import CacheSpec, CacheState, ContractError, ModalitySpec, Presence

SPEC = CacheSpec(
    state=CacheState.BUILDING,
    dataset="utd-mhad",
    classes=("a",),
    columns=(),
    n_records=2,
    modalities={
        "inertial": ModalitySpec(
            name="inertial", n_patches=4, n_features=3, dtype="float32", records_per_chunk=2
        )
    },
    provenance={},
)


def commit(objects, session, seed, *, is_absent=False):
    """Commit the chunk as an encode does that found these numbers in the recordings."""
    rows = np.random.default_rng(seed).normal(size=(2, 4, 3)).astype(np.float32)
    digests = ["", ""] if is_absent else digest_rows(rows)
    entries = [
        Entry(
            record_id=f"r{row}",
            row=row,
            presence=Presence.ABSENT if is_absent else Presence.PRESENT,
            key=session,
            digest=digest,
            length=4,
        )
        for row, digest in enumerate(digests)
    ]
    store = CacheStore(objects, SPEC, ())
    store.commit("inertial", 0, rows, entries, environment={}, session=session)
    return rows


def claim(objects, number, session):
    holder = json.dumps(asdict(replace(Holder.this(), session=session))).encode()
    assert objects.create(f"{CLAIMS}{number}", holder)


@pytest.mark.parametrize("is_stored", [False, True], ids=["first", "again"])
@pytest.mark.parametrize("paused_at", [1, 2])
def test_who_is_taken_over_between_looking_and_writing_writes_nothing(
    s3, monkeypatch, paused_at, is_stored
):
    """It looked at the claim and then wrote: a pause between them put old bytes over new ones."""
    objects, n_looks, rows = Objects(s3), 0, None
    claim(objects, 1, "old")
    if is_stored:
        commit(objects, "old", seed=0)

    def look_and_pause(objects, session):
        nonlocal n_looks, rows
        check_owner(objects, session)
        if session == "old":
            n_looks += 1
            if n_looks == paused_at:  # and here another takes the cache over
                claim(objects, 2, "new")
                rows = commit(objects, "new", seed=2)

    monkeypatch.setattr(writer, "check_owner", look_and_pause)
    with pytest.raises(ContractError, match=rf"{s3} was taken over by another encode"):
        commit(objects, "old", seed=1)
    content = objects.read("inertial/c/0/0/0")
    assert content == chunk_content(rows, SPEC.modalities["inertial"])
    assert {e.key for e in read_ledger(objects, "inertial", 0).entries} == {"new"}


def test_the_owner_writes_over_what_the_other_had_begun(s3, monkeypatch):
    objects, n_looks = Objects(s3), 0
    claim(objects, 1, "old")
    claim(objects, 2, "new")
    monkeypatch.setattr(writer, "check_owner", lambda objects, session: None)
    late = "inertial/c/0/0/0"

    def look(objects, session):
        nonlocal n_looks
        n_looks += 1
        if n_looks == 1:  # a put of the old one's arrives after the new one looked
            objects.write(late, b"old")
            objects.write(".ledger/inertial/0.json", b'{"entries": []}')
        check_owner(objects, session)

    monkeypatch.setattr(writer, "check_owner", look)
    monkeypatch.setattr(writer, "read_ledger", lambda *_: None)  # it was not there then
    rows = commit(objects, "new", seed=2)
    assert objects.read(late) == chunk_content(rows, SPEC.modalities["inertial"])
    assert {e.key for e in read_ledger(objects, "inertial", 0).entries} == {"new"}


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("n_rows", [1, 3])
def test_a_chunk_is_what_zarr_writes(tmp_path, dtype, n_rows):
    spec = replace(SPEC.modalities["inertial"], dtype=dtype, records_per_chunk=3)
    rows = np.random.default_rng(0).normal(size=(n_rows, 4, 3)).astype(dtype)
    monkey = replace(SPEC, modalities={"inertial": spec}, n_records=n_rows)
    store = CacheStore(Objects(str(tmp_path)), monkey, ())
    store.ensure_arrays()
    zarr.open_group(tmp_path, mode="a")["inertial"][:] = rows
    assert (tmp_path / "inertial/c/0/0/0").read_bytes() == chunk_content(rows, spec)


@pytest.mark.parametrize(
    "values",
    [
        np.arange(3, dtype=np.int32),
        np.array([0, 2, 1], np.uint8),
        np.array(["a", "", "gr\u00fc\u00df"], object),
    ],
    ids=["numbers", "bytes", "texts"],
)
def test_a_column_is_what_zarr_writes(tmp_path, values):
    dtype = "str" if values.dtype == object else values.dtype.name
    (tmp_path / "x").mkdir()
    (tmp_path / "x/zarr.json").write_bytes(column_metadata(3, dtype))
    zarr.open_array(tmp_path / "x")[:] = values
    assert (tmp_path / "x/c/0").read_bytes() == column_content(values)


def test_who_is_taken_over_before_the_end_does_not_say_that_the_cache_is_complete(s3):
    """The root and the list of checksums were put after a look at the claim, and in any case."""
    objects = Objects(s3)
    claim(objects, 1, "old")
    objects.write("zarr.json", b"building")
    put = owners_put(objects, "old")
    claim(objects, 2, "new")
    other = owners_put(objects, "new")
    other("zarr.json", b"complete")
    other("SHA256SUMS", b"of what is there")
    for key in ("zarr.json", "SHA256SUMS"):
        with pytest.raises(ContractError, match=rf"{s3} was taken over by another encode"):
            put(key, b"of the old one")
    with pytest.raises(ContractError, match=rf"{s3} was taken over by another encode"):
        owners_put(objects, "old")
    other("zarr.json", b"and once more")
    assert objects.read("zarr.json") == b"and once more"
    assert objects.read("SHA256SUMS") == b"of what is there"
