"""Arrays, tables and frames read as a description says, and what is refused with which words."""

from __future__ import annotations

import io
import time
import wave
import zipfile
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io

from pipeline.contract import RecordingError
from pipeline.signals.recording import Frames
from tests.described import read, series

# -- arrays ---------------------------------------------------------------------------------------


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def array_table(reader: str, **options: Any) -> dict[str, Any]:
    return series(reader=reader, columns=[1, 3], **options)


VALUES = np.arange(12.0).reshape(4, 3)


def test_arrays_are_read_by_key_and_order_of_axes() -> None:
    wanted = VALUES[:, [0, 2]].tolist()
    assert read(npy(VALUES), array_table("npy")).values.tolist() == wanted
    turned = array_table("npy", order=["column", "time"])
    assert read(npy(np.asfortranarray(VALUES.T)), turned).values.tolist() == wanted
    file = io.BytesIO()
    np.savez_compressed(file, acc=VALUES, other=[1])
    assert read(file.getvalue(), array_table("npz", key="acc")).values.tolist() == wanted
    file = io.BytesIO()
    scipy.io.savemat(file, {"acc": VALUES})
    assert read(file.getvalue(), array_table("mat", key="acc")).values.tolist() == wanted
    file = io.BytesIO()
    with h5py.File(file, "w") as made:
        made["left/acc"] = VALUES
        made["left/t"] = np.arange(4) * 20.0
    table = array_table("hdf5", key="left/acc")
    assert read(file.getvalue(), table).values.tolist() == wanted
    table["modality"]["acc"] |= {"time_key": "left/t", "time_format": "milliseconds"}
    assert read(file.getvalue(), table).signals["acc"].times_s.tolist() == [0, 0.02, 0.04, 0.06]


def plain_hdf5() -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as made:
        made["acc"] = VALUES
        made["out"] = h5py.ExternalLink("/etc/passwd", "/x")
        made["in"] = h5py.SoftLink("/acc")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "reader", "options", "message"),
    [
        (npy(np.array([{}], dtype=object)), "npy", {}, "holds objects, which only pickle reads"),
        (npy(np.array(["a"])), "npy", {}, "holds an array of <U1: wanted real numbers"),
        (npy(VALUES)[:-1], "npy", {}, r"holds 95 bytes of an array of shape \(4, 3\), which takes"),
        (b"\x80\x04N.", "npy", {}, r"is no \.npy file that can be read"),
        (npy(VALUES[:, :2]), "npy", {}, r"has 2 columns, '1', '2': wanted a column 3"),
        (npy(VALUES[None]), "npy", {}, r"shape \(1, 4, 3\): wanted time x column"),
        (npy(VALUES * np.nan), "npy", {}, r"holds nan in row 1, column column_1, and 8 such"),
        (b"PK", "npz", {"key": "acc"}, r"is no \.npz file that can be read"),
        (plain_hdf5(), "mat", {"key": "acc"}, 'is plain HDF5 and no MAT v7.3, .* reader = "hdf5"'),
        (plain_hdf5(), "hdf5", {"key": "gyro"}, r"has no variable 'gyro': found \['acc'\]"),
        (plain_hdf5(), "hdf5", {"key": "out/x"}, "has no variable 'out/x'"),
        (plain_hdf5(), "hdf5", {"key": "in"}, "has no variable 'in'"),
        (plain_hdf5()[:900], "hdf5", {"key": "acc"}, r"is a damaged HDF5 file"),
    ],
)  # fmt: skip
def test_arrays_that_are_no_recording_are_refused(
    content: bytes, reader: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecordingError, match=message):
        read(content, array_table(reader, **options))


def test_a_header_that_asks_for_the_world_takes_no_memory() -> None:
    head = npy(VALUES).replace(b"(4, 3), }     ", b"(99999999, 3),}")
    begun = time.monotonic()
    with pytest.raises(RecordingError, match=r"bytes of an array of shape|the limit is|no \.npy"):
        read(head, array_table("npy"))
    assert time.monotonic() - begun < 5


def test_an_npz_names_what_it_holds() -> None:
    file = io.BytesIO()
    np.savez(file, a=VALUES, b=VALUES)
    with pytest.raises(RecordingError, match=r"holds the arrays \['a', 'b'\]: wanted the 'key'"):
        read(file.getvalue(), array_table("npz"))


# -- Parquet --------------------------------------------------------------------------------------


def test_parquet_is_read_by_columns() -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    file = io.BytesIO()
    pq.write_table(pa.table({"x": [1, 2], "y": [3.0, 4.0], "who": ["a", "b"]}), file)
    table = series(reader="parquet")
    assert read(file.getvalue(), table).values.tolist() == [[1, 3], [2, 4]]
    with pytest.raises(RecordingError, match="holds string in column 'who': wanted numbers"):
        read(file.getvalue(), series(reader="parquet", columns=["x", "who"]))
    with pytest.raises(RecordingError, match="is no Parquet file that can be read"):
        read(file.getvalue()[:40], table)


