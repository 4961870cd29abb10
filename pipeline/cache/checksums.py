"""``SHA256SUMS``: the checksums of every object of a complete cache, in ``sha256sum``'s format.

The list vouches for itself by its last line, a comment to ``sha256sum``.
"""

from __future__ import annotations

import hashlib

from pipeline.cache.objects import Objects
from pipeline.contract import LEDGER_PREFIX, ContractError

SUMS = "SHA256SUMS"
SESSION = f"{LEDGER_PREFIX}/session"
"""Which encode owns the cache; a worker of an older one does not write."""
PROGRESS = f"{LEDGER_PREFIX}/progress.json"
"""How far a running encode is; gone when it ends."""
LOCK = f"{LEDGER_PREFIX}/lock"
TRANSIENT = frozenset({SUMS, SESSION, PROGRESS, LOCK})
"""Objects that are not listed."""

_LAST = b"# sha256 of the lines above: "


def write_sums(objects: Objects, sums: dict[str, str]) -> None:
    """Write the list.

    Args:
        objects: The cache.
        sums: Object to checksum.
    """
    body = "".join(f"{sums[key]}  {key}\n" for key in sorted(sums)).encode()
    objects.write(SUMS, body + _LAST + f"{hashlib.sha256(body).hexdigest()}\n".encode())


def read_sums(objects: Objects) -> dict[str, str] | None:
    """Object to checksum; None where there is no list.

    Raises:
        ContractError: the list is not what was written.
    """
    content = objects.read(SUMS)
    if content is None:
        return None
    body, _, last = content.rpartition(_LAST)
    if hashlib.sha256(body).hexdigest().encode() + b"\n" != last:
        raise ContractError(f"{objects.location}/{SUMS} is not what was written")
    lines = (line.split("  ", 1) for line in body.decode().splitlines())
    return {key: digest for digest, key in lines}


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
