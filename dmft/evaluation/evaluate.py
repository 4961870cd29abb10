"""Measure finished runs on their test folds; nothing here trains or chooses anything."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dmft.data import Cache, open_cache
from dmft.evaluation.baseline import neighbour_accuracy
from dmft.evaluation.metrics import accuracy, class_accuracies, figures, macro_f1
from dmft.evaluation.missing_modalities import missing_modalities
from dmft.models import BRANCHES, overall_vote
from dmft.protocols import Fold, make_fold
from dmft.runs.files import write_json
from dmft.runs.folder import METRICS_FILE, PREDICTIONS_FILE, fold_folders, read_info
from dmft.runs.trained import TrainedRun, check_cache_fits, load_run, present_of
from pipeline.contract import ContractError


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldFigures:
    """Figures of one run and the predictions behind them."""

    report: dict[str, Any]
    """Plain numbers, as in ``metrics.json``."""
    predictions: dict[str, Any]
    """Record, label, prediction and probabilities, as in ``predictions.json``."""


def measure(run: TrainedRun, cache: Cache, fold: Fold) -> FoldFigures:
    """Measure one run on a fold's test records."""
    info = run.info
    rows = fold.test
    logits = run.logits(cache, rows)
    present, labels = present_of(cache, info.spec.modalities)[rows], cache.labels[rows]
    probabilities = overall_vote(logits, present, info.spec.config.voting.rule)
    baseline = neighbour_accuracy(run, cache, fold)
    report = {
        "kind": info.spec.kind,
        "protocol": info.source.protocol.name,
        "fold": fold.name,
        "metric": info.source.protocol.metric,
        "seed": info.spec.seed,
        "cache_fingerprint": cache.spec.fingerprint,
        "split_hash": fold.split_hash,
        "classes": list(info.spec.classes),
        **figures(logits, present, labels, info.spec.modalities, info.spec.config.voting.rule),
        "missing_modalities": missing_modalities(run, cache, rows),
        "nearest_neighbour_accuracy": baseline,
        "n_parameters": info.finished.n_parameters,
        "saved_bytes": info.finished.saved_bytes,
        "seconds_per_epoch": info.finished.seconds_per_epoch,
    }
    predictions = {
        "records": [cache.record_ids[i] for i in rows.tolist()],
        "labels": labels.tolist(),
        "predicted": probabilities.argmax(dim=-1).tolist(),
        "probabilities": [[round(p, 6) for p in row] for row in probabilities.tolist()],
    }
    return FoldFigures(report=report, predictions=predictions)


def write_figures(folder: Path, found: FoldFigures) -> None:
    """Write a fold's figures and predictions into its run folder."""
    write_json(folder / METRICS_FILE, found.report)
    write_json(folder / PREDICTIONS_FILE, found.predictions, indent=None)


def evaluate(
    folder: str | Path,
    *,
    cache_path: str | Path | None = None,
    device: str = "cpu",
    memory: int | None = None,
    on_cache: Callable[[Cache], None] | None = None,
) -> dict[str, Any]:
    """Measure a run folder, or every fold of one; by default on the cache it was trained on.

    A cache whose patches need more than ``memory`` bytes stays on the disk. ``on_cache`` is called
    with each that is opened.

    Raises:
        ContractError: the folder is not a finished run, or the cache has changed.
    """
    caches: dict[tuple[str, tuple[str, ...]], Cache] = {}
    reports = []
    folders = fold_folders(Path(folder))
    for each in folders:
        info = read_info(each)
        path = str(cache_path or info.cache_path)
        key = (path, info.spec.modalities)
        if key not in caches:
            caches[key] = open_cache(path, info.spec.modalities, memory=memory)
            if on_cache is not None:
                on_cache(caches[key])
        cache = caches[key]
        if cache_path is None and cache.spec.fingerprint != info.spec.cache_fingerprint:
            raise ContractError(
                f"{path} has changed since the run: its fingerprint is "
                f"{cache.spec.fingerprint[:12]!r}, the run's {info.spec.cache_fingerprint[:12]!r}. "
                "Name a cache with --cache to measure on it all the same."
            )
        check_cache_fits(info.spec, cache)
        fold = make_fold(info.spec.fold, cache, info.source.protocol.name)
        reports.append(measure(load_run(each, device), cache, fold).report)
    is_one_run = folders == (Path(folder),)
    return reports[0] if is_one_run else summarise(reports)


def summarise(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean over folds of what is quoted, and the sum of their confusion matrices."""
    matrix = _added([r["confusion"] for r in reports])
    first = reports[0]

    def mean(*path: str) -> float:
        found = []
        for report in reports:
            value: Any = report
            for key in path:
                value = value[key]
            found.append(float(value))
        return statistics.fmean(found)

    measures = ("accuracy", "macro_f1")
    modalities: dict[str, dict[str, Any]] = {
        m: {k: mean("modalities", m, k) for k in measures}
        | {s: {k: mean("modalities", m, s, k) for k in measures} for s in BRANCHES}
        for m in first["modalities"]
    }
    # Runs that were measured by earlier versions have neither of the two.
    if all("confusion" in of for r in reports for of in r["modalities"].values()):
        for m, of in modalities.items():
            of["confusion"] = _added([r["modalities"][m]["confusion"] for r in reports]).tolist()
            of["n_records"] = sum(r["modalities"][m]["n_records"] for r in reports)
    left = list(zip(*(r.get("missing_modalities", ()) for r in reports), strict=False))
    accuracies = [report["accuracy"] for report in reports]
    return {
        **{k: first[k] for k in ("kind", "protocol", "metric", "seed", "classes")},
        "n_folds": len(reports),
        "n_records": sum(report["n_records"] for report in reports),
        "n_without_modality": sum(report["n_without_modality"] for report in reports),
        "accuracy": mean("accuracy"),
        "accuracy_spread": statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0,
        "macro_f1": mean("macro_f1"),
        "pooled_accuracy": accuracy(matrix),
        "pooled_macro_f1": macro_f1(matrix),
        "modalities": modalities,
        "class_accuracy": class_accuracies(matrix),
        "confusion": matrix.tolist(),
        "missing_modalities": [
            {"modalities": each[0]["modalities"], "n_records": sum(e["n_records"] for e in each)}
            | {k: statistics.fmean(e[k] for e in each) for k in measures}
            for each in left
        ],
        "nearest_neighbour_accuracy": mean("nearest_neighbour_accuracy"),
        "n_parameters": first["n_parameters"],
        "saved_bytes": first["saved_bytes"],
        "seconds_per_epoch": mean("seconds_per_epoch"),
        "folds": [{k: r[k] for k in ("fold", "accuracy", "macro_f1")} for r in reports],
    }


def _added(matrices: Sequence[list[list[int]]]) -> Tensor:
    """Sum of the folds' confusion matrices.

    Shapes: F lists (K, K) -> (K, K).
    """
    return torch.stack([torch.tensor(matrix) for matrix in matrices]).sum(dim=0)
