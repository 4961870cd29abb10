"""What a data set of features is, for machines: ``croissant.json``, MLCommons Croissant 1.0.

Its record set is the record table; the arrays are named as sets of files. ``mlcroissant`` reads the
records through it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.cache.record_table import Columns
from pipeline.contract import CacheSpec

CROISSANT = "http://mlcommons.org/croissant/1.0"
_TERMS = (
    "citeAs column equivalentProperty extract field fileProperty fileObject fileSet format "
    "includes isLiveDataset jsonPath key md5 parentField path recordSet references regex repeated "
    "replace samplingRate separator source subField transform"
)
CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{term: f"cr:{term}" for term in _TERMS.split()},
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
}
"""The context that Croissant 1.0 asks for."""


def croissant(
    spec: CacheSpec,
    columns: Columns,
    files: Mapping[str, str],
    *,
    table_file: str,
    licence: str,
    folders: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The description: the record table's columns, and which files there are.

    Args:
        spec: What the cache says of itself.
        columns: Its record table.
        files: Name of each file to its SHA-256.
        table_file: The one that has the record table.
        licence: As an address or a name; empty where not known.
        folders: Name of each Zarr array to the pattern of its files.
    """
    kinds: dict[type, str] = {bool: "sc:Boolean", int: "sc:Integer", float: "sc:Float"}
    formats = {"csv": "text/csv", "parquet": "application/x-parquet"}
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CROISSANT,
        "name": spec.dataset,
        "description": f"{spec.n_records} records of {spec.dataset} as features of "
        f"{', '.join(spec.modalities)}",
        "version": f"1.0.0+{spec.fingerprint[:12]}",
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
        ]
        + [
            {
                "@type": "cr:FileSet",
                "@id": name,
                "name": name,
                "description": f"Patches of {name} as a Zarr version 3 array: record, patch, "
                "feature; NaN where a record has none.",
                "encodingFormat": "application/vnd.zarr",
                "includes": pattern,
            }
            for name, pattern in (folders or {}).items()
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
                        "dataType": kinds.get(type(values[0]), "sc:Text"),
                        "source": {
                            "fileObject": {"@id": table_file},
                            "extract": {"column": name},
                        },
                    }
                    for name, values in columns.items()
                ],
            }
        ],
    }
