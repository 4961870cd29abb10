"""Ours beside the published figures of the same protocol, modalities and kind of model."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from dmft.reports.format import METRIC_NAMES, change, count, metric_of, over_seeds, share, whole
from dmft.reports.load import Measured
from dmft.reports.page.settings import setting_name, settings_of
from dmft.reports.published import OVERALL, Published, PublishedFigure, load_published
from pipeline.common.page import Cell, Number, table

SHOWN = "score"
"""Of the published measures; seconds and megabytes are of other machines and networks."""


def published(runs: Sequence[Measured]) -> str:
    """A line for each published figure that a setting has a counterpart to; else nothing."""
    found = load_published()
    rows: list[list[Cell]] = []
    for group in settings_of(runs):
        name = setting_name(group, runs)
        for figures in _fitting(group[0], found):
            rows.append([name, *_row(group, figures)])
    if not rows:
        return ""
    head = ["setting", "of", "metric", "#published", "#ours", "#difference", "#seeds", "#folds"]
    head += ["#test records", "where it is printed"]
    sources = sorted({found.sources[f.source] for f in found.figures if f.model})
    note = (
        "Percent; ours is the mean over folds, then over seeds. A published figure is of the whole "
        "data set: ours of fewer test records or folds than that is another experiment. "
        f"Published: {'; '.join(sources)}."
    )
    return (
        '<h2 id="published">Beside the published figures</h2>'
        f'{table(head, rows)}<p class="note">{note}</p>'
    )


def _fitting(run: Measured, found: Published) -> Iterator[list[PublishedFigure]]:
    """Published figures of a run's setting; those of one thing and one value together."""
    teacher = run.info.spec.config.teacher
    if run.info.spec.kind == "teacher" and not teacher.fusion_layers:
        return  # late fusion is not the paper's teacher
    same: dict[tuple[str, float], list[PublishedFigure]] = {}
    for figure in found.figures:
        tokens = figure.fusion_tokens or found.fusion_tokens
        if (
            figure.measure == SHOWN
            and figure.model == run.info.spec.kind
            and figure.protocol == run.info.source.protocol.name
            and set(figure.modalities) == set(run.info.spec.modalities)
            and (figure.model != "teacher" or tokens == teacher.fusion_tokens)
        ):
            same.setdefault((figure.of, figure.value), []).append(figure)
    yield from sorted(same.values(), key=lambda figures: figures[0].of != OVERALL)


def _row(group: Sequence[Measured], figures: Sequence[PublishedFigure]) -> list[Cell]:
    first, metric = figures[0], metric_of(group[0])
    if first.of == OVERALL:
        ours = [run.metrics.score(metric) for run in group]
        shown = share(statistics.fmean(ours))
        shown = Number(shown.value, f"{shown}{over_seeds(group, metric)}")
    else:
        ours = [run.metrics.modalities[first.of].score(metric) for run in group]
        shown = share(statistics.fmean(ours))
    tables = sorted({figure.table for figure in figures})
    notes = [figure.note for figure in figures if figure.note]
    where = f"{count(len(tables), 'table').partition(' ')[2]} {', '.join(map(str, tables))}"
    return [
        first.of,
        METRIC_NAMES[metric],
        share(first.value / 100),
        shown,
        change(statistics.fmean(ours) - first.value / 100),
        whole(len({run.info.spec.seed for run in group})),
        whole(len(group[0].folds)),
        whole(sum(map(sum, group[0].metrics.confusion))),
        "; ".join([where.capitalize(), *dict.fromkeys(notes)]),
    ]
