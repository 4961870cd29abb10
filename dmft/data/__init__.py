"""From a cache to batches: open it, choose records, derive and standardise features."""

from dmft.data.batch import Batch
from dmft.data.cache import Cache, open_cache
from dmft.data.features import FeatureTransform, make_features
from dmft.data.memory import memory_budget
from dmft.data.sources import BatchSource, StoredBatch
from dmft.data.standardise import Standardizer

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
