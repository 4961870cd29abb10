"""A cache that is encoded, edited and read as the commands do it, of made-up rows.

Beside :class:`World`, a plain dictionary says what the cache must hold.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import uuid
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np

from dmft.data import open_cache
from pipeline.cache.edit.rearrange import finish_interrupted
from pipeline.cache.ledger import Entry, Failure, Source
from pipeline.cache.lock import Holder, locked
from pipeline.cache.objects import Objects
from pipeline.cache.repair import repair
from pipeline.cache.seal import finish, is_finished
from pipeline.cache.writer import CacheStore, digest_rows
from pipeline.contract import ModalitySpec, Presence, Record, StreamRef
from pipeline.manifests import Manifest
from tests.zarr_at_once import zarr_at_once

P, D, PER_CHUNK = 2, 3, 2
ROW, CRC = P * D * 4, 4
"""Bytes of a record's row, and of what every chunk ends in."""
CLASSES = ("a", "b")
MODALITIES = ("skeleton", "inertial")
SPECS = {
    name: ModalitySpec(
        name=name, n_patches=P, n_features=D, dtype="float32", records_per_chunk=PER_CHUNK
    )
    for name in MODALITIES
}


@dataclass(frozen=True)
class Trial:
    """What is known of one record."""

    label: int
    subject: int
    take: int = 0
    """Raw files that were recorded again have another."""


World = Mapping[str, Trial]
"""Record id to what it is."""


def record_id(number: int) -> str:
    """A name that stands nowhere by chance, nor in another one."""
    return f"trial-{number}-held"


def presence(record: str, modality: str) -> Presence:
    """Every third record has no inertial file, and every fifth skeleton is damaged."""
    number = int(record.split("-")[1])
    if modality == "inertial":
        return Presence.ABSENT if number % 3 == 2 else Presence.PRESENT
    return Presence.FAILED if number % 5 == 4 else Presence.PRESENT


def row(record: str, modality: str, take: int) -> np.ndarray:
    """A record's patches. Shapes: (P, D)."""
    seed = zlib.crc32(f"{record} {modality} {take}".encode())
    return np.random.default_rng(seed).normal(size=(P, D)).astype(np.float32)


def sha(record: str, modality: str, take: int) -> str:
    """Of its raw file."""
    return hashlib.sha256(f"{record} {modality} {take}".encode()).hexdigest()


def manifest_of(world: World) -> Manifest:
    """The list of some records."""
    return Manifest(
        dataset="utd-mhad",
        classes=CLASSES,
        records=tuple(
            Record(
                id=record,
                label=trial.label,
                attributes={"subject": trial.subject},
                streams={
                    m: (StreamRef(name=m, path=f"{m}/{record}.mat", sha256=sha(record, m, 0)),)
                    for m in MODALITIES
                    if presence(record, m) != Presence.ABSENT
                },
            )
            for record, trial in world.items()
        ),
    )


def encode(at: Path, world: World, modalities: tuple[str, ...], *, check: bool = False) -> None:
    """What ``dmft encode`` does, in its order, with rows made here."""
    manifest, specs = manifest_of(world), {name: SPECS[name] for name in modalities}
    with locked(str(at)) as claim:
        finish_interrupted(Objects(str(at)), claim.session, seal=False)
        if check:
            repair(str(at), manifest, specs)
        store = CacheStore.preview(str(at), manifest, specs)
        done = {name: store.entries(name) for name in modalities}
        todo = [
            (name, chunk)
            for name in modalities
            for chunk in range(store.n_chunks(name))
            if any(
                (entry := done[name].get(store.records[r].id)) is None
                or entry.key != _key(store.records[r].id, name, world)
                for r in store.rows_of(name, chunk)
            )
        ]
        if not todo and is_finished(store):
            return
        store.begin(claim.session)
        for name, chunk in todo:
            rows = store.rows_of(name, chunk)
            _, block = store.sound_rows(name, chunk)
            entries = []
            for r in rows:
                entry, patches = _encoded(store.records[r].id, name, r, world)
                block[r - rows.start] = patches
                entries.append(entry)
            store.commit(name, chunk, block, entries, environment={}, session=claim.session)
        finish(store, {**store.spec.provenance, "manifest_sha256": manifest.sha256}, claim.session)


def _key(record: str, modality: str, world: World) -> str:
    return f"{record} {modality} {world[record].take}"


