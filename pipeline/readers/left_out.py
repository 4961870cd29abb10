"""H.264 films of which every n-th frame is wanted: which of the others need not be decoded.

A picture that no other is predicted from says so in the headers of its slices. Where it is not
wanted either, its packet never reaches the decoder, and every pixel of the others is what it would
have been. What is not decoded is not known to be whole; that it is there, and when it is shown, is.
Films whose packets do not all say when they are shown are decoded whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.contract import StreamRef, refuse

_SLICES = range(1, 6)
_OF_NO_OTHER = (6, 9, 12)
"""Messages, delimiters and filling: what may go with the picture that it stands before."""


@dataclass(frozen=True, slots=True)
class Undecoded:
    """Stands for a frame that was not decoded."""

    time: float
    """Seconds, when it is shown."""


def numbered(
    container: Any, stream: Any, stamps: Sequence[int | None], every: int, ref: StreamRef
) -> Iterator[tuple[int, Any]]:
    """Frames in the order in which they are shown, with their places in the film.

    One that is missing is left out, and so are the numbers.

    Args:
        container: The open film.
        stream: Its video stream.
        stamps: When each packet of it is shown, in the stream's own unit; None where that is not
            known.
        every: The frames wanted are every n-th; of others an :class:`Undecoded` may come.
        ref: Where it came from.

    Raises:
        RecordingError: a frame at a time at which no packet is shown.
    """
    known = sorted(stamp for stamp in stamps if stamp is not None)
    places = {stamp: place for place, stamp in enumerate(known)}
    if every == 1 or stream.codec_context.name != "h264" or len(places) != len(stamps):
        yield from enumerate(container.decode(stream))
        return
    extradata = stream.codec_context.extradata or b""
    # Of a file with a table of its parts (.mp4, .mkv): then a length stands before each.
    n_length_bytes = (extradata[4] & 3) + 1 if len(extradata) > 4 and extradata[0] == 1 else 0
    sent, following = set[int](), 0

    def undecoded(until: int) -> Iterator[tuple[int, Undecoded]]:
        for place in range(following, until):
            if place % every and place not in sent:
                yield place, Undecoded(float(known[place] * stream.time_base))

    for packet in container.demux(stream):
        if packet.size:
            place = places[packet.pts]
            if place % every and is_of_no_other(bytes(packet), n_length_bytes):
                continue
            sent.add(place)
        for frame in packet.decode():
            if frame.pts not in places:
                raise refuse(ref.path, f"shows a frame at {frame.pts}, where it has no packet")
            place = places[frame.pts]
            yield from undecoded(place)
            yield place, frame
            following = place + 1
    yield from undecoded(len(known))


def is_of_no_other(packet: bytes, n_length_bytes: int) -> bool:
    """Whether no picture is predicted from the one in a packet, and nothing else is in it.

    Args:
        packet: H.264, one picture.
        n_length_bytes: Of the length before each of its parts; 0 where start codes part them.

    Example:
        >>> is_of_no_other(bytes([0, 0, 0, 2, 0x01, 0x9A]), 4)
        True
        >>> is_of_no_other(bytes([0, 0, 0, 1, 0x41, 0x9A]), 0)  # others refer to it
        False
    """
    n_slices = 0
    for header in _headers(packet, n_length_bytes):
        kind, is_referred_to = header & 31, header & 0x60
        if kind in _SLICES and not is_referred_to:
            n_slices += 1
        elif kind not in _OF_NO_OTHER:
            return False
    return n_slices > 0


def _headers(packet: bytes, n_length_bytes: int) -> Iterator[int]:
    """First byte of each part; 0 where the parts do not fill the packet."""
    at = 0
    if n_length_bytes:
        while at + n_length_bytes < len(packet):
            length = int.from_bytes(packet[at : at + n_length_bytes], "big")
            at += n_length_bytes
            yield packet[at]
            at += max(length, 1)
        if at != len(packet):
            yield 0
        return
    while (at := packet.find(b"\0\0\1", at)) >= 0 and at + 3 < len(packet):
        at += 3
        yield packet[at]
