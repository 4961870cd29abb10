"""The report as one page that needs nothing else: no network, no file beside it.

Tables are written here and stand without JavaScript; figures are drawn in the reader's browser
from the numbers that the page carries. Read ``overview`` (all runs), ``kinds`` (teacher against
students), ``published``, ``missing``, ``failing`` and ``detail`` (one run) in the order of the
page.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

from dmft.reports.format import count
from dmft.reports.load import Measured
from dmft.reports.page.beside_published import published
from dmft.reports.page.chart_data import drawn_from
from dmft.reports.page.detail import detail
from dmft.reports.page.fault_table import failing
from dmft.reports.page.missing import missing
from dmft.reports.page.model_comparison import kinds
from dmft.reports.page.overview import all_runs, headline
from dmft.runs.spec import software_versions
from pipeline.common.page import render_page, warning, write_page

CONTENTS = {
    "headline": "Headline",
    "runs": "All runs",
    "kinds": "Teacher and students",
    "published": "Published figures",
    "missing": "Missing modalities",
    "failing": "Failing modalities",
    "detail": "One run in detail",
}


def write_report(
    runs: Sequence[Measured], path: Path, *, skipped: Sequence[str] = (), title: str | None = None
) -> int:
    """Write the page; return its size in bytes."""
    return write_page(render_report(runs, skipped=skipped, title=title), path)


def render_report(
    runs: Sequence[Measured], *, skipped: Sequence[str] = (), title: str | None = None
) -> str:
    """Return the page of some runs, the first of them open in detail."""
    made = datetime.now(tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
    n_folds = sum(len(run.folds) for run in runs)
    return render_page(
        title=title or _title(runs),
        subtitle=f"{count(len(runs), 'run')}, {count(n_folds, 'trained model')}; "
        f"written {made} by dmft {software_versions()['dmft']}",
        contents=CONTENTS,
        sections=[
            warning("Not shown:", skipped) if skipped else "",
            headline(runs),
            all_runs(runs),
            kinds(runs),
            published(runs),
            missing(runs),
            failing(runs),
            detail(runs),
        ],
        script=resources.files("dmft.reports.page").joinpath("page.js").read_text(encoding="utf-8"),
        found=drawn_from(runs),
    )


def _title(runs: Sequence[Measured]) -> str:
    protocols = sorted({run.info.source.protocol.name for run in runs})
    what = f"{runs[0].name}, " if len(runs) == 1 else ""
    return f"{what}{' and '.join(protocols)}"
