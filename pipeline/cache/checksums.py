"""The list of checksums of a complete cache: writing it, and holding objects against it."""

from __future__ import annotations

import hashlib

from pipeline.cache.objects import Objects
from pipeline.common.checksums import SUMS_FILE, Checksums
from pipeline.contract import COMPANIONS, LEDGER_PREFIX, ContractError

SUMS = SUMS_FILE
CLAIMS = f"{LEDGER_PREFIX}/session."
"""With a number behind it: which encode owns the cache; a worker of an older one does not write."""
PROGRESS = f"{LEDGER_PREFIX}/progress.json"
"""How far a running encode is; gone when it ends."""
LOCK = f"{LEDGER_PREFIX}/lock"
EDIT = f"{LEDGER_PREFIX}/edit.json"
"""What a change in place is making of the cache; gone when it ends (:mod:`pipeline.cache.edit`)."""


def is_transient(key: str) -> bool:
    """Whether an object is one of those that are not listed."""
    return key in (SUMS, PROGRESS, LOCK, EDIT) or key.startswith(CLAIMS)


def read_sums(objects: Objects) -> dict[str, str] | None:
    """Object to SHA-256; None where there is no list.

    Raises:
        ContractError: the list is not what was written.
    """
    content = objects.read(SUMS)
    if content is None:
        return None
    where = f"{objects.location}/{SUMS}"
    return dict(Checksums.from_bytes(content, where=where).sha256)


def unseal(objects: Objects) -> None:
    """Remove the list, and the files that would speak of what the cache was before it changed."""
    objects.delete(SUMS)
    for name in sorted(COMPANIONS):
        objects.delete(name)


def is_sealed(objects: Objects) -> bool:
    """Whether the list is there and is what was written."""
    try:
        return read_sums(objects) is not None
    except ContractError:
        return False


def damaged_objects(objects: Objects) -> set[str]:
    """Objects that are not what the list says; the list itself where it is not, and none without.

    Every object of the list is read.
    """
    try:
        sums = read_sums(objects) or {}
    except ContractError:
        return {SUMS}
    return {key for key, digest in sums.items() if not is_intact(objects.read(key), digest)}


def is_intact(content: bytes | None, digest: str | None) -> bool:
    """Whether an object's bytes are there and have the checksum that the list says."""
    return content is not None and hashlib.sha256(content).hexdigest() == digest