def _encoded(record: str, modality: str, r: int, world: World) -> tuple[Entry, np.ndarray]:
    take, state = world[record].take, presence(record, modality)
    path = f"{modality}/{record}.mat"
    entry = Entry(record_id=record, row=r, presence=state, key=_key(record, modality, world))
    source = Source(path=path, n_bytes=9, sha256=sha(record, modality, take))
    if state == Presence.PRESENT:
        patches = row(record, modality, take)
        digest = digest_rows(patches[None])[0]
        return replace(entry, digest=digest, length=9, sources=(source,)), patches
    nothing = np.full((P, D), np.nan, np.float32)
    if state == Presence.FAILED:
        failure = Failure(stage="read", type="RecordingError", message="cut short", path=path)
        return replace(entry, sources=(source,), failure=failure), nothing
    return entry, nothing


Contents = dict[str, tuple[int, int, tuple[bytes | None, ...]]]
"""Record id to label, subject and the bytes of each modality, None where it is not present."""


def contents_of(world: World, modalities: tuple[str, ...]) -> Contents:
    """What a cache of some records must hold."""
    return {
        record: (
            trial.label,
            trial.subject,
            tuple(
                row(record, m, trial.take).tobytes()
                if presence(record, m) == Presence.PRESENT
                else None
                for m in sorted(modalities)
            ),
        )
        for record, trial in world.items()
    }


def read(at: Path) -> Contents:
    """What the trainer finds.

    Raises:
        ContractError: it refuses the cache.
    """
    cache = open_cache(at)
    names = sorted(cache.modalities)
    features = {name: np.asarray(cache.features[name]) for name in names}
    columns = {name: cache.modalities.index(name) for name in names}
    return {
        record: (
            int(cache.labels[r]),
            int(cache.columns["subject"][r]),
            tuple(
                features[m][r].tobytes() if bool(cache.present[r, columns[m]]) else None
                for m in names
            ),
        )
        for r, record in enumerate(cache.record_ids)
    }


def stored(at: Path) -> Contents:
    """What a complete cache holds by the description of its format, without Zarr or the trainer."""
    said = json.loads((at / "zarr.json").read_bytes())["attributes"]["dmft"]
    assert said["state"] == "complete"
    ids, labels = _texts(at / "record_id/c/0"), _numbers(at / "label/c/0", "<i4")
    subjects, names = _numbers(at / "subject/c/0", "<i4"), sorted(said["modalities"])
    has = {name: _numbers(at / f"{name}_presence/c/0", "u1") for name in names}
    rows = {
        (name, row): (at / f"{name}/c/{row // PER_CHUNK}/0/0").read_bytes()[start : start + ROW]
        for name in names
        for row in range(len(ids))
        if has[name][row] == Presence.PRESENT
        for start in (row % PER_CHUNK * ROW,)
    }
    return {
        record: (int(labels[r]), int(subjects[r]), tuple(rows.get((name, r)) for name in names))
        for r, record in enumerate(ids)
    }


def deeds_of(at: Path) -> list[str]:
    """What a cache tells of how it was edited."""
    said = json.loads((at / "zarr.json").read_bytes())["attributes"]["dmft"]
    return [deed["operation"] for deed in said["provenance"].get("history", ())]


def _numbers(at: Path, dtype: str) -> np.ndarray:
    return np.frombuffer(at.read_bytes()[:-CRC], dtype)


def _texts(at: Path) -> list[str]:
    content = at.read_bytes()[CRC:-CRC]
    texts = []
    while content:
        end = 4 + int.from_bytes(content[:4], "little")
        texts.append(content[4:end].decode())
        content = content[end:]
    return texts


def traces_of(record: str, takes: int) -> set[bytes]:
    """Bytes that tell of a record wherever they are."""
    found = {record.encode()}
    for modality, take in itertools.product(MODALITIES, range(takes + 1)):
        found |= {sha(record, modality, take).encode(), row(record, modality, take).tobytes()}
    return found


class _Silent:
    """Stands for the thread in which a claim says that it is there, and for what ends it."""

    def __init__(self, **_: object) -> None:
        self.start = self.join = self.set = lambda: None


class Life:
    """Which process this is: one that was ended has another number than the next."""

    number = 0


@contextmanager
def lives() -> Iterator[None]:
    """Have claims tell the processes apart that are ended in this one, which has no threads."""

    def this() -> Holder:
        return Holder(uuid.uuid4().hex, "here", Life.number, 0.0)

    with (
        zarr_at_once(),
        patch.object(Holder, "this", this),
        patch.object(Holder, "is_running", property(lambda self: self.pid == Life.number)),
        patch("pipeline.cache.lock.threading", SimpleNamespace(Event=_Silent, Thread=_Silent)),
        patch("pipeline.cache.lock.WATCH_S", 0.0),
    ):
        yield
