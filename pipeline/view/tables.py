"""The tables of a cache's page: what there is, what is missing, how long, of what values."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from pipeline.cache.writer import CacheStore
from pipeline.common.page import (
    Cell,
    Number,
    Raw,
    card,
    cards,
    facts,
    figure,
    folded_json,
    table,
    warning,
)
from pipeline.contract import Presence, Record
from pipeline.view.content import CacheContent, Values, feature_name, some_of
from pipeline.view.outliers import SUSPECT_LENGTH, SUSPECT_VALUE, Oddity

N_SUSPECTS = 12
N_GAPS = 500
FEW_FEATURES, MANY_FEATURES = 12, 128
"""Up to so many features each has a line of its own; up to so many, folded."""
OPEN_ROWS = 12
MOST_GROUPS = 200
"""A column with more values than these is no group, but an identity."""


def summary(content: CacheContent) -> str:
    """A card for each modality."""
    found = []
    for name, spec in content.store.spec.modalities.items():
        counts = content.states(name, content.store.records)
        rest = ", ".join(
            f"{n:,} {state.name.lower()}"
            for state, n in counts.items()
            if n and state != Presence.PRESENT
        )
        shape = f"{spec.n_patches} patches of {spec.n_features}, {spec.dtype}"
        sure = Raw(f"present; {escape(rest or 'none missing')}<br>{shape}")
        found.append(card(name, f"{counts[Presence.PRESENT]:,}", sure))
    return cards(found)


def suspects(oddities: Sequence[Oddity]) -> str:
    """The suspect records, before everything else."""
    found = [each for each in oddities if each.suspect]
    if not found:
        return "<p>No record stands out in length or in value.</p>"
    lines = [
        f"{odd.record_id}: {odd.what} is {odd.value:.3g}, the median is {odd.median:.3g}"
        for odd in found[:N_SUSPECTS]
    ]
    n_more = len(found) - N_SUSPECTS
    more = f"{n_more} more are under Outliers." if n_more > 0 else ""
    return warning("Suspect records:", lines, after=more)


def counts(content: CacheContent) -> str:
    """Present records by class, and by each column of the record table."""
    store = content.store
    classes = store.spec.classes
    groups: dict[str, dict[str, list[Record]]] = {"class": {name: [] for name in classes}}
    for record in store.records:
        groups["class"][classes[record.label]].append(record)
        for column in store.spec.columns:
            value = str(record.attributes.get(column, "none"))
            groups.setdefault(column, {}).setdefault(value, []).append(record)
    tables = []
    for what, of in groups.items():
        if what != "class" and (len(of) > MOST_GROUPS or len(of) == len(classes)):
            continue
        rows = [_count_row(content, key, records) for key, records in of.items()]
        rows.sort(key=lambda row: (not row[0].lstrip("-").isdigit(), len(row[0]), row[0]))
        if what == "class":
            rows.sort(key=lambda row: classes.index(row[0]))
        body = table([what, "#records", *(f"#{name}" for name in store.spec.modalities)], rows)
        opened = " open" if len(rows) <= OPEN_ROWS else ""
        tables.append(
            f"<details{opened}><summary>By {escape(what)} ({len(rows)})</summary>{body}</details>"
        )
    note = '<p class="note">Records that are present. (!): fewer than there are records.</p>'
    return f'<h2 id="counts">Counts</h2>{note}{"".join(tables)}'


def _count_row(content: CacheContent, key: str, records: Sequence[Record]) -> list[Cell]:
    row: list[Cell] = [key, Number(len(records), f"{len(records):,}")]
    for name in content.store.spec.modalities:
        n = content.states(name, records)[Presence.PRESENT]
        row.append(Number(n, f"{n:,}" + (" (!)" if n < len(records) else "")))
    return row


def gaps(content: CacheContent) -> str:
    """Records that are not present, with the reason."""
    rows = []
    for name, of in content.entries.items():
        for record in content.store.records:
            state, entry = content.presence(name, record), of.get(record.id)
            if state == Presence.PRESENT:
                continue
            failure = entry.failure if entry else None
            reason = f"{failure.stage}: {failure.message}" if failure else ""
            rows.append(
                [record.id, name, state.name.lower(), reason, (failure and failure.path) or ""]
            )
    if not rows:
        return '<h2 id="gaps">Gaps</h2><p>Every record has every modality.</p>'
    order = {"failed": 0, "pending": 1, "absent": 2}
    rows.sort(key=lambda row: order[row[2]])
    caption = f"The first {N_GAPS} of {len(rows):,}." if len(rows) > N_GAPS else ""
    head = ["record", "modality", "state", "reason", "file"]
    return f'<h2 id="gaps">Gaps</h2>{table(head, rows[:N_GAPS], caption=caption)}'


def lengths(content: CacheContent) -> str:
    """How long the raw streams are."""
    rows, figures = [], []
    for name, of in content.lengths.items():
        there = of[of > 0]
        if not len(there):
            continue
        low, middle, high = (int(v) for v in np.quantile(there, [0, 0.5, 1]))
        rows.append([name, f"{low}", f"{middle}", f"{high}"])
        figures.append(figure(f"{name}: raw rows or frames of a record.", drawn={"lengths": name}))
    found = table(["modality", "#least", "#median", "#most"], rows)
    return f'<h2 id="lengths">Lengths</h2>{found}{"".join(figures)}'


def ranges(content: CacheContent) -> str:
    """Quantiles of the patches, by feature where there are few."""
    parts = [_range(content.store, name, of) for name, of in content.values.items() if len(of.rows)]
    return f'<h2 id="values">Values</h2>{"".join(parts)}'


def _range(store: CacheStore, name: str, found: Values) -> str:
    spec = store.spec.modalities[name]
    flat = found.patches.reshape(-1, spec.n_features)
    rows = [["all features", *_quantiles(flat.ravel())]]
    each = (
        [[feature_name(spec, c), *_quantiles(flat[:, c])] for c in range(spec.n_features)]
        if spec.n_features <= MANY_FEATURES
        else []
    )
    head = ["feature", "#least", "#1 %", "#median", "#99 %", "#most"]
    caption = "" if found.complete else f"Of {len(found.rows):,} records, spread evenly."
    few = spec.n_features <= FEW_FEATURES
    whole = table(head, rows + each if few else rows, caption=caption)
    more = (
        f"<details><summary>By feature</summary>{table(head, each)}</details>"
        if each and not few
        else ""
    )
    return f"<h3>{escape(name)}</h3>{whole}{more}"


def _quantiles(values: NDArray[np.float32]) -> list[str]:
    inner = np.quantile(some_of(values), [0.01, 0.5, 0.99])
    return [f"{v:.4g}" for v in (values.min(), *inner, values.max())]


def outliers(oddities: Sequence[Oddity]) -> str:
    """The records furthest from the rest, suspect or not."""
    rows = [
        [
            each.record_id,
            each.what,
            f"{each.value:.3g}",
            f"{each.median:.3g}",
            f"{each.deviations:.1f}",
            "suspect" if each.suspect else "",
        ]
        for each in sorted(oddities, key=lambda each: -each.deviations)
    ]
    head = ["record", "in what", "#value", "#median", "#deviations", "verdict"]
    note = (
        "The records furthest from the rest in each respect. Deviations are robust ones (from the "
        "median absolute deviation, of logarithms); values are held against the record's class. "
        f"Beyond {SUSPECT_LENGTH:g} of length or {SUSPECT_VALUE:g} of value a record is suspect."
    )
    return f'<h2 id="outliers">Outliers</h2><p class="note">{note}</p>{table(head, rows)}'


def provenance(store: CacheStore) -> str:
    """Where the cache lies, how it was encoded, and by what."""
    spec = store.spec
    encodings = {name: dict(each.encoding) for name, each in spec.modalities.items()}
    found = {
        "location": store.objects.location,
        "fingerprint": spec.fingerprint or "not complete",
    }
    return (
        f'<h2 id="provenance">Provenance</h2>{facts(found)}'
        + folded_json("Encoding", encodings)
        + folded_json("Made by", dict(spec.provenance))
    )
