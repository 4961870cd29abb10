"""Run folders to plain data: one fold, several folds, many runs; finished ones only.

Folders of single folds that differ in nothing but the fold become one run, as if ``--fold all``
had trained them. Only JSON is read: neither weights nor caches need to be there. What cannot be
shown is listed with its reason, never dropped in silence.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dmft.evaluation.averages import mean_of_folds, natural_key
from dmft.evaluation.calibration import Calibration, read_calibration
from dmft.evaluation.fault_scores import FaultScores, read_faults
from dmft.evaluation.metrics import RunMetrics, read_metrics
from dmft.evaluation.predictions import Predictions, read_predictions
from dmft.reports.names import is_hash, run_names
from dmft.runs.files import read_file
from dmft.runs.folder import (
    EPOCHS_FILE,
    FOLDS_FILE,
    METRICS_FILE,
    PREDICTIONS_FILE,
    RUN_FILE,
    fold_folders,
    is_run,
    read_info,
)
from dmft.runs.spec import KINDS, RunInfo
from pipeline.common.settings import to_table
from pipeline.contract import ContractError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeasuredFold:
    """One fold's folder, read."""

    folder: Path
    """Where it was found."""
    info: RunInfo
    """What it is."""
    metrics: RunMetrics
    """Its ``metrics.json``."""
    votes: Predictions
    """Its ``predictions.json``."""
    predictions: pd.DataFrame
    """Of that ``record``, ``label``, ``predicted``, ``probability`` and ``correct``, in the order
    of the file."""
    epochs: pd.DataFrame
    """Its ``epochs.jsonl``: ``epoch``, ``loss``, ``accuracy`` and more."""
    faults: Mapping[str, FaultScores]
    """What ``dmft robustness`` found, by fault; empty where it was not run."""
    calibration: Calibration | None = None
    """What ``dmft calibrate`` found; None where it was not run."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """One run: a model trained and measured on the folds of a protocol."""

    name: str
    """Short and unique among the runs that were loaded together."""
    setting: str
    """Equal for runs that differ in nothing but the seed."""
    folds: tuple[MeasuredFold, ...]
    """At least one."""
    metrics: RunMetrics
    """Over all folds: as :func:`dmft.evaluation.metrics.mean_of_folds` gives them."""

    def __post_init__(self) -> None:
        if not self.folds:
            raise ContractError(f"run {self.name!r} has no folds: wanted at least one")

    @property
    def info(self) -> RunInfo:
        """What the first fold is; the others differ in their records alone."""
        return self.folds[0].info

    @property
    def predictions(self) -> pd.DataFrame:
        """Those of all folds."""
        return pd.concat([fold.predictions for fold in self.folds], ignore_index=True)

    @property
    def errors(self) -> pd.DataFrame:
        """Predictions of the records that were taken for another class."""
        predictions = self.predictions
        return predictions[~predictions["correct"]]


def load_runs(folders: Sequence[Path]) -> tuple[tuple[Measured, ...], tuple[str, ...]]:
    """Read runs, and folders of runs; return them and a line for each that cannot be shown.

    Raises:
        ContractError: a folder does not exist, or there is no finished run in any of them.
    """
    skipped: list[str] = []
    groups: dict[str, list[MeasuredFold]] = {}
    for top in folders:
        if not top.is_dir():
            raise ContractError(f"{top} is not a folder: wanted a run, or a folder of runs")
        for run in _find_runs(top):
            for folder in fold_folders(run):
                try:
                    fold = _read_fold(folder, skipped)
                except ContractError as error:
                    skipped.append(str(error))
                else:
                    groups.setdefault(_group_of(run, fold, groups), []).append(fold)
    if not groups:
        shown = ", ".join(map(str, folders))
        why = f" ({'; '.join(skipped)})" if skipped else ""
        raise ContractError(
            f"{shown}: no finished run in there{why}. Make one with 'dmft train', or name its "
            f"folder, the one with {RUN_FILE} or {FOLDS_FILE}."
        )
    ordered = [
        sorted(folds, key=lambda fold: natural_key(fold.info.spec.fold.name))
        for folds in groups.values()
    ]
    settings = list(dict.fromkeys(_setting_of(folds[0].info) for folds in ordered))
    ordered.sort(key=lambda folds: _rank(folds[0].info, settings))
    infos = [folds[0].info for folds in ordered]
    names = run_names(infos, [_naming_folder(folds) for folds in ordered])
    runs = [
        Measured(
            name=name,
            setting=_setting_of(folds[0].info),
            folds=tuple(folds),
            metrics=mean_of_folds([fold.metrics for fold in folds]),
        )
        for name, folds in zip(names, ordered, strict=True)
    ]
    return tuple(runs), tuple(skipped)


def _rank(info: RunInfo, settings: Sequence[str]) -> tuple[Any, ...]:
    """Puts what belongs together side by side, whatever its folders are called."""
    spec = info.spec
    modalities = (-len(spec.modalities), spec.modalities)
    setting = settings.index(_setting_of(info))
    return info.source.protocol.name, modalities, KINDS.index(spec.kind), setting, spec.seed


def _find_runs(top: Path) -> Iterator[Path]:
    """Run folders in and below a folder, in the order of their names."""
    if is_run(top):
        yield top
        return
    for below in sorted(top.iterdir()):
        if below.is_dir() and not below.is_symlink() and not below.name.startswith("."):
            yield from _find_runs(below)


def _read_fold(folder: Path, skipped: list[str]) -> MeasuredFold:
    """Read one fold. Faults and a calibration that cannot be read are skipped alone.

    Raises:
        ContractError: a file is damaged or missing, or the training has not ended.
    """
    info = read_info(folder)
    if info.outcome is None:
        raise ContractError(
            f"{folder}: its training has not ended; the same command again goes on with it"
        )
    if info.spec.fold.is_every_record:
        raise ContractError(
            f"{folder}: it was trained on every record and has no figures of its own; show the run "
            "of all folds"
        )
    if not (folder / METRICS_FILE).exists():
        raise ContractError(
            f"{folder}: it has no figures yet; the same 'dmft train' or 'dmft distill' again "
            "measures it"
        )
    metrics = read_metrics(folder / METRICS_FILE, info.spec.classes)
    faults: Mapping[str, FaultScores] = {}
    calibration = None
    try:
        faults = read_faults(folder, info)
    except ContractError as error:
        skipped.append(str(error))
    try:
        calibration = read_calibration(folder, info)
    except ContractError as error:
        skipped.append(str(error))
    votes = read_predictions(folder / PREDICTIONS_FILE, len(info.spec.classes))
    return MeasuredFold(
        folder=folder,
        info=info,
        metrics=metrics,
        votes=votes,
        predictions=votes.to_frame(),
        epochs=_read_epochs(folder / EPOCHS_FILE, info.finished.epochs_sha256),
        faults=faults,
        calibration=calibration,
    )


def _read_epochs(path: Path, sha256: str) -> pd.DataFrame:
    content = read_file(path)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ContractError(f"{path} is not what was written: restore it, or train again")
    return pd.read_json(io.BytesIO(content), lines=True, precise_float=True)


def _setting_of(info: RunInfo) -> str:
    """What a run is, its seed, its fold and its machine apart."""
    table = to_table(info.spec)
    kept = ("kind", "config", "cache_fingerprint", "stored", "classes")
    content = {key: table[key] for key in kept} | {"protocol": info.source.protocol.name}
    content["modalities"] = list(info.spec.stored)
    content["n_teachers"] = len(info.spec.teachers)
    content |= {name: table[name] for name in ("network", "loss", "augment")}
    held_out = info.spec.validation
    content["validation"] = held_out and (held_out.by, held_out.keep, held_out.patience)
    return json.dumps(content, sort_keys=True)


def _group_of(run: Path, fold: MeasuredFold, groups: Mapping[str, list[MeasuredFold]]) -> str:
    """Which run a fold belongs to: its own folder's, or that of its single-fold siblings."""
    if fold.folder != run:
        return str(run)
    info = fold.info
    key = f"{run.parent}/{_setting_of(info)}/{info.spec.seed}/{info.source.protocol.metric}"
    names = {other.info.spec.fold.name for other in groups.get(key, [])}
    return f"{run}" if info.spec.fold.name in names else key


def _naming_folder(folds: Sequence[MeasuredFold]) -> Path | None:
    """The folder that names a run; None where no person named one."""
    folder = folds[0].folder
    if (folder.parent / FOLDS_FILE).exists() and len(folds) > 1:
        folder = folder.parent
    elif len(folds) > 1:
        return None
    return None if is_hash(folder) else folder
