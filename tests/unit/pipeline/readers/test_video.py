"""Colour video: every frame that was promised, or what is wrong."""

from __future__ import annotations

import gc
import io
import re
import struct
import weakref
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.contract import RecordingError, StreamRef
from pipeline.readers import video
from pipeline.readers.video import read_video
from tests.real_recordings import mmact_clip

av = pytest.importorskip("av")

N_FRAMES, HEIGHT, WIDTH = 30, 96, 128


def scene(index: int) -> NDArray[np.uint8]:
    """A smooth picture that brightens: what every codec can keep and tell apart."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.stack([columns // 8, rows // 8, 0 * rows], axis=-1).astype(np.uint8) + 30 + 6 * index


def film(
    codec: str = "mpeg4",
    *,
    container: str = "avi",
    n_frames: int = N_FRAMES,
    options: dict[str, str] | None = None,
    pts: list[int] | None = None,
    width: int = WIDTH,
) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=15, options=options or {})
        stream.width, stream.height = width, HEIGHT
        stream.pix_fmt = {"mjpeg": "yuvj420p", "rawvideo": "rgb24"}.get(codec, "yuv420p")
        stream.codec_context.thread_count = 1
        for index in range(n_frames):
            frame = av.VideoFrame.from_ndarray(scene(index)[:, :width].copy(), format="rgb24")
            frame.pts, frame.time_base = (pts[index] if pts else index), Fraction(1, 15)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return buffer.getvalue()


def ref(n_frames: int | None = None) -> StreamRef:
    return StreamRef(name="rgb", path="RGB/v.avi", n_frames=n_frames)


def draw(content: bytes, n_frames: int | None = None) -> tuple[NDArray[Any], NDArray[np.float64]]:
    blocks = list(read_video(content, ref(n_frames)).blocks)
    return np.concatenate([b[0] for b in blocks]), np.concatenate([b[1] for b in blocks])


def cut_after(content: bytes, n_frames: int) -> bytes:
    """An .avi that ends exactly behind one of its frames."""
    at = content.index(b"movi") + 4
    for _ in range(n_frames):
        (n_bytes,) = struct.unpack_from("<I", content, at + 4)
        at += 8 + n_bytes + n_bytes % 2
    return content[:at]


@pytest.mark.parametrize(
    ("codec", "container", "options"),
    [
        ("mpeg4", "avi", None),
        ("mpeg4", "avi", {"bf": "2"}),
        ("mjpeg", "avi", None),
        ("msmpeg4v3", "avi", None),
        ("libx264", "avi", None),
        ("libx264", "mp4", None),
        ("libx264", "matroska", None),
        ("libx264", "mpegts", None),
    ],
)
def test_every_frame_comes_in_order_with_its_time(
    codec: str, container: str, options: dict[str, str] | None
) -> None:
    frames, times_s = draw(film(codec, container=container, options=options), N_FRAMES)

    assert frames.shape == (N_FRAMES, HEIGHT, WIDTH, 3)
    assert frames.dtype == np.uint8
    np.testing.assert_allclose(times_s, np.arange(N_FRAMES) / 15, atol=2e-3)
    levels = (frames.mean(axis=(1, 2, 3)) - scene(0).mean()) / 6
    np.testing.assert_allclose(levels, np.arange(N_FRAMES), atol=0.9)


def test_blocks_hold_so_many_frames_and_fewer_of_large_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = film()
    assert [len(block) for block, _ in read_video(content, ref()).blocks] == [16, 14]
    monkeypatch.setattr(video, "BLOCK_BYTES", 7 * HEIGHT * WIDTH * 3 + 1)
    assert [len(block) for block, _ in read_video(content, ref()).blocks] == [7, 7, 7, 7, 2]
    monkeypatch.undo()
    blocks = [block for block, _ in read_video(content, ref(), block_frames=29).blocks]
    assert [len(block) for block in blocks] == [29, 1]
    assert not np.shares_memory(blocks[0], blocks[1])


def test_a_header_without_a_count_has_its_packets_counted() -> None:
    assert read_video(film("libx264", container="matroska"), ref()).n_frames == N_FRAMES


@pytest.mark.parametrize("codec", ["mpeg4", "mjpeg"])
def test_an_avi_cut_between_two_frames_is_found_by_its_count(codec: str) -> None:
    with pytest.raises(RecordingError, match="10 frames decode where its header declares 30") as e:
        draw(cut_after(film(codec), 10))
    assert (e.value.stage, e.value.path) == ("check", "RGB/v.avi")


@pytest.mark.parametrize("codec", ["mpeg4", "mjpeg", "rawvideo", "libx264"])
@pytest.mark.parametrize("percent", [10, 50, 90])
def test_a_truncated_avi_is_never_read_as_a_shorter_one(codec: str, percent: int) -> None:
    content = film(codec)
    content = content[: content.rindex(b"idx1")]

    with pytest.raises(RecordingError, match=r"v.avi .*(frames|video)"):
        draw(content[: len(content) * percent // 100])


def test_a_video_without_a_count_that_ends_before_its_duration_is_refused() -> None:
    content = film("libx264", container="matroska", options={"g": "5"})

    with pytest.raises(RecordingError, match=r"its last frame is at 0.\d+ s where .* 2.000 s"):
        draw(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        (29, "decodes to more than the 29 frames its header declares"),
        (31, "30 frames decode where its header declares 31"),
        (0xFFFFFFFF, "declares 4294967295 frames in"),
    ],
)
def test_a_header_that_promises_another_count_is_refused(declared: int, reason: str) -> None:
    content = bytearray(film())
    at = content.index(b"strh") + 8 + 32
    content[at : at + 4] = struct.pack("<I", declared)

    with pytest.raises(RecordingError, match=reason):
        draw(bytes(content))


def test_a_count_other_than_the_manifests_is_refused_before_decoding() -> None:
    with pytest.raises(RecordingError, match="declares 30 frames where the manifest lists 42"):
        read_video(film(), ref(42))


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "RGB/v.avi is empty"), (b"\0" * 999, "is not a video"), (b"MATLAB 5.0", "not a video")],
)
def test_what_is_no_video_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(RecordingError, match=reason) as met:
        read_video(content, ref())
    assert met.value.stage == "open"


def test_a_file_of_sound_alone_is_refused() -> None:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="wav") as output:
        stream = output.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        sound.sample_rate = 8000
        output.mux(stream.encode(sound))
    with pytest.raises(RecordingError, match="has no video stream among its"):
        read_video(buffer.getvalue(), ref())


def test_a_codec_that_nobody_knows_is_refused() -> None:
    content = film("rawvideo")
    at = content.index(b"strf") + 8 + 16
    content = content[:at] + b"ZZZZ" + content[at + 4 :]
    with pytest.raises(RecordingError, match=r"codec that is not known|declares frames of"):
        draw(content)


def test_absurd_dimensions_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray(film("mjpeg"))
    at = 0
    while (at := content.find(b"\xff\xc0", at)) >= 0:
        content[at + 5 : at + 9] = struct.pack(">HH", 65000, 65000)
        at += 2
    with pytest.raises(RecordingError, match="0 of 30 frames decode"):
        draw(bytes(content))
    monkeypatch.setattr(video, "MAX_PIXELS", 10_000)
    with pytest.raises(RecordingError, match=r"declares frames of 0x0 .* wanted 1 to 10000 pixels"):
        read_video(film(), ref())


def test_a_hole_in_the_time_stamps_is_refused() -> None:
    pts = [index + (9 if index > 20 else 0) for index in range(N_FRAMES)]
    content = film("libx264", container="mp4", pts=pts)

    with pytest.raises(RecordingError, match=r"has a hole of 0.667 s before frame 21"):
        draw(content)


class _Stamp:
    def __init__(self, time: float | None) -> None:
        self.time = time


class _Bare:
    """A container and a stream of which nothing is known."""

    average_rate = guessed_rate = duration = None
    frames = 1
    streams = ()
    name = "odd"

    @property
    def format(self) -> _Bare:
        return self


def test_time_stamps_that_run_backwards_or_lack_are_refused() -> None:
    clock = video._Clock(_Bare(), _Bare(), ref(), 0)
    assert [clock.time_s(_Stamp(t), i) for i, t in enumerate([5.0, 5.25])] == [0.0, 0.25]
    with pytest.raises(RecordingError, match=re.escape("backwards at frame 2: from 5.250 to 5.2")):
        clock.time_s(_Stamp(5.2), 2)
    with pytest.raises(RecordingError, match="no time stamp and no rate at frame 2"):
        clock.time_s(_Stamp(None), 2)


def test_a_picture_that_changes_its_size_is_refused() -> None:
    streams = [film("libx264", container="mpegts", n_frames=9, width=w) for w in (WIDTH, 64)]

    with pytest.raises(RecordingError, match="changes from 128x96 to 64x96 at frame 9"):
        draw(b"".join(streams))


def with_matrix(content: bytes, a: int, b: int, c: int, d: int) -> bytes:
    """An .mp4 with another display matrix in its track's header."""
    at = content.index(b"tkhd") + 4 + 40
    matrix = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    return content[:at] + matrix + content[at + 36 :]


