"""``dmft cache drop``: records out of a cache, in place, so that no byte of them is left in it.

What stays says that something was dropped and when, and nothing that tells what. What is outside
the cache is not touched: raw files, runs that were trained on it, copies, and what a file system
keeps of deleted files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.cache.description import DESCRIPTION
from pipeline.cache.edit.history import DROP, HISTORY, entry, history_of, without
from pipeline.cache.edit.rearrange import Edit, rearrange, with_gaps_filled
from pipeline.cache.edit.source import Source, holding
from pipeline.cache.edit.subset import chosen
from pipeline.contract import CacheSpec, ConfigError, Record
from pipeline.datasets.description import VALUES

NO_LONGER = "(dropped)"
"""What the number of an attribute stands for where nothing has it any more."""


def drop(
    location: str, *, where: str | None = None, record_ids: Sequence[str] = ()
) -> tuple[CacheSpec, int]:
    """Take records out of a cache: its new description, and how many went.

    Args:
        location: A finished cache.
        where: A condition on its records; None for those that are named.
        record_ids: Names some records, where there is no condition.

    Raises:
        ConfigError: the condition holds for none, a record is not there, or none would stay.
        ContractError: the cache is not whole; it is as it was.
    """
    with holding(location) as (source, claim, was_left):
        # Or one was killed when all was done but to let the cache go.
        last = history_of(source.store.spec.provenance)[-1:]
        was_left |= claim.was_left and [deed["operation"] for deed in last] == [DROP]
        if where is not None:
            record_ids = source.where(where) if was_left else chosen(source, where)
        elif was_left:
            record_ids = [each for each in record_ids if each in source.rows]
        if was_left and not record_ids:  # the killed one was this one
            return source.store.spec, 0
        edit = _edit(source, frozenset(record_ids))
        return rearrange(source.store.objects, edit, claim.session), len(set(record_ids))


def _edit(source: Source, gone: frozenset[str]) -> Edit:
    """The cache without some records.

    Raises:
        ConfigError: a record is not there, or none would stay.
    """
    source.check_known(gone)
    if not gone:
        raise ConfigError("no records are named to be dropped")
    records = with_gaps_filled(source.store.records, gone)
    if not records:
        raise ConfigError(
            f"these are all {len(gone)} records of {source.location}: remove the cache instead"
        )
    provenance = dict(source.store.spec.provenance)
    if DESCRIPTION in provenance:
        provenance[DESCRIPTION] = _without_names(provenance[DESCRIPTION], records)
    manifest = replace(source.manifest, records=records, description=provenance.get(DESCRIPTION))
    deed = entry(DROP, source.store.spec.fingerprint)
    provenance |= {
        "manifest_sha256": manifest.sha256,
        HISTORY: [*without(history_of(provenance), gone), deed],
    }
    return Edit(manifest=manifest, provenance=provenance)


def _without_names(description: Mapping[str, Any], records: Sequence[Record]) -> dict[str, Any]:
    """A data set's description that names no person, or other value, whom nothing is of."""
    values = description.get(VALUES, {})
    named = {
        attribute: [
            text
            if number in {record.attributes.get(attribute) for record in records}
            else NO_LONGER
            for number, text in enumerate(texts)
        ]
        for attribute, texts in values.items()
    }
    return {**description, **({VALUES: named} if values else {})}
