"""What is in a cache, on one page: counts, gaps with their reasons, ranges, outliers, records.

It reads a cache in any state and changes nothing. Of large caches it reads whole chunks, spread
evenly, up to a number of bytes, and says so. It draws what is stored: the patches, not the raw
recordings, which a cache does not hold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import ModalitySpec, Presence, Record, feature_array
from pipeline.ledger import Entry
from pipeline.store import CacheStore

READ_BYTES = 256 << 20
"""Most bytes of a modality's patches that are read."""
SORTED_VALUES = 4 << 20
"""Most values that quantiles and medians are taken of; least and most are of all that was read."""
SUSPECT_LENGTH, SUSPECT_VALUE = 6.0, 12.0
"""Robust deviations from the median beyond which a record is called suspect: streams of one
record last equally long, but people do move unlike each other."""
N_FURTHEST = 8
N_GAPS = 500
N_SHOWN = 8
MAX_TRACES = 12
HEAT_FEATURES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Oddity:
    """How far one record lies from the rest in one respect."""

    record_id: str
    what: str
    """In which respect."""
    value: float
    median: float
    """Of all records; of the record's class where it is about values."""
    deviations: float
    """Distance to the median in robust standard deviations."""
    limit: float
    """Deviations beyond which the record is suspect."""

    @property
    def suspect(self) -> bool:
        """Whether a person should look at it."""
        return self.deviations > self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """What was read of one modality's patches."""

    rows: NDArray[np.int64]
    """Rows of the cache that were read and are present."""
    patches: NDArray[np.float32]
    """Shapes: (R, P, D)."""
    complete: bool
    """Whether those are all present rows."""


def write_view(location: str, path: Path, *, n_shown: int = N_SHOWN) -> tuple[int, list[Oddity]]:
    """Write the page of a cache; return its bytes and the suspect records.

    Raises:
        ContractError: there is no cache, or its description is damaged.
    """
    store = CacheStore.read(location)
    entries = {name: store.entries(name) for name in store.spec.modalities}
    values = {name: read_values(store, name, entries[name]) for name in entries}
    lengths = {name: _lengths(store.records, entries[name]) for name in entries}
    oddities = length_oddities(store.records, lengths)
    for name, found in values.items():
        oddities += value_oddities(store.records, store.spec.modalities[name], found)
    page = _render(store, entries, values, lengths, oddities, n_shown).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(page)
    return len(page), [each for each in oddities if each.suspect]


# -- reading ---------------------------------------------------------------------------------------


