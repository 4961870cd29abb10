"""Run folders to plain data: one fold, several folds, many runs; finished ones only.

Folders of single folds that differ in nothing but the fold become one run, as if ``--fold all``
had trained them. Only JSON is read: neither weights nor caches need to be there. What cannot be
shown is listed with its reason, never dropped in silence.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmft.evaluation.evaluate import summarise
from dmft.evaluation.robustness import read_faults
from dmft.runs.files import read_json
from dmft.runs.folder import (
    EPOCHS_FILE,
    FOLDS_FILE,
    METRICS_FILE,
    PREDICTIONS_FILE,
    RUN_FILE,
    fold_folders,
    read_info,
)
from dmft.runs.spec import KINDS, RunInfo
from pipeline.common.settings import to_table
from pipeline.contract import ContractError


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """One test record."""

    record: str
    """Its id."""
    label: int
    """Its class."""
    predicted: int
    """The class that the overall vote chose."""
    probability: float
    """What the vote gave to that class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredFold:
    """One fold's folder, read."""

    folder: Path
    """Where it was found."""
    info: RunInfo
    """What it is."""
    figures: Mapping[str, Any]
    """Its ``metrics.json``."""
    predictions: tuple[Prediction, ...]
    """In the order of the file; empty where the file is missing."""
    epochs: tuple[Mapping[str, float], ...]
    """Its ``epochs.jsonl``."""
    faults: Mapping[str, Mapping[str, float]]
    """What ``dmft robustness`` found, by fault; empty where it was not run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One run: a model trained and measured on the folds of a protocol."""

    name: str
    """Short and unique among the runs that were loaded together."""
    setting: str
    """Equal for runs that differ in nothing but the seed."""
    folds: tuple[MeasuredFold, ...]
    """At least one."""
    figures: Mapping[str, Any]
    """Over all folds: as :func:`dmft.evaluation.evaluate.summarise` gives them."""

    def __post_init__(self) -> None:
        if not self.folds:
            raise ContractError(f"run {self.name!r} has no folds: wanted at least one")

    @property
    def info(self) -> RunInfo:
        """Of the first fold; the others differ in their records alone."""
        return self.folds[0].info

    @property
    def predictions(self) -> tuple[Prediction, ...]:
        """Of all folds."""
        return tuple(each for fold in self.folds for each in fold.predictions)


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
            for fold in _read_folds(run, skipped):
                key = _group_of(run, fold, groups)
                groups.setdefault(key, []).append(fold)
    if not groups:
        shown = ", ".join(map(str, folders))
        why = f" ({'; '.join(skipped)})" if skipped else ""
        raise ContractError(
            f"{shown}: no finished run in there{why}. Make one with 'dmft train', or name its "
            f"folder, the one with {RUN_FILE} or {FOLDS_FILE}."
        )
    ordered = _in_order(groups.values())
    names = _short_names([_place(each) for each in ordered])
    runs = [
        Measured(
            name=name,
            setting=_setting_of(folds[0].info),
            folds=tuple(folds),
            figures=summarise([dict(fold.figures) for fold in folds]),
        )
        for name, folds in zip(names, ordered, strict=True)
    ]
    return tuple(runs), tuple(skipped)


