"""What stands out in a cache: records whose lengths or values lie far from the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import ModalitySpec, Record
from pipeline.view.content import CacheContent, Values, centre, feature_name

SUSPECT_LENGTH, SUSPECT_VALUE = 6.0, 12.0
"""Robust deviations from the median beyond which a record is called suspect: streams of one
record last equally long, but people do move unlike each other."""
N_FURTHEST = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Oddity:
    """How far one record lies from the rest in one respect."""

    record_id: str
    what: str
    """In which respect."""
    value: float
    median: float
    """Of all records; of the record's class where it is about values."""
    deviations: float
    """Distance to the median in robust standard deviations."""
    limit: float
    """Deviations beyond which the record is suspect."""

    @property
    def suspect(self) -> bool:
        """Whether a person should look at it."""
        return self.deviations > self.limit


def oddities_of(content: CacheContent) -> list[Oddity]:
    """The records furthest from the rest, in each respect."""
    found = length_oddities(content.store.records, content.lengths)
    for name, values in content.values.items():
        spec = content.store.spec.modalities[name]
        found += value_oddities(content.store.records, spec, values)
    return found


def length_oddities(
    records: Sequence[Record], lengths: Mapping[str, NDArray[np.int64]]
) -> list[Oddity]:
    """Records whose streams are of unequal duration, or whose length is far from all others.

    Streams of one record last equally long, so the ratio of two lengths is nearly the same
    everywhere, and a record with another ratio lost or gained something.
    """
    found: list[Oddity] = []
    for a, b in combinations(lengths, 2):
        rows = np.flatnonzero((lengths[a] > 0) & (lengths[b] > 0))
        long, short = (a, b) if lengths[a].sum() >= lengths[b].sum() else (b, a)
        ratio = lengths[long][rows] / np.maximum(lengths[short][rows], 1)
        found += _furthest(records, rows, ratio, f"length of {long} / {short}", floor=0.01)
    for name, of in lengths.items():
        rows = np.flatnonzero(of > 0)
        found += _furthest(records, rows, of[rows].astype(float), f"length of {name}", floor=0.02)
    return found


def value_oddities(records: Sequence[Record], spec: ModalitySpec, values: Values) -> list[Oddity]:
    """Records with a feature whose greatest magnitude is far from that of others of their class.

    Classes move differently (a bowler's shoulders go where a waver's never do), so each record is
    held against the median of its class.
    """
    if not len(values.rows):
        return []
    extremes = np.maximum(values.patches.max(axis=1), -values.patches.min(axis=1))
    peaks = np.log1p(extremes.astype(float))
    labels = np.array([records[row].label for row in values.rows])
    medians = np.empty_like(peaks)
    for label in set(labels.tolist()):
        medians[labels == label] = np.median(peaks[labels == label], axis=0)
    _, scale = centre(peaks - medians, axis=0)
    distance = np.abs(peaks - medians) / np.maximum(scale, 0.05)
    worst = distance.argmax(axis=1)
    order = np.argsort(-distance.max(axis=1), kind="stable")[:N_FURTHEST]
    return [
        Oddity(
            record_id=records[values.rows[k]].id,
            what=f"greatest magnitude of {spec.name}, {feature_name(spec, int(worst[k]))}",
            value=float(np.expm1(peaks[k, worst[k]])),
            median=float(np.expm1(medians[k, worst[k]])),
            deviations=float(distance[k, worst[k]]),
            limit=SUSPECT_VALUE,
        )
        for k in order
    ]


def _furthest(
    records: Sequence[Record],
    rows: NDArray[np.int64],
    values: NDArray[np.float64],
    what: str,
    *,
    floor: float,
) -> list[Oddity]:
    """The records furthest from the median, on a scale of ratios."""
    if len(rows) < 3:
        return []
    logs = np.log(values)
    median, scale = centre(logs, axis=0)
    distance = np.abs(logs - median) / max(float(scale), floor)
    order = np.argsort(-distance, kind="stable")[:N_FURTHEST]
    return [
        Oddity(
            record_id=records[rows[k]].id,
            what=what,
            value=float(values[k]),
            median=float(np.exp(median)),
            deviations=float(distance[k]),
            limit=SUSPECT_LENGTH,
        )
        for k in order
    ]
