"""Colour video from bytes: blocks of RGB frames with their times, and the count at the end.

FFmpeg (in PyAV's wheel) reads with one thread, since whoever calls runs many. A truncated .avi
decodes short without an error, so the frames that came out are counted against what the header
promised and against what a list knows; it refuses rather than repeats or invents frames. What a
player shows comes out: turned as the file says, without what an edit list cuts away. It does not
resize, choose or normalise frames.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import StreamRef, refuse
from pipeline.readers.left_out import Undecoded, numbered
from pipeline.readers.limits import Limits
from pipeline.signals.recording import Block, Frames

BLOCK_FRAMES = 16
"""Frames in a block, fewer where they are large."""
BLOCK_BYTES = 128 << 20
MAX_PIXELS = 8192 * 4320
"""The limit for one frame; more is refused before it is decoded."""
MAX_GAP_S = 0.5
"""Two frames further apart than this, and than three frames' time, are a hole in the video."""

DEMUXERS = "avi,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpeg,mpegts,wav"
"""Containers that are opened. Others, such as FFmpeg's lists of files, may name files to open."""


def read_video(content: bytes, ref: StreamRef, *, block_frames: int = BLOCK_FRAMES) -> Frames:
    """Colour frames of the first video stream of a file (.avi, .mp4).

    Times are the file's own time stamps, from the first frame; an .avi has none, and its frames
    are as far apart as its rate says, but for those that its recorder dropped. The header is read
    at once; the frames are decoded as the blocks are drawn, and a generator that is abandoned
    closes the file. Of every n-th frame, what is left out is not converted, and not decoded where
    nothing that is wanted is predicted from it (``left_out``).

    Args:
        content: The whole file.
        ref: Where it came from; its ``n_frames``, where known, must be the file's.
        block_frames: Frames in a block at most.

    Shapes: blocks of frames (n, H, W, 3) uint8 RGB, times_s (n,).

    Raises:
        RecordingError: not a video, absurd dimensions, damage, a count of frames that is not the
            header's or the list's, time stamps that run backwards or leave a hole. Damage past
            the header is raised by the block where it is met, a wrong count after the last.
    """
    n_frames, stamps = _promised_frames(content, ref)
    container, stream = _open(content, ref)
    container.close()
    width, height = stream.codec_context.width, stream.codec_context.height
    limit = Limits.of_environment().pixels
    if n_frames * width * height > limit:
        raise refuse(
            ref.path,
            f"holds {n_frames} frames of {width}x{height}: wanted at most {limit} pixels in all "
            "(DMFT_MAX_PIXELS sets it)",
        )
    decode = partial(
        _decode, content, n_frames, stamps, ref, _block_length(width * height, block_frames)
    )
    return Frames(n_frames=n_frames, every=decode)


def _open(content: bytes, ref: StreamRef, **options: str) -> tuple[Any, Any]:
    import av

    if not content:
        raise refuse(ref.path, "is empty: wanted a video", "open")
    try:
        container = av.open(
            io.BytesIO(content),
            options={
                "max_pixels": str(MAX_PIXELS),
                "threads": "1",
                "format_whitelist": DEMUXERS,
                **options,
            },
        )
    except (av.FFmpegError, ValueError) as error:
        raise refuse(ref.path, f"is not a video that can be read: {error}", "open") from error
    if not container.streams.video:
        container.close()
        n_streams = len(container.streams)
        raise refuse(
            ref.path, f"has no video stream among its {n_streams} streams: wanted a film", "open"
        )
    stream = container.streams.video[0]
    context = stream.codec_context
    if context is None:
        container.close()
        raise refuse(ref.path, "is packed with a codec that is not known", "open")
    width, height = context.width, context.height
    if min(width, height) < 1 or width * height > MAX_PIXELS:
        container.close()
        raise refuse(
            ref.path,
            f"declares frames of {width}x{height} (0x0 where FFmpeg would not have them): "
            f"wanted 1 to {MAX_PIXELS} pixels",
            "open",
        )
    context.thread_type = "NONE"
    context.thread_count = 1
    return container, stream


