"""Named bytes in a folder, in an object store or behind fsspec: whole, or not there.

One kind of place a file; :func:`open_store` finds the one for a location. An object is written at
once or not at all, by whoever writes it, and a place says when it did not answer
(:class:`StoreError`).
"""

from pipeline.common.stores.faults import StoreError
from pipeline.common.stores.folder import FILE, Folder
from pipeline.common.stores.store import (
    HUB,
    Store,
    Version,
    hub_address,
    open_store,
    served_at,
)

__all__ = [
    "FILE",
    "HUB",
    "Folder",
    "Store",
    "StoreError",
    "Version",
    "hub_address",
    "open_store",
    "served_at",
]
