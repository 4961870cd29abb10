"""Laws of the store: what is committed is what is read, in whatever order, and stays."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.cache.ledger import Entry
from pipeline.cache.seal import finish
from pipeline.cache.writer import CacheStore, digest_rows
from pipeline.contract import CACHE_ATTRIBUTE, ModalitySpec, Presence, Record, StreamRef
from pipeline.manifests import Manifest
from tests.factories import claim

P, D, PER_CHUNK = 3, 2, 3
calm = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
presences = st.lists(st.sampled_from(list(Presence)[1:]), min_size=1, max_size=8)


def records(n: int) -> list[Record]:
    return [
        Record(
            id=f"r{i}",
            label=i % 2,
            attributes={"subject": i},
            streams={"skeleton": (StreamRef(name="skeleton", path=f"{i}.mat"),)},
        )
        for i in range(n)
    ]


@pytest.fixture(autouse=True, scope="module")
def _without_waiting_for_the_disk():
    with patch("os.fsync"):
        yield


def prepare(folder: Path, n: int, dtype: str = "float32") -> CacheStore:
    spec = ModalitySpec(
        name="skeleton", n_patches=P, n_features=D, dtype=dtype, records_per_chunk=PER_CHUNK
    )
    manifest = Manifest(dataset="utd-mhad", classes=("a", "b"), records=tuple(records(n)))
    store = CacheStore.preview(str(folder), manifest, {"skeleton": spec})
    claim(folder, "test")
    store.begin("test")
    return store


def commit(store: CacheStore, chunk: int, values, states) -> None:
    rows = store.rows_of("skeleton", chunk)
    block = np.full((len(rows), P, D), np.nan, values.dtype)
    entries = []
    for row in rows:
        digest = ""
        if states[row] == Presence.PRESENT:
            block[row - rows.start] = values[row]
            digest = digest_rows(values[row][None])[0]
        entries.append(
            Entry(
                record_id=f"r{row}", row=row, presence=states[row], key="k", digest=digest, length=9
            )
        )
    store.commit("skeleton", chunk, block, entries, environment={}, session="test")


def fill(folder: Path, states, order=None, dtype="float32", seed=0):
    store = prepare(folder, len(states), dtype)
    values = np.random.default_rng(seed).normal(size=(len(states), P, D)).astype(dtype)
    chunks = list(range(store.n_chunks("skeleton")))
    for chunk in order(chunks) if order else chunks:
        commit(store, chunk, values, states)
    finish(store, {}, "test")
    return values


def stored_bytes(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@calm
@given(presences, st.sampled_from(["float32", "float16"]))
def test_what_is_committed_is_what_is_read(states, dtype):
    with tempfile.TemporaryDirectory() as folder:
        values = fill(Path(folder), states, dtype=dtype)
        group = zarr.open_group(folder, mode="r")
        read = np.asarray(group["skeleton"][...])
        present = np.array(states) == Presence.PRESENT
        assert read.dtype == np.dtype(dtype)
        assert read[present].tobytes() == values[present].tobytes()
        assert np.isnan(read[~present]).all()
        np.testing.assert_array_equal(group["skeleton_presence"][...], states)
        np.testing.assert_array_equal(group["skeleton_length"][...], np.where(present, 9, 0))
        assert list(group["record_id"][...]) == [f"r{i}" for i in range(len(states))]
        assert group.attrs[CACHE_ATTRIBUTE]["state"] == "complete"


@calm
@given(presences, st.randoms(use_true_random=False))
def test_any_order_of_commits_gives_the_same_bytes(states, random):
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        fill(Path(one), states)
        fill(Path(other), states, order=lambda chunks: random.sample(chunks, len(chunks)))
        assert stored_bytes(Path(one)) == stored_bytes(Path(other))


@calm
@given(st.integers(1, 7), st.integers(1, 7))
def test_appending_keeps_the_bytes_of_old_rows(n_old, n_new):
    """Only the chunk that the old rows end in, if it was not full, is written again."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        states = [Presence.PRESENT] * (n_old + n_new)
        values = fill(folder, states[:n_old])
        before = stored_bytes(folder)
        store = prepare(folder, n_old + n_new)
        more = np.random.default_rng(1).normal(size=(n_old + n_new, P, D)).astype(np.float32)
        more[:n_old] = values
        for chunk in range(n_old // PER_CHUNK, store.n_chunks("skeleton")):
            commit(store, chunk, more, states)
        finish(store, {}, "test")
        after = stored_bytes(folder)
        for chunk in range(n_old // PER_CHUNK):
            key = store.chunk_key("skeleton", chunk)
            assert after[key] == before[key]
        read = np.asarray(zarr.open_group(name, mode="r")["skeleton"][...])
        assert read.tobytes() == more.tobytes()


@calm
@given(presences, presences)
def test_a_row_that_a_record_lost_is_gone(before, after):
    """Also where it was the only one of its chunk, whose object was left behind once."""
    n = min(len(before), len(after))
    before, after = before[:n], after[:n]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder, before)
        values = fill(folder, after, seed=1)
        read = np.asarray(zarr.open_group(name, mode="r")["skeleton"][...])
        present = np.array(after) == Presence.PRESENT
        assert np.isnan(read[~present]).all()
        assert read[present].tobytes() == values[present].tobytes()


def test_a_half_written_chunk_claims_no_record_it_does_not_hold(tmp_path, monkeypatch):
    """A kill between a chunk's bytes and its ledger must not leave old claims on new bytes."""
    states = [Presence.PRESENT] * 2
    fill(tmp_path, states)
    store = prepare(tmp_path, 2)
    values = np.ones((2, P, D), np.float32)

    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    monkeypatch.setattr("pipeline.cache.writer.CacheStore.unsound", killed)
    with contextlib.suppress(Killed):
        commit(store, 0, values, states)
    monkeypatch.undo()
    assert store.entries("skeleton") == {}
