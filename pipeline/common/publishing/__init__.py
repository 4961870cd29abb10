"""A cache or a run brought to another place, and back: what is missing, held against a list."""

from pipeline.common.publishing.fetching import Fetched, fetch
from pipeline.common.publishing.hub import publish_to_hub
from pipeline.common.publishing.listing import Listing, read_listing
from pipeline.common.publishing.sending import Published, publish

__all__ = ["Fetched", "Listing", "Published", "fetch", "publish", "publish_to_hub", "read_listing"]
