"""Records whose length or values are out of the family of their class.

Deviations are robust ones, of logarithms, from the median of the class; a class of few records is
no family.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from dmft.data import Cache
from dmft.data.cache import read_lengths
from dmft.evaluation.suspects import Suspect, class_of

LENGTHS_OUT = 6.0
"""Robust standard deviations from the median of the class, on log length."""
RANGES_OUT = 12.0
"""The same of values: people do move unlike each other."""
FAMILY = 6
"""Records that a class must have for its lengths and values to be a family."""
BLOCK = 512
STILL = 1e-6
"""Part of a feature's usual movement that counts as none."""


def lengths_out_of_family(cache: Cache) -> Iterator[Suspect]:
    """Records much longer or shorter than others of their class."""
    lengths: Mapping[str, NDArray[np.int64]] = read_lengths(cache)
    labels = cache.labels.numpy()
    for column, name in enumerate(cache.modalities):
        present = cache.present[:, column].numpy() & (lengths[name] > 0)
        for label in np.unique(labels[present]):
            rows = np.flatnonzero(present & (labels == label))
            if len(rows) < FAMILY:
                continue
            logs = np.log(lengths[name][rows])
            median = np.median(logs)
            # A frame more or less is no difference, however alike the others are.
            spread = max(1.4826 * np.median(np.abs(logs - median)), 0.05)
            for row, z in zip(rows.tolist(), np.abs(logs - median) / spread, strict=True):
                if z > LENGTHS_OUT:
                    yield Suspect(
                        record=cache.record_ids[row],
                        kind="length",
                        modality=name,
                        score=float(z),
                        old_label=class_of(cache, row),
                        note=f"{lengths[name][row]} rows; the median of its class is "
                        f"{np.exp(median):.0f}",
                    )


def ranges_out_of_family(cache: Cache) -> Iterator[Suspect]:
    """Records with a feature that goes much further than in others of their class, or stands still.

    A unit that was mixed up, a sensor that was clipped, dead or somebody else's.
    """
    labels = cache.labels.numpy()
    for column, name in enumerate(cache.modalities):
        rows = np.flatnonzero(cache.present[:, column].numpy())
        members = np.bincount(labels[rows], minlength=len(cache.spec.classes))
        rows = rows[members[labels[rows]] >= FAMILY]
        if not len(rows):
            continue
        peaks, spreads = _extent(cache, name, rows)
        spec = cache.modality_spec(name)
        feature_names = spec.feature_names or tuple(
            f"feature {k + 1}" for k in range(spec.n_features)
        )
        measured = np.array([not feature.startswith("has_") for feature in feature_names])
        absent = (peaks == 0) & (not measured.all())  # a stream that a record lacks is zeros
        usual = np.median(spreads, axis=0)
        still = np.log(np.maximum(spreads, STILL * usual + 1e-30))
        for what, logs, side in (("goes to", np.log1p(peaks), 1), ("moves by", still, -1)):
            medians = _medians(logs, labels[rows])
            away = side * (logs - medians)
            scale = 1.4826 * np.median(np.abs(logs - medians), axis=0)
            distance = np.where(absent | ~measured, 0.0, away / np.maximum(scale, 0.05))
            worst = distance.argmax(1)
            values = peaks if side > 0 else spreads
            for k in np.flatnonzero(distance.max(1) > RANGES_OUT).tolist():
                feature = int(worst[k])
                typical = np.median(values[labels[rows] == labels[rows[k]], feature])
                yield Suspect(
                    record=cache.record_ids[rows[k]],
                    kind="range",
                    modality=name,
                    score=float(distance[k, feature]),
                    old_label=class_of(cache, int(rows[k])),
                    note=f"{feature_names[feature]} {what} {values[k, feature]:.3g}; the median "
                    f"of its class is {typical:.3g}",
                )


def _extent(
    cache: Cache, name: str, rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each feature of some records: greatest magnitude, and deviation over time.

    Shapes: rows (n,) -> (n, D), (n, D).
    """
    peaks, spreads = [], []
    for some in torch.split(torch.from_numpy(rows), BLOCK):
        patches = cache.features[name][some].double()
        peaks.append(patches.abs().amax(1).numpy())
        spreads.append(patches.std(1, correction=0).numpy())
    return np.concatenate(peaks), np.concatenate(spreads)


def _medians(values: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of each row the median of its class. Shapes: (n, D), (n,) -> (n, D)."""
    medians = np.empty_like(values)
    for label in np.unique(labels):
        own = labels == label
        medians[own] = np.median(values[own], axis=0)
    return medians
