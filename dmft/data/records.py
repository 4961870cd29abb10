"""Some records of a cache as a PyTorch data set, for loops of one's own.

The trainer itself asks a :class:`dmft.data.BatchSource`, which gives whole batches in an order that
(seed, epoch) decides. Features are made by the same transform in both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from dmft.data.features import FeatureTransform
from pipeline.contract import ConfigError

if TYPE_CHECKING:
    from dmft.data.cache import Cache

Item = dict[str, Any]
Make = Callable[[Mapping[str, Tensor], Tensor], Mapping[str, Tensor]]
"""Patches {m: (B, P, D)} and presence (B, M) to what a model of one's own reads."""


class RecordDataset(Dataset[Item]):
    """Records as dictionaries.

    ``record`` is its id, ``features`` a modality to (P, D), ``present`` (M,) bool in the order of
    the cache's modalities, ``label`` an int64. Features of absent modalities are zero.
    """

    def __init__(
        self, cache: Cache, rows: Tensor, transform: FeatureTransform | Make | None
    ) -> None:
        """Take rows of a cache.

        Shapes: rows (n,) int64.
        """
        self.cache, self.rows = cache, rows
        self.make = transform.apply if isinstance(transform, FeatureTransform) else transform

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Item:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Item]:
        """What a ``DataLoader`` asks for: the transform then sees a batch at a time."""
        if wrong := [index for index in indices if not -len(self) <= index < len(self)]:
            raise IndexError(f"record {wrong[0]} of {len(self)}")
        rows = self.rows[list(indices)]
        present = self.cache.present[rows]
        features: Mapping[str, Tensor] = {  # a fold may hide what the cache holds
            name: self.cache.features[name][rows].float() * present[:, column, None, None]
            for column, name in enumerate(self.cache.modalities)
        }
        if self.make is not None:
            features = self.make(features, present)
        return [
            {
                "record": self.cache.record_ids[row],
                "features": {name: made[place] for name, made in features.items()},
                "present": present[place],
                "label": self.cache.labels[row],
            }
            for place, row in enumerate(rows.tolist())
        ]

    @staticmethod
    def collate(items: Sequence[Item]) -> Item:
        """Records to a batch: ``features`` {m: (B, P, D)}, ``present`` (B, M), ``label`` (B,)."""
        batch: Item = default_collate(
            [{k: v for k, v in i.items() if k != "record"} for i in items]
        )
        return {"record": [item["record"] for item in items], **batch}


def rows_of_split(split: str, train: Tensor, test: Tensor) -> Tensor:
    """The rows of a side of a fold.

    Raises:
        ConfigError: there is no such side.
    """
    sides = {"train": train, "test": test}
    if split not in sides:
        raise ConfigError(f"split is {split!r}: wanted train or test")
    return torch.as_tensor(sides[split])