def _promised_frames(content: bytes, ref: StreamRef) -> tuple[int, Sequence[int | None]]:
    """Frames that a player shows of those that the header declares; held against the list's.

    And when the packets of a film of just so many are shown, each for itself.

    A header that declares none has its packets counted. An edit list hides frames that are all
    there, and an .avi holds an empty packet for a frame that its recorder dropped.
    """
    container, stream = _open(content, ref)
    declared, kind = stream.frames, container.format.name
    packets = _packets(container, stream, ref)
    n_frames, shown = declared or packets.n_sized, packets.n_shown
    if not 0 < n_frames <= len(content):
        raise refuse(
            ref.path,
            f"declares {n_frames} frames in {len(content)} bytes: wanted at least one frame "
            "and a byte for each",
        )
    if ref.n_frames is not None and ref.n_frames not in (n_frames, shown):
        raise refuse(
            ref.path, f"declares {n_frames} frames where the manifest lists {ref.n_frames}"
        )
    is_whole = packets.n_sized == n_frames
    if not is_whole and kind.startswith("mov") and shown:
        uncut = _packets(*_open(content, ref, ignore_editlist="1"), ref)
        is_whole = uncut.n_sized == n_frames
    if not is_whole and kind == "avi":
        is_whole = packets.last == n_frames - 1
    n_frames = shown if is_whole and shown else n_frames
    is_simple = packets.n_sized == shown == n_frames and kind != "avi"
    return n_frames, packets.stamps if is_simple else [None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Packets:
    """What a container hands out, undecoded."""

    n_sized: int
    """Packets with something in them."""
    n_shown: int
    """Those of them that a player shows."""
    last: int
    """Place of the last of them by its time stamp; -1 where there is none."""
    stamps: Sequence[int | None]
    """When each is shown, in the stream's unit."""


def _packets(container: Any, stream: Any, ref: StreamRef) -> _Packets:
    """Walk through a container once and close it."""
    import av

    n_sized, n_shown, last = 0, 0, -1
    stamps: list[int | None] = []
    try:
        for packet in container.demux(stream):
            if packet.size:
                n_sized += 1
                stamps.append(packet.pts)
                n_shown += not packet.is_discard
                last = packet.dts if packet.dts is not None else last
    except av.FFmpegError as error:
        raise refuse(ref.path, f"cannot be walked through: {error}", "read") from error
    finally:
        container.close()
    return _Packets(n_sized=n_sized, n_shown=n_shown, last=last, stamps=stamps)


def _block_length(n_pixels: int, block_frames: int) -> int:
    return max(1, min(block_frames, BLOCK_BYTES // (n_pixels * 3)))


def _decode(
    content: bytes,
    n_frames: int,
    stamps: Sequence[int | None],
    ref: StreamRef,
    block_length: int,
    every: int,
) -> Iterator[Block]:
    import av
    from av.video.reformatter import VideoReformatter

    container, stream = _open(content, ref)
    width, height = stream.codec_context.width, stream.codec_context.height
    to_rgb = VideoReformatter()
    clock = _Clock(container, stream, ref, n_frames)
    n_decoded = n_kept = slot = 0
    frames = np.empty((0, height, width, 3), np.uint8)
    times_s = np.empty(0)
    try:
        for index, frame in numbered(container, stream, stamps, every, ref):
            if n_decoded == n_frames:
                raise refuse(
                    ref.path, f"decodes to more than the {n_frames} frames its header declares"
                )
            if isinstance(frame, Undecoded):
                clock.time_s(frame, index)
                n_decoded += 1
                continue
            if frame.is_corrupt:
                raise refuse(
                    ref.path, f"is damaged: {n_decoded} of {n_frames} frames decode", "read"
                )
            if (frame.width, frame.height) != (width, height):
                raise refuse(
                    ref.path,
                    f"changes from {width}x{height} to {frame.width}x{frame.height} at frame "
                    f"{n_decoded}",
                )
            time_s = clock.time_s(frame, index)
            n_decoded += 1
            if index % every:
                continue
            picture: NDArray[Any] = to_rgb.reformat(frame, format="rgb24", threads=1).to_ndarray()
            picture = _as_shown(picture, frame, ref)
            slot = n_kept % block_length
            if slot == 0:
                n = min(block_length, max(1, -(-n_frames // every) - n_kept))
                frames, times_s = np.empty((n, *picture.shape), np.uint8), np.empty(n)
            frames[slot], times_s[slot] = picture, time_s
            n_kept += 1
            if slot + 1 == len(frames):
                yield frames, times_s
    except (av.FFmpegError, ValueError) as error:
        raise refuse(
            ref.path, f"is damaged: {n_decoded} of {n_frames} frames decode ({error})", "read"
        ) from error
    finally:
        container.close()
    if n_decoded != n_frames:
        raise refuse(
            ref.path,
            f"is truncated or damaged: {n_decoded} frames decode where its header declares "
            f"{n_frames}",
        )
    clock.check_end()


def _as_shown(picture: NDArray[Any], frame: Any, ref: StreamRef) -> NDArray[Any]:
    """A picture turned and mirrored as the file's display matrix says, by right angles.

    Shapes: (H, W, 3) -> (H, W, 3) or (W, H, 3).
    """
    if not frame.rotation and not frame.side_data:
        return picture
    entry = next((s for s in frame.side_data if s.type.name == "DISPLAYMATRIX"), None)
    if entry is None:
        return picture
    a, b, _, c, d, *_ = np.sign(np.frombuffer(bytes(entry)[:36], "<i4")).tolist()
    # A point (x, y) is shown at (a x + c y, b x + d y), x to the right and y downwards.
    if abs(a) == abs(d) == 1 and b == c == 0:
        return picture[::d, ::a]
    if abs(b) == abs(c) == 1 and a == d == 0:
        return picture.transpose(1, 0, 2)[::b, ::c]
    raise refuse(ref.path, f"is to be turned by {frame.rotation} degrees: wanted right angles")


class _Clock:
    """Time stamps in seconds from the first frame; refuses holes and steps backwards."""

    def __init__(self, container: Any, stream: Any, ref: StreamRef, n_frames: int) -> None:
        rate = stream.average_rate or stream.guessed_rate
        self._period_s = 1 / float(rate) if rate else None
        self._stamped = container.format.name != "avi" or 0 < n_frames < stream.frames
        self._ref = ref
        self._first_s = 0.0
        self._last_s = -np.inf
        self._end_s = None
        if stream.frames == 0 and len(container.streams) == 1 and container.duration:
            self._end_s = container.duration / 1e6  # the only promise of a file without a count

    def time_s(self, frame: Any, index: int) -> float:
        """Seconds from the first frame to this one.

        Raises:
            RecordingError: no time stamp and no rate, a step backwards, or a hole.
        """
        if self._stamped and frame.time is not None:
            time_s = float(frame.time)
        elif self._period_s is not None:
            time_s = self._first_s + index * self._period_s
        else:
            raise refuse(self._ref.path, f"has no time stamp and no rate at frame {index}")
        if index == 0:
            self._first_s = time_s
        elif time_s <= self._last_s:
            raise refuse(
                self._ref.path,
                f"runs backwards at frame {index}: from {self._last_s:.3f} to {time_s:.3f} s",
            )
        elif time_s - self._last_s > max(MAX_GAP_S, 3 * (self._period_s or 0.0)):
            raise refuse(
                self._ref.path,
                f"has a hole of {time_s - self._last_s:.3f} s before frame {index}: "
                f"wanted at most {MAX_GAP_S} s",
            )
        self._last_s = time_s
        return time_s - self._first_s

    def check_end(self) -> None:
        """Refuse a file that declares a duration instead of a count and ends well before it.

        Raises:
            RecordingError: it does.
        """
        if self._end_s is not None and self._end_s - self._last_s + self._first_s > 2 * MAX_GAP_S:
            raise refuse(
                self._ref.path,
                f"is truncated: its last frame is at {self._last_s:.3f} s where its "
                f"header declares {self._end_s:.3f} s",
            )
