"""Is one run better than another? Paired, on the same records, with intervals for new people.

A side is a run folder, a folder of folds, or runs of an experiment, ``DIR#model=student``. Runs
are paired by the records that they were tested on, and by seed where there are several.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dmft.evaluation.predictions import Predictions, read_predictions
from dmft.evaluation.significance import (
    bootstrap_interval,
    calibration_error,
    mcnemar,
    paired_test,
)
from dmft.experiments.results import read_results
from dmft.runs.folder import PREDICTIONS_FILE, fold_folders, read_info
from pipeline.contract import ConfigError, ContractError

log = logging.getLogger(__name__)

SELECTOR = "#"
SELECTABLE = (
    *("model", "fusion", "fusion_tokens", "protocol", "fold", "modalities", "seed"),
    *("recipe", "experiment"),
)
"""Fields of a result that runs are selected by."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunVotes:
    """One run and its predictions of its test records."""

    folder: Path
    """The run's."""
    fold: str
    """Name."""
    seed: int
    """The training's seed."""
    split_hash: str
    """What was trained and tested on."""
    cache: tuple[str, str]
    """Path and fingerprint."""
    predictions: Predictions
    """In the order of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The figures of one side."""

    name: str
    """As it was given."""
    n_runs: int
    """Runs that it has."""
    accuracy: float
    """Mean over runs."""
    interval: tuple[float, float] | None
    """The interval that holds the accuracy with 95 %; None where there is one person to draw."""
    calibration_error: float
    """Mean over runs."""
    folds: Mapping[str, float]
    """Accuracy of each fold, mean over seeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedTest:
    """McNemar's test of the runs of one seed; records of several seeds are not independent."""

    seed: int
    """The second side's."""
    only_first: int
    """Records that only the first side has right."""
    only_second: int
    """Records that only the second side has right."""
    p: float
    """Exact, two-sided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two sides; positive differences say that the second is better."""

    first: Side
    second: Side
    n_records: int
    """Test records that both have."""
    n_pairs: int
    """Pairs of runs."""
    difference: float
    """In accuracy: mean over folds, then seeds."""
    difference_interval: tuple[float, float] | None
    """The interval that holds the difference with 95 %; None where there is one person to draw."""
    interval_draws: str
    """What the intervals draw: people, or records where nobody says who is who."""
    seeds: Mapping[str, float]
    """Difference of each seed."""
    seed_standard_error: float | None
    """Standard error of the mean over seeds; None for one seed."""
    mcnemar: tuple[SeedTest, ...]
    """A test a seed."""
    people: Mapping[str, float] | None
    """Difference on each person's records."""
    people_p: float | None
    """What the paired test over people says; None where people are not known."""


def run_folders(side: str) -> tuple[Path, ...]:
    """Return the folders of the runs that one side names.

    Raises:
        ConfigError: the part behind ``#`` is not a selection, or selects nothing.
        ContractError: there is no run, or no results file.
    """
    path, selector, conditions = side.partition(SELECTOR)
    if not selector:
        return fold_folders(Path(path))
    return tuple(Path(path) / run for run in select(read_results(Path(path)), conditions)["run"])


def select(results: pd.DataFrame, conditions: str) -> pd.DataFrame:
    """Return the results that fit ``field=value,field=value``; modalities as ``skeleton+inertial``.

    Raises:
        ConfigError: a field is unknown, or nothing fits.
    """
    chosen = results
    for condition in conditions.split(","):
        name, _, value = condition.partition("=")
        if name not in SELECTABLE:
            raise ConfigError(
                f"selection {condition!r}: wanted FIELD=VALUE with one of {', '.join(SELECTABLE)}"
            )
        chosen = chosen[chosen[name].astype(str) == value]
        if chosen.empty:
            known = sorted(results[name].astype(str).unique())
            raise ConfigError(f"no result has {condition!r}: there are {', '.join(known)}")
    return chosen


def load_side(side: str) -> tuple[RunVotes, ...]:
    """Read the predictions of every run of one side."""
    return tuple(_load_run(folder) for folder in run_folders(side))


def _load_run(folder: Path) -> RunVotes:
    info = read_info(folder)
    return RunVotes(
        folder=folder,
        fold=info.spec.fold.name,
        seed=info.spec.seed,
        split_hash=info.spec.split_hash,
        cache=(info.cache_path, info.spec.cache_fingerprint),
        predictions=read_predictions(folder / PREDICTIONS_FILE, len(info.spec.classes)),
    )


def pair_up(
    first: Sequence[RunVotes], second: Sequence[RunVotes]
) -> list[tuple[RunVotes, RunVotes]]:
    """Pair runs by split, and by seed where a side has several runs of a split.

    Raises:
        ContractError: a run has no partner, or two.
    """
    by_seed = any(len({run.split_hash for run in side}) < len(side) for side in (first, second))

    def by_key(side: Sequence[RunVotes]) -> dict[tuple[str, int], RunVotes]:
        runs: dict[tuple[str, int], RunVotes] = {}
        for run in side:
            key = (run.split_hash, run.seed if by_seed else 0)
            if key in runs:
                raise ContractError(
                    f"{runs[key].folder} and {run.folder} are both of fold {run.fold}, seed "
                    f"{run.seed}: select one of them, as DIR#model=student,recipe=default"
                )
            runs[key] = run
        return runs

    ours, theirs = by_key(first), by_key(second)
    for key in ours.keys() ^ theirs.keys():
        single = ours.get(key) or theirs[key]
        raise ContractError(
            f"{single.folder} (fold {single.fold}, seed {single.seed}) has no partner of the same "
            "split: wanted two sides that were tested on the same records"
        )
    pairs = [(run, theirs[key]) for key, run in ours.items()]
    for one, other in pairs:
        records, others = one.predictions.records, other.predictions.records
        if records != others:
            raise ContractError(
                f"{one.folder} was tested on {len(records)} records and {other.folder} on "
                f"{len(others)} others: wanted the same ones in the same order"
            )
    return pairs


