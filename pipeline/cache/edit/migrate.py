"""``dmft cache migrate``: a cache of an earlier version as this one would write it, in place.

Patches and ledgers stay as they are, byte for byte. It goes by the same journal as ``drop``, so a
kill leaves what the same command, or an encode, finishes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from pipeline.cache.checksums import read_sums
from pipeline.cache.description import SPEC
from pipeline.cache.edit.history import HISTORY, MIGRATE, entry, history_of
from pipeline.cache.edit.rearrange import Edit, rearrange
from pipeline.cache.edit.source import check_is_cache, holding
from pipeline.cache.objects import Objects
from pipeline.cache.seal import is_finished
from pipeline.contract import CACHE_ATTRIBUTE, SCHEMA_VERSION, CacheSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """What came of it."""

    spec: CacheSpec
    before: int
    """Schema version that it had."""
    after: int
    added: tuple[str, ...]
    """Objects that it lacked."""


def migrate(location: str) -> Migration:
    """Bring a cache up to this version; one that is up to date is left alone.

    Raises:
        ConfigError: another process writes it.
        ContractError: there is none, it is of a later version, or it is not whole.
    """
    objects = Objects(location)
    check_is_cache(location)
    before = _version(objects)
    listed = (read_sums(objects) or {}).keys()
    with holding(location) as (source, claim, _):
        spec = source.store.spec
        if _version(objects) != SCHEMA_VERSION or not is_finished(source.store):
            provenance = dict(spec.provenance)
            if before != SCHEMA_VERSION:
                deed = entry(MIGRATE, spec.fingerprint, schema_version=before)
                provenance[HISTORY] = [*history_of(provenance), deed]
            edit = Edit(manifest=source.manifest, provenance=provenance)
            spec = rearrange(objects, edit, claim.session)
        added = (read_sums(objects) or {}).keys() - listed if listed else ()
    return Migration(spec=spec, before=before, after=SCHEMA_VERSION, added=tuple(sorted(added)))


def _version(objects: Objects) -> int:
    """The stored schema version of a cache whose description is sound."""
    attributes = json.loads(objects.read(SPEC) or b"")["attributes"]
    return int(attributes[CACHE_ATTRIBUTE]["schema_version"])