def _in_order(groups: Iterable[list[MeasuredFold]]) -> list[list[MeasuredFold]]:
    """What belongs together side by side, whatever its folders are called."""
    found = [sorted(folds, key=lambda fold: _natural(fold.info.spec.fold.name)) for folds in groups]
    first: dict[str, int] = {}
    for position, folds in enumerate(found):
        first.setdefault(_setting_of(folds[0].info), position)

    def place(folds: Sequence[MeasuredFold]) -> tuple[Any, ...]:
        info = folds[0].info
        modalities = (-len(info.spec.modalities), info.spec.modalities)
        setting = first[_setting_of(info)]
        return (
            info.source.protocol.name,
            modalities,
            KINDS.index(info.spec.kind),
            setting,
            info.spec.seed,
        )

    return sorted(found, key=place)


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts subject-2 before subject-10."""
    parts = re.findall(r"\d+|\D+", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _find_runs(top: Path) -> Iterator[Path]:
    """Run folders in and below a folder, in the order of their names."""
    if (top / RUN_FILE).exists() or (top / FOLDS_FILE).exists():
        yield top
        return
    for below in sorted(top.iterdir()):
        if below.is_dir() and not below.is_symlink() and not below.name.startswith("."):
            yield from _find_runs(below)


def _read_folds(run: Path, skipped: list[str]) -> Iterator[MeasuredFold]:
    for folder in fold_folders(run):
        try:
            found = _read_fold(folder, skipped)
        except ContractError as error:
            skipped.append(str(error))
            continue
        if isinstance(found, str):
            skipped.append(f"{folder}: {found}")
        else:
            yield found


def _read_fold(folder: Path, skipped: list[str]) -> MeasuredFold | str:
    """Read one fold; or say why it cannot be shown. Faults that cannot be read are skipped alone.

    Raises:
        ContractError: a file is damaged or missing.
    """
    info = read_info(folder)
    if info.outcome is None:
        return "its training has not ended; the same command again goes on with it"
    if not (folder / METRICS_FILE).exists():
        return "it has no figures yet; the same 'dmft train' or 'dmft distill' again measures it"
    figures = read_json(folder / METRICS_FILE, "a run's figures")
    K = len(info.spec.classes)
    shape = [len(row) for row in figures.get("confusion", [])]
    if figures.get("classes") != list(info.spec.classes) or shape != [K] * K:
        return f"its {METRICS_FILE} has not the run's {K} classes; remove it and train again"
    faults: Mapping[str, Mapping[str, float]] = {}
    try:
        faults = read_faults(folder, info)
    except ContractError as error:
        skipped.append(str(error))
    return MeasuredFold(
        folder=folder,
        info=info,
        figures=figures,
        predictions=_read_predictions(folder / PREDICTIONS_FILE, K),
        epochs=_read_epochs(folder / EPOCHS_FILE),
        faults=faults,
    )


def _read_predictions(path: Path, n_classes: int) -> tuple[Prediction, ...]:
    if not path.exists():
        return ()
    content = read_json(path, "a run's predictions")
    try:
        columns = [content[key] for key in ("records", "labels", "predicted", "probabilities")]
        return tuple(
            Prediction(
                record=str(record),
                label=_class(label, n_classes),
                predicted=_class(predicted, n_classes),
                probability=float(votes[predicted]),
            )
            for record, label, predicted, votes in zip(*columns, strict=True)
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ContractError(
            f"{path} is damaged ({type(error).__name__}: {error}): remove it and the "
            f"{METRICS_FILE} beside it, and train again to measure anew"
        ) from error


def _class(value: Any, n_classes: int) -> int:
    if type(value) is not int or not 0 <= value < n_classes:
        raise ValueError(f"{value!r} is not a class from 0 to {n_classes - 1}")
    return value


def _read_epochs(path: Path) -> tuple[Mapping[str, float], ...]:
    if not path.exists():
        return ()
    try:
        return tuple(json.loads(line) for line in path.read_text().splitlines())
    except ValueError as error:
        raise ContractError(f"{path} is damaged ({error}): wanted a JSON object a line") from error


def _setting_of(info: RunInfo) -> str:
    """Hash of what a run is, its seed, its fold and its machine apart."""
    table = to_table(info.spec)
    kept = ("kind", "config", "cache_fingerprint", "stored", "classes")
    content = {key: table[key] for key in kept} | {"protocol": info.source.protocol.name}
    content["modalities"] = list(info.spec.stored)
    content["n_teachers"] = len(info.spec.teachers)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _group_of(run: Path, fold: MeasuredFold, groups: Mapping[str, list[MeasuredFold]]) -> str:
    """Which run a fold belongs to: its own folder's, or that of its single-fold siblings."""
    if fold.folder != run:
        return str(run)
    info = fold.info
    key = f"{run.parent}/{_setting_of(info)}/{info.spec.seed}/{info.source.protocol.metric}"
    held = {each.info.spec.fold.name for each in groups.get(key, [])}
    return f"{run}" if fold.info.spec.fold.name in held else key


def _place(folds: Sequence[MeasuredFold]) -> Path:
    """The folder that names a run."""
    if len(folds) == 1:
        return folds[0].folder
    together = folds[0].folder.parent
    if (together / FOLDS_FILE).exists():
        return together
    info = folds[0].info
    return together / f"{info.spec.kind} {'+'.join(info.spec.modalities)} seed {info.spec.seed}"


def _short_names(places: Sequence[Path]) -> list[str]:
    """Last parts of the paths, as many as tell them apart; numbers where nothing does."""
    resolved = [place.resolve().parts for place in places]
    for depth in range(1, max(map(len, resolved)) + 1):
        names = ["/".join(parts[-depth:]) for parts in resolved]
        if len(set(names)) == len(set(resolved)):
            break
    seen: dict[str, int] = {}
    for index, name in enumerate(names):
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            names[index] = f"{name} ({seen[name]})"
    return names
