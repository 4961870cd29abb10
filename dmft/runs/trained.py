"""A trained run: building its network, saving it, loading it again, predicting with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from dmft.config import RunConfig
from dmft.data import Batch, Cache, FeatureTransform, Standardizer
from dmft.data.features import FeaturePlan
from dmft.models import (
    Answer,
    InputShape,
    ModelShape,
    Student,
    Teacher,
    answer_of,
    overall_vote,
)
from dmft.models.own import build_own
from dmft.own import Own
from dmft.runs.files import file_sha256
from dmft.runs.folder import FOLDS_FILE, MODEL_FILE, fold_folders, read_info
from dmft.runs.spec import RunInfo, RunSpec
from dmft.runs.tensors import parts_of, read_tensors, write_tensors
from pipeline.common.words import first_of
from pipeline.contract import ContractError

PREDICT_BATCH = 128


def build_model(spec: RunSpec, inputs: Mapping[str, InputShape]) -> nn.Module:
    """Build the network of a run, with fresh weights from its seed."""
    shape = ModelShape(inputs=inputs, n_classes=len(spec.classes))
    return build_network(spec.kind, shape, spec.config, spec.seed, spec.network)


def build_network(
    kind: str, shape: ModelShape, config: RunConfig, seed: int, network: Own | None = None
) -> nn.Module:
    """Build a teacher, a student or a network of the user's own, with weights from a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if network is not None:
            return build_own(network, shape, config)
        if kind == "teacher":
            return Teacher(shape, config.teacher, config.encoder)
        return Student(shape, config.student, config.encoder)


def save_model(folder: Path, spec: RunSpec, model: nn.Module, transform: FeatureTransform) -> Path:
    """Write weights and standardizers; return the file."""
    tensors = {f"weights/{name}": tensor for name, tensor in model.state_dict().items()}
    for name, fitted in transform.standardizers.items():
        tensors[f"standardizers/{name}/mean"] = fitted.mean
        tensors[f"standardizers/{name}/std"] = fitted.std
    path = folder / MODEL_FILE
    write_tensors(path, tensors, {"identity": spec.identity, "kind": spec.kind})
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedRun:
    """A model with its feature transform, ready to predict."""

    folder: Path
    """Where it was read."""
    info: RunInfo
    """What it is."""
    model: nn.Module
    """In evaluation mode, on its device."""
    transform: FeatureTransform
    """With the training fold's standardizers."""

    @property
    def spec(self) -> RunSpec:
        """What decided its weights."""
        return self.info.spec

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.model.parameters()).device

    def ask(self, cache: Cache, rows: Tensor) -> Answer:
        """What the model says of some records of a cache, a batch at a time.

        Shapes: rows (B,) int64 -> logits (B, M, 2, K), reliability (B, M), on the host.
        """
        check_cache_fits(self.spec, cache)
        M, K = len(self.spec.modalities), len(self.spec.classes)
        answers = [Answer(torch.zeros(0, M, 2, K), torch.zeros(0, M))]
        for block, stored in cache.blocks(rows, PREDICT_BATCH, self.spec.modalities):
            if not len(block):
                continue
            patches = {m: tensor.to(self.device) for m, tensor in stored.items()}
            present = present_of(cache, self.spec.modalities)[block].to(self.device)
            answer = self.ask_batch(patches, present)
            answers.append(Answer(answer.logits.cpu(), answer.reliability.cpu()))
        logits, reliability = zip(*answers, strict=True)
        return Answer(torch.cat(logits), torch.cat(reliability))

    def ask_batch(self, patches: Mapping[str, Tensor], present: Tensor) -> Answer:
        """What the model says of one batch of stored patches, on the run's device.

        Shapes: patches {m: (B, P_stored, D_stored)}, finite, present (B, M) -> logits
        (B, M, 2, K), reliability (B, M).
        """
        features = self.transform.apply(patches, present)
        batch = Batch(
            features=features, present=present, targets=None, inputs=self.transform.inputs
        )
        with torch.no_grad():
            return answer_of(self.model(batch.features, batch.present))

    def predict(self, cache: Cache, rows: Tensor) -> Tensor:
        """Voted probabilities of some records.

        Shapes: rows (B,) int64 -> (B, K).
        """
        present = present_of(cache, self.spec.modalities)[rows]
        return overall_vote(self.ask(cache, rows), present, self.spec.config.voting)


def load_run(folder: str | Path, device: str | torch.device = "cpu") -> TrainedRun:
    """Load the finished run of one fold.

    Example::

        probabilities = load_run("teacher").predict(cache, torch.arange(len(cache)))  # (N, K)

    Raises:
        ContractError: it is not a run, has not ended, or its weights do not fit.
    """
    folder = Path(folder)
    if (folder / FOLDS_FILE).exists():
        names = first_of([each.name for each in fold_folders(folder)], 12)
        raise ContractError(
            f"{folder} holds a run of several folds: name one of them ({names}), or load all by "
            "dmft.load"
        )
    info = read_info(folder)
    if info.outcome is None:
        raise ContractError(
            f"{folder} holds a training that has not ended: run the same command again to finish it"
        )
    path, spec, wanted = folder / MODEL_FILE, info.spec, info.outcome.model_sha256
    tensors, header = read_tensors(path)
    if header.get("identity") != spec.identity:
        raise ContractError(
            f"{path} belongs to another run ({header.get('identity')!r}, wanted "
            f"{spec.identity!r}): the folder's files have been mixed up. Train again."
        )
    sha256 = file_sha256(path)
    if sha256 != wanted:
        raise ContractError(
            f"{path} has SHA-256 {sha256[:12]!r}, wanted {wanted[:12]!r}: "
            "it is not what the run wrote. Restore it, or train again."
        )
    parts = parts_of(tensors)
    fitted = parts["standardizers"]
    transform = FeatureTransform(
        plans={
            m: FeaturePlan(stored=stored, config=spec.config.of_modality(m))
            for m, stored in spec.stored.items()
        },
        standardizers={
            m: Standardizer(fitted[f"{m}/mean"], fitted[f"{m}/std"]) for m in spec.stored
        },
    ).to(torch.device(device))
    model = build_model(spec, transform.inputs)
    model.load_state_dict(parts["weights"])
    return TrainedRun(folder=folder, info=info, model=model.to(device).eval(), transform=transform)


def present_of(cache: Cache, modalities: tuple[str, ...]) -> Tensor:
    """Presence of some modalities, in their order.

    Shapes: returns (N, M) bool.
    """
    return cache.present[:, [cache.modalities.index(m) for m in modalities]]


def check_cache_fits(spec: RunSpec, cache: Cache) -> None:
    """Refuse a cache whose classes or patches are not what the run learnt on.

    Raises:
        ContractError: saying which.
    """
    if cache.spec.classes != spec.classes:
        raise ContractError(
            f"{cache.path} has classes {list(cache.spec.classes[:3])}...: the run learnt "
            f"{list(spec.classes[:3])}... ({len(spec.classes)} in all). Use the run's cache."
        )
    for name, stored in spec.stored.items():
        in_cache = cache.modality_spec(name)
        shape = (in_cache.n_patches, in_cache.n_features)
        learnt_on = (stored.n_patches, stored.n_features)
        if shape != learnt_on:
            raise ContractError(
                f"{cache.path} stores {name} as {shape} patches and features: the run learnt on "
                f"{learnt_on}. Encode it with the same configuration."
            )
