"""A cache's records as columns: what they can be chosen by, and what became of each.

Plain lists, in the order of the rows, so that a data frame, a Parquet file and a data card are made
of the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.cache.description import DESCRIPTION
from pipeline.cache.ledger import Entry
from pipeline.common.words import text_of
from pipeline.contract import SOURCE_DIGITS, CacheSpec, Presence, Record

Columns = dict[str, list[Any]]
Entries = Mapping[str, Sequence[Entry]]
"""Modality to what became of each record, in the order of the rows."""


def choice_columns(spec: CacheSpec, records: Sequence[Record], entries: Entries) -> Columns:
    """What conditions choose records by.

    Columns: ``record``, ``label``, ``class_name``, the attributes, ``{attribute}_name`` where the
    data set's description says what its numbers stand for, and of each modality
    ``has_{modality}``.
    """
    columns: Columns = {
        "record": [record.id for record in records],
        "label": [record.label for record in records],
        "class_name": [spec.classes[record.label] for record in records],
    }
    names = spec.provenance.get(DESCRIPTION, {}).get("values", {})
    columns |= {name: [r.attributes.get(name, -1) for r in records] for name in spec.columns}
    for name in spec.columns:
        if name in names:
            columns[f"{name}_name"] = [text_of(value, names[name]) for value in columns[name]]
    for name, own in entries.items():
        columns[f"has_{name}"] = [entry.presence == Presence.PRESENT for entry in own]
    return columns


def record_columns(spec: CacheSpec, records: Sequence[Record], entries: Entries) -> Columns:
    """The same, and of each modality what became of it.

    Columns besides: ``{m}_presence`` (``present``, ``absent``, ``failed``), ``{m}_length`` (raw
    rows or frames, 0 where not present) and ``{m}_source`` (the files' hashes, shortened).
    """
    columns = choice_columns(spec, records, entries)
    for name, own in entries.items():
        columns[f"{name}_presence"] = [entry.presence.name.lower() for entry in own]
        columns[f"{name}_length"] = [
            entry.length if entry.presence == Presence.PRESENT else 0 for entry in own
        ]
        columns[f"{name}_source"] = [
            " ".join(file.sha256[:SOURCE_DIGITS] for file in entry.sources) for entry in own
        ]
    return columns
