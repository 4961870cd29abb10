"""Settings: groups of runs that differ in the seed alone, and what to call them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from dmft.reports.load import Measured


def settings_of(runs: Sequence[Measured]) -> list[list[Measured]]:
    """Group runs by setting, in the order in which they first occur."""
    groups: dict[str, list[Measured]] = {}
    for run in runs:
        groups.setdefault(run.setting, []).append(run)
    return list(groups.values())


def setting_name(group: Sequence[Measured], runs: Sequence[Measured]) -> str:
    """Kind and modalities; the run's name too where those do not tell settings apart."""
    first = group[0]

    def words(run: Measured) -> str:
        several = len({each.info.source.protocol.name for each in runs}) > 1
        return f"{run.info.spec.kind}, {' + '.join(run.info.spec.modalities)}" + (
            f", {run.info.source.protocol.name}" if several else ""
        )

    alike = Counter(words(each[0]) for each in settings_of(runs))
    return f"{words(first)} ({first.name})" if alike[words(first)] > 1 else words(first)


def fold_values(group: Sequence[Measured]) -> dict[str, list[float]]:
    """Accuracy of each fold, one value a seed."""
    values: dict[str, list[float]] = {}
    for run in group:
        for fold in run.folds:
            values.setdefault(fold.info.spec.fold.name, []).append(fold.metrics.accuracy)
    return values
