"""The report as one page that needs nothing else: no network, no file beside it.

Tables are written by ``page.html`` and stand without JavaScript; figures are drawn in the reader's
browser by ``page.js`` from the numbers that the page carries.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dmft.data.fault_words import FAULTS
from dmft.evaluation.metrics import majority_share
from dmft.evaluation.significance import bootstrap_macro_f1, wilson
from dmft.reports import format as words
from dmft.reports.at_hand import caches_at_hand, people_of
from dmft.reports.charts import CURVES, chart_data, matrices_of
from dmft.reports.compare import (
    beside_published,
    conditions_compared,
    faulty_modalities,
    kinds_compared,
    missing_modalities,
    settings_of,
    suites_compared,
)
from dmft.reports.drawn import drawn_data, missed_records
from dmft.reports.load import Measured
from dmft.reports.pairs import folds_are_people, pairs_of
from dmft.reports.published import load_published
from dmft.reports.sure import SURE_FROM, sets_compared, sureness
from dmft.runs.spec import software_versions
from pipeline.common.page import render_page, write_page
from pipeline.common.settings import to_table

if TYPE_CHECKING:
    from dmft.data import Cache

N_RECORDS_SHOWN = 6
N_DRAWN = 32
NOTHING: dict[str, Any] = {"maps": [], "attention": {}}
"""What models see where none was asked."""


def write_report(
    runs: Sequence[Measured],
    path: Path,
    *,
    skipped: Sequence[str] = (),
    title: str | None = None,
    cache: Path | None = None,
    n_drawn: int = N_DRAWN,
    inside: bool = False,
    map_by: str = "pca",
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write the page; return its size in bytes.

    Args:
        runs: What it is about.
        path: Where to.
        skipped: A line for each run that could not be read.
        title: Heading; None for the protocols' names.
        cache: Where the runs' cache is now; None looks where each run says that it was.
        n_drawn: Records that are drawn, those that most runs get wrong.
        inside: Ask the models for a map of what they see, and for attention over time.
        map_by: How that map has two dimensions: ``pca`` or ``umap``.
        progress: Told how many models were asked, and of how many.

    Raises:
        ConfigError: the package for the map is not installed.
        ContractError: ``cache`` is not the runs'.
    """
    caches, not_at_hand = caches_at_hand(runs, cache)
    looked: tuple[dict[str, Any], list[str]] = NOTHING, []
    if inside:
        from dmft.reports.inside import look_inside  # the one part that needs torch and weights

        drawn = missed_records(runs, n_drawn)
        looked = look_inside(settings_of(runs), caches, drawn, progress, map_by=map_by)
    page = render_report(
        runs,
        skipped=skipped,
        title=title,
        caches=caches,
        not_at_hand=not_at_hand,
        n_drawn=n_drawn,
        inside=looked,
    )
    return write_page(page, path)


def render_report(
    runs: Sequence[Measured],
    *,
    skipped: Sequence[str] = (),
    title: str | None = None,
    caches: Mapping[str, Cache] | None = None,
    not_at_hand: Sequence[str] = (),
    n_drawn: int = N_DRAWN,
    inside: tuple[dict[str, Any], Sequence[str]] = (NOTHING, ()),
) -> str:
    """Return the page of some runs, the first of them open in detail.

    Args:
        runs: What it is about.
        skipped: A line for each run that could not be read.
        title: Heading; None for the protocols' names.
        caches: The runs' caches that are at hand, by fingerprint.
        not_at_hand: A line for each that is not.
        n_drawn: Records that are drawn, where their cache is at hand.
        inside: What models see, and a line for each that could not be asked.
    """
    settings, published = settings_of(runs), load_published()
    people = people_of(caches or {})
    compared = list(pairs_of(settings, people))
    found = chart_data(runs, settings, people)
    found["inside"], unseen = inside
    found["drawn"] = drawn_data(caches or {}, missed_records(runs, n_drawn))
    protocols = sorted({run.info.source.protocol.name for run in runs})
    only = f"{runs[0].name}, " if len(runs) == 1 else ""
    return render_page(
        "dmft.reports.page",
        runs=runs,
        run_names=[f"{run.name} ({run.info.spec.model_name})" for run in runs],
        n_models=sum(len(run.folds) for run in runs),
        skipped=skipped,
        fabricated=[run.name for run in runs if run.info.source.fabricated],
        shared=[
            f"{run.name}, {fold.info.spec.fold.name}: {n:,} by {modality}"
            for run in runs
            for fold in run.folds
            for modality, n in fold.info.source.shared.items()
        ],
        title=title or f"{only}{' and '.join(protocols)}",
        made=f"{datetime.now(tz=UTC):%Y-%m-%d %H:%M UTC} by dmft {software_versions()['dmft']}",
        settings=settings,
        several_protocols=len(protocols) > 1,
        kinds=list(kinds_compared(settings)),
        published=list(beside_published(settings, published)),
        sources=sorted({published.sources[f.source] for f in published.figures if f.model}),
        missing=conditions_compared(settings, missing_modalities),
        faulty=conditions_compared(settings, faulty_modalities),
        suites=list(suites_compared(settings)),
        sureness=list(sureness(settings)),
        faults=FAULTS,
        fault_modalities=sorted(
            {
                each["modality"]
                for setting in found["settings"]
                for each in (setting["faults"] or {"single": ()})["single"]
            }
        ),
        sets=list(sets_compared(settings)),
        sure_from=[f"#answered from {100 * least:.0f} %" for least in SURE_FROM],
        pairs=[pair for pair in compared if not isinstance(pair, str)],
        uncompared=[line for line in compared if isinstance(line, str)],
        people=bool(people) and not folds_are_people(settings, people),
        not_at_hand=not_at_hand,
        unseen=unseen,
        curves={
            name: words_of
            for name, words_of in CURVES.items()
            if any(name in curve for run in found["runs"] for curve in run["curves"])
        },
        run_settings=[run.setting for run in runs],
        found=found,
        words=words,
        statistics=statistics,
        matrices_of=matrices_of,
        confused_pairs=confused_pairs,
        wilson=wilson,
        bootstrap_macro_f1=bootstrap_macro_f1,
        majority_share=majority_share,
        to_table=to_table,
    )


class Pair(NamedTuple):
    """A class that was taken for another."""

    label: str
    predicted: str
    n: int
    """How often."""
    part: float
    """Of the class."""
    records: list[tuple[str, float]]
    """Some of them with the vote's certainty, the most certain first."""
    n_more: int
    """Records that are not among those."""


def confused_pairs(run: Measured) -> list[Pair]:
    """Classes that were taken for another, the most frequent first."""
    counts, names = np.array(run.metrics.confusion), run.info.spec.classes
    wrong = counts - np.diag(counts.diagonal())
    cells = np.argwhere(wrong)
    errors = run.errors.sort_values("probability", ascending=False, kind="stable")
    by_pair: dict[tuple[int, int], list[tuple[str, float]]] = {}
    columns = (errors[name] for name in ("record", "label", "predicted", "probability"))
    for record, label, predicted, probability in zip(*columns, strict=True):
        by_pair.setdefault((label, predicted), []).append((record, probability))
    return [
        Pair(
            label=names[i],
            predicted=names[j],
            n=int(counts[i, j]),
            part=counts[i, j] / counts[i].sum(),
            records=by_pair.get((i, j), [])[:N_RECORDS_SHOWN],
            n_more=int(counts[i, j]) - len(by_pair.get((i, j), [])[:N_RECORDS_SHOWN]),
        )
        for i, j in cells[np.argsort(-wrong[tuple(cells.T)], kind="stable")].tolist()
    ]
