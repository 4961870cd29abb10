"""One numeric array out of a MAT file: the right numbers, or what is wrong."""

from __future__ import annotations

import functools
import io
import re
import struct
import tracemalloc
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.contract import RecordingError
from pipeline.readers.matfile import read_array
from tests.real_recordings import utd_mhad_root

scipy_io = pytest.importorskip("scipy.io")
h5py = pytest.importorskip("h5py")

VALUES = np.arange(24, dtype=np.float64).reshape(4, 6) / 7


def mat(content: dict[str, Any], *, compress: bool = True) -> bytes:
    buffer = io.BytesIO()
    scipy_io.savemat(buffer, content, do_compression=compress)
    return buffer.getvalue()


def mat73(content: dict[str, Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=512) as file:
        for name, values in content.items():
            file.create_dataset(name, data=values.T, **options)
    return b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM" + buffer.getvalue()[128:]


def v5(
    values: bytes,
    *,
    dims: tuple[int, ...] = (4, 6),
    stored: int = 9,
    n_bytes: int | None = None,
    class_code: int = 6,
    order: str = "<",
) -> bytes:
    """A compressed MAT v5 file that declares what it is told to."""
    size = len(values) if n_bytes is None else n_bytes
    body = struct.pack(order + "IIII", 6, 8, class_code, 0)
    body += struct.pack(f"{order}II{len(dims)}i", 5, 4 * len(dims), *dims)
    body += b"\0" * (-len(body) % 8)
    body += struct.pack(order + "II", 1, 6) + b"d_iner\0\0"
    body += struct.pack(order + "II", stored, size) + values
    packed = zlib.compress(struct.pack(order + "II", 14, len(body)) + body)
    mark = b"\0\1IM" if order == "<" else b"\1\0MI"
    return b"MATLAB 5.0".ljust(124) + mark + struct.pack(order + "II", 15, len(packed)) + packed


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
def test_arrays_read_as_scipy_wrote_them(dtype: str, compress: bool) -> None:
    values = (VALUES * 20).astype(dtype)
    found = read_array(mat({"other": VALUES, "d": values}, compress=compress), "d", shape=(4, 6))

    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)
    assert not found.flags.writeable


def test_of_two_variables_of_one_name_the_last_counts_as_in_scipy() -> None:
    content = mat({"d": VALUES}) + mat({"d": VALUES * 2})[128:]
    found = read_array(content, "d", shape=(4, 6))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(found, scipy_io.loadmat(io.BytesIO(content))["d"])
    np.testing.assert_array_equal(found, VALUES * 2)


@pytest.mark.parametrize("values", [np.array([[7]], np.uint8), np.arange(4).reshape(1, 4) * 1.5])
def test_arrays_of_few_bytes_read_too(values: NDArray[Any]) -> None:
    np.testing.assert_array_equal(read_array(mat({"d": values}), "d", shape=values.shape), values)


def test_files_of_the_other_byte_order_read_in_this_machines() -> None:
    found = read_array(v5(VALUES.T.astype(">f8").tobytes(), order=">"), "d_iner", shape=(4, 6))

    np.testing.assert_array_equal(found, VALUES)
    assert found.dtype.isnative


