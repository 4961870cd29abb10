"""All runs together: the headline's cards, and the table of every run."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from html import escape

from dmft.evaluation.metrics import majority_share
from dmft.evaluation.significance import bootstrap_macro_f1, wilson
from dmft.reports.format import (
    METRIC_NAMES,
    hits_of,
    interval,
    metric_of,
    percent,
    seeds,
    share,
    whole,
)
from dmft.reports.load import Measured
from dmft.reports.page.settings import setting_name, settings_of
from pipeline.common.page import Number, Raw, card, cards, figure, table

N_CARDS = 12
N_SETTINGS_DRAWN = 6


def headline(runs: Sequence[Measured]) -> str:
    """The figures to remember, each with how sure it is."""
    if len(runs) == 1:
        found = _cards_of_run(runs[0])
    else:
        found = [_card_of_setting(group, runs) for group in settings_of(runs)[:N_CARDS]]
    note = (
        "Intervals are 95 %: Wilson's for accuracy and a bootstrap over test records for macro F1. "
        "They take test records as independent; records of one person are not, so where folds "
        "are people the spread over folds says more."
    )
    return f'<h2 id="headline">Headline</h2>{cards(found)}<p class="note">{note}</p>'


def _cards_of_run(run: Measured) -> list[str]:
    metrics, matrix = run.metrics, run.metrics.confusion
    hits, n = hits_of(matrix)
    of_folds = f"mean of {len(run.folds)} folds" if len(run.folds) > 1 else "one fold"
    spread = f", ± {percent(metrics.accuracy_spread)} over folds" if len(run.folds) > 1 else ""
    pooled = f"pooled {percent(hits / max(n, 1))}, " if len(run.folds) > 1 else ""
    f1_pooled = f"pooled {percent(metrics.pooled_macro_f1)}, " if len(run.folds) > 1 else ""
    quoted = metric_of(run)
    found = [
        (
            "Accuracy" + (" (the protocol's metric)" if quoted == "accuracy" else ""),
            percent(metrics.accuracy),
            f"{of_folds}{spread}; {pooled}95 % interval {interval(wilson(hits, n))}",
        ),
        (
            "Macro F1" + (" (the protocol's metric)" if quoted != "accuracy" else ""),
            percent(metrics.macro_f1),
            f"{of_folds}; {f1_pooled}95 % interval {interval(bootstrap_macro_f1(matrix))}",
        ),
        (
            "Nearest neighbour",
            percent(metrics.nearest_neighbour_accuracy),
            "accuracy of the baseline on the same features",
        ),
        ("Most frequent class", percent(majority_share(matrix)), "naming it always"),
        (
            "Test records",
            f"{n:,}",
            f"{n - hits:,} wrong; {metrics.n_without_modality:,} without any modality",
        ),
        (
            "Size",
            f"{metrics.saved_bytes / 1e6:.2f} MB",
            f"{metrics.n_parameters:,} weights; "
            f"{metrics.seconds_per_epoch:.2f} s an epoch on {run.info.spec.device}",
        ),
    ]
    return [card(*each) for each in found]


def _card_of_setting(group: Sequence[Measured], runs: Sequence[Measured]) -> str:
    key = metric_of(group[0])
    values = [run.metrics.score(key) for run in group]
    lows, highs = zip(*(_interval_of(run, key) for run in group), strict=True)
    bounds = interval((statistics.fmean(lows), statistics.fmean(highs)))
    sure = (
        f"mean of {seeds(group)}, ± {percent(statistics.stdev(values))} over seeds; "
        f"95 % interval {bounds}, mean over seeds"
        if len(values) > 1
        else f"one seed; 95 % interval {bounds}"
    )
    return card(
        setting_name(group, runs),
        percent(statistics.fmean(values)),
        f"{METRIC_NAMES[key]}; {sure}",
    )


def _interval_of(run: Measured, key: str) -> tuple[float, float]:
    matrix = run.metrics.confusion
    return wilson(*hits_of(matrix)) if key == "accuracy" else bootstrap_macro_f1(matrix)


def all_runs(runs: Sequence[Measured]) -> str:
    """Every run on a line, and two figures; nothing for one run."""
    if len(runs) < 2:
        return ""
    rows = []
    several = len({run.info.source.protocol.name for run in runs}) > 1
    for index, run in enumerate(runs):
        metrics = run.metrics
        hits, n = hits_of(metrics.confusion)
        f1 = bootstrap_macro_f1(metrics.confusion)
        rows.append(
            [
                Raw(f'<a href="#detail" data-run="{index}">{escape(run.name)}</a>'),
                run.info.spec.kind,
                *([run.info.source.protocol.name] if several else []),
                Raw(escape(" + ".join(run.info.spec.modalities)).replace(" ", "&nbsp;")),
                Number(run.info.spec.seed, str(run.info.spec.seed)),
                whole(len(run.folds)),
                share(metrics.accuracy),
                share(metrics.accuracy_spread) if len(run.folds) > 1 else "",
                Number(hits / max(n, 1), interval(wilson(hits, n))),
                share(metrics.macro_f1),
                Number(metrics.pooled_macro_f1, interval(f1)),
                share(metrics.nearest_neighbour_accuracy),
                whole(metrics.n_parameters),
                Number(metrics.seconds_per_epoch, f"{metrics.seconds_per_epoch:.2f} s"),
            ]
        )
    head = ["run", "model", *(["protocol"] if several else []), "modalities", "#seed", "#folds"]
    head += ["#accuracy", "#± over folds", "#95 % of accuracy", "#macro F1", "#95 % of macro F1"]
    head += ["#nearest neighbour", "#weights", "#an epoch"]
    caption = "Accuracy and macro F1 are means over folds; intervals are of all folds' records."
    n_hidden = max(len(settings_of(runs)) - N_SETTINGS_DRAWN, 0)
    more = (
        f" The first {N_SETTINGS_DRAWN} settings; {n_hidden} more are in the table."
        if n_hidden
        else ""
    )
    return (
        '<h2 id="runs">All runs</h2>'
        + table(head, rows, caption=caption, identity="runs-table")
        + figure(
            "Accuracy of every run, over the test records of all its folds.", identity="overview"
        )
        + figure(f"Accuracy of each fold, mean over seeds.{more}", identity="by-fold")
    )
