"""What was done to a cache since it was encoded, as it stands in its provenance.

An entry a deed, the oldest first. Of records that were dropped it says that there were some and
when, and nothing that could tell which; whatever earlier entries say of them goes too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from datetime import UTC, datetime
from typing import Any

from pipeline.cache.description import read_records, read_spec
from pipeline.cache.objects import Objects
from pipeline.common.packages import version_of
from pipeline.contract import ConfigError, ContractError
from pipeline.manifests import Manifest

HISTORY = "history"
"""Key of the provenance."""
DROP, RELABEL, SUBSET, MERGE, MIGRATE = "drop", "relabel", "subset", "merge", "migrate"


def entry(operation: str, fingerprint: str, **facts: Any) -> dict[str, Any]:
    """One deed, done now.

    Args:
        operation: ``subset``, ``drop``, ``merge``, ``relabel`` or ``migrate``.
        fingerprint: Of the cache as it was before; runs that were trained on it note the same.
        facts: What else is to be said.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {
        "operation": operation,
        "at": now,
        "before": fingerprint,
        "dmft": version_of("dmft"),
        **facts,
    }


def history_of(provenance: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The entries of a cache, the oldest first."""
    return [dict(each) for each in provenance.get(HISTORY, ())]


def without(entries: Sequence[Mapping[str, Any]], record_ids: Set[str]) -> list[dict[str, Any]]:
    """The same entries, saying nothing of some records any more."""
    kept = []
    for each in entries:
        own = dict(each)
        if "changes" in own:
            own["changes"] = [c for c in own["changes"] if c["record"] not in record_ids]
        own.pop("where", None)  # conditions may name whom they chose
        if "of" in own:
            own["of"] = [
                {**cache, HISTORY: without(cache.get(HISTORY, ()), record_ids)}
                for cache in own["of"]
            ]
        kept.append(own)
    return kept


def check_not_undone(objects: Objects, manifest: Manifest) -> None:
    """Refuse a list of records that would bring back what was dropped, or an old label.

    Which records were dropped is noted nowhere, so any that are new count.

    Raises:
        ConfigError: it would.
    """
    try:
        spec = read_spec(objects)
        entries = history_of(spec.provenance) if spec else []
        records = read_records(objects) if entries else ()
    except ContractError:
        return  # whoever opens the cache says so
    by_id = {record.id: record for record in manifest.records}
    new = len(by_id.keys() - {record.id for record in records})
    relabelled = [r.id for r in records if r.id in by_id and by_id[r.id].label != r.label]
    for each in reversed(entries):
        remedy = (
            f"'dmft cache manifest {objects.location} -o FILE' writes the list that goes with the "
            "cache; --despite-edits takes this one all the same"
        )
        if each["operation"] == DROP and new:
            raise ConfigError(
                f"records were dropped from {objects.location} on {each['at'][:10]}, and the "
                f"manifest has {new} that the cache lacks: the dropped ones would be back. {remedy}"
            )
        if each["operation"] == RELABEL and relabelled:
            raise ConfigError(
                f"{objects.location} was relabelled on {each['at'][:10]}, and the manifest gives "
                f"{len(relabelled)} records another label ({relabelled[0]}, ...). {remedy}"
            )
