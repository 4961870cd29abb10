"""From a cache to batches: open it, choose records, derive and standardise features."""

from dmft.data.batch import Batch
from dmft.data.cache import Cache, open_cache
from dmft.data.features import FeatureMaker, make_features
from dmft.data.standardise import Statistics

__all__ = [
    "Batch",
    "Cache",
    "FeatureMaker",
    "Statistics",
    "make_features",
    "open_cache",
]
