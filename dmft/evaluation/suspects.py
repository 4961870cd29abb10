"""A record that deserves a look, and why: one line of what ``dmft audit`` finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dmft.data import Cache

KINDS = {
    "near-duplicate": "Nearly the same patches as another record",
    "cut": "Begins where another record of the person ends: one trial, cut in two",
    "shared-file": "Made of a raw file that a fold trains on",
    "label": "Models that never saw it agree on another class",
    "missed": "Every model that never saw it is wrong",
    "length": "A length out of the family of its class",
    "range": "Values out of the family of its class",
}
"""What a suspicion may be of, in the order in which it is told, and what it means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """One record, and why it deserves a look."""

    record: str
    kind: str
    """One of :data:`KINDS`."""
    modality: str = ""
    score: float
    """The smaller the likelier of a near-duplicate and a cut (distances); else the larger."""
    other: str = ""
    """The record that it is too near to, or that it goes on."""
    old_label: str
    """Class name, as the cache has it."""
    new_label: str = ""
    """What it is likelier to be; of ``label`` alone."""
    note: str


def class_of(cache: Cache, row: int) -> str:
    """Name of a record's class."""
    return cache.spec.classes[int(cache.labels[row])]
