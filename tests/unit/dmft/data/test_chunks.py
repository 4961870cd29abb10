"""Reading a feature array's chunks straight from their files."""

from __future__ import annotations

import numpy as np
import pytest
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from dmft.data.chunks import ChunkError, finite_rows, read_rows


def write_array(folder, codec, dtype="float16"):
    values = np.random.default_rng(0).normal(size=(10, 3, 5)).astype(dtype)
    array = zarr.create_array(
        folder, shape=values.shape, chunks=(4, 3, 5), dtype=dtype, compressors=[codec]
    )
    array[:] = values
    return values, zarr.open_array(folder, mode="r")


@pytest.mark.parametrize("codec", [Crc32cCodec(), ZstdCodec()])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_rows_are_what_zarr_reads_however_they_are_stored(tmp_path, codec, dtype):
    values, array = write_array(tmp_path / "a", codec, dtype)
    found, finite = read_rows(tmp_path / "a", array, np.ones(10, bool))
    assert finite.all()
    np.testing.assert_array_equal(found, values)


def test_chunks_without_a_wanted_row_are_not_opened(tmp_path):
    values, array = write_array(tmp_path / "a", Crc32cCodec())
    (tmp_path / "a" / "c" / "1" / "0" / "0").unlink()
    wanted = np.arange(10) < 4
    found, _ = read_rows(tmp_path / "a", array, wanted)
    np.testing.assert_array_equal(found[:4], values[:4])


@pytest.mark.parametrize("chunk", [0, 2])
def test_a_flipped_bit_is_noticed(tmp_path, chunk):
    _, array = write_array(tmp_path / "a", Crc32cCodec())
    path = tmp_path / "a" / "c" / str(chunk) / "0" / "0"
    content = bytearray(path.read_bytes())
    content[7] ^= 4
    path.write_bytes(content)
    with pytest.raises(ChunkError, match=rf"c/{chunk}/0/0 is not what its checksum says"):
        read_rows(tmp_path / "a", array, np.ones(10, bool))


@pytest.mark.parametrize("n_left", [0, 3, 100, 123])
def test_a_chunk_cut_short_is_noticed(tmp_path, n_left):
    _, array = write_array(tmp_path / "a", Crc32cCodec())
    path = tmp_path / "a" / "c" / "0" / "0" / "0"
    path.write_bytes(path.read_bytes()[:n_left])
    with pytest.raises(ChunkError, match=f"holds {n_left} bytes: wanted 124"):
        read_rows(tmp_path / "a", array, np.ones(10, bool))


def test_a_chunk_that_is_gone_is_noticed(tmp_path):
    _, array = write_array(tmp_path / "a", Crc32cCodec())
    (tmp_path / "a" / "c" / "1" / "0" / "0").unlink()
    with pytest.raises(ChunkError, match=r"c/1/0/0 is missing"):
        read_rows(tmp_path / "a", array, np.ones(10, bool))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_are_told_from_the_largest_that_are(dtype, bad):
    rows = np.zeros((3, 2, 2), dtype)
    rows[0, 1, 1] = np.finfo(dtype).min
    rows[1, 0, 1] = bad
    assert finite_rows(rows, np.ones(3, bool)).tolist() == [True, False, True]
    assert finite_rows(rows, np.array([True, False, True])).all()
