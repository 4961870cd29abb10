"""``SHA256SUMS``: the checksums of every object of a complete cache, in ``sha256sum``'s format.

The encoder writes the list and the trainer holds a cache against it. It vouches for itself by its
last line. Chunks of features are listed twice, by the CRC-32C that ends each of them too: a reader
computes that one anyway, so a chunk of another cache is found at no cost. Lines that begin with
``#`` are comments to ``sha256sum``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.contract.errors import ContractError

SUMS_FILE = "SHA256SUMS"
CRC_BYTES = 4
"""Bytes of the CRC-32C at the end of a chunk."""
_CRC = "# crc32c "
_LAST = b"# sha256 of the lines above: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Checksums:
    """What the list says."""

    sha256: Mapping[str, str]
    """Object to its SHA-256, in hexadecimal digits."""
    crc32c: Mapping[str, bytes] = field(default_factory=dict)
    """Chunk of features to the four bytes that it ends in; empty in lists of earlier encodes."""

    def to_bytes(self) -> bytes:
        """The file.

        >>> Checksums.from_bytes(Checksums(sha256={"a": "0"}).to_bytes(), where="x").sha256
        {'a': '0'}
        """
        lines = [f"{self.sha256[key]}  {key}\n" for key in sorted(self.sha256)]
        lines += [f"{_CRC}{self.crc32c[key].hex()}  {key}\n" for key in sorted(self.crc32c)]
        body = "".join(lines).encode()
        return body + _LAST + f"{hashlib.sha256(body).hexdigest()}\n".encode()

    @classmethod
    def from_bytes(cls, content: bytes, *, where: str) -> Checksums:
        """Read the file, which was found at ``where``.

        Raises:
            ContractError: it is not what was written.
        """
        body, _, last = content.rpartition(_LAST)
        if hashlib.sha256(body).hexdigest().encode() + b"\n" != last:
            raise ContractError(f"{where} is not what was written")
        sha256, crc32c = {}, {}
        for line in body.decode().splitlines():
            digest, _, key = line.removeprefix(_CRC).partition("  ")
            if line.startswith(_CRC):
                crc32c[key] = bytes.fromhex(digest)
            else:
                sha256[key] = digest
        return cls(sha256=sha256, crc32c=crc32c)
