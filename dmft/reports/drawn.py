"""What the page carries of records: which are wrong, whose they are, and a few of them to draw.

Which are drawn is decided by how often they are wrong. Their patches are read from a cache at hand,
as they are stored; nothing is asked of a model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dmft.reports.load import Measured
from pipeline.contract import ModalitySpec

if TYPE_CHECKING:
    from dmft.data import Cache

MAX_TRACES = 24
"""A modality of at most so many features is drawn as a line each."""
GROUPS = 32
"""Rows of a heat map; more features are averaged in groups."""
SKELETON = ("head_x", 60)
"""First feature and D of a skeleton that is drawn as a person: 20 joints in x, y, z."""


def missed_records(runs: Sequence[Measured], n: int) -> list[str]:
    """The records that the largest part of the runs that tested them gets wrong."""
    tested: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for run in runs:
        tested.update(run.predictions["record"])
        wrong.update(run.errors["record"])
    place = {record: k for k, record in enumerate(tested)}
    return sorted(wrong, key=lambda name: (-wrong[name] / tested[name], place[name]))[:n]


def drawn_data(caches: Mapping[str, Cache], records: Sequence[str]) -> dict[str, Any]:
    """Plain data of some records, for JSON; of those that no cache has, nothing.

    Returns:
        ``features``, ``widths`` and ``groups`` as the page's script wants them, and ``records`` by
        their ids.
    """
    data: dict[str, Any] = {"features": {}, "widths": {}, "groups": GROUPS, "records": {}}
    data["over"] = "the records that are drawn here"
    for cache in caches.values():
        row_of = {record: row for row, record in enumerate(cache.record_ids)}
        rows = [row_of[r] for r in records if r in row_of and r not in data["records"]]
        if not rows:
            continue
        from torch import as_tensor

        for row in rows:
            record = cache.record_ids[row]
            data["records"][record] = {"id": record, "skeleton": None, "traces": {}, "heat": {}}
        for column, name in enumerate(cache.modalities):
            present = [row for row in rows if cache.present[row, column]]
            if present:
                patches = cache.features[name][as_tensor(present)].double().numpy()
                ids = [cache.record_ids[row] for row in present]
                _put(data, cache.modality_spec(name), ids, patches)
    return data


def _put(
    data: dict[str, Any], spec: ModalitySpec, ids: Sequence[str], patches: NDArray[np.float64]
) -> None:
    """Put one modality into the records that have it.

    Shapes: patches (B, P, D).
    """
    records, name, D = data["records"], spec.name, spec.n_features
    if (*spec.feature_names[:1], D) == SKELETON:
        for record, own in zip(ids, patches, strict=True):
            records[record]["skeleton"] = own.round(2).tolist()
    elif D <= MAX_TRACES:
        numbered = [f"feature {column + 1}" for column in range(D)]
        data["features"][name] = list(spec.feature_names or numbered)
        for record, own in zip(ids, patches, strict=True):
            records[record]["traces"][name] = [[float(f"{v:.3g}") for v in row] for row in own]
    else:
        data["widths"][name] = D
        middle = np.median(patches, axis=(0, 1))
        spread = 1.4826 * np.median(np.abs(patches - middle), axis=(0, 1))
        for record, own in zip(ids, patches, strict=True):
            away = (own - middle) / np.maximum(spread, 1e-6)
            groups = np.array_split(np.arange(D), GROUPS)
            heat = np.stack([away[:, group].mean(axis=1) for group in groups if len(group)], axis=1)
            records[record]["heat"][name] = (10 * np.clip(heat, -3, 3)).round().astype(int).tolist()
