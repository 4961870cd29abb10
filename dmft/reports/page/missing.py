"""Missing modalities: what runs still know with fewer of them at test time."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from dmft.reports.format import change, share, whole
from dmft.reports.load import Measured
from dmft.reports.page.settings import setting_name, settings_of
from pipeline.common.page import Cell, Number, table


def missing(runs: Sequence[Measured]) -> str:
    """Accuracy with fewer modalities, a mean over the seeds of each setting."""
    rows: list[list[Cell]] = []
    for group in settings_of(runs):
        first, name = group[0], setting_name(group, runs)
        measured = [run.figures for run in group if run.figures.get("missing_modalities")]
        if not measured:
            continue
        intact = statistics.fmean(of["accuracy"] for of in measured)
        every = [dict(of, modalities=list(first.info.spec.modalities)) for of in measured]
        sets = [every, *zip(*(of["missing_modalities"] for of in measured), strict=True)]
        for each in sets:
            accuracy = statistics.fmean(of["accuracy"] for of in each)
            kept = " + ".join(each[0]["modalities"])
            lost = Number(0.0, "–") if each is every else change(accuracy - intact)
            n_records = whole(each[0]["n_records"])
            rows.append([name, kept, n_records, whole(len(measured)), share(accuracy), lost])
            rows[-1].append(share(statistics.fmean(of["macro_f1"] for of in each)))
    if not rows:
        return ""
    head = ["trained", "test records have", "#records", "#seeds", "#accuracy", "#change"]
    note = (
        "Modalities are taken away before the network. A teacher's branches then also miss what "
        "they were fused with; a student's branches never see each other. Means over seeds."
    )
    return (
        '<h2 id="missing">Missing modalities</h2>'
        f'<p class="note">{note}</p>{table([*head, "#macro F1"], rows)}'
    )
