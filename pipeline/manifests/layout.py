"""What a data set's naming says of a file, and what it allows: the shape of a layout.

The layouts themselves are ``utd_mhad`` and ``mmact``; ``layouts`` finds them by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipeline.contract import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one file belongs."""

    record_id: str
    """The record; for a file that all views of a trial share, the trial's with view 0."""
    label: int
    attributes: Mapping[str, int]
    modality: str
    stream: str
    trial: tuple[int, ...]
    """What was recorded at one time; records are sorted by it and then by view."""
    view: int = 0
    """Which camera saw it; 0 where there is but one view, and for a file of all views."""

    @property
    def order(self) -> tuple[int, ...]:
        """Records are sorted by it."""
        return (*self.trial, self.view)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One data set's naming."""

    dataset: str
    classes: tuple[str, ...]
    modalities: tuple[str, ...]
    place: Callable[[str], Place | None]
    """Path to place; None for a file that is no recording. Raises ``ContractError`` for a name
    that is almost one."""
    shared: frozenset[str] = frozenset()
    """Modalities of which one file belongs to all views of a trial; of others, to one record."""
    view: str | None = None
    """The attribute by which the views of a trial differ; None where a trial has one view."""
    alternatives: tuple[Layout, ...] = ()
    """The same files with their classes counted otherwise."""

    def may_share(self, modality: str, record: Record, other: Record) -> bool:
        """Whether two records may list one file of a modality: two views of one trial may."""
        return (
            modality in self.shared
            and record.label == other.label
            and self._but_view(record) == self._but_view(other)
        )

    def _but_view(self, record: Record) -> dict[str, int]:
        return {name: value for name, value in record.attributes.items() if name != self.view}
