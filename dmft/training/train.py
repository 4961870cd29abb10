"""Train a model on the folds of a protocol, each into a run folder of its own."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dmft.config import RunConfig
from dmft.data import Batch, Cache, FeatureMaker, make_features
from dmft.data.shuffle import Window
from dmft.data.sources import choose_source
from dmft.evaluation.evaluate import measure, summarise, write_figures
from dmft.models import InputShape
from dmft.protocols import Fold, choose_folds, load_protocol
from dmft.protocols import Protocol as FoldProtocol
from dmft.runs.files import file_sha256, read_json
from dmft.runs.folder import (
    CHECKPOINT_FILE,
    FOLDS_FILE,
    METRICS_FILE,
    MODEL_FILE,
    NOT_DECIDING,
    RUN_FILE,
    RunInfo,
    TrainedRun,
    build_model,
    load_run,
    read_info,
    save_model,
    software_versions,
)
from dmft.training import Learner, TrainingData, fit, fit_together
from dmft.training.checkpoint import write_json
from dmft.training.log import Diary, Watcher
from dmft.training.loop import Objective
from dmft.training.losses import HARD_LOSSES
from pipeline.common.settings import to_table
from pipeline.contract import ConfigError, ContractError

log = logging.getLogger(__name__)


def resolve_device(name: str) -> torch.device:
    """Return the device of a name: auto takes a GPU where there is one.

    Raises:
        ConfigError: cuda is asked for and there is none, or the name is unknown.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device is {name!r}: wanted auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device 'cuda' is asked for and torch sees no GPU: use --device cpu")
    # Has to stand before the first use of cuBLAS for its sums to be repeatable.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def train(
    cache: Cache,
    protocol: str | FoldProtocol,
    out: str | Path,
    *,
    kind: str = "teacher",
    config: RunConfig,
    fold: str | None = None,
    seed: int = 0,
    device: str = "auto",
    watcher: Watcher | None = None,
) -> dict[str, Any]:
    """Train a teacher or a student on one fold, or on all of them; return the figures.

    Raises:
        ConfigError: the protocol, fold or device cannot be used.
        ContractError: the folder holds another run, or the fold cannot be made.
    """
    rules = load_protocol(protocol) if isinstance(protocol, str) else protocol
    folds = choose_folds(rules, cache, fold)
    target = resolve_device(device)

    def one(chosen: Fold, folder: Path) -> dict[str, Any]:
        return train_fold(
            plan_training(
                cache,
                rules,
                chosen,
                folder,
                kind=kind,
                config=config,
                seed=seed,
                on=target,
                watcher=watcher,
            )
        )

    return over_folds(folds, Path(out), many=fold == "all", one=one)


def plan_training(
    cache: Cache,
    protocol: FoldProtocol,
    fold: Fold,
    folder: Path,
    *,
    kind: str,
    config: RunConfig,
    seed: int,
    on: torch.device,
    watcher: Watcher | None = None,
) -> Training:
    """Gather what the training of a teacher or a student on labels takes."""
    window = choose_window(cache, fold, folder)
    info = describe_run(
        cache, protocol, fold, kind=kind, config=config, seed=seed, on=on, window=window
    )
    return Training(
        cache=cache,
        fold=fold,
        info=info,
        folder=folder,
        objective=hard_objective(config),
        maker=make_features(cache, config, fold.train),
        watcher=watcher,
    )


def over_folds(
    folds: Sequence[Fold], out: Path, *, many: bool, one: Callable[[Fold, Path], dict[str, Any]]
) -> dict[str, Any]:
    """Do one fold into ``out``, or several into its sub-folders and sum them up.

    Raises:
        ContractError: ``out`` holds something else.
    """
    if not many:
        return one(folds[0], out)
    names = [fold.name for fold in folds]
    if (out / FOLDS_FILE).exists():
        found = read_json(out / FOLDS_FILE, "a list of folds").get("folds")
        if found != names:
            raise ContractError(
                f"{out} holds the folds {found}, wanted {names}: choose another folder"
            )
    else:
        refuse_occupied(out)
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / FOLDS_FILE, {"folds": names})
    figures = summarise([one(fold, out / f"fold-{fold.name}") for fold in folds])
    write_json(out / METRICS_FILE, figures)
    return figures