@pytest.mark.parametrize(
    "options", [{}, {"compression": "gzip", "shuffle": True, "fletcher32": True}]
)
def test_files_of_version_73_read_in_matlabs_order(options: dict[str, Any]) -> None:
    values = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    found = read_array(mat73({"d": values}, **options), "d", shape=(2, 3, None))

    np.testing.assert_array_equal(found, values)
    assert found.dtype == np.uint16


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "x.mat is empty"),
        (b"MATLAB 5.0", "x.mat is truncated: 10 bytes"),
        (b"RIFF" * 99, "x.mat is not a MAT v5 or v7.3 file: it begins b'RIFFRIFFRIFFRIFF'"),
        (mat({}), "has no variable 'd_iner': found none"),
        (mat({"d_skel": VALUES}), re.escape("has no variable 'd_iner': found ['d_skel']")),
        (mat({"d_iner": VALUES.T}), re.escape("holds 'd_iner' of shape (6, 4): wanted (1 to 9")),
        (mat({"d_iner": VALUES[None]}), re.escape("shape (1, 4, 6): wanted (1 to 9, 6)")),
        (mat({"d_iner": np.zeros((10, 6))}), re.escape("shape (10, 6): wanted (1 to 9, 6)")),
        (mat({"d_iner": VALUES * 1j}), "'d_iner' of class complex"),
        (mat({"d_iner": "text"}), "'d_iner' of class char"),
        (mat({"d_iner": {"a": 1}}), "'d_iner' of class struct"),
        (mat({"d_iner": np.array([[1, "b"]], dtype=object)}), "'d_iner' of class cell"),
        (v5(VALUES.tobytes(), class_code=3), "'d_iner' of class object"),
        (v5(VALUES.tobytes(), class_code=5), "'d_iner' of class sparse"),
        (v5(VALUES.tobytes(), class_code=16), "'d_iner' of class function"),
        (v5(VALUES.tobytes(), class_code=99), re.escape("'d_iner' of class unknown (99)")),
        (v5(VALUES.tobytes(), class_code=17), "has no variable 'd_iner'"),
        (v5(VALUES.tobytes(), stored=18), "stores 'd_iner' as type 18"),
        (v5(VALUES.tobytes()[:-8]), "takes 192 bytes and declares 184"),
        (v5(VALUES.tobytes()[:-8], n_bytes=192), "takes 192 bytes and 184 are there"),
        (v5(VALUES.tobytes(), dims=(4, -6)), re.escape("shape (4, -6)")),
        (v5(VALUES.tobytes(), dims=(4,) * 40), "declares no dimensions"),
        (v5(VALUES.tobytes() * 9), "declares 1728"),
        (v5(VALUES.tobytes() * 9, n_bytes=192), "inflates to more than the 264 bytes"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_what_was_wanted_is_refused_with_what_was_found(
    content: bytes, reason: str
) -> None:
    with pytest.raises(RecordingError, match=reason) as met:
        read_array(content, "d_iner", shape=(range(1, 10), 6), path="x.mat")
    assert met.value.path == "x.mat"


@pytest.mark.parametrize(
    ("at", "element", "reason"),
    [
        (128, struct.pack("<II", 77, 0), "an element of type 77 at byte 128"),
        (128, struct.pack("<I", 1), "no room for an element's tag at byte 128"),
        (128, struct.pack("<II", 15, 9) + b"\0", "declares 9 bytes and 1 are left"),
        (128, struct.pack("<II", 14 | 9 << 16, 0), "a small element at byte 128 declares 9 bytes"),
        (128, struct.pack("<IIII", 14, 8, 7, 7), "has no array flags"),
        (128, struct.pack("<II4I", 14, 16, 6, 8, 6, 0), "no room for an element's tag"),
        (128, struct.pack("<II6I", 14, 24, 6, 8, 6, 0, 5, 8), "in the dimensions of the variable"),
        (
            128,
            struct.pack("<II10I", 14, 40, 6, 8, 6, 0, 5, 8, 4, 6, 9, 1),
            "the variable at byte 128 has no name",
        ),
    ],
)
def test_a_damaged_header_is_refused(at: int, element: bytes, reason: str) -> None:
    with pytest.raises(RecordingError, match=reason):
        read_array(mat({})[:at] + element, "d", shape=(1,))


def test_a_compressed_element_that_holds_no_array_is_refused() -> None:
    packed = zlib.compress(struct.pack("<II", 9, 8) + bytes(8))
    with pytest.raises(RecordingError, match="an element of type 9 at byte 128"):
        read_array(mat({}) + struct.pack("<II", 15, len(packed)) + packed, "d", shape=(1,))


def test_damage_to_the_compressed_data_is_found_by_its_checksum() -> None:
    content = bytearray(mat({"d": VALUES}))
    content[-1] ^= 1

    with pytest.raises(RecordingError, match=r"does not inflate .*checksum"):
        read_array(bytes(content), "d", shape=(4, 6))


def test_every_truncation_is_found() -> None:
    content = mat({"d": VALUES})

    for length in range(len(content)):
        with pytest.raises(RecordingError, match=r"truncated|empty|no variable"):
            read_array(content[:length], "d", shape=(4, 6))


def test_compressed_data_that_ends_early_is_found() -> None:
    content = bytearray(mat({"d": VALUES})[:-20])
    content[132:136] = struct.pack("<I", len(content) - 136)

    with pytest.raises(RecordingError, match="its compressed data ends after"):
        read_array(bytes(content), "d", shape=(4, 6))


@functools.cache
def bomb(declared: int) -> bytes:
    """128 MiB of zeros in little, that declare ``declared`` bytes."""
    packer = zlib.compressobj(1)
    head = v5(b"", dims=(declared // 8 // 6, 6), n_bytes=declared)
    packed = packer.compress(zlib.decompress(head[136:]))
    packed += b"".join(packer.compress(bytes(1 << 20)) for _ in range(1 << 7)) + packer.flush()
    return head[:132] + struct.pack("<I", len(packed)) + packed


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        (192, "inflates to more than"),
        (48 << 24, "stores 'd_iner' in 805306368 bytes: the limit is"),
    ],
)
def test_a_zip_bomb_is_refused_in_little_memory(declared: int, reason: str) -> None:
    content = bomb(declared)
    tracemalloc.start()
    with pytest.raises(RecordingError, match=reason):
        read_array(content, "d_iner", shape=(None, 6), max_bytes=1_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 10_000_000


def test_a_bomb_under_another_name_is_not_inflated() -> None:
    content = bomb(48 << 24) + mat({"d": VALUES})[128:]

    np.testing.assert_array_equal(read_array(content, "d", shape=(4, 6)), VALUES)


def _external(file: Any) -> None:
    file.create_dataset("d", (4,), "f8", external=[("/etc/hostname", 0, 32)])


def _virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((4,), "f8")
    layout[:] = h5py.VirtualSource("other.h5", "d", (4,))
    file.create_virtual_dataset("d", layout)


def _linked(file: Any) -> None:
    file["d"] = h5py.ExternalLink("other.h5", "d")


def _huge(file: Any) -> None:
    file.create_dataset("d", (1 << 40,), "f8", chunks=(1 << 10,))


def _wide_chunks(file: Any) -> None:
    file.create_dataset("d", (4,), "f8", maxshape=(None,), chunks=(1 << 20,))


def _odd_filter(file: Any) -> None:
    file.create_dataset("d", data=np.zeros(64), compression="lzf")


def _group(file: Any) -> None:
    file.create_group("d")


def _text(file: Any) -> None:
    file["d"] = "text"


def _bomb(file: Any) -> None:
    made = file.create_dataset("d", (64,), "f8", chunks=(64,), compression="gzip")
    made.id.write_direct_chunk((0,), zlib.compress(bytes(1 << 26)))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_external, "keeps 'd' in another file"),
        (_virtual, "keeps 'd' in another file"),
        (_linked, re.escape("has no variable 'd': found none")),
        (_huge, "stores 'd' in 8796093022208 bytes: the limit is 1000000"),
        (_wide_chunks, "packs 'd' in chunks of 8388608 bytes: the limit is 1000000"),
        (_odd_filter, re.escape("packs 'd' with filters [32000]")),
        (_group, "holds 'd' of class Group"),
        (_text, "holds 'd' of class object"),
        (_bomb, "inflates to more than"),
    ],
)
def test_hostile_files_of_version_73_are_refused(make: Any, reason: str) -> None:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        make(file)
    tracemalloc.start()
    with pytest.raises(RecordingError, match=reason):
        read_array(buffer.getvalue(), "d", shape=(None,), max_bytes=1_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 20_000_000


def test_a_file_of_version_73_with_another_shape_or_cut_short_is_refused() -> None:
    content = mat73({"d": VALUES})
    with pytest.raises(RecordingError, match=re.escape("shape (4, 6): wanted (6, any)")):
        read_array(content, "d", shape=(6, None))
    with pytest.raises(RecordingError, match=r"x.mat is a damaged MAT v7.3"):
        read_array(content[: len(content) // 2], "d", shape=(4, 6), path="x.mat")


@pytest.mark.real
def test_real_files_read_as_scipy_reads_them() -> None:
    root = utd_mhad_root()
    for path, key, shape in (
        ("Depth/a1_s1_t1_depth.mat", "d_depth", (240, 320, None)),
        ("Inertial/a1_s1_t1_inertial.mat", "d_iner", (None, 6)),
        ("Skeleton/a1_s1_t1_skeleton.mat", "d_skel", (20, 3, None)),
    ):
        wanted = scipy_io.loadmat(root / path)[key]
        found = read_array((root / path).read_bytes(), key, shape=shape)
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)
