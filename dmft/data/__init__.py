"""From a cache to batches: open it, choose records, derive and standardise features."""

from typing import TYPE_CHECKING

from pipeline.common.lazy import lazily

if TYPE_CHECKING:
    from dmft.data.batch import Batch
    from dmft.data.cache import Cache, open_cache
    from dmft.data.features import FeatureTransform, make_features
    from dmft.data.memory import memory_budget
    from dmft.data.sources import BatchSource, StoredBatch
    from dmft.data.standardise import Standardizer
else:
    __getattr__ = lazily(
        __name__,
        {
            "batch": "Batch",
            "cache": "Cache open_cache",
            "features": "FeatureTransform make_features",
            "memory": "memory_budget",
            "sources": "BatchSource StoredBatch",
            "standardise": "Standardizer",
        },
    )

__all__ = [
    "Batch",
    "BatchSource",
    "Cache",
    "FeatureTransform",
    "Standardizer",
    "StoredBatch",
    "make_features",
    "memory_budget",
    "open_cache",
]
