"""Frames in the page of a cache: read again from the raw files, true to them, never fatal."""

import base64
import io
import json
import re

import av
import numpy as np
import pytest
from click.testing import CliRunner

from cli import dmft
from pipeline.contract import Record, RecordingError, StreamRef
from pipeline.encoders.config import ColourEncoding, DepthEncoding, EncodingConfig
from pipeline.raw.tree import RawTree
from pipeline.synthetic.utd_mhad import mat_bytes
from pipeline.view import write_view
from pipeline.view.frames import N_FRAMES, drawn_frames
from tests.fabricate import SMALL_FRAMES, encode_here, path_of, record_ids, write_raw
from tests.real_recordings import utd_mhad_root

IDS = record_ids(3)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A cache of colour, depth and joints, and its raw tree."""
    folder = tmp_path_factory.mktemp("frames")
    raw = write_raw(folder / "raw", IDS, ("skeleton", "depth", "rgb"), n_frames=8)
    config = EncodingConfig(rgb=ColourEncoding(**SMALL_FRAMES), depth=DepthEncoding(**SMALL_FRAMES))
    encode_here(raw, folder / "c.zarr", config=config)
    return folder


def data_of(page):
    found = re.search(r'<script type="application/json" id="found">(.*?)</script>', page, re.S)
    return json.loads(found[1])


def pixels_of(source):
    """A data URI's picture.  Shapes: (h, w, 3)."""
    with av.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as picture:
        return next(picture.decode(video=0)).to_ndarray(format="rgb24")


def depth_record(raw, frames):
    """A record whose depth is given.  Shapes: frames (T, H, W)."""
    (raw / "Depth").mkdir(parents=True)
    content = mat_bytes("d_depth", np.moveaxis(frames.astype(np.uint16), 0, 2))
    (raw / "Depth/r_depth.mat").write_bytes(content)
    return Record(
        id="r", label=0, streams={"depth": (StreamRef(name="depth", path="Depth/r_depth.mat"),)}
    )


def test_frames_of_colour_and_depth_are_drawn_beside_their_patches(place, tmp_path):
    write_view(str(place / "c.zarr"), tmp_path / "v.html", raw=place / "raw")
    text = (tmp_path / "v.html").read_text()
    assert len(text) < 1_000_000
    assert "A cache holds no frames" not in text
    for record in data_of(text)["records"]:
        assert list(record["frames"]) == ["rgb", "depth"]
        assert set(record["heat"]) == {"skeleton", "depth", "rgb"}
        assert np.array(record["heat"]["depth"]).shape == (4, 64)
        for name, kind in (("rgb", "jpeg"), ("depth", "png")):
            images = record["frames"][name]["images"]
            assert [each["frame"] for each in images] == [1, 2, 3, 5, 6, 8]
            for each in images:
                assert each["source"].startswith(f"data:image/{kind};base64,")
                assert pixels_of(each["source"]).shape == (120, 160, 3)
            said = record["frames"][name]["said"]
            assert said.startswith(f"6 of 8 frames of {path_of(record['id'], name)}")


def test_without_the_raw_tree_the_page_says_how_to_get_frames(place, tmp_path):
    write_view(str(place / "c.zarr"), tmp_path / "v.html")
    text = (tmp_path / "v.html").read_text()
    assert "A cache holds no frames. To see some of rgb and depth here" in text
    assert all(record["frames"] == {} for record in data_of(text)["records"])


def test_depth_is_near_bright_far_dark_and_nothing_black(tmp_path):
    frames = np.zeros((3, 240, 320))
    frames[:, :80], frames[:, 80:160] = 2000, 3000
    found = drawn_frames(RawTree(tmp_path), "utd-mhad", depth_record(tmp_path, frames))["depth"]
    assert "bright is 2.00 m, dark 3.00 m" in found["said"]
    assert len(found["images"]) == 3 < N_FRAMES
    picture = pixels_of(found["images"][1]["source"])
    assert [int(picture[y, 80, 0]) for y in (10, 50, 110)] == [255, 50, 0]