def refuse_occupied(out: Path) -> None:
    """Refuse a folder that holds anything that is not the run in question.

    Raises:
        ContractError: it is a file, or a folder with something in it.
    """
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise ContractError(
            f"{out} exists and does not hold this run: choose another folder, or remove it"
        )


def choose_window(cache: Cache, fold: Fold, folder: Path) -> Window | None:
    """Return the window over which a run's epochs are mixed; None where it is all records.

    An interrupted run keeps the one that it began with, whatever memory there is now.
    """
    if (folder / RUN_FILE).exists():
        return read_info(folder).window
    too_small = cache.window is not None and not cache.window.holds(fold.train)
    return cache.window if too_small else None


def describe_run(
    cache: Cache,
    protocol: FoldProtocol,
    fold: Fold,
    *,
    kind: str,
    config: RunConfig,
    seed: int,
    on: torch.device,
    window: Window | None = None,
    teachers: Sequence[TrainedRun] = (),
) -> RunInfo:
    """Gather what decides a run's weights."""
    return RunInfo(
        kind=kind,
        config=config,
        protocol=protocol,
        fold=fold.rule,
        split_hash=fold.split_hash,
        n_train=len(fold.train),
        n_test=len(fold.test),
        cache_path=str(cache.path.resolve()),
        cache_fingerprint=cache.spec.fingerprint,
        stored={
            name: InputShape(n_patches=spec.n_patches, n_features=spec.n_features)
            for name, spec in ((m, cache.modality_spec(m)) for m in cache.modalities)
        },
        classes=cache.spec.classes,
        seed=seed,
        device=on.type,
        window=window,
        teachers=tuple(str(teacher.folder.resolve()) for teacher in teachers),
        teacher_identities=tuple(teacher.info.identity for teacher in teachers),
        versions=software_versions(),
        dataset=cache.spec.dataset,
        encodings={name: dict(cache.modality_spec(name).encoding) for name in cache.modalities},
        encoder_weights=_weights_name(cache),
        manifest_sha256=str(cache.spec.provenance.get("manifest_sha256", "")),
    )


def _weights_name(cache: Cache) -> str:
    weights = cache.spec.provenance.get("weights")
    return str(weights.get("name", "")) if isinstance(weights, Mapping) else ""