TURNS = {
    (0, 1, -1, 0): lambda picture: np.rot90(picture, -1),
    (0, -1, 1, 0): lambda picture: np.rot90(picture, 1),
    (-1, 0, 0, -1): lambda picture: np.rot90(picture, 2),
    (-1, 0, 0, 1): lambda picture: picture[:, ::-1],
    (0, 1, 1, 0): lambda picture: picture.transpose(1, 0, 2),
}


@pytest.mark.parametrize("matrix", list(TURNS))
def test_a_film_is_turned_as_a_player_shows_it(matrix: tuple[int, int, int, int]) -> None:
    content = film("libx264", container="mp4")
    upright, _ = draw(content)
    shown, _ = draw(with_matrix(content, *matrix))
    for picture, turned in zip(upright, shown, strict=True):
        np.testing.assert_array_equal(turned, TURNS[matrix](picture))


def test_a_film_that_is_not_turned_by_right_angles_is_refused() -> None:
    with pytest.raises(RecordingError, match=r"is to be turned by -?45 degrees: wanted right"):
        draw(with_matrix(film("libx264", container="mp4"), 1, 1, -1, 1))


def with_edit(content: bytes, part: float) -> bytes:
    """An .mp4 whose edit list shows the first part alone."""
    at = content.index(b"elst") + 12
    (duration,) = struct.unpack(">I", content[at : at + 4])
    return content[:at] + struct.pack(">I", round(duration * part)) + content[at + 4 :]


