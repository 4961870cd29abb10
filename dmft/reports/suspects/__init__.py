"""What ``dmft audit`` found as a page to look at: each suspect beside what it is held against.

Signals are drawn as the cache holds them, by the script that every page draws records with. Lines
that are ticked are saved as the table that ``dmft cache relabel`` and ``drop`` take.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from dmft.data import Cache
from dmft.evaluation.suspects import KINDS, Suspect
from dmft.reports.drawn import drawn_data
from pipeline.common.page import render_page, write_page

N_EACH = 8
"""Suspects of a kind that are drawn unless told otherwise, the likeliest."""


def write_suspects(
    cache: Cache, suspects: Sequence[Suspect], path: Path, *, n_each: int = N_EACH
) -> int:
    """Write the page; return its size in bytes.

    Args:
        cache: That was audited, in memory.
        suspects: What was found, the likeliest of each kind first.
        path: Where to.
        n_each: Suspects of each kind whose signals the page carries.
    """
    seen: Counter[str] = Counter()
    beside: list[list[tuple[str, str]]] = []
    typical = _Typical(cache, {suspect.record for suspect in suspects})
    for suspect in suspects:
        seen[suspect.kind] += 1
        is_drawn = seen[suspect.kind] <= n_each
        beside.append(_beside(suspect, typical) if is_drawn else [])
    names = list(dict.fromkeys(record for each in beside for record, _ in each))
    page = render_page(
        "dmft.reports.suspects",
        name=cache.path.name or str(cache.path),
        spec=cache.spec,
        suspects=suspects,
        counts=seen,
        kinds=KINDS,
        n_each=n_each,
        columns=list(Suspect.__annotations__),
        found={
            "suspects": [asdict(suspect) for suspect in suspects],
            "beside": beside,
            "drawn": drawn_data({cache.spec.fingerprint: cache}, names),
        },
    )
    return write_page(page, path)


def _beside(suspect: Suspect, typical: _Typical) -> list[tuple[str, str]]:
    """Records to draw beside each other, and what each is there for: the suspect first."""
    shown = [(suspect.record, f"the suspect, labelled {suspect.old_label}")]
    if suspect.other:
        return [*shown, (suspect.other, "what it is too near to")]
    for name in dict.fromkeys((suspect.old_label, suspect.new_label)):
        record = typical.of(name) if name else None
        if record is not None:
            shown.append((record, f"a typical {name}"))
    return shown


class _Typical:
    """Of each class the record nearest to its mean, suspects left out."""

    def __init__(self, cache: Cache, suspects: set[str]) -> None:
        self._cache, self._suspects = cache, suspects
        self._found: dict[str, str | None] = {}

    def of(self, name: str) -> str | None:
        """Id of the record; None where a class has none but suspects."""
        if name not in self._found:
            self._found[name] = self._nearest(self._cache.spec.classes.index(name))
        return self._found[name]

    def _nearest(self, label: int) -> str | None:
        cache = self._cache
        sound = [
            row
            for row in torch.nonzero(cache.labels == label).flatten().tolist()
            if cache.record_ids[row] not in self._suspects
        ]
        complete = [row for row in sound if bool(cache.present[row].all())] or sound
        if not complete:
            return None
        rows = torch.tensor(complete)
        away = torch.zeros(len(rows))
        for name in cache.modalities:
            own = cache.features[name][rows].float()
            spread = own.std((0, 1), correction=0).clamp_min(1e-6)
            away += ((own - own.mean(0)) / spread).flatten(1).norm(dim=1)
        nearest: int = complete[int(away.argmin())]
        return cache.record_ids[nearest]
