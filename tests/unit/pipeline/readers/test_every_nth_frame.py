"""Every n-th frame of a recording: the same pixels and times, and nothing done for the others."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from pipeline.contract import RecordingError, StreamRef
from pipeline.readers import left_out, video
from pipeline.readers.left_out import is_of_no_other
from pipeline.readers.video import read_video
from tests.real_recordings import mmact_clip
from tests.unit.pipeline.readers.test_video import N_FRAMES, av, film, ref

B_FRAMES = {"x264-params": "bframes=3:b-adapt=0:b-pyramid=normal:scenecut=0:keyint=12"}
"""Of its frames 1, 3, 5, 7, 10, 13, 15, 17, 19, 22, 25 and 27 no other is predicted."""
NO_B_FRAMES = {"bf": "0"}


class Decoded:
    """Counts what FFmpeg is given to decode and to convert."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.n_left_out = self.n_converted = 0
        real, convert = left_out.is_of_no_other, av.video.reformatter.VideoReformatter

        def is_left_out(packet: bytes, n_length_bytes: int) -> bool:
            found = real(packet, n_length_bytes)
            self.n_left_out += found
            return found

        class Converter:
            def reformat(inner, *args: Any, **options: Any) -> Any:  # noqa: N805
                self.n_converted += 1
                return convert().reformat(*args, **options)

        monkeypatch.setattr(left_out, "is_of_no_other", is_left_out)
        monkeypatch.setattr(av.video.reformatter, "VideoReformatter", Converter)


def drawn(content: bytes, every: int) -> tuple[np.ndarray, np.ndarray]:
    found = read_video(content, ref())
    assert found.n_frames == N_FRAMES
    blocks = list(found.every(every))
    assert all(len(block) == len(times_s) > 0 for block, times_s in blocks)
    return np.concatenate([b for b, _ in blocks]), np.concatenate([t for _, t in blocks])


@pytest.mark.parametrize(
    ("codec", "container", "options"),
    [
        ("libx264", "mp4", B_FRAMES),
        ("libx264", "mp4", {"x264-params": "bframes=3:b-adapt=0:open-gop=1:slices=3"}),
        ("libx264", "mp4", NO_B_FRAMES),
        ("libx264", "matroska", B_FRAMES),
        ("libx264", "mpegts", B_FRAMES),
        ("libx264", "avi", None),
        ("libx265", "mp4", {"x265-params": "bframes=3:pools=1:log-level=none"}),
        ("mpeg4", "avi", {"bf": "2"}),
    ],
)
def test_the_frames_that_are_kept_are_those_of_the_whole_film(
    codec: str, container: str, options: dict[str, str] | None
) -> None:
    content = film(codec, container=container, options=options)
    frames, times_s = drawn(content, 1)
    for every in (2, 3, 7, 40):
        kept, kept_s = drawn(content, every)
        assert kept.tobytes() == frames[::every].tobytes()
        assert kept_s.tobytes() == times_s[::every].tobytes()


