"""Missing modalities: what runs still know with fewer of them at test time."""

from __future__ import annotations

from collections.abc import Sequence

from dmft.evaluation.averages import mean_scores
from dmft.reports.format import change, share, whole
from dmft.reports.load import Measured
from dmft.reports.page.settings import setting_name, settings_of
from pipeline.common.page import Cell, Number, table


def missing(runs: Sequence[Measured]) -> str:
    """Accuracy with fewer modalities, a mean over the seeds of each setting."""
    rows: list[list[Cell]] = []
    for group in settings_of(runs):
        first, name = group[0], setting_name(group, runs)
        measured = [run.metrics for run in group if run.metrics.missing_modalities]
        if not measured:
            continue
        subsets = zip(*(metrics.missing_modalities for metrics in measured), strict=True)
        sets = [(first.info.spec.modalities, measured), *((s[0].modalities, s) for s in subsets)]
        intact = mean_scores(measured).accuracy
        for modalities, scores in sets:
            mean = mean_scores(scores)
            lost = Number(0.0, "–") if scores is measured else change(mean.accuracy - intact)
            n_records, n_seeds = whole(scores[0].n_records), whole(len(measured))
            rows.append([name, " + ".join(modalities), n_records, n_seeds, share(mean.accuracy)])
            rows[-1] += [lost, share(mean.macro_f1)]
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
