"""Teacher, raw student and distilled student side by side (the paper's Table 5)."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from dmft.evaluation.significance import mcnemar_p
from dmft.reports.format import METRIC_NAMES, gain, metric_of, over_seeds, percent
from dmft.reports.load import Measured
from pipeline.common.page import Cell, Number, table


def kinds(runs: Sequence[Measured]) -> str:
    """A line for each protocol and set of modalities that has more than one kind of model."""
    places: dict[tuple[str, str], dict[str, list[Measured]]] = {}
    for run in runs:
        key = (run.info.source.protocol.name, " + ".join(run.info.spec.modalities))
        places.setdefault(key, {}).setdefault(run.info.spec.kind, []).append(run)
    rows = [
        _row(protocol, modalities, of)
        for (protocol, modalities), of in places.items()
        if len(of) > 1
    ]
    if not rows:
        return ""
    head = ["protocol", "modalities", "metric", "#teacher", "#raw student", "#distilled"]
    head += ["#distilled - raw", "#distilled - teacher", "same records, distilled against raw"]
    note = (
        "The last column counts records that only one of the two got right, and the two-sided p "
        "of McNemar's exact test; seeds that both have are compared with each other. Runs with "
        "other configurations are averaged here as if they were seeds: pass only what belongs "
        "together."
    )
    return (
        '<h2 id="kinds">Teacher, raw student and distilled student</h2>'
        f'{table(head, rows)}<p class="note">{note}</p>'
    )


def _row(protocol: str, modalities: str, of: Mapping[str, Sequence[Measured]]) -> list[Cell]:
    metric = metric_of(next(iter(of.values()))[0])
    means = {
        kind: statistics.fmean(run.metrics.score(metric) for run in runs)
        for kind, runs in of.items()
    }
    cells: list[Cell] = [protocol, modalities, METRIC_NAMES[metric]]
    cells += [
        Number(
            means.get(kind),
            f"{percent(means[kind])}{over_seeds(of[kind], metric)}" if kind in means else "–",
        )
        for kind in ("teacher", "student", "distilled")
    ]
    cells += [gain(means, "distilled", "student"), gain(means, "distilled", "teacher")]
    return [*cells, _paired(of)]


def _paired(of: Mapping[str, Sequence[Measured]]) -> str:
    """Records that only the distilled, and only the raw student of the same seed got right."""
    raw = {run.info.spec.seed: run for run in of.get("student", ())}
    only_distilled = only_raw = 0
    for run in of.get("distilled", ()):
        other = raw.get(run.info.spec.seed)
        if other is None:
            continue
        both = run.predictions.merge(other.predictions, on="record")
        only_distilled += int((both["correct_x"] & ~both["correct_y"]).sum())
        only_raw += int((both["correct_y"] & ~both["correct_x"]).sum())
    if not only_distilled + only_raw:
        return "–"
    p = mcnemar_p(only_distilled, only_raw)
    return f"{only_distilled} to {only_raw}, p = {p:.2g}"
