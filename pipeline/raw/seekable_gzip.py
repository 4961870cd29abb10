"""Any part of a gzip file without unpacking what lies before it, and without writing anything.

Gzip can only be read from its start. While it is walked through once, the state of the
decompressor is kept every few megabytes; a read goes on from the last state before it, or from
where the read before it ended. A state takes some 50 kB, so an archive of a gigabyte takes a
dozen megabytes of memory. The walk also checks the file's own checksum.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import IO, Any

STATE_EVERY = 4 << 20
"""Unpacked bytes from one kept state to the next."""
_STEP = 256 << 10
"""Packed bytes that are read at a time."""
_GZIP = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class _State:
    """Where unpacking can go on."""

    unpacked: int
    packed: int
    decompressor: Any


class SeekableGzip:
    """A gzip file that is read in any order; one thread at a time."""

    def __init__(self, file: IO[bytes]) -> None:
        """Prepare to walk through a file that is open."""
        self._file = file
        self._states: list[_State] = [_State(0, 0, zlib.decompressobj(_GZIP))]
        self._at = 0
        self._ahead = b""
        self._blocks = self._from(self._states[0], keep=True)

    def read(self, n_bytes: int) -> bytes:
        """The next bytes, fewer at the end.

        Raises:
            zlib.error: the file is damaged.
            EOFError: the file is cut short.
        """
        parts, missing = [], n_bytes
        while missing > 0:
            if not self._ahead:
                self._ahead = next(self._blocks, b"")
                if not self._ahead:
                    break
            part, self._ahead = self._ahead[:missing], self._ahead[missing:]
            parts.append(part)
            missing -= len(part)
        self._at += n_bytes - missing
        return b"".join(parts)

    def seek(self, position: int) -> None:
        """Go to a position that has been walked over before.

        Raises:
            zlib.error: the file is damaged.
            EOFError: the file is cut short.
        """
        state = self._states[bisect_right(self._states, position, key=attrgetter("unpacked")) - 1]
        if not self._at <= position or state.unpacked > self._at:
            self._blocks = self._from(state, keep=False)
            self._at, self._ahead = state.unpacked, b""
        while self._at < position:
            self.read(min(position - self._at, STATE_EVERY))

    def tell(self) -> int:
        """How many unpacked bytes lie before the next one."""
        return self._at

    def _from(self, state: _State, *, keep: bool) -> Iterator[bytes]:
        """Unpacked blocks from a state on; keeps further states on the first walk."""
        decompressor = state.decompressor.copy()
        unpacked, packed, kept = state.unpacked, state.packed, state.unpacked
        while True:
            self._file.seek(packed)
            content = self._file.read(_STEP)
            if not content:
                raise EOFError("it ends before its end mark")
            while content:
                if decompressor.eof:  # another gzip begins right behind the last
                    decompressor = zlib.decompressobj(_GZIP)
                block = decompressor.decompress(content)
                packed += len(content) - len(decompressor.unused_data)
                content = decompressor.unused_data
                unpacked += len(block)
                if keep and unpacked - kept >= STATE_EVERY:
                    self._states.append(_State(unpacked, packed, decompressor.copy()))
                    kept = unpacked
                if block:
                    yield block
                if decompressor.eof and not content.strip(b"\0"):
                    self._file.seek(packed)
                    content = self._file.read(_STEP)
                    if not content.strip(b"\0"):
                        return
