"""Laws of reading: the right numbers or a RecordingError; a manifest survives its file."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.contract import Record, RecordingError, StreamRef
from pipeline.manifests import Manifest, load_manifest, parse_manifest, save_manifest
from pipeline.readers.matfile import read_array
from pipeline.readers.registry import readable
from pipeline.readers.video import read_video
from pipeline.signals.recording import Signal

scipy_io = pytest.importorskip("scipy.io")
av = pytest.importorskip("av")

REF = StreamRef(name="x", path="x")
ROWS = np.random.default_rng(0).normal(size=(40, 6)) * ([0.7] * 3 + [30.0] * 3)


def read_as(modality: str, content: bytes, ref: StreamRef) -> Signal:
    found = readable("utd-mhad", modality).read([(content, ref)])
    assert isinstance(found, Signal)
    return found


def _mat(compress: bool) -> bytes:
    buffer = io.BytesIO()
    scipy_io.savemat(buffer, {"note": ROWS[:3], "d_iner": ROWS}, do_compression=compress)
    return buffer.getvalue()


def _film() -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="avi") as output:
        stream = output.add_stream("mpeg4", rate=15)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for level in range(12):
            picture = np.full((32, 32, 3), 10 * level, np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode())
    return buffer.getvalue()


COMPRESSED, PLAIN, FILM = _mat(True), _mat(False), _film()


@settings(max_examples=400, deadline=None)
@given(flips=st.lists(st.integers(0, len(COMPRESSED) * 8 - 1), min_size=1, max_size=4))
def test_flipped_bits_of_a_compressed_mat_give_the_array_or_an_error(flips: list[int]) -> None:
    content = bytearray(COMPRESSED)
    for bit in flips:
        content[bit // 8] ^= 1 << bit % 8
    try:
        found = read_as("inertial", bytes(content), REF)
    except RecordingError:
        return
    np.testing.assert_array_equal(found.values, ROWS.astype(np.float32))


@settings(max_examples=400, deadline=None)
@given(
    start=st.integers(0, len(PLAIN) - 1),
    noise=st.binary(max_size=40),
    n_cut=st.integers(0, 40),
    plain=st.booleans(),
)
def test_any_damage_to_a_mat_gives_an_array_of_the_shape_or_an_error(
    start: int, noise: bytes, n_cut: int, plain: bool
) -> None:
    content = PLAIN if plain else COMPRESSED
    damaged = content[:start] + noise + content[start + n_cut :]
    try:
        found = read_array(damaged, "d_iner", shape=(range(1, 50), 6), max_bytes=10_000)
    except RecordingError:
        return
    assert found.shape[1] == 6
    if not plain and damaged[:128] == COMPRESSED[:128]:
        np.testing.assert_array_equal(found, ROWS)


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=400), header=st.booleans())
def test_no_bytes_make_a_reader_do_anything_but_refuse(content: bytes, header: bool) -> None:
    content = PLAIN[:128] + content if header else content
    with pytest.raises(RecordingError):
        read_as("skeleton", content, REF)


@settings(max_examples=60, deadline=None)
@given(start=st.integers(0, len(FILM) - 1), noise=st.binary(max_size=8), n_cut=st.integers(0, 9))
def test_any_damage_to_a_video_gives_all_its_frames_or_an_error(
    start: int, noise: bytes, n_cut: int
) -> None:
    try:
        found = read_video(FILM[:start] + noise + FILM[start + n_cut :], REF)
        n_frames = sum(len(frames) for frames, _ in found.blocks)
    except RecordingError:
        return
    assert n_frames == found.n_frames


@settings(max_examples=60, deadline=None)
@given(length=st.integers(0, FILM.rindex(b"idx1") - 17))
def test_a_truncated_video_is_an_error(length: int) -> None:
    with pytest.raises(RecordingError):
        for _ in read_video(FILM[:length], REF).blocks:
            pass


_names = st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True)
_counts = st.none() | st.integers(0, 2**60)
_refs = st.builds(
    lambda name, n_bytes, sha256, n_frames: (name, n_bytes, sha256, n_frames),
    _names,
    _counts,
    st.none() | st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    _counts,
)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    classes = draw(st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=4, unique=True))
    columns = draw(st.sets(_names, max_size=3))
    records = []
    for index in range(draw(st.integers(0, 5))):
        streams = {}
        for modality in draw(st.sets(_names, min_size=1, max_size=3)):
            refs = draw(st.lists(_refs, min_size=1, max_size=2, unique_by=lambda ref: ref[0]))
            streams[modality] = tuple(
                StreamRef(
                    name=name,
                    path=f"{modality}/{index}é {name}.mat",
                    n_bytes=n_bytes,
                    sha256=sha256,
                    n_frames=n_frames,
                )
                for name, n_bytes, sha256, n_frames in refs
            )
        records.append(
            Record(
                id=f"r{index}",
                label=draw(st.integers(0, len(classes) - 1)),
                attributes={column: draw(st.integers(-9, 99)) for column in columns},
                streams=streams,
            )
        )
    return Manifest(dataset="any-set", classes=tuple(classes), records=tuple(records))


@settings(max_examples=60, deadline=None)
@given(made=manifests())
def test_a_manifest_survives_its_file(
    made: Manifest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = Path(tmp_path_factory.getbasetemp()) / "law.jsonl"
    save_manifest(made, path)

    again = load_manifest(path)
    assert again == made
    assert again.sha256 == made.sha256


@settings(max_examples=100, deadline=None)
@given(made=manifests(), start=st.integers(0, 5000), noise=st.binary(max_size=20))
def test_no_damage_to_a_manifest_is_more_than_a_list_of_problems(
    made: Manifest, start: int, noise: bytes
) -> None:
    content = "".join(f"{line}\n" for line in made.lines()).encode()
    start %= len(content)
    found, problems = parse_manifest(content[:start] + noise + content[start + len(noise) :])
    assert (found is None) == bool(problems)


@settings(max_examples=60, deadline=None)
@given(made=manifests(), n_lines=st.integers(0, 4))
def test_a_manifest_cut_between_lines_is_an_error(made: Manifest, n_lines: int) -> None:
    lines = [line.encode() + b"\n" for line in made.lines()]
    if n_lines >= len(lines):
        return
    assert parse_manifest(b"".join(lines[:n_lines]))[0] is None
