"""``dmft cache relabel``: other labels for some records, in place; what they were is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.cache.edit.history import HISTORY, RELABEL, entry, history_of
from pipeline.cache.edit.rearrange import Edit, rearrange
from pipeline.cache.edit.source import Source, holding
from pipeline.common.words import first_of
from pipeline.contract import CacheSpec, ConfigError

COLUMNS = ("record", "old_label", "new_label")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One line of a table: what a record is called and what it is to be called."""

    record: str
    old: str
    """Class name; the number of a class where it is no name."""
    new: str


def read_changes(path: Path) -> list[Change]:
    """Read a CSV with the columns ``record``, ``old_label`` and ``new_label``, and any others.

    Lines without a new label are passed over.

    Raises:
        ConfigError: it cannot be read, lacks a column or names nothing to change.
    """
    table = _read(path, COLUMNS)
    changes = [
        Change(record=line["record"], old=line["old_label"], new=line["new_label"])
        for line in table
        if line["new_label"]
    ]
    if not changes:
        raise ConfigError(f"{path} has no line with a new_label: there is nothing to change")
    return changes


def read_record_ids(path: Path) -> list[str]:
    """Read the column ``record`` of a CSV, each id once.

    Raises:
        ConfigError: it cannot be read or lacks the column.
    """
    return list(dict.fromkeys(line["record"] for line in _read(path, ("record",))))


def relabel(location: str, changes: Sequence[Change]) -> tuple[CacheSpec, int]:
    """Give records of a cache other labels: its new description, and how many are others now.

    Raises:
        ConfigError: a record is not there, is called otherwise than the table says, or is to be
            called what is no class.
        ContractError: the cache is not whole; it is as it was.
    """
    with holding(location) as (source, claim, _):
        labels = new_labels(source, changes)
        classes, spec = source.store.spec.classes, source.store.spec
        if not labels:
            return spec, 0
        revised = [
            {"record": record.id, "old": classes[record.label], "new": classes[labels[record.id]]}
            for record in source.store.records
            if record.id in labels
        ]
        records = tuple(
            replace(record, label=labels.get(record.id, record.label))
            for record in source.store.records
        )
        manifest = replace(source.manifest, records=records)
        provenance = {
            **spec.provenance,
            "manifest_sha256": manifest.sha256,
            HISTORY: [
                *history_of(spec.provenance),
                entry(RELABEL, spec.fingerprint, changes=revised),
            ],
        }
        edit = Edit(manifest=manifest, provenance=provenance)
        return rearrange(source.store.objects, edit, claim.session), len(revised)


def new_labels(source: Source, changes: Iterable[Change]) -> Mapping[str, int]:
    """Record id to its new label, of those that have not got it yet.

    Raises:
        ConfigError: as :func:`relabel`; names every line that is wrong.
    """
    classes = source.store.spec.classes
    numbers = {name: number for number, name in enumerate(classes)}
    numbers |= {str(n): n for n in range(len(classes)) if str(n) not in numbers}
    wanted: dict[str, int] = {}
    problems = []
    for change in changes:
        row = source.rows.get(change.record)
        if row is None:
            problems.append(f"there is no record {change.record!r}")
            continue
        now = source.store.records[row].label
        if change.new not in numbers:
            problems.append(
                f"{change.record}: {change.new!r} is no class; they are {first_of(classes, 12)}"
            )
        elif now not in (numbers.get(change.old), numbers[change.new]):
            problems.append(
                f"{change.record} is {classes[now]!r}: the table says that it is {change.old!r}"
            )
        elif wanted.setdefault(change.record, numbers[change.new]) != numbers[change.new]:
            problems.append(f"{change.record} is to be two things")
    if problems:
        raise ConfigError(
            f"{source.location}: {len(problems)} of the changes cannot be made, and none was:\n  "
            + "\n  ".join(problems[:20])
        )
    rows = source.rows
    return {i: n for i, n in wanted.items() if source.store.records[rows[i]].label != n}


def _read(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as a CSV: {error}") from error
    missing = [name for name in columns if name not in table]
    if missing:
        raise ConfigError(
            f"{path} has no column {missing[0]!r}: wanted {', '.join(columns)}, found "
            f"{first_of(list(map(str, table.columns)), 8)}"
        )
    return [{name: str(row[name]).strip() for name in columns} for _, row in table.iterrows()]