def test_depth_without_one_reading_is_black(tmp_path):
    frames = np.zeros((2, 240, 320))
    frames[:, 1::2, 1::2] = 2000  # between the pixels that are drawn
    record = depth_record(tmp_path, frames)
    found = drawn_frames(RawTree(tmp_path), "utd-mhad", record)["depth"]
    assert [pixels_of(image["source"]).max() for image in found["images"]] == [0, 0]


def test_depth_that_a_reader_refuses_is_a_line_in_the_page(tmp_path):
    record = depth_record(tmp_path, np.zeros((2, 240, 320)))
    found = drawn_frames(RawTree(tmp_path), "utd-mhad", record)["depth"]
    assert found["images"] == []
    assert "begins with 2 frames of zeros alone" in found["said"]


def test_colours_survive(place):
    """Red must not become blue: the frame is what the reader gives, but for JPEG's loss."""
    from pipeline.readers.video import read_video

    path = path_of(IDS[0], "rgb")
    ref = StreamRef(name="rgb", path=path)
    record = Record(id=IDS[0], label=0, streams={"rgb": (ref,)})
    found = drawn_frames(RawTree(place / "raw"), "utd-mhad", record)["rgb"]["images"][0]
    (first, *_), _ = next(iter(read_video((place / "raw" / path).read_bytes(), ref).blocks))
    shown, wanted = pixels_of(found["source"]).astype(float), first[::4, ::4].astype(float)
    assert np.abs(shown - wanted).mean() < 12
    assert all(
        np.corrcoef(shown[..., c].ravel(), wanted[..., c].ravel())[0, 1] > 0.9 for c in range(3)
    )


def test_a_file_that_is_gone_or_damaged_is_a_line_in_the_page(place, tmp_path):
    raw = write_raw(tmp_path / "raw", IDS[:1], ("depth", "rgb"), n_frames=8)
    (raw / path_of(IDS[0], "depth")).unlink()
    (raw / path_of(IDS[0], "rgb")).write_bytes(b"RIFF but no video")
    write_view(str(place / "c.zarr"), tmp_path / "v.html", raw=raw)
    found = {r["id"]: r["frames"] for r in data_of((tmp_path / "v.html").read_text())["records"]}
    for name in ("depth", "rgb"):
        assert found[IDS[0]][name]["images"] == []
        assert found[IDS[0]][name]["said"].startswith("could not be read: ")
        assert path_of(IDS[0], name) in found[IDS[0]][name]["said"]


def test_a_raw_tree_that_is_none_is_refused_before_anything_is_written(place, tmp_path):
    with pytest.raises(RecordingError, match="nowhere"):
        write_view(str(place / "c.zarr"), tmp_path / "v.html", raw=tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_the_command_draws_frames(place, tmp_path):
    arguments = ["cache", "view", str(place / "c.zarr"), "--raw", str(place / "raw")]
    arguments += ["--records", "1", "-o", str(tmp_path / "v.html")]
    assert CliRunner().invoke(dmft, arguments, catch_exceptions=False).exit_code == 0
    (record,) = data_of((tmp_path / "v.html").read_text())["records"]
    assert len(record["frames"]["rgb"]["images"]) == N_FRAMES


@pytest.mark.real
def test_real_depth_is_a_person_before_nothing():
    path = "Depth/a1_s1_t1_depth.mat"
    record = Record(id="a1_s1_t1", label=0, streams={"depth": (StreamRef(name="d", path=path),)})
    found = drawn_frames(RawTree(utd_mhad_root()), "utd-mhad", record)["depth"]
    assert len(found["images"]) == N_FRAMES
    for each in found["images"]:
        black = (pixels_of(each["source"]) == 0).mean()
        assert 0.8 < black < 0.99
