"""A modality read as a description says: files by their formats, then what holds for every format.

A format gives rows in the order of the file; here they are checked, turned into the unit wanted and
put in the order of their times. Everything that is wrong names the file, the row and the column.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import ConfigError, RecordingError, StreamRef
from pipeline.datasets.reading import ARRAYS, Reading, Source, is_plugin
from pipeline.readers.arrays import oriented, read_named_array
from pipeline.readers.arrays import read_rows as read_array_rows
from pipeline.readers.bvh import read_bvh
from pipeline.readers.checks import check_begins, check_length, check_listed, check_units
from pipeline.readers.delimited import Rows, read_delimited
from pipeline.readers.json_rows import read_json
from pipeline.readers.limits import Limits
from pipeline.readers.plugins import PLUGIN, load_plugin, version_of
from pipeline.readers.readable import Opened, Readable, of_one_file
from pipeline.readers.times import check_rate, check_span, in_order_of_time
from pipeline.readers.video import read_video
from pipeline.signals.clock import is_coarse
from pipeline.signals.recording import Block, Frames, Signal, Streams

BLOCK_FRAMES = 16
_MAX_VALUE = float(np.finfo(np.float32).max)


def readable_as(reading: Reading) -> Readable:
    """How a modality is read.

    Raises:
        ConfigError: it names a plug-in that is not there.
    """
    columns = reading.column_names
    if reading.kind in ("depth", "colour"):
        (source,) = reading.streams.values()
        if source.reader == "images":
            return Readable(read=partial(_read_pictures, reading, source), gives=Frames)
        read = read_video if source.reader == "video" else partial(_read_frames, reading, source)
        return Readable(read=of_one_file(read), gives=Frames)
    for source in reading.streams.values():
        if is_plugin(source.reader):
            load_plugin(source.reader)
            noted, installed = source.options.get(PLUGIN), version_of(source.reader)
            if noted is not None and noted != installed:
                raise ConfigError(
                    f"reader {source.reader!r} is of {installed} here and was of {noted}: install "
                    "that, or encode again"
                )
    if reading.is_timed:
        return Readable(read=partial(_read_streams, reading), columns=columns, gives=Streams)
    (source,) = reading.streams.values()
    return Readable(read=of_one_file(partial(_read_one, reading, source)), columns=columns)


def _read_streams(reading: Reading, opened: Sequence[Opened]) -> Streams:
    """The streams that have rows, of which there must be one."""
    signals: dict[str, Signal] = {}
    for content, ref in opened:
        if ref.name not in reading.streams:
            known = ", ".join(reading.streams)
            raise ref.refuse(f"is the stream {ref.name!r}: wanted one of {known}")
        signal = _signal(content, ref, reading, reading.streams[ref.name]) if content else None
        if signal is not None:
            signals[ref.name] = signal
    if not signals:
        names = ", ".join(ref.path for _, ref in opened)
        raise RecordingError(f"no rows in {names}: wanted some in one of them", stage="read")
    widths = {name: len(source.columns) for name, source in reading.streams.items()}
    return Streams(widths=widths, signals=signals)


def _read_one(reading: Reading, source: Source, content: bytes, ref: StreamRef) -> Signal:
    signal = _signal(content, ref, reading, source)
    if signal is None:
        raise ref.refuse("has no rows: wanted one or more", "read")
    return signal


def _signal(content: bytes, ref: StreamRef, reading: Reading, source: Source) -> Signal | None:
    """Checked rows in the unit wanted; None where there are none.

    Shapes: values (T, D), or (T, J, 3) of a skeleton, times_s (T,).
    """
    rows = _rows(content, ref, reading, source)
    if not len(rows.values):
        return None
    check_length(len(rows.values), "rows", source, ref)
    rows = _in_unit(_finite(rows, source, ref), source, ref)
    values, times_s = rows.values, rows.times_s
    check_begins(values, "rows", source, ref)
    check_units(values, source, ref)
    if times_s is None:
        assert source.rate_hz is not None
        times_s = np.arange(len(values)) / source.rate_hz
        if reading.is_timed:
            check_span(float(times_s[-1]), ref.path)
    else:
        may_change = source.mixed_rates == "accept" or is_coarse(times_s)
        times_s, values = in_order_of_time(times_s, values, ref.path)
        check_rate(times_s, source.rate_hz, ref.path, may_change=may_change)
    check_listed(len(values), "rows", ref)
    wanted = len(reading.joints) * reading.dimensions or len(source.columns)
    if values.shape[1] != wanted:
        raise ref.refuse(f"holds {values.shape[1]} numbers a row: wanted {wanted}")
    values = values.astype(np.float32)
    if source.unwrap:
        values = np.unwrap(values.astype(np.float64), axis=0).astype(np.float32)
    if reading.joints:
        values = values.reshape(len(values), -1, reading.dimensions)
        if reading.dimensions < 3:
            values = np.pad(values, ((0, 0), (0, 0), (0, 3 - reading.dimensions)))
    return Signal(values=np.ascontiguousarray(values), times_s=times_s)


def _rows(content: bytes, ref: StreamRef, reading: Reading, source: Source) -> Rows:
    if source.reader == "delimited":
        return read_delimited(content, source, ref.path)
    if source.reader == "parquet":
        from pipeline.readers.parquet import read_parquet

        return read_parquet(content, source, ref.path)
    if source.reader == "json":
        return read_json(content, reading, source, ref)
    if source.reader == "bvh":
        return read_bvh(content, reading.joints, ref)
    if source.reader in ARRAYS:
        return read_array_rows(content, source, reading.kind, ref)
    values, times_s = load_plugin(source.reader)(content, ref, source.options)
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or (times_s is not None and len(times_s) != len(values)):
        raise ref.refuse(f"is read as {values.shape} by {source.reader}: wanted (T, D) and T times")
    if times_s is None and source.rate_hz is None:
        raise ref.refuse(f"is read without times by {source.reader}: wanted them, or a rate_hz")
    return Rows(values=values, times_s=times_s)


def _finite(rows: Rows, source: Source, ref: StreamRef) -> Rows:
    good = np.abs(rows.values) <= _MAX_VALUE  # false where NaN
    if good.all():
        return rows
    whole = good.all(axis=1)
    if source.missing == "skip" and np.isnan(rows.values[~good]).all() and whole.any():
        times_s = None if rows.times_s is None else rows.times_s[whole]
        return Rows(values=rows.values[whole], times_s=times_s)
    row, column = (int(i) for i in np.argwhere(~good)[0])
    raise ref.refuse(
        f"holds {rows.values[row, column]} in row {row + 1}, column {_name(source, column)}, and "
        f"{int((~good).sum())} such numbers in all: wanted finite ones"
        + ("" if source.missing == "skip" else ', or missing = "skip"')
    )


def _in_unit(rows: Rows, source: Source, ref: StreamRef) -> Rows:
    values = rows.values
    if source.axes:
        names = list(source.column_names)
        places = [names.index(axis.removeprefix("-")) for axis in source.axes]
        signs = [-1.0 if axis.startswith("-") else 1.0 for axis in source.axes]
        values = values[:, places] * np.array(signs)
    for what in ("factor", "offset"):
        number = getattr(source, what)
        if isinstance(number, tuple) and len(number) != values.shape[1]:
            raise ref.refuse(
                f"has {values.shape[1]} columns and the description {len(number)} of {what}s"
            )
    if source.factor != 1.0:
        values = values * np.asarray(source.factor)
    if source.offset != 0.0:
        values = values + np.asarray(source.offset)
    if source.range:
        low, high = source.range
        beyond = (values < low) | (values > high)
        if beyond.any():
            row, column = (int(i) for i in np.argwhere(beyond)[0])
            raise ref.refuse(
                f"holds {values[row, column]:.6g} in row {row + 1}, column "
                f"{_name(source, column)}, and {int(beyond.sum())} such numbers in all: wanted "
                f"{low:g} to {high:g} {source.unit}".rstrip()
            )
    return Rows(values=values, times_s=rows.times_s)


def _name(source: Source, column: int) -> str:
    names = source.column_names
    return names[column] if column < len(names) else str(column + 1)


def _read_pictures(reading: Reading, source: Source, opened: Sequence[Opened]) -> Frames:
    from pipeline.readers.images import read_images

    if empty := [ref.path for content, ref in opened if not content]:
        raise RecordingError(f"{empty[0]} is empty: wanted a picture", stage="open", path=empty[0])
    return read_images(opened, reading.kind, source)


def _read_frames(reading: Reading, source: Source, content: bytes, ref: StreamRef) -> Frames:
    """Frames of an array file, in blocks.

    Shapes: blocks of frames (n, H, W) uint16 millimetres or (n, H, W, 3) uint8, times_s (n,).
    """
    stored = read_named_array(content, source, source.key, ref)
    array = oriented(stored, source, reading.kind, ref)
    n_frames, channels = len(array), list(array.shape[3:])
    if not 0 < array.size <= Limits.of_environment().pixels * 3:
        raise ref.refuse(
            f"holds frames of shape {array.shape}: wanted one pixel or more, not more "
            "than DMFT_MAX_PIXELS allows"
        )
    if reading.kind == "colour" and (channels != [3] or array.dtype != np.uint8):
        raise ref.refuse(
            f"holds {array.dtype} of shape {array.shape}: wanted 8 bits of red, green and blue"
        )
    check_listed(n_frames, "frames", ref)
    check_length(n_frames, "frames", source, ref)
    return Frames(n_frames=n_frames, every=partial(_blocks, array, reading.kind, source, ref))


def _blocks(
    array: NDArray[Any], kind: str, source: Source, ref: StreamRef, every: int
) -> Iterator[Block]:
    assert source.rate_hz is not None
    for start in range(0, len(array), BLOCK_FRAMES):
        block = array[start : start + BLOCK_FRAMES]
        if kind == "depth":
            block = in_millimetres(block, source, ref, range(start, start + len(block)))
        if start == 0:
            check_begins(block, "frames", source, ref)
        kept = slice(-start % every, None, every)
        times_s = np.arange(start, start + len(block))[kept] / source.rate_hz
        if len(times_s):
            yield np.ascontiguousarray(block[kept]), times_s


def in_millimetres(
    block: NDArray[Any], source: Source, ref: StreamRef, places: Sequence[int]
) -> NDArray[np.uint16]:
    """Depth as whole millimetres; NaN is no reading, as 0 is.

    Shapes: (n, H, W), their places in the recording (n,) -> (n, H, W).

    Raises:
        RecordingError: a depth below 0 or beyond 65,535 mm, or a part of one where nothing is
            multiplied, by its frame and place.
    """
    depth = block
    if source.factor != 1.0 or block.dtype.kind == "f":
        depth = np.nan_to_num(block.astype(np.float64), nan=0.0, posinf=-1.0) * source.factor
        depth = np.rint(depth) if source.factor != 1.0 else depth
    low, high = source.range or (0, 65535)
    whole = ((depth >= max(low, 0)) & (depth <= min(high, 65535))) | (depth == 0)
    if depth.dtype.kind == "f":
        whole &= depth == np.rint(depth)
    if not whole.all():
        frame, row, column = (int(i) for i in np.argwhere(~whole)[0])
        raise ref.refuse(
            f"holds depth {block[frame, row, column]} in frame {places[frame]} at row {row}, "
            f"column {column}: wanted whole millimetres from {low:g} to {high:g}; see 'factor'"
        )
    return depth.astype(np.uint16)
