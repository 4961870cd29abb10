"""The stages of an encode in the order in which a recording passes them, and what helps each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

READING, DECODING, COPYING = "reading", "decoding", "copying"
RESIZING, NETWORK, POOLING, STORING = "resizing", "the network", "pooling", "storing"
ORDER = (READING, DECODING, COPYING, RESIZING, NETWORK, POOLING, STORING)

ADVICE: Mapping[str, str] = MappingProxyType(
    {
        READING: "raw files on a faster disk, or nearer by, would help",
        DECODING: "more cores would help, or smaller recordings",
        COPYING: "smaller recordings would help",
        RESIZING: "more cores would help, or smaller recordings",
        NETWORK: "a GPU or more cores would help, a smaller network or image_size, or every = 2",
        POOLING: "more cores would help",
        STORING: "a cache on a faster disk, or nearer by, would help",
    }
)