# -- skeletons and frames -------------------------------------------------------------------------

JOINTS = {"joints": ["hip", "neck"], "columns": []}


def test_a_skeleton_is_joints_in_space() -> None:
    flat = np.arange(12.0).reshape(2, 6)
    skeleton = series(kind="skeleton", reader="npy", **JOINTS)
    assert read(npy(flat), skeleton).values.tolist() == flat.reshape(2, 2, 3).tolist()
    turned = series(kind="skeleton", reader="npy", order=["joint", "axis", "time"], **JOINTS)
    made = read(npy(flat.reshape(2, 2, 3).transpose(1, 2, 0)), turned)
    assert made.values.tolist() == flat.reshape(2, 2, 3).tolist()
    text = "a,b,c,d,e,f\n0,1,2,3,4,5\n"
    assert read(text.encode(), series(kind="skeleton", **JOINTS)).values.shape == (1, 2, 3)
    flat_joints = series(kind="skeleton", reader="npy", dimensions=2, **JOINTS)
    assert read(npy(flat[:, :4]), flat_joints).values[0].tolist() == [[0, 1, 0], [2, 3, 0]]
    with pytest.raises(RecordingError, match="holds 3 numbers a row: wanted 6"):
        read(npy(flat[:, :3]), skeleton)


def frames(content: bytes, kind: str, **options: Any) -> Any:
    table = series(kind=kind, columns=[], **options)
    made = read(content, table)
    assert isinstance(made, Frames)
    blocks = list(made.blocks)
    return np.concatenate([block for block, _ in blocks])


def test_depth_becomes_whole_millimetres() -> None:
    metres = np.array([[[0.5, np.nan], [1.25, 0]]] * 20, np.float32)
    found = frames(npy(metres), "depth", reader="npy", factor=1000.0)
    assert found.dtype == np.uint16
    assert found[19].tolist() == [[500, 0], [1250, 0]]
    with pytest.raises(RecordingError, match=r"holds depth 0\.5 in frame 0 at row 0, column 0"):
        frames(npy(metres), "depth", reader="npy")
    with pytest.raises(RecordingError, match=r"holds depth -1 in frame 0"):
        frames(npy(np.full((1, 2, 2), -1)), "depth", reader="npy")


def test_colour_is_bytes() -> None:
    film = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    assert (frames(npy(film), "colour", reader="npy") == film).all()
    with pytest.raises(RecordingError, match=r"holds int64 of shape .* wanted 8 bits of red"):
        frames(npy(film.astype(int)), "colour", reader="npy")


def pictures(**files: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"{name}.png", content)
    return file.getvalue()


def png(array: Any) -> bytes:
    image = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def test_pictures_are_frames_in_the_order_of_their_numbers() -> None:
    one, ten = np.full((2, 3), 700, np.uint16), np.full((2, 3), 900, np.uint16)
    found = frames(pictures(f10=png(ten), f9=png(one)), "depth", reader="images")
    assert found[:, 0, 0].tolist() == [700, 900]
    grey = png(np.full((2, 2), 7, np.uint8))
    assert frames(pictures(f1=grey), "colour", reader="images").tolist() == [[[[7] * 3] * 2] * 2]
    table = series(kind="depth", columns=[], reader="images")
    files = {"acc_000001": png(one), "acc_000002": png(ten)}
    assert [block[:, 0, 0].tolist() for block, _ in read(files, table).blocks] == [[700, 900]]
    with pytest.raises(RecordingError, match=r"holds f2\.png of \(2, 2\) beside \(2, 3\)"):
        frames(pictures(f1=png(one), f2=grey), "depth", reader="images")
    with pytest.raises(RecordingError, match=r"holds f1\.png, which cannot be read"):
        frames(pictures(f1=b"no"), "depth", reader="images")
    with pytest.raises(RecordingError, match=r"holds 0 pictures"):
        frames(pictures(), "depth", reader="images")
    with pytest.raises(RecordingError, match=r"is no \.zip of pictures"):
        frames(b"PKno", "depth", reader="images")


def test_a_video_without_frames_is_refused() -> None:
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(8000))
    film = series(kind="colour", reader="video", columns=[])
    del film["modality"]["acc"]["rate_hz"]
    with pytest.raises(RecordingError, match="has no video stream among its"):
        read(sound.getvalue(), film)
    with pytest.raises(RecordingError, match="is not a video that can be read"):
        read(b"no film", film)
