"""Small things to test on, made to the contract: feature caches that can be learnt from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec

from pipeline.cache.checksums import CLAIMS, SUMS
from pipeline.cache.lock import Holder
from pipeline.cache.objects import Objects
from pipeline.common.checksums import CRC_BYTES, Checksums
from pipeline.contract import (
    CACHE_ATTRIBUTE,
    CacheSpec,
    CacheState,
    ModalitySpec,
    Presence,
    feature_array,
    length_array,
    presence_array,
)

SKELETON_AND_INERTIAL = {"skeleton": (16, 6), "inertial": (32, 6)}
CHUNK = 16


def claim(folder: Path, session: str, number: int = 1) -> None:
    """Say that this process owns a cache, as an encode does; nothing takes the claim back."""
    (folder / CLAIMS).parent.mkdir(parents=True, exist_ok=True)
    holder = asdict(replace(Holder.this(), session=session))
    Objects(str(folder)).write(f"{CLAIMS}{number}", json.dumps(holder).encode())


def write_cache(
    path: Path,
    *,
    modalities: Mapping[str, tuple[int, int]] | None = None,
    n_subjects: int = 4,
    n_classes: int = 4,
    n_trials: int = 3,
    absent: Mapping[str, Presence] | None = None,
    dataset: str = "utd-mhad",
    state: CacheState = CacheState.COMPLETE,
    noise: float = 0.5,
    seed: int = 0,
    records_per_chunk: Mapping[str, int] | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Path:
    """Write a cache whose classes differ by their course over time, and subjects by an offset.

    Args:
        path: Where to.
        modalities: Name to stored P and D; rgb and depth are stored as float16.
        n_subjects: Subjects, numbered from 1.
        n_classes: Classes.
        n_trials: Trials of each class by each subject.
        absent: ``record_id/modality`` to the presence code it has instead of present.
        dataset: What the cache says it holds.
        state: What the cache says of its encoding.
        noise: Deviation of the noise on courses of amplitude 1.
        seed: Source of everything random.
        records_per_chunk: By modality, where it is not ``CHUNK``.
        changes: Entries of the group's attribute to overwrite, for caches that are wrong.
    """
    random = np.random.default_rng(seed)
    rows = [
        (subject, label, trial)
        for subject in range(1, n_subjects + 1)
        for label in range(n_classes)
        for trial in range(1, n_trials + 1)
    ]
    ids = [f"a{label + 1}_s{subject}_t{trial}" for subject, label, trial in rows]
    arrays: dict[str, tuple[NDArray[Any], NDArray[np.uint8]]] = {}
    specs = {}
    for name, (P, D) in (modalities or SKELETON_AND_INERTIAL).items():
        dtype = "float16" if name in ("rgb", "depth") else "float32"
        features = _courses(rows, n_classes, P, D, noise, random).astype(dtype)
        codes = np.full(len(rows), Presence.PRESENT, dtype=np.uint8)
        for key, code in (absent or {}).items():
            record, _, modality = key.partition("/")
            if modality == name:
                codes[ids.index(record)] = code
        features[codes != Presence.PRESENT] = np.nan
        arrays[name] = (features, codes)
        specs[name] = ModalitySpec(
            name=name,
            n_patches=P,
            n_features=D,
            dtype=dtype,
            records_per_chunk=(records_per_chunk or {}).get(name, CHUNK),
        )
    digest = hashlib.sha256("\n".join(ids).encode())
    for features, codes in arrays.values():
        digest.update(features.tobytes() + codes.tobytes())
    spec = CacheSpec(
        state=state,
        dataset=dataset,
        classes=tuple(f"class_{k}" for k in range(n_classes)),
        columns=("subject", "trial"),
        n_records=len(rows),
        modalities=specs,
        provenance={"made_by": "tests"},
        fingerprint=digest.hexdigest(),
    )
    attribute = json.loads(json.dumps(spec.to_json() | dict(changes or {})))
    group = zarr.create_group(str(path), attributes={CACHE_ATTRIBUTE: attribute})
    _write(group, "record_id", np.array(ids, dtype=object))
    _write(group, "label", np.array([label for _, label, _ in rows], dtype=np.int32))
    _write(group, "subject", np.array([subject for subject, _, _ in rows], dtype=np.int32))
    _write(group, "trial", np.array([trial for _, _, trial in rows], dtype=np.int32))
    for name, (features, codes) in arrays.items():
        _write(group, feature_array(name), features, specs[name].records_per_chunk, Crc32cCodec())
        _write(group, presence_array(name), codes)
        lengths = np.where(codes == Presence.PRESENT, features.shape[1], 0)
        _write(group, length_array(name), lengths.astype(np.int32))
    return seal(path)


def seal(path: Path) -> Path:
    """List the checksums of what is there, as the encoder does at its end."""
    objects = Objects(str(path))
    contents = {key: objects.read(key) or b"" for key in objects.sizes() if key != SUMS}
    checksums = Checksums(
        sha256={key: hashlib.sha256(content).hexdigest() for key, content in contents.items()},
        crc32c={
            key: content[-CRC_BYTES:] for key, content in contents.items() if key.endswith("/0/0")
        },
    )
    objects.write(SUMS, checksums.to_bytes())
    return path


def _courses(
    rows: list[tuple[int, int, int]],
    n_classes: int,
    P: int,
    D: int,
    noise: float,
    random: np.random.Generator,
) -> NDArray[np.float64]:
    phases = random.uniform(0, 2 * np.pi, size=(n_classes, D))
    speeds = random.uniform(0.5, 2.5, size=(n_classes, D))
    subjects = {subject: random.normal(0, 0.3, size=D) for subject, _, _ in rows}
    time = np.linspace(0, 1, P)[:, None]
    return np.stack(
        [
            np.sin(2 * np.pi * speeds[label] * time + phases[label])
            + subjects[subject]
            + random.normal(0, noise, size=(P, D))
            for subject, label, _ in rows
        ]
    )


def _write(
    group: zarr.Group,
    name: str,
    values: NDArray[Any],
    n_records: int = CHUNK,
    codec: Crc32cCodec | None = None,
) -> None:
    chunks = (n_records, *values.shape[1:])
    fill = np.nan if values.dtype.kind == "f" else None
    array = group.create_array(
        name,
        shape=values.shape,
        dtype=str if values.dtype == object else values.dtype,
        chunks=chunks,
        **({} if fill is None else {"fill_value": fill}),
        **({} if codec is None else {"compressors": [codec]}),
    )
    array[...] = values
