"""``dmft cache subset``: some records and modalities of a cache, as a cache of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline.cache.edit.assemble import Assembly, OnProgress, assemble
from pipeline.cache.edit.history import HISTORY, SUBSET, entry, history_of
from pipeline.cache.edit.source import Source, open_source
from pipeline.contract import CacheSpec, ConfigError


def subset(
    location: str,
    out: str,
    *,
    where: str | None = None,
    modalities: Sequence[str] = (),
    on_progress: OnProgress = lambda done, total: None,
) -> CacheSpec:
    """Write some of a cache to another place, as an encode of the shorter list would be.

    Classes keep their numbers, and records their order.

    Args:
        location: A finished cache; it is not touched.
        out: Where the new one is to be.
        where: A condition on its records; all of them where None.
        modalities: Those to take; all where empty.
        on_progress: Told as rows are in place.

    Raises:
        ConfigError: the condition holds for none, or there is no such modality.
        ContractError: the cache is not whole.
    """
    source = open_source(location)
    spec, whole = source.store.spec, source.manifest
    ids = chosen(source, where) if where is not None else tuple(source.rows)
    names = tuple(modalities) or tuple(spec.modalities)
    for name in names:
        if name not in spec.modalities:
            raise ConfigError(
                f"{location} has no modality {name!r}: it has {', '.join(spec.modalities)}"
            )
    manifest = replace(whole, records=tuple(whole.records[source.rows[each]] for each in ids))
    note = entry(SUBSET, spec.fingerprint, where=where, modalities=list(names))
    wanted = Assembly(
        manifest=manifest,
        modalities={name: spec.modalities[name] for name in spec.modalities if name in names},
        origins={each: (source, each) for each in ids},
        provenance={
            **spec.provenance,
            "manifest_sha256": manifest.sha256,
            HISTORY: [*history_of(spec.provenance), note],
        },
    )
    return assemble(out, wanted, on_progress)


def chosen(source: Source, where: str) -> tuple[str, ...]:
    """Ids of the records that a condition holds for, one at least.

    Raises:
        ConfigError: it holds for none, or is no condition.
    """
    ids = source.where(where)
    if not ids:
        raise ConfigError(
            f"{where!r} holds for none of the {len(source.rows)} records of {source.location}"
        )
    return ids