def compare(first: str, second: str) -> Comparison:
    """Compare two sides; a positive difference says that the second is better.

    Raises:
        ConfigError: a selection is wrong.
        ContractError: the two were not tested on the same records.
    """
    ours, theirs = load_side(first), load_side(second)
    return compare_votes(first, ours, second, theirs, _person_of(ours[0]))


def compare_votes(
    first: str,
    first_runs: Sequence[RunVotes],
    second: str,
    second_runs: Sequence[RunVotes],
    person_of: pd.Series[int] | None,
) -> Comparison:
    """The same of predictions that were read, with the person of each record where known.

    Raises:
        ContractError: the two were not tested on the same records.
    """
    pairs = pair_up(first_runs, second_runs)
    ours, theirs = _stacked([one for one, _ in pairs]), _stacked([other for _, other in pairs])
    gains = theirs.assign(gain=theirs["correct"] * 1.0 - ours["correct"] * 1.0)
    by_record = gains.groupby("record", sort=False)["gain"].mean()
    by_seed = gains.groupby(["seed", "run"])["gain"].mean().groupby("seed").mean()
    people = None if person_of is None else person_of[by_record.index].to_numpy()
    by_person = None if people is None else by_record.groupby(people).mean()
    return Comparison(
        first=_side(first, [one for one, _ in pairs], ours, person_of),
        second=_side(second, [other for _, other in pairs], theirs, person_of),
        n_records=len(by_record),
        n_pairs=len(pairs),
        difference=float(by_seed.mean()),
        difference_interval=_interval(by_record, people),
        interval_draws="records" if people is None else "people",
        seeds=_plain(by_seed),
        seed_standard_error=float(by_seed.sem()) if len(by_seed) > 1 else None,
        mcnemar=tuple(_tests(ours, theirs)),
        people=None if by_person is None else _plain(by_person),
        people_p=None if by_person is None else paired_test(by_person.to_numpy()),
    )


def _stacked(runs: Sequence[RunVotes]) -> pd.DataFrame:
    """A row a record and run: ``record``, ``correct``, ``run`` (its number), ``fold``, ``seed``."""
    sizes = [len(run.predictions.records) for run in runs]
    return pd.DataFrame(
        {
            "record": [record for run in runs for record in run.predictions.records],
            "correct": np.concatenate([run.predictions.correct for run in runs]),
            "run": np.repeat(np.arange(len(runs)), sizes),
            "fold": np.repeat(np.array([run.fold for run in runs], dtype=object), sizes),
            "seed": np.repeat([run.seed for run in runs], sizes),
        }
    )


def _person_of(run: RunVotes) -> pd.Series[int] | None:
    """Record to person, from the cache if it is where it was and what it was."""
    path, fingerprint = run.cache
    try:
        from dmft.data.cache import open_columns

        cache = open_columns(path)
    except ContractError as error:
        log.warning("no intervals over people: %s", error)
        return None
    if cache.spec.fingerprint != fingerprint or "subject" not in cache.columns:
        return None
    return pd.Series(cache.columns["subject"], index=list(cache.record_ids))


def _tests(ours: pd.DataFrame, theirs: pd.DataFrame) -> list[SeedTest]:
    tests = []
    for seed, rows in theirs.groupby("seed").groups.items():
        test = mcnemar(ours["correct"][rows].to_numpy(), theirs["correct"][rows].to_numpy())
        counts = {"only_first": test.n_only_first, "only_second": test.n_only_second}
        tests.append(SeedTest(seed=int(str(seed)), **counts, p=test.p))
    return tests


def _side(
    name: str, runs: Sequence[RunVotes], stacked: pd.DataFrame, person_of: pd.Series[int] | None
) -> Side:
    by_record = stacked.groupby("record", sort=False)["correct"].mean()
    by_run = stacked.groupby(["fold", "run"], sort=False)["correct"].mean()
    people = None if person_of is None else person_of[by_record.index].to_numpy()
    errors = [calibration_error(r.predictions.probabilities, r.predictions.labels) for r in runs]
    return Side(
        name=name,
        n_runs=len(runs),
        accuracy=float(by_run.mean()),
        interval=_interval(by_record, people),
        calibration_error=math.fsum(errors) / len(errors),
        folds=_plain(by_run.groupby("fold", sort=False).mean()),
    )


def _interval(
    by_record: pd.Series[float], people: NDArray[np.int64] | None
) -> tuple[float, float] | None:
    """What new people would give; None of one person, who says nothing of others."""
    if people is not None and len(set(people.tolist())) == 1:
        return None
    found = bootstrap_interval(by_record.to_numpy(), people)
    return found.low, found.high


def _plain(values: pd.Series[float]) -> dict[str, float]:
    return {str(name): float(value) for name, value in values.items()}
