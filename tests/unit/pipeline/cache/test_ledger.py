"""The ledger: what it keeps, what it refuses, and what a content key covers."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace

import pytest

from pipeline.cache.ledger import (
    ChunkLedger,
    Entry,
    Failure,
    Source,
    content_key,
    read_ledger,
    write_ledger,
)
from pipeline.cache.objects import Objects
from pipeline.contract import ContractError, Presence, Record, StreamRef

LEDGER = ChunkLedger(
    modality="skeleton",
    chunk=3,
    entries=(
        Entry(
            record_id="r1",
            row=6,
            presence=Presence.PRESENT,
            key="k",
            digest="d",
            length=41,
            sources=(Source(path="a.mat", n_bytes=9, sha256="s", n_frames=41),),
        ),
        Entry(
            record_id="r2",
            row=7,
            presence=Presence.FAILED,
            key="k",
            failure=Failure(stage="read", type="ValueError", message="no", path="b.mat"),
        ),
    ),
    environment={"numpy": "2"},
)


def test_a_ledger_comes_back_as_it_was(tmp_path):
    objects = Objects(str(tmp_path))
    write_ledger(objects, LEDGER)
    assert read_ledger(objects, "skeleton", 3) == LEDGER
    assert read_ledger(objects, "skeleton", 2) is None


def edited(change) -> bytes:
    content = json.loads(LEDGER.to_bytes())
    change(content)
    return json.dumps(content).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"3",
        edited(lambda c: c.pop("entries")),
        edited(lambda c: c["entries"][0].update(presence=9)),
        edited(lambda c: c["entries"][0].pop("digest")),
        edited(lambda c: c["entries"][0]["sources"][0].update(other=1)),
        edited(lambda c: c["entries"][1].update(failure="text")),
        edited(lambda c: c.update(entries={"a": 1})),
    ],
)
def test_a_damaged_ledger_is_refused_and_says_what_mends_it(content):
    with pytest.raises(ContractError, match=r"x/3\.json is damaged .*--check-stored"):
        ChunkLedger.from_bytes(content, where="x/3.json")


def record(**stream) -> Record:
    ref = StreamRef(**{"name": "skeleton", "path": "a.mat", "sha256": "a" * 64, **stream})
    return Record(id="r1", label=0, streams={"skeleton": (ref,)})


def key(rec: Record, **changes) -> str:
    arguments = {
        "encoding": {"window": 1},
        "version": 1,
        "weights_sha256": None,
        "hashes": {"a.mat": "a" * 64},
    }
    return content_key(rec, "skeleton", **{**arguments, **changes})


def test_a_key_covers_bytes_configuration_weights_and_version():
    base = key(record())
    assert base != key(record(sha256="b" * 64))
    assert base != key(record(), encoding={"window": 2})
    assert base != key(record(), weights_sha256="w")
    assert base != key(record(), version=2)


def test_a_key_covers_no_path_no_identity_and_nothing_a_manifest_learns_later():
    base = key(record())
    assert base == key(record(path="elsewhere/b.mat"))
    assert base == key(replace(record(), id="other", label=3, attributes={"subject": 9}))
    assert base == key(record(n_bytes=5, n_frames=41))
    assert base == key(record(sha256=None))


def test_a_ledger_is_stored_as_all_that_it_holds():
    """Field for field, what is in its entries included."""
    wanted = json.dumps(dataclasses.asdict(LEDGER), indent=1, sort_keys=True).encode()
    assert LEDGER.to_bytes() == wanted
