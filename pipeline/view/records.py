"""A few records, drawn: which ones, and the numbers that they are drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.common.page import chooser
from pipeline.contract import Presence, Record, feature_array
from pipeline.encoders.config import SkeletonEncoding
from pipeline.encoders.kinds import kind_noted
from pipeline.raw.tree import RawTree
from pipeline.view.content import CacheContent, centre, feature_name, some_of
from pipeline.view.frames import drawn_frames, with_frames
from pipeline.view.outliers import Oddity

MAX_TRACES = 12
"""A modality of at most so many features is drawn as a line each."""
HEAT_FEATURES = 64
"""Rows of a heat map; more features are averaged in groups."""
JOINT_FEATURES = 60
"""D of a skeleton that is drawn as a person: 20 joints in x, y, z."""


def choose(records: Sequence[Record], oddities: Sequence[Oddity], n: int) -> list[int]:
    """Rows to draw: the worst suspects first, then records spread over the classes."""
    places = {record.id: row for row, record in enumerate(records)}
    worst = sorted((o for o in oddities if o.suspect), key=lambda o: -o.deviations)
    chosen = list(dict.fromkeys(places[o.record_id] for o in worst))[: n // 2]
    by_class = sorted(range(len(records)), key=lambda row: (records[row].label, row))
    if by_class:
        spread = [by_class[int(k)] for k in np.linspace(0, len(by_class) - 1, n)]
        chosen += [row for row in dict.fromkeys(spread) if row not in chosen]
    return chosen[:n]


def records_section(content: CacheContent, chosen: Sequence[int], *, has_raw: bool) -> str:
    """The choice of a record, and the place where it is drawn."""
    if not chosen:
        return '<h2 id="records">Records</h2><p>There are none.</p>'
    store = content.store
    records = [store.records[row] for row in chosen]
    names = [f"{record.id}: {store.spec.classes[record.label]}" for record in records]
    choice = chooser("record", "Record", names)
    framed = with_frames(store.spec.dataset, records)
    note = (
        f'<p class="note">A cache holds no frames. To see some of {" and ".join(framed)} here, '
        "name the raw recordings: <code>dmft cache view CACHE --raw RAW</code>.</p>"
        if framed and not has_raw
        else ""
    )
    return f'<h2 id="records">Records</h2>{choice}{note}<div id="drawn"></div>'


def drawn_from(
    content: CacheContent, chosen: Sequence[int], tree: RawTree | None = None
) -> dict[str, Any]:
    """Return plain data for JSON: lengths of all records, patches of the chosen ones.

    With a raw tree also frames of the chosen ones.
    """
    modalities, dataset = content.store.spec.modalities, content.store.spec.dataset
    centres = {
        name: centre(some_of(found.patches.reshape(-1, modalities[name].n_features)), axis=0)
        for name, found in content.values.items()
        if len(found.rows)
    }
    return {
        "lengths": {
            name: _bars(of[of > 0]) for name, of in content.lengths.items() if (of > 0).any()
        },
        "features": {
            name: [feature_name(spec, c) for c in range(spec.n_features)]
            for name, spec in modalities.items()
            if spec.n_features <= MAX_TRACES
        },
        "heat": {name: _about_heat(modalities[name].n_features) for name in centres},
        "records": [
            _record(content, row, centres)
            | {"frames": drawn_frames(tree, dataset, content.store.records[row]) if tree else {}}
            for row in chosen
        ],
    }


def _about_heat(width: int) -> str:
    grouped = f", {width} features in {HEAT_FEATURES} groups" if width > HEAT_FEATURES else ""
    return (
        f"patches in robust deviations from each feature's median over the cache{grouped}. "
        "Orange is above it, blue below."
    )


def _bars(lengths: NDArray[np.int64]) -> dict[str, Any]:
    counts, edges = np.histogram(lengths, bins=min(40, max(1, int(np.ptp(lengths)))))
    return {
        "counts": counts.tolist(),
        "edges": [round(float(edge), 1) for edge in edges],
        "label": "rows or frames of a record; height: records",
    }


def _record(
    content: CacheContent, row: int, centres: Mapping[str, tuple[Any, Any]]
) -> dict[str, Any]:
    store = content.store
    record, spec = store.records[row], store.spec
    group = store.group(read_only=True)
    traces: dict[str, Any] = {}
    heat: dict[str, Any] = {}
    skeleton = None
    said = [spec.classes[record.label], *(f"{k} {v}" for k, v in record.attributes.items())]
    for name, modality in spec.modalities.items():
        state = content.presence(name, record)
        if name not in centres or state != Presence.PRESENT:
            said.append(f"{name} {state.name.lower()}")
            continue
        said.append(f"{name} {content.lengths[name][row]} long")
        patches = np.asarray(group[feature_array(name)][row], np.float64)
        is_skeleton = kind_noted(modality.encoding).settings is SkeletonEncoding
        if is_skeleton and modality.n_features == JOINT_FEATURES:
            skeleton = np.round(patches, 3).tolist()
        elif modality.n_features <= MAX_TRACES:
            traces[name] = [[float(f"{v:.4g}") for v in patch] for patch in patches]
        heat[name] = _heat(patches, *centres[name])
    return {
        "id": record.id,
        "about": f"{record.id}: {', '.join(said)}",
        "skeleton": skeleton,
        "traces": traces,
        "heat": heat,
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
