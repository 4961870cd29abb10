"""From a finished run's folder to its line in the results file.

It reads what the run has written and trains nothing.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np

from dmft.data import Cache
from dmft.evaluation.significance import calibration_error
from dmft.experiments.plan import Row
from dmft.experiments.results import (
    RUNS_FOLDER,
    Measured,
    MeasuredModality,
    MeasuredSubject,
    Result,
)
from dmft.models import BRANCHES
from dmft.runs.files import read_json
from dmft.runs.folder import PREDICTIONS_FILE, read_info
from dmft.runs.trained import present_of
from pipeline.common.settings import to_table
from pipeline.contract import ContractError


def gather(
    row: Row, cache: Cache, *, cache_path: Path, out: Path, experiment: str, together: int
) -> Result:
    """Make the line of a finished run from its folder.

    Raises:
        ContractError: the run is not the row that was planned.
    """
    folder = out / RUNS_FOLDER / row.folder
    info = read_info(folder)
    if info.spec.identity != row.key:
        raise ContractError(
            f"{cache_path} has changed since the rows were planned: {folder} holds run "
            f"{info.spec.identity[:12]!r}, wanted {row.key[:12]!r}. Run the same command again."
        )
    figures = read_json(folder / "metrics.json", "the run's figures")
    votes = read_json(folder / PREDICTIONS_FILE, "the run's predictions")
    measured = _measured(votes, cache, row.modalities)
    now = datetime.datetime.now(datetime.UTC)
    relative = f"{RUNS_FOLDER}/{row.folder}"
    return Result(
        key=row.key,
        experiment=experiment,
        recipe=row.recipe,
        model=row.model,
        fusion=row.fusion,
        fusion_tokens=row.fusion_tokens,
        dataset=cache.spec.dataset,
        protocol=row.protocol.name,
        metric=row.protocol.metric,
        fold=row.fold,
        n_folds=row.n_folds,
        modalities=row.modalities,
        seed=row.seed,
        teachers=row.teachers,
        config=to_table(info.spec.config),
        protocol_table=to_table(info.source.protocol),
        device=info.spec.device,
        cache=str(cache_path),
        cache_fingerprint=info.spec.cache_fingerprint,
        split_hash=info.spec.split_hash,
        n_train=info.spec.n_train,
        n_records=figures["n_records"],
        accuracy=figures["accuracy"],
        macro_f1=figures["macro_f1"],
        calibration_error=_calibration(votes, measured),
        nearest_neighbour_accuracy=figures["nearest_neighbour_accuracy"],
        by_modality={
            name: _measured_modality(found) for name, found in figures["modalities"].items()
        },
        subjects=_by_subject(votes, measured, cache),
        n_parameters=info.finished.n_parameters,
        saved_bytes=info.finished.saved_bytes,
        seconds_per_epoch=info.finished.seconds_per_epoch,
        together=together,
        run=relative,
        predictions=f"{relative}/{PREDICTIONS_FILE}",
        versions=dict(info.source.versions or {}),
        finished_at=now.isoformat(timespec="seconds"),
    )


def _measured_modality(found: dict[str, Any]) -> MeasuredModality:
    streams = {
        stream: Measured(accuracy=found[stream]["accuracy"], macro_f1=found[stream]["macro_f1"])
        for stream in BRANCHES
    }
    return MeasuredModality(
        accuracy=found["accuracy"],
        macro_f1=found["macro_f1"],
        n_records=found["n_records"],
        **streams,
    )


def _measured(votes: dict[str, Any], cache: Cache, modalities: tuple[str, ...]) -> list[int]:
    """Positions in the predictions of records with any modality: the ones that are measured."""
    there = present_of(cache, modalities).any(dim=1).tolist()
    seen = {record for record, any_there in zip(cache.record_ids, there, strict=True) if any_there}
    return [i for i, record in enumerate(votes["records"]) if record in seen]


def _calibration(votes: dict[str, Any], measured: list[int]) -> float:
    if not measured:
        return 0.0
    return calibration_error(
        np.array(votes["probabilities"])[measured], np.array(votes["labels"])[measured]
    )


def _by_subject(
    votes: dict[str, Any], measured: list[int], cache: Cache
) -> dict[str, MeasuredSubject]:
    if "subject" not in cache.columns:
        return {}
    subject_of = dict(zip(cache.record_ids, cache.columns["subject"].tolist(), strict=True))
    right: dict[int, list[bool]] = {}
    for i in measured:
        subject = subject_of[votes["records"][i]]
        right.setdefault(subject, []).append(votes["labels"][i] == votes["predicted"][i])
    return {
        str(subject): MeasuredSubject(n_records=len(each), accuracy=sum(each) / len(each))
        for subject, each in sorted(right.items())
    }
