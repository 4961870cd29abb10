"""Columns of a Parquet file as numbers. Its schema and its counts are looked at first."""

from __future__ import annotations

import io

import numpy as np

from pipeline.contract import ConfigError, RecordingError, refuse
from pipeline.datasets.reading import TIME_UNITS, Source
from pipeline.readers.delimited import MAX_COLUMNS, Rows, places_of
from pipeline.readers.limits import Limits
from pipeline.readers.times import is_number, seconds_of_dates, seconds_of_ticks


def read_parquet(content: bytes, source: Source, path: str) -> Rows:
    """Columns of a Parquet file; all but the time's where the source names none.

    Raises:
        ConfigError: pyarrow is not installed.
        RecordingError: damaged, a column that is not there or holds no numbers, more rows or
            columns than a recording has.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ConfigError(
            "reader parquet needs pyarrow: install it with pip install 'dmft[tables]'"
        ) from error
    try:
        file = pq.ParquetFile(io.BytesIO(content))
        names = list(file.schema_arrow.names)
        n_rows, n_most = file.metadata.num_rows, Limits.of_environment().rows
        if len(names) > MAX_COLUMNS or n_rows > n_most:
            raise refuse(
                path,
                f"has {len(names)} columns and {n_rows} rows: wanted at most {MAX_COLUMNS} and "
                f"{n_most} (DMFT_MAX_ROWS sets it)",
            )
        chosen, time = places_of(names, source, path)
        for place in chosen:
            kind = file.schema_arrow.field(place).type
            if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
                raise refuse(path, f"holds {kind} in column {names[place]!r}: wanted numbers")
        wanted = [names[place] for place in [*chosen, *([] if time is None else [time])]]
        table = file.read(columns=wanted)
        values = [table[names[place]].to_numpy(zero_copy_only=False) for place in chosen]
        stamps = None if time is None else table[names[time]].to_pandas()
    except RecordingError:
        raise
    except Exception as error:  # Arrow lets many types through for a damaged file
        raise refuse(path, f"is no Parquet file that can be read: {error}", "open") from error
    rows = np.stack(values, axis=1).astype(np.float64)
    if stamps is None:
        return Rows(values=rows)
    if stamps.dtype.kind == "M":
        since = stamps.astype("datetime64[ns]").astype("int64").to_numpy()
        return Rows(values=rows, times_s=seconds_of_ticks(since))
    if is_number(source.time_format):
        try:
            numbers = stamps.to_numpy(np.float64)
        except (ValueError, TypeError) as error:
            raise refuse(path, f"has times that are no numbers: {error}", "read") from error
        return Rows(values=rows, times_s=numbers * TIME_UNITS[source.time_format])
    texts = stamps.astype(str).tolist()
    dates = seconds_of_dates(texts, source.time_format, path, lambda row: f"row {row + 1}")
    return Rows(values=rows, times_s=dates)
