"""What goes with a cache that is handed on: its record table, a data card, and ``croissant.json``.

All three are derived from the ledgers and the provenance, and say nothing that is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipeline.cache.edit.history import history_of
from pipeline.cache.edit.source import Source
from pipeline.common.words import first_of
from pipeline.contract import SOURCE_DIGITS, Presence

if TYPE_CHECKING:
    import pandas as pd

UNKNOWN_LICENCE = "not stated: ask whoever made the recordings before you pass them on"
CROISSANT = "http://mlcommons.org/croissant/1.0"


def record_table(source: Source) -> pd.DataFrame:
    """A row a record: what it can be chosen by, and what became of each of its modalities.

    Columns: those of :meth:`Source.table`, and of each modality ``{m}_presence`` (``present``,
    ``absent``, ``failed``), ``{m}_length`` (raw rows or frames, 0 where not present) and
    ``{m}_source`` (the files' hashes, shortened).
    """
    table = source.table()
    for name, by_id in source.entries.items():
        entries = [by_id[record] for record in table["record"]]
        table[f"{name}_presence"] = [entry.presence.name.lower() for entry in entries]
        table[f"{name}_length"] = [
            entry.length if entry.presence == Presence.PRESENT else 0 for entry in entries
        ]
        table[f"{name}_source"] = [
            " ".join(file.sha256[:SOURCE_DIGITS] for file in entry.sources) for entry in entries
        ]
    return table


def card(source: Source, table: pd.DataFrame, *, licence: str, how_to_load: str) -> str:
    """The data card: a README that GitHub and the Hugging Face hub show."""
    spec = source.store.spec
    columns = [name for name in spec.columns if table[name].nunique() > 1]
    lines = [
        f"# {spec.dataset}: {spec.n_records} records as features",
        "",
        f"{len(spec.classes)} classes; {', '.join(spec.modalities)}. "
        + ("The recordings are fabricated. " if spec.provenance.get("fabricated") else "")
        + f"Fingerprint `{spec.fingerprint}`.",
        "",
        f"Licence: {licence or UNKNOWN_LICENCE}.",
        "",
        "## Load it",
        "",
        "```python",
        how_to_load,
        "```",
        "",
        "## Modalities",
        "",
        "| modality | patches | features | type | present | absent | failed | encoding |",
        "| --- | --: | --: | --- | --: | --: | --: | --- |",
    ]
    for name, own in spec.modalities.items():
        counts = table[f"{name}_presence"].value_counts()
        shown = ", ".join(f"{k} {v}" for k, v in own.encoding.items() if len(str(v)) < 20)
        lines.append(
            f"| {name} | {own.n_patches} | {own.n_features} | {own.dtype} | "
            + " | ".join(str(counts.get(code, 0)) for code in ("present", "absent", "failed"))
            + f" | {shown} |"
        )
    for column in ("class_name", *columns):
        lines += ["", f"## Records by {column}", "", f"| {column} | records |", "| --- | --: |"]
        counts = table[column].value_counts(sort=False).sort_index()
        lines += [f"| {value} | {n} |" for value, n in list(counts.items())[:60]]
        lines += [f"| and {len(counts) - 60} more | |"] if len(counts) > 60 else []
    lines += ["", "## Where it comes from", ""]
    environment = spec.provenance.get("environment", {})
    made = [f"{key} {environment[key]}" for key in sorted(environment)]
    lines.append(f"- encoded with {first_of(made, 12)}")
    lines.append(f"- manifest `{spec.provenance.get('manifest_sha256', 'not noted')}`")
    for deed in history_of(spec.provenance):
        lines.append(f"- {deed['operation']} on {deed['at']}, before it `{deed['before']}`")
    return "\n".join(lines) + "\n"


def croissant(
    source: Source, table: pd.DataFrame, files: Mapping[str, str], *, licence: str
) -> dict[str, Any]:
    """The description that machines read (MLCommons Croissant 1.0): the record table's columns.

    Args:
        source: The cache.
        table: Its record table, which stands in ``records.csv``.
        files: Name of each file to its SHA-256.
        licence: As an address or a name; empty where not known.
    """
    spec = source.store.spec
    kinds = {"i": "sc:Integer", "u": "sc:Integer", "b": "sc:Boolean", "f": "sc:Float"}
    formats = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}
    return {
        "@context": {
            "@language": "en",
            "@vocab": "https://schema.org/",
            "sc": "https://schema.org/",
            "cr": "http://mlcommons.org/croissant/",
            "dct": "http://purl.org/dc/terms/",
            "conformsTo": "dct:conformsTo",
            "column": "cr:column",
            "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
            "extract": "cr:extract",
            "field": "cr:field",
            "fileObject": "cr:fileObject",
            "recordSet": "cr:recordSet",
            "source": "cr:source",
        },
        "@type": "sc:Dataset",
        "conformsTo": CROISSANT,
        "name": spec.dataset,
        "description": f"{spec.n_records} records of {spec.dataset} as features of "
        f"{', '.join(spec.modalities)}",
        "version": spec.fingerprint,
        **({"license": licence} if licence else {}),
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": name,
                "name": name,
                "contentUrl": name,
                "encodingFormat": formats.get(name.rpartition(".")[2], "application/octet-stream"),
                "sha256": digest,
            }
            for name, digest in sorted(files.items())
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "records",
                "name": "records",
                "field": [
                    {
                        "@type": "cr:Field",
                        "@id": f"records/{name}",
                        "name": name,
                        "dataType": kinds.get(table[name].dtype.kind, "sc:Text"),
                        "source": {
                            "fileObject": {"@id": "records.csv"},
                            "extract": {"column": name},
                        },
                    }
                    for name in table
                ],
            }
        ],
    }