def hard_objective(config: RunConfig) -> Objective:
    """Return the loss on labels that the configuration names."""
    loss = HARD_LOSSES[config.training.loss]

    def objective(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        assert batch.targets is not None
        return loss(logits, batch.present, batch.targets)

    return objective


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One model to be trained on one fold, into one folder."""

    cache: Cache
    """What to train on."""
    fold: Fold
    """Its records."""
    info: RunInfo
    """What decides the weights."""
    folder: Path
    """Where to."""
    objective: Objective
    """The loss."""
    maker: FeatureMaker
    """Makes the model's features."""
    watcher: Watcher | None = None
    """Told how it goes."""


def train_fold(training: Training) -> dict[str, Any]:
    """Train one model, going on where an interrupted run of the same stopped; its figures.

    Raises:
        ContractError: the folder holds something else, or the training diverges.
    """
    if _claim(training) != "complete":
        prepared = _Prepared(training)
        fit(prepared.learner)
        prepared.save()
    return _figures(training)


def train_together(trainings: Sequence[Training]) -> list[dict[str, Any] | ContractError]:
    """Train models of one shape at once, each into its folder as :func:`train_fold` would.

    Args:
        trainings: Their runs have the same kind, configuration, features and device.

    Returns:
        Each one's figures, or why it could not be trained.
    """
    found: dict[int, dict[str, Any] | ContractError] = {}
    prepared: dict[int, _Prepared] = {}
    for position, training in enumerate(trainings):
        try:
            if _claim(training) != "complete":
                prepared[position] = _Prepared(training)
        except ContractError as error:
            found[position] = error
    if prepared:
        stopped = fit_together([each.learner for each in prepared.values()])
        for (position, each), why in zip(prepared.items(), stopped, strict=True):
            if why is None:
                each.save()
            else:
                found[position] = why
    for position, training in enumerate(trainings):
        if position not in found:
            found[position] = _figures(training)
    return [found[position] for position in range(len(trainings))]


def _claim(training: Training) -> str:
    """Make a folder the run's own, where it is not that already; return the run's status.

    Raises:
        ContractError: the folder holds something else.
    """
    info, folder = training.info, training.folder
    if (folder / RUN_FILE).exists():
        found = read_info(folder)
        if found.identity != info.identity:
            raise ContractError(
                f"{folder} holds another run: {_difference(found, info)}. Choose another folder."
            )
        return found.status
    refuse_occupied(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / RUN_FILE, info.to_json())
    return info.status


def _figures(training: Training) -> dict[str, Any]:
    """Measure a finished run, where that has not been done."""
    folder, info = training.folder, training.info
    if not (folder / METRICS_FILE).exists():
        found = measure(load_run(folder, info.device), training.cache, training.fold)
        write_figures(folder, found)
    figures = read_json(folder / METRICS_FILE, "the run's figures")
    if training.watcher is not None:
        training.watcher.end(training.fold.name, figures)
    return figures


class _Prepared:
    """A training with its records, its new model and its diary."""

    def __init__(self, training: Training) -> None:
        self.training = training
        cache, fold, info = training.cache, training.fold, training.info
        # Records without any modality cannot be learnt from.
        rows = fold.train[cache.present[fold.train].any(dim=1)]
        if len(rows) < len(fold.train):
            log.warning("%d training records have no modality", len(fold.train) - len(rows))
        if not len(rows):
            raise ContractError(
                f"fold {fold.name}: none of its {len(fold.train)} training records has any of "
                f"{', '.join(cache.modalities)}. Look into the cache's quarantined records."
            )
        device = torch.device(info.device)
        self.maker = training.maker.to(device)
        self.diary = Diary(training.folder, info, fold.name, training.watcher)
        self.learner = Learner(
            build_model(info, self.maker.inputs).to(device),
            training.objective,
            TrainingData(
                source=choose_source(cache, rows, info.window, device),
                maker=self.maker,
                n_classes=len(info.classes),
            ),
            _learnt_with(info),
            seed=info.seed,
            checkpoint=training.folder / CHECKPOINT_FILE,
            identity=info.identity,
            transfer=info.kind == "distilled" and info.config.distill.transfer,
            on_epoch=self.diary.epoch,
            on_resume=self.diary.resume,
        )

    def save(self) -> None:
        """Write the trained model and say that the run is complete."""
        self.diary.close()
        info, folder, model = self.training.info, self.training.folder, self.learner.model
        saved = save_model(folder, info, model, self.maker)
        finished = dataclasses.replace(
            info,
            status="complete",
            n_parameters=sum(p.numel() for p in model.parameters()),
            saved_bytes=saved,
            seconds_per_epoch=self.diary.seconds_per_epoch,
            model_sha256=file_sha256(folder / MODEL_FILE),
        )
        write_json(folder / RUN_FILE, finished.to_json())
        (folder / CHECKPOINT_FILE).unlink(missing_ok=True)


def _learnt_with(info: RunInfo) -> RunConfig:
    """A run's configuration; without hidden modalities for a student, whose streams never meet.

    Hiding one would teach the others nothing, and keep its records from it.
    """
    if info.kind == "teacher":
        return info.config
    augment = dataclasses.replace(info.config.augment, drop_modality=0.0)
    return dataclasses.replace(info.config, augment=augment)


def _difference(found: RunInfo, wanted: RunInfo) -> str:
    """Name the settings in which two runs differ."""

    def flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key, value in table.items():
            nested = isinstance(value, dict)
            out |= flat(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
        return out

    a, b = flat(to_table(found)), flat(to_table(wanted))
    differing = [
        f"{key} is {a.get(key)!r} there and {b.get(key)!r} here"
        for key in sorted(a.keys() | b.keys())
        if a.get(key) != b.get(key) and not key.startswith(NOT_DECIDING)
    ]
    return "; ".join(differing[:3]) or "the order of its modalities differs"