def read_values(store: CacheStore, modality: str, entries: Mapping[str, Entry]) -> Values:
    """Read a modality's present rows, or evenly spread chunks of them where they are too many."""
    spec = store.spec.modalities[modality]
    n_chunks = store.n_chunks(modality)
    n_read = max(1, min(n_chunks, READ_BYTES // (spec.row_bytes * spec.records_per_chunk)))
    chunks = sorted({int(k) for k in np.linspace(0, n_chunks - 1, n_read)}) if n_chunks else []
    rows: list[int] = []
    blocks = [np.zeros((0, spec.n_patches, spec.n_features), np.float32)]
    array = store.group(read_only=True)[feature_array(modality)] if entries else None
    for chunk in chunks:
        here = [
            row
            for row in store.rows_of(modality, chunk)
            if _presence(entries, store.records[row]) == Presence.PRESENT
        ]
        if here:
            assert array is not None
            block = np.asarray(array[here[0] : here[-1] + 1], np.float32)
            blocks.append(block[np.array(here) - here[0]])
            rows += here
    return Values(
        rows=np.array(rows, np.int64),
        patches=np.concatenate(blocks),
        complete=len(chunks) == n_chunks,
    )


def _presence(entries: Mapping[str, Entry], record: Record) -> Presence:
    entry = entries.get(record.id)
    return Presence.PENDING if entry is None else entry.presence


def _lengths(records: Sequence[Record], entries: Mapping[str, Entry]) -> NDArray[np.int64]:
    """Raw length of each record, 0 where it is not present.  Shapes: (N,)."""
    found = [
        entries[record.id].length if _presence(entries, record) == Presence.PRESENT else 0
        for record in records
    ]
    return np.array(found, np.int64)


# -- what stands out -------------------------------------------------------------------------------


def length_oddities(
    records: Sequence[Record], lengths: Mapping[str, NDArray[np.int64]]
) -> list[Oddity]:
    """Records whose streams are of unequal duration, or whose length is far from all others.

    Streams of one record last equally long, so the ratio of two lengths is nearly the same
    everywhere, and a record with another ratio lost or gained something.
    """
    found: list[Oddity] = []
    for a, b in combinations(lengths, 2):
        rows = np.flatnonzero((lengths[a] > 0) & (lengths[b] > 0))
        long, short = (a, b) if lengths[a].sum() >= lengths[b].sum() else (b, a)
        ratio = lengths[long][rows] / np.maximum(lengths[short][rows], 1)
        found += _furthest(records, rows, ratio, f"length of {long} / {short}", floor=0.01)
    for name, of in lengths.items():
        rows = np.flatnonzero(of > 0)
        found += _furthest(records, rows, of[rows].astype(float), f"length of {name}", floor=0.02)
    return found


def value_oddities(records: Sequence[Record], spec: ModalitySpec, values: Values) -> list[Oddity]:
    """Records with a feature whose greatest magnitude is far from that of others of their class.

    Classes move differently (a bowler's shoulders go where a waver's never do), so each record is
    held against the median of its class.
    """
    if not len(values.rows):
        return []
    extremes = np.maximum(values.patches.max(axis=1), -values.patches.min(axis=1))
    peaks = np.log1p(extremes.astype(float))
    labels = np.array([records[row].label for row in values.rows])
    medians = np.empty_like(peaks)
    for label in set(labels.tolist()):
        medians[labels == label] = np.median(peaks[labels == label], axis=0)
    _, scale = _centre(peaks - medians, axis=0)
    distance = np.abs(peaks - medians) / np.maximum(scale, 0.05)
    worst = distance.argmax(axis=1)
    order = np.argsort(-distance.max(axis=1), kind="stable")[:N_FURTHEST]
    return [
        Oddity(
            record_id=records[values.rows[k]].id,
            what=f"greatest magnitude of {spec.name}, {_feature(spec, int(worst[k]))}",
            value=float(np.expm1(peaks[k, worst[k]])),
            median=float(np.expm1(medians[k, worst[k]])),
            deviations=float(distance[k, worst[k]]),
            limit=SUSPECT_VALUE,
        )
        for k in order
    ]


def _furthest(
    records: Sequence[Record],
    rows: NDArray[np.int64],
    values: NDArray[np.float64],
    what: str,
    *,
    floor: float,
) -> list[Oddity]:
    """The records furthest from the median, on a scale of ratios."""
    if len(rows) < 3:
        return []
    logs = np.log(values)
    median, scale = _centre(logs, axis=0)
    distance = np.abs(logs - median) / max(float(scale), floor)
    order = np.argsort(-distance, kind="stable")[:N_FURTHEST]
    return [
        Oddity(
            record_id=records[rows[k]].id,
            what=what,
            value=float(values[k]),
            median=float(np.exp(median)),
            deviations=float(distance[k]),
            limit=SUSPECT_LENGTH,
        )
        for k in order
    ]


def _centre(values: NDArray[np.float64], axis: int) -> tuple[Any, Any]:
    """Median, and the median distance to it scaled to a normal's standard deviation."""
    median = np.median(values, axis=axis)
    return median, 1.4826 * np.median(np.abs(values - median), axis=axis)


def _feature(spec: ModalitySpec, column: int) -> str:
    return spec.feature_names[column] if spec.feature_names else f"feature {column + 1}"


# -- the page --------------------------------------------------------------------------------------


def _render(
    store: CacheStore,
    entries: Mapping[str, Mapping[str, Entry]],
    values: Mapping[str, Values],
    lengths: Mapping[str, NDArray[np.int64]],
    oddities: Sequence[Oddity],
    n_shown: int,
) -> str:
    spec = store.spec
    chosen = _choose(store.records, oddities, n_shown)
    where = Path(store.objects.location).name or store.objects.location
    sections = [
        _summary(store, entries),
        _suspects(oddities),
        _counts(store, entries),
        _gaps(store.records, entries),
        _length_section(lengths),
        _range_section(store, values),
        _oddity_section(oddities),
        _record_section(store, chosen),
        _provenance(store),
    ]
    parts = {
        "title": escape(f"Cache {where}"),
        "subtitle": escape(
            f"{spec.n_records:,} records of {spec.dataset}, {len(spec.classes)} classes, "
            f"{', '.join(spec.modalities)}; state {spec.state}"
        ),
        "contents": '<nav class="contents" aria-label="Contents">'
        + "".join(
            f'<a href="#{name}">{name.capitalize()}</a>'
            for name in ("counts", "gaps", "lengths", "values", "outliers", "records", "provenance")
        )
        + "</nav>",
        "css": _file("base.css"),
        "js": _file("base.js") + _file("page.js"),
        "main": "\n".join(sections),
        "json": _embedded(_plain(store, values, lengths, entries, chosen)),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _file("page.html"))


def _states(records: Iterable[Record], entries: Mapping[str, Entry]) -> dict[Presence, int]:
    counts = dict.fromkeys(Presence, 0)
    for record in records:
        counts[_presence(entries, record)] += 1
    return counts


def _summary(store: CacheStore, entries: Mapping[str, Mapping[str, Entry]]) -> str:
    cards = []
    for name, spec in store.spec.modalities.items():
        counts = _states(store.records, entries[name])
        rest = ", ".join(
            f"{n:,} {state.name.lower()}"
            for state, n in counts.items()
            if n and state != Presence.PRESENT
        )
        shape = f"{spec.n_patches} patches of {spec.n_features}, {spec.dtype}"
        cards.append(
            f'<div class="card"><div class="what">{escape(name)}</div>'
            f'<div class="value">{counts[Presence.PRESENT]:,}</div>'
            f'<div class="sure">present; {escape(rest or "none missing")}<br>{shape}</div></div>'
        )
    return f'<div class="cards">{"".join(cards)}</div>'


def _suspects(oddities: Sequence[Oddity]) -> str:
    suspects = [each for each in oddities if each.suspect]
    if not suspects:
        return "<p>No record stands out in length or in value.</p>"
    lines = "".join(f"<li>{escape(_in_words(each))}</li>" for each in suspects[:12])
    more = f"<p>{len(suspects) - 12} more are under Outliers.</p>" if len(suspects) > 12 else ""
    return f'<div class="warn" role="note">Suspect records:<ul>{lines}</ul>{more}</div>'


def _in_words(odd: Oddity) -> str:
    return f"{odd.record_id}: {odd.what} is {odd.value:.3g}, the median is {odd.median:.3g}"


def _counts(store: CacheStore, entries: Mapping[str, Mapping[str, Entry]]) -> str:
    spec = store.spec
    groups: dict[str, dict[str, list[Record]]] = {"class": {name: [] for name in spec.classes}}
    for record in store.records:
        groups["class"][spec.classes[record.label]].append(record)
        for column in spec.columns:
            value = str(record.attributes.get(column, "none"))
            groups.setdefault(column, {}).setdefault(value, []).append(record)
    tables = []
    for what, of in groups.items():
        if what != "class" and (len(of) > 200 or len(of) == len(spec.classes)):
            continue
        rows = []
        for key, records in of.items():
            present = [
                _states(records, entries[name])[Presence.PRESENT] for name in spec.modalities
            ]
            rows.append(
                [
                    key,
                    f"{len(records):,}",
                    *(f"{n:,}" + (" (!)" if n < len(records) else "") for n in present),
                ]
            )
        rows.sort(key=lambda row: (not row[0].lstrip("-").isdigit(), len(row[0]), row[0]))
        if what == "class":
            rows.sort(key=lambda row: spec.classes.index(row[0]))
        body = _table([f"{what}", "#records", *(f"#{name}" for name in spec.modalities)], rows)
        opened = " open" if len(rows) <= 12 else ""
        tables.append(
            f"<details{opened}><summary>By {escape(what)} ({len(rows)})</summary>{body}</details>"
        )
    note = '<p class="note">Records that are present. (!): fewer than there are records.</p>'
    return f'<h2 id="counts">Counts</h2>{note}{"".join(tables)}'


def _gaps(records: Sequence[Record], entries: Mapping[str, Mapping[str, Entry]]) -> str:
    rows = []
    for name, of in entries.items():
        for record in records:
            state, entry = _presence(of, record), of.get(record.id)
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
    return f'<h2 id="gaps">Gaps</h2>{_table(head, rows[:N_GAPS], caption=caption)}'


def _length_section(lengths: Mapping[str, NDArray[np.int64]]) -> str:
    rows, figures = [], []
    for name, of in lengths.items():
        there = of[of > 0]
        if not len(there):
            continue
        low, middle, high = (int(v) for v in np.quantile(there, [0, 0.5, 1]))
        rows.append([name, f"{low}", f"{middle}", f"{high}"])
        figures.append(
            f'<figure data-lengths="{escape(name)}"><div class="drawing wide"></div>'
            f"<figcaption>{escape(name)}: raw rows or frames of a record.</figcaption></figure>"
        )
    table = _table(["modality", "#least", "#median", "#most"], rows)
    return f'<h2 id="lengths">Lengths</h2>{table}{"".join(figures)}'


def _range_section(store: CacheStore, values: Mapping[str, Values]) -> str:
    parts = []
    for name, found in values.items():
        if not len(found.rows):
            continue
        spec = store.spec.modalities[name]
        flat = found.patches.reshape(-1, spec.n_features)
        cells = [_quantiles(flat.ravel())]
        rows = [["all features", *cells[0]]]
        caption = "" if found.complete else f"Of {len(found.rows):,} records, spread evenly."
        head = ["feature", "#least", "#1 %", "#median", "#99 %", "#most"]
        if spec.n_features <= MAX_TRACES:
            rows += [[_feature(spec, c), *_quantiles(flat[:, c])] for c in range(spec.n_features)]
        table = _table(head, rows, caption=caption)
        more = ""
        if MAX_TRACES < spec.n_features <= 128:
            each = [[_feature(spec, c), *_quantiles(flat[:, c])] for c in range(spec.n_features)]
            more = f"<details><summary>By feature</summary>{_table(head, each)}</details>"
        parts.append(f"<h3>{escape(name)}</h3>{table}{more}")
    return f'<h2 id="values">Values</h2>{"".join(parts)}'


def _quantiles(values: NDArray[np.float32]) -> list[str]:
    inner = np.quantile(_some(values), [0.01, 0.5, 0.99])
    return [f"{v:.4g}" for v in (values.min(), *inner, values.max())]


def _some(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Evenly spread rows of an array that is too large to sort."""
    step = -(-values.size // SORTED_VALUES) or 1
    # An odd step meets every patch and feature in turn where their number is a power of two.
    return values[:: step + (step > 1 and step % 2 == 0)].astype(float)


def _oddity_section(oddities: Sequence[Oddity]) -> str:
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
    return f'<h2 id="outliers">Outliers</h2><p class="note">{note}</p>{_table(head, rows)}'


def _choose(records: Sequence[Record], oddities: Sequence[Oddity], n: int) -> list[int]:
    """Rows to draw: the worst suspects first, then records spread over the classes."""
    places = {record.id: row for row, record in enumerate(records)}
    worst = sorted((o for o in oddities if o.suspect), key=lambda o: -o.deviations)
    chosen = list(dict.fromkeys(places[o.record_id] for o in worst))[: n // 2]
    by_class = sorted(range(len(records)), key=lambda row: (records[row].label, row))
    if by_class:
        spread = [by_class[int(k)] for k in np.linspace(0, len(by_class) - 1, n)]
        chosen += [row for row in dict.fromkeys(spread) if row not in chosen]
    return chosen[:n]


def _record_section(store: CacheStore, chosen: Sequence[int]) -> str:
    if not chosen:
        return '<h2 id="records">Records</h2><p>There are none.</p>'
    options = "".join(
        f'<option value="{index}">'
        f"{escape(f'{record.id}: {store.spec.classes[record.label]}')}</option>"
        for index, record in enumerate(store.records[row] for row in chosen)
    )
    return (
        '<h2 id="records">Records</h2><div class="bar controls"><label for="record">Record</label>'
        f'<select id="record">{options}</select></div><div id="drawn"></div>'
    )


def _provenance(store: CacheStore) -> str:
    spec = store.spec
    encodings = {name: dict(each.encoding) for name, each in spec.modalities.items()}
    blocks = {"Encoding": encodings, "Made by": dict(spec.provenance)}
    details = "".join(
        f"<details><summary>{name}</summary><pre>{escape(json.dumps(content, indent=2))}</pre>"
        "</details>"
        for name, content in blocks.items()
    )
    return (
        f'<h2 id="provenance">Provenance</h2><dl class="facts"><dt>location</dt>'
        f"<dd>{escape(store.objects.location)}</dd><dt>fingerprint</dt>"
        f"<dd>{escape(spec.fingerprint or 'not complete')}</dd></dl>{details}"
    )


# -- what the figures are drawn from ---------------------------------------------------------------


def _plain(
    store: CacheStore,
    values: Mapping[str, Values],
    lengths: Mapping[str, NDArray[np.int64]],
    entries: Mapping[str, Mapping[str, Entry]],
    chosen: Sequence[int],
) -> dict[str, Any]:
    modalities = store.spec.modalities
    centres = {
        name: _centre(_some(found.patches.reshape(-1, modalities[name].n_features)), axis=0)
        for name, found in values.items()
        if len(found.rows)
    }
    heat = {}
    for name in centres:
        width = modalities[name].n_features
        grouped = f", {width} features in {HEAT_FEATURES} groups" if width > HEAT_FEATURES else ""
        heat[name] = (
            f"patches in robust deviations from each feature's median over the cache{grouped}. "
            "Orange is above it, blue below."
        )
    return {
        "lengths": {name: _bars(of[of > 0]) for name, of in lengths.items() if (of > 0).any()},
        "features": {
            name: [_feature(spec, c) for c in range(spec.n_features)]
            for name, spec in modalities.items()
            if spec.n_features <= MAX_TRACES
        },
        "heat": heat,
        "records": [_plain_record(store, row, entries, centres, lengths) for row in chosen],
    }


def _bars(lengths: NDArray[np.int64]) -> dict[str, Any]:
    counts, edges = np.histogram(lengths, bins=min(40, max(1, int(np.ptp(lengths)))))
    return {
        "counts": counts.tolist(),
        "edges": [round(float(edge), 1) for edge in edges],
        "label": "rows or frames of a record; height: records",
    }


def _plain_record(
    store: CacheStore,
    row: int,
    entries: Mapping[str, Mapping[str, Entry]],
    centres: Mapping[str, tuple[Any, Any]],
    lengths: Mapping[str, NDArray[np.int64]],
) -> dict[str, Any]:
    record, spec = store.records[row], store.spec
    group = store.group(read_only=True)
    traces: dict[str, Any] = {}
    heat: dict[str, Any] = {}
    skeleton = None
    said = [spec.classes[record.label], *(f"{k} {v}" for k, v in record.attributes.items())]
    for name, modality in spec.modalities.items():
        if name not in centres or _presence(entries[name], record) != Presence.PRESENT:
            said.append(f"{name} {_presence(entries[name], record).name.lower()}")
            continue
        said.append(f"{name} {lengths[name][row]} long")
        patches = np.asarray(group[feature_array(name)][row], np.float64)
        if name == "skeleton" and modality.n_features == 60:
            skeleton = np.round(patches, 3).tolist()
        elif modality.n_features <= MAX_TRACES:
            traces[name] = [[float(f"{v:.4g}") for v in patch] for patch in patches]
        median, scale = centres[name]
        away = (patches - median) / np.maximum(scale, 1e-6)
        groups = np.array_split(np.arange(modality.n_features), HEAT_FEATURES)
        away = np.stack([away[:, g].mean(axis=1) for g in groups if len(g)], axis=1)
        heat[name] = np.round(np.clip(away, -3, 3) * 10).astype(int).tolist()
    return {
        "id": record.id,
        "about": f"{record.id}: {', '.join(said)}",
        "skeleton": skeleton,
        "traces": traces,
        "heat": heat,
    }


# -- HTML ------------------------------------------------------------------------------------------


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str = "") -> str:
    """A sortable table; a heading that begins with ``#`` is of numbers."""
    kinds = [" class=n" if name.startswith("#") else "" for name in head]
    heads = "".join(
        f'<th scope="col"{kind}>{escape(name.lstrip("#"))}</th>'
        for name, kind in zip(head, kinds, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{kind}{_sort_value(cell) if kind else ''}>{escape(cell)}</td>"
            for cell, kind in zip(row, kinds, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    said = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        '<div class="wide" tabindex="0" role="region" aria-label="Table"><table class="sortable">'
        f"{said}<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _sort_value(cell: str) -> str:
    plain = cell.replace(",", "").split(" ")[0]
    return f' data-value="{escape(plain)}"'


def _embedded(content: Any) -> str:
    """JSON that cannot end the script element which holds it."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _file(name: str) -> str:
    return resources.files("pipeline.page").joinpath(name).read_text(encoding="utf-8")
