"""The files beside a cache's arrays that people and other programs read.

``records.parquet`` is the record table, ``README.md`` the data card, ``croissant.json`` the same
for machines. All three are derived whenever a cache is sealed and are in its list of checksums.
Nothing here reads them back: what a cache is stands in its arrays and its ledger.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence

from pipeline.cache.card import card, licence_of
from pipeline.cache.checksums import read_sums
from pipeline.cache.croissant import croissant
from pipeline.cache.objects import Objects
from pipeline.cache.record_table import Columns, Entries, record_columns
from pipeline.contract import (
    CARD_FILE,
    COMPANIONS,
    CROISSANT_FILE,
    TABLE_FILE,
    CacheSpec,
    Record,
    feature_array,
)

HOW_TO_LOAD = """import pandas as pd
import zarr

records = pd.read_parquet("records.parquet")  # its row i is row i of every array
{modality} = zarr.open_array("{modality}", mode="r")[:]  # (N, P, D), NaN where a record has none
print({modality}.shape, records["class_name"].value_counts())"""


def parquet_bytes(columns: Columns) -> bytes:
    """Columns as a Parquet file.

    They pass through JSON: of Python's lists, ``pyarrow`` makes arrays only once it has imported
    pandas, which takes as long as a third of an encode of small files.
    """
    import pyarrow as pa
    import pyarrow.json
    import pyarrow.parquet as pq

    kinds = {str: pa.string(), bool: pa.bool_(), int: pa.int64()}
    found = {name: kinds.get(type(next(iter(values), None))) for name, values in columns.items()}
    if None in found.values():
        table = pa.table(columns)
    else:
        rows = zip(*columns.values(), strict=True)
        lines = "\n".join(json.dumps(dict(zip(columns, row, strict=True))) for row in rows)
        table = pyarrow.json.read_json(
            io.BytesIO(lines.encode()),
            read_options=pyarrow.json.ReadOptions(use_threads=False),
            parse_options=pyarrow.json.ParseOptions(explicit_schema=pa.schema(found.items())),
        ).combine_chunks()
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def companions(spec: CacheSpec, records: Sequence[Record], entries: Entries) -> dict[str, bytes]:
    """The files of a cache, by name.

    Args:
        spec: What the cache says of itself once it is complete.
        records: In the order of their rows.
        entries: What became of each.
    """
    columns = record_columns(spec, records, entries)
    table = parquet_bytes(columns)
    load = HOW_TO_LOAD.replace("{modality}", next(iter(spec.modalities)))
    licence = licence_of(spec)
    described = croissant(
        spec,
        columns,
        {TABLE_FILE: hashlib.sha256(table).hexdigest()},
        table_file=TABLE_FILE,
        folders={name: f"{feature_array(name)}/**" for name in spec.modalities},
        licence=licence,
    )
    return {
        TABLE_FILE: table,
        CARD_FILE: card(spec, columns, licence=licence, how_to_load=load).encode(),
        CROISSANT_FILE: (json.dumps(described, indent=2) + "\n").encode(),
    }


def has_companions(objects: Objects) -> bool:
    """Whether a sealed cache lists them; one of an earlier version does not."""
    return (read_sums(objects) or {}).keys() >= COMPANIONS
