"""Is one run better than another? Paired, on the same records, with intervals for new people.

A side is a run folder, a folder of folds, or runs of an experiment, ``DIR#model=student``. Runs
are paired by the records that they were tested on, and by seed where there are several.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmft.data.cache import open_columns
from dmft.evaluation.significance import bootstrap_interval, calibration_error, mcnemar, paired_test
from dmft.experiments.results import Result, read_results
from dmft.runs.files import read_json
from dmft.runs.folder import PREDICTIONS_FILE, fold_folders, read_info
from pipeline.contract import ConfigError, ContractError

SELECTOR = "#"
SELECTABLE = (
    *("model", "fusion", "fusion_tokens", "protocol", "fold", "modalities", "seed"),
    *("recipe", "experiment"),
)
"""Fields of a result that runs are selected by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Votes:
    """The predictions of one run on its test records."""

    folder: Path
    """The run's."""
    fold: str
    """Name."""
    seed: int
    """Of the training."""
    split_hash: str
    """What was trained and tested on."""
    cache: tuple[str, str]
    """Path and fingerprint."""
    records: tuple[str, ...]
    """Identities."""
    labels: NDArray[np.int64]
    """Shapes: (N,)."""
    probabilities: NDArray[np.float64]
    """Shapes: (N, K)."""
    right: NDArray[np.bool_]
    """Shapes: (N,)."""


def run_folders(place: str) -> tuple[Path, ...]:
    """Return the folders of the runs that one side names.

    Raises:
        ConfigError: the part behind ``#`` is not a selection, or selects nothing.
        ContractError: there is no run, or no results file.
    """
    path, selector, wanted = place.partition(SELECTOR)
    if not selector:
        return fold_folders(Path(path))
    return tuple(Path(path) / result.run for result in select(read_results(Path(path)), wanted))


def load_votes(place: str) -> tuple[Votes, ...]:
    """Read the predictions of every run of one side."""
    return tuple(_votes_of(folder) for folder in run_folders(place))


def select(results: Sequence[Result], wanted: str) -> tuple[Result, ...]:
    """Return the results that fit ``field=value,field=value``; modalities as ``skeleton+inertial``.

    Raises:
        ConfigError: a field is unknown, or nothing fits.
    """
    chosen = list(results)
    for condition in wanted.split(","):
        name, _, value = condition.partition("=")
        if name not in SELECTABLE:
            raise ConfigError(
                f"selection {condition!r}: wanted FIELD=VALUE with one of {', '.join(SELECTABLE)}"
            )
        chosen = [result for result in chosen if _text(getattr(result, name)) == value]
        if not chosen:
            found = sorted({_text(getattr(result, name)) for result in results})
            raise ConfigError(f"no result has {condition!r}: there are {', '.join(found)}")
    return tuple(chosen)


def _text(value: object) -> str:
    return "+".join(value) if isinstance(value, tuple) else str(value)


def _votes_of(folder: Path) -> Votes:
    info = read_info(folder)
    table = read_json(folder / PREDICTIONS_FILE, "the predictions of a finished run")
    labels = np.array(table["labels"], dtype=np.int64)
    return Votes(
        folder=folder,
        fold=info.spec.fold.name,
        seed=info.spec.seed,
        split_hash=info.spec.split_hash,
        cache=(info.cache_path, info.spec.cache_fingerprint),
        records=tuple(table["records"]),
        labels=labels,
        probabilities=np.array(table["probabilities"], dtype=np.float64),
        right=np.array(table["predicted"]) == labels,
    )


def pair_up(first: Sequence[Votes], second: Sequence[Votes]) -> list[tuple[Votes, Votes]]:
    """Pair runs by split, and by seed where a side has several runs of a split.

    Raises:
        ContractError: a run has no partner, or two.
    """
    by_seed = any(len({v.split_hash for v in side}) < len(side) for side in (first, second))

    def keyed(side: Sequence[Votes]) -> dict[tuple[str, int], Votes]:
        found: dict[tuple[str, int], Votes] = {}
        for votes in side:
            key = (votes.split_hash, votes.seed if by_seed else 0)
            if key in found:
                raise ContractError(
                    f"{found[key].folder} and {votes.folder} are both of fold {votes.fold}, seed "
                    f"{votes.seed}: select one of them, as DIR#model=student,recipe=default"
                )
            found[key] = votes
        return found

    ours, theirs = keyed(first), keyed(second)
    for key in ours.keys() ^ theirs.keys():
        alone = ours.get(key) or theirs[key]
        raise ContractError(
            f"{alone.folder} (fold {alone.fold}, seed {alone.seed}) has no partner of the same "
            "split: wanted two sides that were tested on the same records"
        )
    pairs = [(votes, theirs[key]) for key, votes in ours.items()]
    for one, other in pairs:
        if one.records != other.records:
            raise ContractError(
                f"{one.folder} was tested on {len(one.records)} records and {other.folder} on "
                f"{len(other.records)} others: wanted the same ones in the same order"
            )
    return pairs


