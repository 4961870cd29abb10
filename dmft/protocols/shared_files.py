"""What the two sides of a fold share: raw files, told apart by the hashes that a cache notes.

One sensor recording may go with the films of four cameras. Where records on both sides of a fold
were made from one file, figures of that modality say nothing of new recordings.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.contract import ContractError

if TYPE_CHECKING:
    from dmft.data import Cache
    from dmft.protocols import Fold


def shared_rows(cache: Cache, train: np.ndarray, test: np.ndarray) -> dict[str, np.ndarray]:
    """Modality to the test records that share a raw file with a training record.

    Of a modality of whose files the cache notes nothing, nothing is said.

    Shapes: train (n,), test (n,): rows of the cache.
    """
    shared = {}
    for name in cache.modalities:
        if sources := cache.sources.get(name):
            learnt = {file for row in train for file in sources[row].split()}
            found = [row for row in test if not learnt.isdisjoint(sources[row].split())]
            if found:
                shared[name] = np.array(found)
    return shared


def shared_text(fold: Fold) -> str:
    """What a fold's sides share, in words."""
    counts = (f"{n:,} of {len(fold.test):,} by {name}" for name, n in fold.shared.items())
    return f"test records whose very recording is trained on: {', '.join(counts)}"


def forbid_shared(folds: Iterable[Fold]) -> None:
    """Refuse folds whose two sides share a raw file.

    Raises:
        ContractError: one does.
    """
    for fold in folds:
        if fold.shared:
            raise ContractError(f"fold {fold.name}: {shared_text(fold)}")


def seen_by(fold: Fold, cache: Cache) -> Cache:
    """The cache as a fold sees it: without what it hides."""
    hidden = {name: rows for name, rows in fold.hidden.items() if name in cache.modalities}
    if not hidden:
        return cache
    present = cache.present.clone()
    for name, rows in hidden.items():
        present[rows, cache.modalities.index(name)] = False
    return replace(cache, present=present)
