"""Settings against each other on the same records, as ``dmft compare`` does it; and by person."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from dmft.experiments.compare import Comparison, RunVotes, compare_votes
from dmft.reports.compare import Setting
from dmft.reports.load import Measured
from pipeline.contract import ContractError

ALL_PAIRS = 4
"""Settings of one protocol up to which each is compared with each; more with the best alone."""
MAX_PAIRS = 24
"""Comparisons that are shown."""

People = Mapping[str, "pd.Series[str]"]
"""Fingerprint of a cache to the person of each of its records."""


class Pair(NamedTuple):
    """Two settings and what tells them apart."""

    first: Setting
    second: Setting
    found: Comparison


def pairs_of(settings: Sequence[Setting], people: People) -> Iterator[Pair | str]:
    """Compare settings of one protocol and cache on the folds and seeds that both have.

    Yields:
        A pair, or a line where two cannot be compared.
    """
    n_left = MAX_PAIRS
    for first, second in _pairs(settings):
        ours, theirs = _votes(first), _votes(second)
        both = {(v.split_hash, v.seed) for v in ours} & {(v.split_hash, v.seed) for v in theirs}
        if not both:
            continue
        if not n_left:
            yield f"more than {MAX_PAIRS} pairs: 'dmft compare' compares the others"
            return
        n_left -= 1
        sides = ([v for v in side if (v.split_hash, v.seed) in both] for side in (ours, theirs))
        known = people.get(first.runs[0].info.spec.cache_fingerprint)
        try:
            found = compare_votes(first.name, next(sides), second.name, next(sides), known)
        except ContractError as error:
            yield str(error)
        else:
            yield Pair(first, second, found)


def _pairs(settings: Sequence[Setting]) -> Iterator[tuple[Setting, Setting]]:
    groups: dict[tuple[str, str], list[Setting]] = {}
    for setting in settings:
        info = setting.runs[0].info
        key = info.source.protocol.name, info.spec.cache_fingerprint
        groups.setdefault(key, []).append(setting)
    for group in groups.values():
        if len(group) <= ALL_PAIRS:
            yield from itertools.combinations(group, 2)
        else:
            best = max(group, key=lambda setting: statistics.fmean(setting.scores))
            yield from ((other, best) for other in group if other is not best)


def _votes(setting: Setting) -> list[RunVotes]:
    return [
        RunVotes(
            folder=fold.folder,
            fold=fold.info.spec.fold.name,
            seed=fold.info.spec.seed,
            split_hash=fold.info.spec.split_hash,
            cache=(fold.info.cache_path, fold.info.spec.cache_fingerprint),
            predictions=fold.votes,
        )
        for run in setting.runs
        for fold in run.folds
    ]


def folds_are_people(settings: Sequence[Setting], people: People) -> bool:
    """Whether each fold tests one person alone, so that its figures are that person's."""
    for fold in (fold for setting in settings for run in setting.runs for fold in run.folds):
        known = people.get(fold.info.spec.cache_fingerprint)
        if known is None or known.reindex(fold.predictions["record"]).nunique() > 1:
            return False
    return True


def person_accuracies(setting: Setting, people: People) -> dict[str, float]:
    """Person to the accuracy on their test records, a mean over seeds; empty where not known."""
    person_of = people.get(setting.runs[0].info.spec.cache_fingerprint)
    if person_of is None:
        return {}
    by_run = pd.concat([_by_person(run, person_of) for run in setting.whole])
    means = by_run.groupby(level=0).mean()
    return {f"person {person}": float(accuracy) for person, accuracy in means.items()}


def _by_person(run: Measured, person_of: pd.Series[str]) -> pd.Series[float]:
    predictions = run.predictions
    people = person_of.reindex(predictions["record"]).to_numpy()
    return predictions["correct"].astype(float).groupby(people).mean()
