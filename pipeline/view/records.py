"""A few records, drawn: which ones, and the numbers that they are drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.common.words import first_of, meant
from pipeline.contract import ConfigError, Record, feature_array
from pipeline.encoders.config import SkeletonEncoding
from pipeline.encoders.kinds import READER, kind_noted
from pipeline.raw.tree import RawTree
from pipeline.view.content import PRESENT, CacheContent, centre, feature_name, lacking, some_of
from pipeline.view.frames import drawn_frames
from pipeline.view.outliers import Outlier

MAX_TRACES = 24
"""A modality of at most so many features is drawn as a line each."""
HEAT_FEATURES = 64
"""Rows of a heat map; more features are averaged in groups."""
JOINT_FEATURES = 60
"""D of a skeleton that is drawn as a person: 20 joints in x, y, z."""


def choose(
    records: Sequence[Record], outliers: Sequence[Outlier], n: int, named: Sequence[str] = ()
) -> list[int]:
    """Rows to draw: those named, then the worst suspects, then records spread over the classes.

    Args:
        records: Of the cache, in the order of its rows.
        outliers: What stands out of them.
        n: How many, beside those named; two thirds at most are suspects.
        named: Record ids to draw in any case.

    Raises:
        ConfigError: there is no record of a name.
    """
    rows = {record.id: row for row, record in enumerate(records)}
    if unknown := [name for name in named if name not in rows]:
        raise ConfigError(
            f"there is no record {unknown[0]!r}{meant(unknown[0], rows)}: the cache has "
            f"{len(rows):,}, such as {first_of(list(rows), 3)}"
        )
    worst = sorted((o for o in outliers if o.suspect), key=lambda o: -o.deviations)
    chosen = list(dict.fromkeys(rows[o.record_id] for o in worst))[: n * 2 // 3]
    by_class = sorted(range(len(records)), key=lambda row: (records[row].label, row))
    spread = [by_class[int(k)] for k in np.linspace(0, len(records) - 1, n if by_class else 0)]
    asked = list(dict.fromkeys(rows[name] for name in named))
    others = [row for row in dict.fromkeys(chosen + spread) if row not in asked]
    return asked + others[:n]


def drawn_from(
    content: CacheContent, chosen: Sequence[int], tree: RawTree | None = None
) -> dict[str, Any]:
    """Return plain data for JSON: lengths of all records, patches of the chosen ones.

    With a raw tree also frames of the chosen ones.
    """
    modalities = content.store.spec.modalities
    centres = {
        name: centre(some_of(values.patches.reshape(-1, modalities[name].n_features)), axis=0)
        for name, values in content.values.items()
        if len(values.rows)
    }
    return {
        "lengths": {
            name: _histogram(lengths[lengths > 0].to_numpy())
            for name, lengths in content.lengths.items()
            if lengths.any()
        },
        "features": {
            name: [feature_name(spec, column) for column in range(spec.n_features)]
            for name, spec in modalities.items()
            if spec.n_features <= MAX_TRACES
        },
        "widths": {name: modalities[name].n_features for name in centres},
        "groups": HEAT_FEATURES,
        "records": [_record(content, row, centres, tree) for row in chosen],
    }


def _histogram(lengths: NDArray[np.int64]) -> dict[str, Any]:
    counts, edges = np.histogram(lengths, bins=min(40, max(1, int(np.ptp(lengths)))))
    return {"counts": counts.tolist(), "edges": edges.round(1).tolist()}


def _record(
    content: CacheContent,
    row: int,
    centres: Mapping[str, tuple[Any, Any]],
    tree: RawTree | None,
) -> dict[str, Any]:
    spec, record = content.store.spec, content.store.records[row]
    group = content.store.group()
    traces: dict[str, Any] = {}
    heat: dict[str, Any] = {}
    skeleton = None
    notes = {name: modality.encoding for name, modality in spec.modalities.items()}
    about = [spec.classes[record.label], *(f"{k} {v}" for k, v in record.attributes.items())]
    for name, modality in spec.modalities.items():
        state = content.states[name].iloc[row]
        if name not in centres or state != PRESENT:
            about.append(f"{name} {state}")
            continue
        lacks = lacking(content.streams[name], record.streams.get(name, ()))
        without = f" without {', '.join(lacks)}" if lacks else ""
        about.append(f"{name} {content.lengths[name].iloc[row]} long{without}")
        patches = np.asarray(group[feature_array(name)][row], np.float64)
        is_skeleton = kind_noted(modality.encoding).settings is SkeletonEncoding
        is_kinect = modality.n_features == JOINT_FEATURES and READER not in modality.encoding
        if is_skeleton and is_kinect:
            skeleton = patches.round(3).tolist()
        elif modality.n_features <= MAX_TRACES:
            traces[name] = [[float(f"{v:.4g}") for v in patch] for patch in patches]
        heat[name] = _heat(patches, *centres[name])
    return {
        "id": record.id,
        "about": f"{record.id}: {', '.join(about)}",
        "skeleton": skeleton,
        "traces": traces,
        "heat": heat,
        "frames": drawn_frames(tree, spec.dataset, record, notes) if tree else {},
    }


def _heat(patches: NDArray[np.float64], median: Any, scale: Any) -> list[list[int]]:
    """Tenths of a deviation, from -30 to 30.

    Shapes: patches (P, D), median (D,), scale (D,) -> (P, at most HEAT_FEATURES).
    """
    away = (patches - median) / np.maximum(scale, 1e-6)
    groups = np.array_split(np.arange(patches.shape[1]), HEAT_FEATURES)
    away = np.stack([away[:, g].mean(axis=1) for g in groups if len(g)], axis=1)
    tenths: list[list[int]] = np.round(np.clip(away, -3, 3) * 10).astype(int).tolist()
    return tenths
