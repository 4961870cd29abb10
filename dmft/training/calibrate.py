"""Calibrate a finished run on people of its own training side, each held out once.

The run's recipe is trained again without one group (a person) after another, and asked about the
group that it has not seen. What it is worth on new people shows there, and no test record is
looked at. The models are thrown away; their answers stay beside the run.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dmft.data import Cache
from dmft.evaluation.calibration import (
    Calibration,
    at_temperature,
    error_of,
    fit_temperature,
    fit_threshold,
    read_calibration,
)
from dmft.evaluation.evaluate import RunCaches
from dmft.evaluation.predictions import Predictions, read_predictions, write_predictions
from dmft.protocols import Fold, FoldRule, group_attribute, inner_rules, make_fold
from dmft.runs.files import write_json
from dmft.runs.folder import CALIBRATION_FILE, HELD_OUT_FILE, read_info
from dmft.runs.spec import RunSpec
from dmft.runs.trained import TrainedRun, load_run, present_of
from dmft.training.device import resolve_device
from dmft.training.distill import plan_distillation
from dmft.training.plan import Training, plan_training
from dmft.training.train import train_fold
from pipeline.common.settings import to_table
from pipeline.contract import ConfigError

WORK = "calibration"
"""Folder of the models that are thrown away, in the run's."""


def calibrate(
    folder: str | Path,
    *,
    coverage: float = 0.9,
    by: str = "",
    caches: RunCaches | None = None,
    device: str = "auto",
    on_group: Callable[[int, int], None] | None = None,
) -> Calibration:
    """Learn how sure is sure enough for a run of one fold, and write it into its folder.

    Interrupted, the same call goes on. Asked again, for another coverage say, it trains nothing.

    Args:
        folder: The run of one fold.
        coverage: Part of new records whose class is to be in its set.
        by: Attribute of which one value after another is held out; by default what the protocol
            keeps apart.
        caches: Opens the run's cache; for several folds the same, so that it is read once.
        device: auto, cpu or cuda.
        on_group: Told how many groups are done, of how many.

    Raises:
        ConfigError: ``coverage`` or ``by`` cannot be used.
        ContractError: the run is not finished, or its cache has changed.
    """
    folder = Path(folder)
    if not 0 < coverage < 1:
        raise ConfigError(f"coverage is {coverage}: wanted a number between 0 and 1, such as 0.9")
    run = load_run(folder, resolve_device(device))
    cache, fold = (caches or RunCaches()).of(run.info)
    held_out, before = folder / HELD_OUT_FILE, read_calibration(folder, run.info)
    chosen = by or group_attribute(run.info.source.protocol, fold, cache)
    rules = inner_rules(fold, cache, chosen)
    if not held_out.exists() or (before is not None and before.by != chosen):
        _hold_out(run, cache, rules, held_out, on_group)
    answers = read_predictions(held_out, len(run.spec.classes))
    temperature = fit_temperature(answers.probabilities, answers.labels)
    scaled = at_temperature(answers.probabilities, temperature)
    made = Calibration(
        model_sha256=run.info.finished.model_sha256,
        by=chosen,
        n_groups=len(rules),
        n_records=len(answers.records),
        accuracy=float(answers.correct.mean()),
        calibration_error=error_of(scaled, answers.labels),
        temperature=temperature,
        coverage=coverage,
        threshold=fit_threshold(scaled, answers.labels, coverage),
    )
    write_json(folder / CALIBRATION_FILE, to_table(made))
    shutil.rmtree(folder / WORK, ignore_errors=True)
    return made


def _hold_out(
    run: TrainedRun,
    cache: Cache,
    rules: list[FoldRule],
    path: Path,
    on_group: Callable[[int, int], None] | None,
) -> None:
    """Train without each group, and write what is said of it."""
    parts = []
    for number, rule in enumerate(rules):
        if on_group is not None:
            on_group(number, len(rules))
        inner = make_fold(rule, cache, run.info.source.protocol.name)
        model = _without(run, cache, inner, run.folder / WORK / rule.name)
        rows = inner.test[present_of(cache, run.spec.modalities)[inner.test].any(dim=1)]
        parts.append((rows, model.predict(cache, rows).double().numpy()))
    if on_group is not None:
        on_group(len(rules), len(rules))
    everything = torch.cat([rows for rows, _ in parts])
    probabilities = np.concatenate([votes for _, votes in parts])
    predictions = Predictions(
        records=tuple(cache.record_ids[row] for row in everything.tolist()),
        labels=cache.labels[everything].numpy(),
        predicted=probabilities.argmax(axis=1),
        probabilities=probabilities,
    )
    write_predictions(path, predictions)


def _without(run: TrainedRun, cache: Cache, fold: Fold, folder: Path) -> TrainedRun:
    """The run's recipe on another fold; of a distilled student, its teacher first."""
    spec, protocol = run.spec, run.info.source.protocol
    folder.mkdir(parents=True, exist_ok=True)

    def trained(training: Training) -> TrainedRun:
        train_fold(training)
        return load_run(training.folder, run.device)

    if spec.kind != "distilled":
        return trained(
            plan_training(
                cache,
                protocol,
                fold,
                folder / "model",
                kind=spec.kind,
                config=spec.config,
                seed=spec.seed,
                on=run.device,
                network=spec.network,
                loss=spec.loss,
                augment=spec.augment,
                **_validated(spec),
            )
        )
    known = [read_info(Path(path)) for path in run.info.source.teachers if Path(path).exists()]
    first = known[0].spec if known else spec
    teacher = trained(
        plan_training(
            cache,
            protocol,
            fold,
            folder / "teacher",
            kind="teacher",
            config=first.config,
            seed=first.seed,
            on=run.device,
            network=first.network if known else None,
            loss=first.loss if known else None,
            augment=first.augment if known else None,
        )
    )
    return trained(
        plan_distillation(
            cache,
            fold,
            [teacher],
            folder / "model",
            network=spec.network,
            loss=spec.loss,
            augment=spec.augment,
            config=spec.config,
            seed=spec.seed,
        )
    )


def _validated(spec: RunSpec) -> dict[str, Any]:
    """How the run's recipe holds people out, as a training is planned with."""
    if spec.validation is None:
        return {}
    settings = spec.validation
    return {"validate": settings.by, "keep": settings.keep, "patience": settings.patience}