def test_what_an_edit_list_cuts_away_is_not_shown() -> None:
    content = film("libx264", container="mp4")
    whole, _ = draw(content)
    shown, times_s = draw(with_edit(content, 0.5), N_FRAMES)
    assert len(shown) == len(times_s) == N_FRAMES // 2
    np.testing.assert_array_equal(shown, whole[: N_FRAMES // 2])
    with pytest.raises(RecordingError, match=r"truncated|damaged|cannot be|not a video"):
        draw(with_edit(film("libx264", container="mp4", options={"g": "1"}), 0.5)[:-3000])


def with_dropped(content: bytes, dropped: set[int]) -> bytes:
    """An .avi some of whose frames are empty chunks, as a recorder writes that dropped them."""
    start = content.index(b"movi") + 4
    at, chunks = start, []
    while content[at : at + 4] == b"00dc":
        (size,) = struct.unpack("<I", content[at + 4 : at + 8])
        end = at + 8 + size + size % 2
        empty = b"00dc" + bytes(4)
        chunks.append(empty if len(chunks) in dropped else content[at:end])
        at = end
    body, index, place = b"".join(chunks), content[at : at + 8], 4
    for number, chunk in enumerate(chunks):
        flags = content[at + 8 + 16 * number :][:8]
        index += flags + struct.pack("<II", place, *struct.unpack("<I", chunk[4:8]))
        place += len(chunk)
    head = bytearray(content[:start])
    head[start - 8 : start - 4] = struct.pack("<I", len(body) + 4)
    head[4:8] = struct.pack("<I", len(head) + len(body) + len(index) - 8)
    return bytes(head) + body + index


def test_frames_that_a_recorder_dropped_leave_their_time() -> None:
    content = film("mjpeg")
    whole, all_times_s = draw(content)
    shown, times_s = draw(with_dropped(content, {10, 11}), N_FRAMES)
    kept = [i for i in range(N_FRAMES) if i not in (10, 11)]
    np.testing.assert_array_equal(shown, whole[kept])
    np.testing.assert_allclose(times_s, all_times_s[kept], atol=1e-6)


def test_a_list_of_files_is_no_film(tmp_path: Path) -> None:
    """FFmpeg would open what it names, wherever that lies."""
    (tmp_path / "secret.avi").write_bytes(film())
    listed = f"ffconcat version 1.0\nfile {tmp_path / 'secret.avi'}\n".encode()
    playlist = f"#EXTM3U\n#EXTINF:1,\n{tmp_path / 'secret.avi'}\n".encode()
    for content in (listed, playlist):
        with pytest.raises(RecordingError, match="is not a video that can be read"):
            read_video(content, ref())


def test_more_pixels_than_a_film_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMFT_MAX_PIXELS", "300000")
    with pytest.raises(RecordingError, match="holds 30 frames of 128x96: wanted at most 300000 pi"):
        read_video(film(), ref())


@pytest.mark.parametrize("n_drawn", [0, 1])
def test_an_abandoned_video_is_closed(n_drawn: int, monkeypatch: pytest.MonkeyPatch) -> None:
    content = film()
    opened: list[weakref.ref[io.BytesIO]] = []
    real_open = av.open

    def remember(file: io.BytesIO, **options: Any) -> Any:
        opened.append(weakref.ref(file))
        return real_open(file, **options)

    monkeypatch.setattr(av, "open", remember)
    frames = read_video(content, ref())
    blocks = frames.blocks
    for _ in range(n_drawn):
        next(blocks)
    assert (opened[-1]() is not None) == (n_drawn > 0)
    del frames, blocks
    gc.collect()
    assert all(file() is None for file in opened)


@pytest.mark.real
def test_a_real_phone_sized_clip_decodes_whole() -> None:
    found = read_video(mmact_clip().read_bytes(), ref(268))
    n_frames, last_s = 0, 0.0
    for frames, times_s in found.blocks:
        assert frames.shape[1:] == (1080, 1920, 3)
        n_frames, last_s = n_frames + len(frames), float(times_s[-1])

    assert n_frames == found.n_frames == 268
    assert last_s == pytest.approx(267 / 29.97, abs=1e-3)
