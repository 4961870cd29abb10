"""Where one file of a data set belongs, as its path says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


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