def compare(first: str, second: str) -> dict[str, Any]:
    """Compare two sides; a positive difference says that the second is better.

    Raises:
        ConfigError: a selection is wrong.
        ContractError: the two were not tested on the same records.
    """
    pairs = pair_up(load_votes(first), load_votes(second))
    subjects = _subjects(pairs)
    gains: dict[str, list[float]] = {}
    for one, other in pairs:
        for record, gain in zip(one.records, other.right * 1.0 - one.right * 1.0, strict=True):
            gains.setdefault(record, []).append(float(gain))
    per_record = {record: statistics.fmean(each) for record, each in gains.items()}
    people = None
    if subjects is not None:
        people = np.array([subjects[record] for record in per_record])
    values = np.array(list(per_record.values()))
    seeds = _seed_differences(pairs)
    spread = statistics.stdev(seeds.values()) if len(seeds) > 1 else None
    interval = bootstrap_interval(values, people)
    report: dict[str, Any] = {
        "first": _side(first, [one for one, _ in pairs], subjects),
        "second": _side(second, [other for _, other in pairs], subjects),
        "n_records": len(per_record),
        "n_pairs": len(pairs),
        "difference": statistics.fmean(seeds.values()),
        "difference_interval": [interval.low, interval.high],
        "interval_draws": "records" if people is None else "people",
        "seeds": seeds,
        "seed_standard_error": None if spread is None else spread / math.sqrt(len(seeds)),
        "mcnemar": _mcnemar(pairs),
    }
    if people is not None:
        each = {int(p): float(values[people == p].mean()) for p in np.unique(people)}
        report["people"] = {str(person): gain for person, gain in each.items()}
        report["people_p"] = paired_test(np.array(list(each.values())))
    return report


def _subjects(pairs: Sequence[tuple[Votes, Votes]]) -> Mapping[str, int] | None:
    """Record to person, from the cache if it is where it was and what it was."""
    path, fingerprint = pairs[0][0].cache
    try:
        cache = open_columns(path)
    except ContractError:
        return None
    if cache.spec.fingerprint != fingerprint or "subject" not in cache.columns:
        return None
    return dict(zip(cache.record_ids, cache.columns["subject"].tolist(), strict=True))


def _by_seed(pairs: Sequence[tuple[Votes, Votes]]) -> dict[int, list[tuple[Votes, Votes]]]:
    """Pairs by the second side's seed: every record once a seed."""
    found: dict[int, list[tuple[Votes, Votes]]] = {}
    for pair in pairs:
        found.setdefault(pair[1].seed, []).append(pair)
    return found


def _seed_differences(pairs: Sequence[tuple[Votes, Votes]]) -> dict[str, float]:
    return {
        str(seed): statistics.fmean(float(b.right.mean() - a.right.mean()) for a, b in each)
        for seed, each in sorted(_by_seed(pairs).items())
    }


def _mcnemar(pairs: Sequence[tuple[Votes, Votes]]) -> list[dict[str, Any]]:
    """One exact test a seed: records of several seeds are not independent."""
    tests = []
    for seed, each in sorted(_by_seed(pairs).items()):
        found = mcnemar(
            np.concatenate([a.right for a, _ in each]), np.concatenate([b.right for _, b in each])
        )
        counts = {"only_first": found.n_only_first, "only_second": found.n_only_second}
        tests.append({"seed": seed, **counts, "p": found.p})
    return tests


def _side(place: str, runs: Sequence[Votes], subjects: Mapping[str, int] | None) -> dict[str, Any]:
    right: dict[str, list[float]] = {}
    for votes in runs:
        for record, hit in zip(votes.records, votes.right.tolist(), strict=True):
            right.setdefault(record, []).append(float(hit))
    values = np.array([statistics.fmean(each) for each in right.values()])
    people = None if subjects is None else np.array([subjects[record] for record in right])
    interval = bootstrap_interval(values, people)
    folds: dict[str, list[float]] = {}
    for votes in runs:
        folds.setdefault(votes.fold, []).append(float(votes.right.mean()))
    return {
        "name": place,
        "n_runs": len(runs),
        "accuracy": statistics.fmean(float(votes.right.mean()) for votes in runs),
        "interval": [interval.low, interval.high],
        "calibration_error": statistics.fmean(
            calibration_error(votes.probabilities, votes.labels) for votes in runs
        ),
        "folds": {name: statistics.fmean(each) for name, each in folds.items()},
    }
