"""Measure finished runs on their test folds; nothing here trains or chooses anything."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dmft.data import Cache, open_cache
from dmft.evaluation.averages import mean_of_folds
from dmft.evaluation.baseline import neighbour_accuracy
from dmft.evaluation.metrics import (
    FoldScores,
    RunMetrics,
    VoteMetrics,
    values_of,
    vote_metrics,
)
from dmft.evaluation.missing_modalities import missing_modalities
from dmft.evaluation.predictions import Predictions, write_predictions
from dmft.models import overall_vote
from dmft.protocols import Fold, make_fold
from dmft.protocols.shared_files import seen_by
from dmft.runs.files import write_json
from dmft.runs.folder import METRICS_FILE, PREDICTIONS_FILE, fold_folders
from dmft.runs.spec import RunInfo
from dmft.runs.trained import TrainedRun, check_cache_fits, load_run, present_of
from pipeline.common.settings import to_table
from pipeline.contract import ContractError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Figures of one run and the predictions behind them."""

    metrics: RunMetrics
    """As in ``metrics.json``."""
    predictions: Predictions
    """As in ``predictions.json``."""


def measure(run: TrainedRun, cache: Cache, fold: Fold) -> Measurement:
    """Measure one run on a fold's test records."""
    info, rows = run.info, fold.test
    answer = run.ask(cache, rows)
    present, labels = present_of(cache, info.spec.modalities)[rows], cache.labels[rows]
    voting = info.spec.config.voting
    probabilities = overall_vote(answer, present, voting)
    votes = vote_metrics(answer, present, labels, info.spec.modalities, voting)
    metrics = RunMetrics(
        kind=info.spec.model_name,
        protocol=info.source.protocol.name,
        metric=info.source.protocol.metric,
        seed=info.spec.seed,
        classes=info.spec.classes,
        **values_of(VoteMetrics, votes),
        n_folds=1,
        folds=(
            FoldScores(
                fold=fold.name,
                split_hash=fold.split_hash,
                cache_fingerprint=cache.spec.fingerprint,
                accuracy=votes.accuracy,
                macro_f1=votes.macro_f1,
            ),
        ),
        accuracy_spread=0.0,
        pooled_accuracy=votes.accuracy,
        pooled_macro_f1=votes.macro_f1,
        missing_modalities=missing_modalities(run, cache, rows),
        nearest_neighbour_accuracy=neighbour_accuracy(run, cache, fold),
        n_parameters=info.finished.n_parameters,
        saved_bytes=info.finished.saved_bytes,
        seconds_per_epoch=info.finished.seconds_per_epoch,
    )
    predictions = Predictions(
        records=tuple(cache.record_ids[i] for i in rows.tolist()),
        labels=labels.numpy(),
        predicted=probabilities.argmax(dim=-1).numpy(),
        probabilities=probabilities.numpy().astype(np.float64),
    )
    return Measurement(metrics=metrics, predictions=predictions)


def without_scores(metrics: RunMetrics) -> RunMetrics:
    """Figures of a model that nothing is left to measure on: sizes and times, no accuracy."""
    unknown = float("nan")
    return dataclasses.replace(
        metrics,
        accuracy=unknown,
        macro_f1=unknown,
        pooled_accuracy=unknown,
        pooled_macro_f1=unknown,
    )


def write_measurement(folder: Path, measurement: Measurement) -> None:
    """Write a fold's figures and predictions into its run folder."""
    write_predictions(folder / PREDICTIONS_FILE, measurement.predictions)
    write_json(folder / METRICS_FILE, to_table(measurement.metrics))  # last: it says "measured"


def evaluate(
    folder: str | Path,
    *,
    cache_path: str | Path | None = None,
    device: str = "cpu",
    memory: int | None = None,
    trust: bool = False,
    on_cache: Callable[[Cache], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> RunMetrics:
    """Measure a run folder, or every fold of one; by default on the cache it was trained on.

    A cache whose patches need more than ``memory`` bytes stays on the disk; with ``trust`` one that
    nothing vouches for is used. ``on_cache`` is called with each that is opened, ``progress`` with
    the folds that are measured and how many there are.

    Raises:
        ContractError: the folder is not a finished run, or the cache has changed.
    """
    caches = RunCaches(cache_path, memory=memory, trust=trust, on_cache=on_cache)
    folds: list[RunMetrics] = []
    folders = fold_folders(Path(folder))
    for fold_folder in folders:
        if progress is not None:
            progress(len(folds), len(folders))
        run = load_run(fold_folder, device)
        if run.spec.fold.is_every_record:
            raise ContractError(
                f"{fold_folder} was trained on every record, so none is left to measure it on: the "
                "figures of a run of all folds say what to expect of it (dmft train --fold all)"
            )
        folds.append(measure(run, *caches.of(run.info)).metrics)
    return mean_of_folds(folds)


class RunCaches:
    """The caches that some runs are measured on, each read once however many runs share it."""

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        memory: int | None = None,
        trust: bool = False,
        on_cache: Callable[[Cache], None] | None = None,
    ) -> None:
        """Prepare to open them.

        Args:
            path: Where the cache is; by default where each run was trained.
            memory: Bytes that the patches of a cache may need; more stay on the disk.
            trust: Use a cache that nothing vouches for.
            on_cache: Called with each cache that is opened.
        """
        self.path, self.memory, self.trust, self.on_cache = path, memory, trust, on_cache
        self._opened: dict[tuple[str, tuple[str, ...], tuple[str, ...]], Cache] = {}

    def of(self, info: RunInfo) -> tuple[Cache, Fold]:
        """Open a run's cache, or take the one that is open, and make the run's fold on it.

        Raises:
            ContractError: the cache has changed since the run, or does not fit it.
        """
        place = str(self.path or info.cache_path)
        key = (place, info.spec.modalities, info.records)
        if key not in self._opened:
            opened = open_cache(place, info.spec.modalities, memory=self.memory, trust=self.trust)
            self._opened[key] = opened.select(info.records) if info.records else opened
            if self.on_cache is not None:
                self.on_cache(self._opened[key])
        cache = self._opened[key]
        if self.path is None and cache.spec.fingerprint != info.spec.cache_fingerprint:
            raise ContractError(
                f"{cache.path} has changed since the run: its fingerprint is "
                f"{cache.spec.fingerprint[:12]!r}, the run's {info.spec.cache_fingerprint[:12]!r}. "
                "Name a cache with --cache to measure on it all the same."
            )
        check_cache_fits(info.spec, cache)
        if cache.spec.fingerprint != info.spec.cache_fingerprint:
            _warn_of_others(info, cache)
        fold = make_fold(info.spec.fold, cache, info.source.protocol.name)
        return seen_by(fold, cache), fold


def _warn_of_others(info: RunInfo, cache: Cache) -> None:
    """Say that a cache holds other records than those that a run was trained on.

    Raises:
        ContractError: the ones are real people and the others of nobody.
    """
    fabricated = bool(cache.spec.provenance.get("fabricated"))
    if fabricated != info.source.fabricated:
        kinds = {True: "fabricated recordings", False: "real ones"}
        raise ContractError(
            f"{cache.path} holds {kinds[fabricated]} and the run was trained on "
            f"{kinds[not fabricated]}: its figures there would say nothing. "
            f"Name the run's own cache, fingerprint {info.spec.cache_fingerprint[:12]!r}"
        )
    log.warning(
        "%s is not the cache that the run was trained on: the figures are of other records, and "
        "its test side may hold people who were trained on",
        cache.path,
    )
