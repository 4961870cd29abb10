"""``dmft cache compare``: what two caches have in common, and in what they differ.

Records are the same where their ids are. Rows with one digest are equal; others are read and
compared as numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pipeline.cache.description import encoding_difference
from pipeline.cache.edit.source import Source, open_source
from pipeline.contract import Presence


@dataclass(frozen=True, slots=True, kw_only=True)
class ModalityDifference:
    """One modality that both have."""

    encoding: str
    """In what its encodings differ, in words; empty where they are the same."""
    n_equal: int = 0
    """Records with the same patches, bit for bit."""
    n_close: int = 0
    """Others within the tolerance."""
    beyond: tuple[str, ...] = ()
    """Records further apart, or of another shape."""
    presence: tuple[str, ...] = ()
    """Records that are present in one alone, or absent in one and quarantined in the other."""
    largest: float = 0.0
    """Relative distance of the records that are furthest apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two caches beside each other."""

    n_common: int
    only_first: tuple[str, ...]
    """Records."""
    only_second: tuple[str, ...]
    modalities_only_first: tuple[str, ...]
    modalities_only_second: tuple[str, ...]
    labels: tuple[tuple[str, str, str], ...]
    """Records of other classes: id, class in the first, class in the second."""
    attributes: tuple[str, ...]
    """Records with other attributes."""
    modalities: dict[str, ModalityDifference] = field(default_factory=dict)
    same_fingerprint: bool = False

    @property
    def is_same(self) -> bool:
        """Whether nothing differs by more than the tolerance."""
        return not (
            self.only_first
            or self.only_second
            or self.modalities_only_first
            or self.modalities_only_second
            or self.labels
            or self.attributes
            or any(m.encoding or m.beyond or m.presence for m in self.modalities.values())
        )


def compare(first: str, second: str, *, tolerance: float = 0.0) -> Comparison:
    """Hold two finished caches beside each other.

    Args:
        first: One.
        second: The other.
        tolerance: Relative distance, ||a - b|| / ||b||, up to which patches count as the same.

    Raises:
        ContractError: one of them is not whole.
    """
    one, other = open_source(first), open_source(second)
    common = [record.id for record in one.store.records if record.id in other.rows]
    pairs = [
        (one.store.records[one.rows[each]], other.store.records[other.rows[each]])
        for each in common
    ]
    named = [
        (a.id, one.store.spec.classes[a.label], other.store.spec.classes[b.label]) for a, b in pairs
    ]
    its, others = one.store.spec.modalities, other.store.spec.modalities
    return Comparison(
        n_common=len(common),
        only_first=tuple(each for each in one.rows if each not in other.rows),
        only_second=tuple(each for each in other.rows if each not in one.rows),
        modalities_only_first=tuple(name for name in its if name not in others),
        modalities_only_second=tuple(name for name in others if name not in its),
        labels=tuple(each for each in named if each[1] != each[2]),
        attributes=tuple(a.id for a, b in pairs if a.attributes != b.attributes),
        modalities={
            name: _modality(one, other, name, common, tolerance) for name in its if name in others
        },
        same_fingerprint=one.store.spec.fingerprint == other.store.spec.fingerprint,
    )


def _modality(
    one: Source, other: Source, name: str, common: list[str], tolerance: float
) -> ModalityDifference:
    specs = [source.store.spec.modalities[name] for source in (one, other)]
    n_equal = n_close = 0
    beyond, presence, largest = [], [], 0.0
    for each in common:
        a, b = one.entries[name][each], other.entries[name][each]
        if a.presence != b.presence:
            presence.append(each)
        elif a.presence != Presence.PRESENT or a.digest == b.digest:
            n_equal += a.presence == Presence.PRESENT
        else:
            distance = _distance(one, other, name, each)
            largest = max(largest, distance)
            if distance <= tolerance:
                n_close += 1
            else:
                beyond.append(each)
    return ModalityDifference(
        encoding=encoding_difference(*specs),
        n_equal=n_equal,
        n_close=n_close,
        beyond=tuple(beyond),
        presence=tuple(presence),
        largest=largest,
    )


def _distance(one: Source, other: Source, name: str, record_id: str) -> float:
    """Relative distance of two rows; infinite where their shapes differ."""
    a, b = (s.row(name, record_id).astype(np.float64) for s in (one, other))
    if a.shape != b.shape:
        return float("inf")
    return float(np.linalg.norm(a - b) / max(float(np.linalg.norm(b)), 1e-12))