@pytest.mark.parametrize(
    ("container", "options", "n_left_out"),
    [("mp4", B_FRAMES, 10), ("mpegts", B_FRAMES, 10), ("mp4", NO_B_FRAMES, 0)],
)
def test_what_no_other_needs_is_not_decoded_and_what_is_not_kept_is_not_converted(
    container: str, options: dict[str, str], n_left_out: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = film("libx264", container=container, options=options)
    seen = Decoded(monkeypatch)
    drawn(content, 2)
    assert seen.n_left_out == n_left_out
    assert seen.n_converted == N_FRAMES // 2


def test_a_film_cut_short_is_refused_also_where_frames_are_left_out() -> None:
    content = film(
        "libx264", container="matroska", options={"x264-params": "bframes=3:b-adapt=0:keyint=5"}
    )
    with pytest.raises(RecordingError, match=r"its last frame is at 0.\d+ s where .* 2.000 s"):
        list(read_video(content[: len(content) // 2], ref()).every(2))


def test_a_hole_among_frames_that_are_left_out_is_refused() -> None:
    pts = [index + (9 if index > 20 else 0) for index in range(N_FRAMES)]
    content = film("libx264", container="mp4", pts=pts, options=B_FRAMES)
    with pytest.raises(RecordingError, match=r"has a hole of 0.667 s before frame 21"):
        list(read_video(content, ref()).every(10))


def test_a_frame_that_is_needed_and_does_not_decode_is_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Left out of a film without B-frames, a picture that others are predicted from."""
    content = film("libx264", container="mp4", options=NO_B_FRAMES)
    monkeypatch.setattr(video, "numbered", lose_one)
    with pytest.raises(RecordingError, match="29 frames decode where its header declares 30"):
        list(read_video(content, ref()).every(2))


def lose_one(*args: Any) -> Any:
    return (found for found in left_out.numbered(*args) if found[0] != 8)


def test_a_frame_at_a_time_at_which_no_packet_is_shown_is_refused() -> None:
    content = film("libx264", container="mp4", options=B_FRAMES)
    with av.open(io.BytesIO(content)) as container:
        stream = container.streams.video[0]
        stamps = sorted(p.pts for p in container.demux(stream) if p.size)
    with av.open(io.BytesIO(content)) as container:
        stream = container.streams.video[0]
        wrong = _Renamed(container, {stamps[4]: stamps[-1] + 1})
        with pytest.raises(RecordingError, match=rf"a frame at {stamps[4]}, where it has no pack"):
            list(
                left_out.numbered(
                    wrong, stream, [*stamps[:4], *stamps[5:], stamps[-1] + 1], 2, ref()
                )
            )


class _Renamed:
    """A container whose packets say other times than their frames."""

    def __init__(self, container: Any, stamps: dict[int, int]) -> None:
        self.container, self.stamps = container, stamps

    def demux(self, stream: Any) -> Any:
        for packet in self.container.demux(stream):
            yield _Packet(packet, self.stamps.get(packet.pts, packet.pts))


class _Packet:
    def __init__(self, packet: Any, pts: int) -> None:
        self.packet, self.pts, self.size = packet, pts, packet.size

    def __bytes__(self) -> bytes:
        return bytes(self.packet)

    def decode(self) -> Any:
        return self.packet.decode()


@pytest.mark.parametrize(
    ("packet", "n_length_bytes", "is_so"),
    [
        (b"\0\0\0\2\x01\x9a", 4, True),
        (b"\0\0\0\2\x06\x05\0\0\0\2\x01\x9a", 4, True),  # a message before it
        (b"\0\0\0\2\x01\x9a\0\0\0\2\x41\x9a", 4, False),  # two fields, one of them referred to
        (b"\0\0\0\2\x67\x9a\0\0\0\2\x01\x9a", 4, False),  # settings of the pictures that follow
        (b"\0\0\0\2\x06\x05", 4, False),  # no picture
        (b"\0\0\0\x09\x01\x9a", 4, False),  # a length that leads out of the packet
        (b"\0\0\0\0\0\2\x01\x9a", 4, False),
        (b"\0\0\0\1\x09\x10\0\0\1\x01\x9a", 0, True),
        (b"\0\0\0\1\x09\x10\0\0\1\x65\x9a", 0, False),
        (b"", 0, False),
        (b"\x01\x02", 2, False),
    ],
)
def test_a_packet_is_of_no_other_picture(packet: bytes, n_length_bytes: int, is_so: bool) -> None:
    assert is_of_no_other(packet, n_length_bytes) is is_so


@pytest.mark.real
def test_of_a_real_clip_the_frames_kept_are_those_of_the_whole() -> None:
    found = read_video(mmact_clip().read_bytes(), StreamRef(name="rgb", path="RGB/v.mp4"))
    wanted, at = {}, 0
    for block, _ in found.blocks:
        wanted |= {at + i: block[i].tobytes() for i in range(len(block)) if (at + i) % 30 == 0}
        at += len(block)
    kept = [frame.tobytes() for block, _ in found.every(30) for frame in block]
    assert kept == list(wanted.values())
