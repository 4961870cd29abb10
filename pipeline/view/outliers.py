"""What stands out in a cache: records whose lengths or values lie far from the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.contract import ModalitySpec, Record
from pipeline.view.content import CacheContent, Values, centre, feature_name

SUSPECT_LENGTH, SUSPECT_VALUE = 6.0, 12.0
"""Robust deviations from the median beyond which a record is called suspect: streams of one
record last equally long, but people do move unlike each other."""
N_FURTHEST = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlier:
    """How far one record lies from the rest in one respect."""

    record_id: str
    what: str
    """In which respect."""
    value: float
    median: float
    """Median of all records, or of the record's class where it is about values."""
    deviations: float
    """Distance to the median in robust standard deviations."""
    limit: float
    """Deviations beyond which the record is suspect."""

    @property
    def suspect(self) -> bool:
        """Whether a person should look at it."""
        return self.deviations > self.limit


def find_outliers(content: CacheContent) -> list[Outlier]:
    """The records furthest from the rest, in each respect."""
    records, modalities = content.store.records, content.store.spec.modalities
    outliers = length_outliers(records, content.lengths)
    for name, values in content.values.items():
        outliers += value_outliers(records, modalities[name], values)
    return outliers


def length_outliers(records: Sequence[Record], lengths: pd.DataFrame) -> list[Outlier]:
    """Records whose streams are of unequal duration, or whose length is far from all others.

    Streams of one record last equally long, so the ratio of two lengths is nearly the same
    everywhere, and a record with another ratio lost or gained something.

    Args:
        records: Of the cache.
        lengths: A row a record, a column a modality; 0 where it is not present.
    """
    held = lengths.reset_index(drop=True).where(lengths.to_numpy() > 0)
    respects = []
    for long, short in combinations(sorted(held, key=lambda name: -lengths[name].sum()), 2):
        respects.append((f"length of {long} / {short}", held[long] / held[short], 0.01))
    respects += [(f"length of {name}", column, 0.02) for name, column in held.items()]
    outliers = []
    for what, values, floor in respects:
        logs = np.log(values.dropna())
        if len(logs) >= 3:
            medians = np.full((len(logs), 1), logs.median())
            ids = [records[row].id for row in logs.index]
            one = logs.to_numpy()[:, None]
            outliers += _furthest(ids, one, medians, [what], floor, SUSPECT_LENGTH, np.exp)
    return outliers


def value_outliers(records: Sequence[Record], spec: ModalitySpec, values: Values) -> list[Outlier]:
    """Records with a feature whose greatest magnitude is far from that of others of their class.

    Classes move differently (a bowler's shoulders go where a waver's never do), so each record is
    held against the median of its class.
    """
    if not len(values.rows):
        return []
    peaks = pd.DataFrame(np.log1p(np.abs(values.patches).max(axis=1).astype(float)))
    labels = np.array([records[row].label for row in values.rows])
    medians = peaks.groupby(labels).transform("median").to_numpy()
    ids = [records[row].id for row in values.rows]
    respects = [
        f"greatest magnitude of {spec.name}, {feature_name(spec, column)}"
        for column in range(spec.n_features)
    ]
    return _furthest(ids, peaks.to_numpy(), medians, respects, 0.05, SUSPECT_VALUE, np.expm1)


def _furthest(
    ids: Sequence[str],
    logs: NDArray[np.float64],
    medians: NDArray[np.float64],
    respects: Sequence[str],
    floor: float,
    limit: float,
    power: Callable[[float], float],
) -> list[Outlier]:
    """The records furthest from their medians, each in the respect where it is the furthest.

    Shapes: logs (R, C), medians (R, C); ``power`` undoes the logarithm.
    """
    _, scale = centre(logs - medians, axis=0)
    distance = np.abs(logs - medians) / np.maximum(scale, floor)
    worst = distance.argmax(axis=1)
    furthest = np.argsort(-distance.max(axis=1), kind="stable")[:N_FURTHEST]
    return [
        Outlier(
            record_id=ids[k],
            what=respects[worst[k]],
            value=float(power(logs[k, worst[k]])),
            median=float(power(medians[k, worst[k]])),
            deviations=float(distance[k, worst[k]]),
            limit=limit,
        )
        for k in furthest
    ]
