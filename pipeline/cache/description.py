"""What a cache says of itself: its description, and the manifest of its records row by row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.cache.objects import Objects, Put
from pipeline.cache.versions import brought_up
from pipeline.common.settings import difference, to_table
from pipeline.contract import (
    CACHE_ATTRIBUTE,
    LEDGER_PREFIX,
    CacheSpec,
    CacheState,
    ContractError,
    ModalitySpec,
    Record,
    feature_array,
    length_array,
    presence_array,
    source_array,
)
from pipeline.manifests import Manifest, parse_manifest

SPEC = "zarr.json"
"""The group's metadata, with the description among its attributes."""
RECORDS = f"{LEDGER_PREFIX}/manifest.jsonl"
"""A manifest of the records in the order of their rows."""
DESCRIPTION = "description"
"""Key of the provenance under which a described data set's description stands."""
_MEND = "'dmft encode --check-stored' with the cache's manifest mends it"


def read_spec(objects: Objects) -> CacheSpec | None:
    """A cache's description, brought up from an earlier version; None where there is no group.

    Raises:
        ContractError: there is one and it is damaged, or it is not a cache.
    """
    content = objects.read(SPEC)
    if content is None:
        return None
    try:
        attribute = json.loads(content)["attributes"].get(CACHE_ATTRIBUTE)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        where = f"{objects.location}/{SPEC}"
        raise ContractError(f"{where} is damaged ({error}): {_MEND}") from error
    return CacheSpec.from_json(brought_up(attribute), where=objects.location)


def write_spec(put: Put, spec: CacheSpec, metadata: Mapping[str, Any] | None = None) -> bytes:
    """Write a cache's description, whole, in one write, and return what was written.

    Args:
        put: Puts an object in place.
        spec: The description.
        metadata: What else the group's metadata says, where it is consolidated.
    """
    plain = {"zarr_format": 3, "node_type": "group"}
    attributes = {CACHE_ATTRIBUTE: spec.to_json()}
    content = json.dumps({"attributes": attributes, **(metadata or plain)}, indent=2).encode()
    put(SPEC, content)
    return content


def building_spec(
    manifest: Manifest,
    records: Sequence[Record],
    modalities: Mapping[str, ModalitySpec],
    provenance: Mapping[str, Any] | None = None,
) -> CacheSpec:
    """The description of a cache that is being written, its records in the order of their rows.

    ``provenance`` is what earlier encodes said of themselves.
    """
    provenance = {k: v for k, v in (provenance or {}).items() if k != DESCRIPTION}
    if manifest.description is not None:
        provenance[DESCRIPTION] = manifest.description
    return CacheSpec(
        state=CacheState.BUILDING,
        dataset=manifest.dataset,
        classes=manifest.classes,
        columns=tuple(sorted({name for record in records for name in record.attributes})),
        n_records=len(records),
        modalities=modalities,
        provenance=provenance,
    )


def read_records(objects: Objects) -> tuple[Record, ...]:
    """The records of a cache in the order of their rows.

    Raises:
        ContractError: the object is missing or damaged.
    """
    content = objects.read(RECORDS)
    where = f"{objects.location}/{RECORDS}"
    if content is None:
        raise ContractError(f"{where} is missing: {_MEND}")
    manifest, problems = parse_manifest(content)
    if manifest is None or problems:
        reason = problems[0].message if problems else "empty"
        raise ContractError(f"{where} is damaged ({reason}): {_MEND}")
    return manifest.records


def write_records(put: Put, manifest: Manifest) -> None:
    """Say which record is in which row: the manifest's order."""
    put(RECORDS, "".join(f"{line}\n" for line in manifest.lines()).encode())


def encoding_difference(stored: ModalitySpec, wanted: ModalitySpec) -> str:
    """Some settings in which a modality's encoding differs, in words; empty where none does."""
    if stored == wanted:
        return ""
    old, new = ({**to_table(spec), **spec.encoding} for spec in (stored, wanted))
    for table in (old, new):
        del table["encoding"], table["feature_names"]
    return difference(old, new) or "its features have other names"


def delete_modality(objects: Objects, name: str) -> None:
    """Remove everything that is stored of a modality, its ledger first."""
    objects.delete(f"{LEDGER_PREFIX}/{name}")
    for array in (f(name) for f in (feature_array, presence_array, length_array, source_array)):
        objects.delete(array)
