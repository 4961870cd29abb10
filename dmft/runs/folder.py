"""A run folder: what it says of itself, its weights, and predicting with them.

    run.json           what the run is: configuration, cache, split, classes, versions, sizes
    model.safetensors  weights and the training fold's statistics
    epochs.jsonl       one line an epoch          metrics.json      figures on the test fold
    checkpoint.safetensors  only while training   predictions.json  the votes behind them
    robustness.json    figures with failing modalities, where they were measured

A run of several folds is a folder of such folders, ``fold-NAME``, with a ``folds.json``.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dmft.config import RunConfig
from dmft.data import Batch, Cache, FeatureMaker, Statistics
from dmft.data.features import FeaturePlan
from dmft.data.shuffle import Window
from dmft.models import InputShape, ModelShape, Student, Teacher, overall_vote
from dmft.protocols import FoldRule, Protocol
from dmft.runs.files import file_sha256, seal_of
from dmft.runs.files import read_json as read_json
from dmft.training.checkpoint import read_tensors, write_tensors
from pipeline.common.settings import parse_table, to_table, what_differs
from pipeline.contract import ConfigError, ContractError

RUN_FORMAT = "dmft-run"
RUN_VERSION = 1
KINDS = ("teacher", "student", "distilled")
RUN_FILE, FOLDS_FILE, MODEL_FILE = "run.json", "folds.json", "model.safetensors"
CHECKPOINT_FILE, EPOCHS_FILE = "checkpoint.safetensors", "epochs.jsonl"
METRICS_FILE, PREDICTIONS_FILE = "metrics.json", "predictions.json"
ROBUSTNESS_FILE = "robustness.json"
PREDICT_BATCH = 128


NOT_DECIDING = (
    *("status", "n_parameters", "saved_bytes", "seconds_per_epoch", "versions"),
    *("cache_path", "teachers", "protocol"),
    # What the cache's fingerprint stands for already, and what follows from the weights.
    *("dataset", "encodings", "encoder_weights", "model_sha256", "manifest_sha256"),
)
"""Entries of a run that are no part of its identity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """What decides a run's weights, and the figures noted beside them; ``run.json``."""

    kind: str
    """teacher, student (trained on labels alone) or distilled."""
    config: RunConfig
    """In full."""
    protocol: Protocol
    """The protocol that the fold belongs to."""
    fold: FoldRule
    """The fold."""
    split_hash: str
    """SHA-256 of the record identities on both sides."""
    n_train: int
    """Training records."""
    n_test: int
    """Test records."""
    cache_path: str
    """Where the cache was; ``evaluate`` looks there again."""
    cache_fingerprint: str
    """The cache's own SHA-256."""
    stored: Mapping[str, InputShape]
    """P and D of each modality in the cache, in the order of the model."""
    classes: tuple[str, ...]
    """Class names."""
    seed: int
    """Source of everything random."""
    device: str
    """cpu or cuda; another device gives other bits."""
    teachers: tuple[str, ...] = ()
    """Folders of the teachers of a distilled student."""
    teacher_identities: tuple[str, ...] = ()
    """What those runs were."""
    status: str = "training"
    """training or complete."""
    n_parameters: int = 0
    """Weights that are learnt."""
    saved_bytes: int = 0
    """Size of ``model.safetensors``."""
    seconds_per_epoch: float = 0.0
    """Median over the epochs."""
    versions: Mapping[str, str] | None = None
    """Of the software that trained it."""
    dataset: str = ""
    """Data set of the cache: names the readers that raw files of it need."""
    encodings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """How the cache says that each modality was encoded; empty in runs of earlier versions."""
    encoder_weights: str = ""
    """Name of the weights that the cache's frames passed; their hash stands in ``encodings``."""
    model_sha256: str = ""
    """Of ``model.safetensors``; empty until it is written, and in runs of earlier versions."""
    window: Window | None = None
    """Over which a streamed training's epochs were mixed; None where it was all records."""
    manifest_sha256: str = ""
    """Of the manifest that the cache was encoded from; empty in runs of earlier versions."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"kind is {self.kind!r}: wanted one of {', '.join(KINDS)}")

    @property
    def modalities(self) -> tuple[str, ...]:
        """In the order of the model."""
        return tuple(self.stored)

    @property
    def identity(self) -> str:
        """SHA-256 over everything that decides the weights.

        Of the configuration, what differs from the fields' defaults: a run of an earlier version,
        which did not know some field, keeps its identity.
        """
        deciding = {k: v for k, v in self._table().items() if k not in NOT_DECIDING}
        deciding["modalities"] = list(self.stored)
        deciding["config"] = what_differs(self.config)
        return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()

    def _table(self) -> dict[str, Any]:
        """All entries; no window where there is none, as in runs of earlier versions."""
        return {k: v for k, v in to_table(self).items() if k != "window" or v is not None}

    def to_json(self) -> dict[str, Any]:
        """As it stands in ``run.json``."""
        head = {"format": RUN_FORMAT, "version": RUN_VERSION, "identity": self.identity}
        table = head | self._table()
        return table | {"sha256": seal_of(table)}


def software_versions() -> dict[str, str]:
    """Versions that a run was made with."""
    names = ("dmft", "torch", "numpy", "zarr", "safetensors")
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def read_info(folder: Path) -> RunInfo:
    """Read ``run.json`` of one fold's folder.

    Raises:
        ContractError: it is not a run folder, of another version, or not what was written.
    """
    table = read_json(folder / RUN_FILE, "a run folder that 'dmft train' wrote")
    header = {key: table.get(key) for key in ("format", "version")}
    if table.pop("format", None) != RUN_FORMAT:
        raise ContractError(f"{folder / RUN_FILE} does not describe a run: wanted '{RUN_FORMAT}'")
    version = table.pop("version", None)
    if version != RUN_VERSION:
        raise ContractError(
            f"{folder} has run version {version!r}; this software reads {RUN_VERSION}. "
            "Train again, or install the version that wrote it."
        )
    found, wanted = table.get("sha256"), seal_of({**table, **header})
    table.pop("identity", None)
    table.pop("sha256", None)
    info = parse_table(RunInfo, table, where=str(folder / RUN_FILE))
    # Earlier versions wrote no hash, and none of the entries that need one.
    if found != wanted and (found is not None or info.encodings or info.model_sha256):
        raise ContractError(
            f"{folder / RUN_FILE} is not what was written: its entries have SHA-256 "
            f"{wanted[:12]!r}, it says {str(found)[:12]!r}. Restore it, or train again."
        )
    return info


def fold_folders(folder: Path) -> tuple[Path, ...]:
    """Return the folder of each fold: itself, where it is one run.

    Raises:
        ContractError: it is neither a run nor a folder of folds.
    """
    if (folder / RUN_FILE).exists():
        return (folder,)
    wanted = f"a run folder that 'dmft train' wrote, with a {RUN_FILE} or a {FOLDS_FILE}"
    if not (folder / FOLDS_FILE).exists():
        raise ContractError(f"{folder} is not a run: wanted {wanted}")
    names = read_json(folder / FOLDS_FILE, wanted).get("folds", [])
    return tuple(folder / f"fold-{name}" for name in names)


def build_model(info: RunInfo, inputs: Mapping[str, InputShape]) -> nn.Module:
    """Build the network of a run, with fresh weights from its seed."""
    shape = ModelShape(inputs=inputs, n_classes=len(info.classes))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(info.seed)
        if info.kind == "teacher":
            return Teacher(shape, info.config.teacher, info.config.encoder)
        return Student(shape, info.config.student, info.config.encoder)


def save_model(folder: Path, info: RunInfo, model: nn.Module, maker: FeatureMaker) -> int:
    """Write weights and statistics; return the file's size."""
    tensors = {f"weights/{k}": v for k, v in model.state_dict().items()}
    for name, statistics in maker.statistics.items():
        tensors[f"statistics/{name}/mean"] = statistics.mean
        tensors[f"statistics/{name}/deviation"] = statistics.deviation
    path = folder / MODEL_FILE
    write_tensors(path, tensors, {"identity": info.identity, "kind": info.kind})
    return path.stat().st_size


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedRun:
    """A model with its statistics, ready to predict."""

    folder: Path
    """Where it was read."""
    info: RunInfo
    """What it is."""
    model: nn.Module
    """In evaluation mode, on its device."""
    maker: FeatureMaker
    """With the training fold's statistics."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.model.parameters()).device

    def logits(self, cache: Cache, rows: Tensor) -> Tensor:
        """Logits of some records of a cache, a batch at a time.

        Shapes: rows (B,) int64 -> (B, M, 2, K) on the host.
        """
        check_cache_fits(self.info, cache)
        found = []
        for some, stored in cache.blocks(rows, PREDICT_BATCH, self.info.modalities):
            patches = {m: each.to(self.device) for m, each in stored.items()}
            present = present_of(cache, self.info.modalities)[some].to(self.device)
            found.append(self.logits_of(patches, present).cpu())
        return torch.cat(found)

    def logits_of(self, patches: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """Logits of one batch of stored patches, on the run's device.

        Shapes: patches {m: (B, P_stored, D_stored)}, finite, present (B, M) -> (B, M, 2, K).
        """
        features = self.maker.make(patches, present)
        batch = Batch(features=features, present=present, targets=None, inputs=self.maker.inputs)
        with torch.no_grad():
            logits: Tensor = self.model(batch.features, batch.present)
        return logits

    def predict(self, cache: Cache, rows: Tensor) -> Tensor:
        """Voted probabilities of some records.

        Shapes: rows (B,) int64 -> (B, K).
        """
        present = present_of(cache, self.info.modalities)[rows]
        return overall_vote(self.logits(cache, rows), present, self.info.config.voting.rule)


def load_run(folder: str | Path, device: str | torch.device = "cpu") -> TrainedRun:
    """Load the finished run of one fold.

    Raises:
        ContractError: it is not a run, has not ended, or its weights do not fit.
    """
    folder = Path(folder)
    info = read_info(folder)
    if info.status != "complete":
        raise ContractError(
            f"{folder} holds a training that has not ended: run the same command again to finish it"
        )
    tensors, header = read_tensors(folder / MODEL_FILE)
    if header.get("identity") != info.identity:
        raise ContractError(
            f"{folder / MODEL_FILE} belongs to another run ({header.get('identity')!r}, wanted "
            f"{info.identity!r}): the folder's files have been mixed up. Train again."
        )
    found = file_sha256(folder / MODEL_FILE) if info.model_sha256 else ""
    if found != info.model_sha256:
        raise ContractError(
            f"{folder / MODEL_FILE} has SHA-256 {found[:12]!r}, wanted {info.model_sha256[:12]!r}: "
            "it is not what the run wrote. Restore it, or train again."
        )
    target = torch.device(device)
    maker = FeatureMaker(
        plans={
            m: FeaturePlan(stored=stored, config=info.config.of_modality(m))
            for m, stored in info.stored.items()
        },
        statistics={
            m: Statistics(tensors[f"statistics/{m}/mean"], tensors[f"statistics/{m}/deviation"]).to(
                target
            )
            for m in info.stored
        },
    )
    model = build_model(info, maker.inputs)
    prefix = "weights/"
    model.load_state_dict(
        {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    )
    return TrainedRun(folder=folder, info=info, model=model.to(target).eval(), maker=maker)


def present_of(cache: Cache, modalities: tuple[str, ...]) -> Tensor:
    """Presence of some modalities, in their order.

    Shapes: returns (N, M) bool.
    """
    return cache.present[:, [cache.modalities.index(m) for m in modalities]]


def check_cache_fits(info: RunInfo, cache: Cache) -> None:
    """Refuse a cache whose classes or patches are not what the run learnt on.

    Raises:
        ContractError: saying which.
    """
    if cache.spec.classes != info.classes:
        raise ContractError(
            f"{cache.path} has classes {list(cache.spec.classes[:3])}...: the run learnt "
            f"{list(info.classes[:3])}... ({len(info.classes)} in all). Use the run's cache."
        )
    for name, stored in info.stored.items():
        spec = cache.modality_spec(name)
        found = (spec.n_patches, spec.n_features)
        if found != (stored.n_patches, stored.n_features):
            raise ContractError(
                f"{cache.path} stores {name} as {found} patches and features: the run learnt on "
                f"{(stored.n_patches, stored.n_features)}. Encode it with the same configuration."
            )
