"""What a trained run still knows when a modality is lost or fails at test time.

A fault changes the stored patches of one modality, before features are derived, as a broken
sensor would; the model is not told. ``removed`` is the exception: there the model knows that the
modality is absent, and it does not vote. Nothing is trained or chosen here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dmft.data import Cache
from dmft.data.counter_rng import derive_seed
from dmft.evaluation.averages import mean_scores
from dmft.evaluation.evaluate import RunCaches
from dmft.evaluation.fault_scores import FAULT_NAMES, INTACT, REMOVED, FaultScores, SavedFaults
from dmft.evaluation.metrics import confusion
from dmft.protocols import Fold
from dmft.runs.files import write_json
from dmft.runs.folder import ROBUSTNESS_FILE, read_info
from dmft.runs.trained import TrainedRun, load_run, present_of
from pipeline.common.settings import to_table
from pipeline.contract import ContractError

BLOCK_RECORDS = 1024
"""Records that are changed at a time; swapping happens inside such a block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RobustnessReport:
    """Mean figures of some runs (folds, seeds), with every fault."""

    kinds: tuple[str, ...]
    """Kinds of model: teacher, student or distilled."""
    modalities: tuple[str, ...]
    """In the order of the model."""
    metric: str
    """The score that the protocol quotes."""
    n_runs: int
    """How many were measured."""
    faults: Mapping[str, FaultScores]
    """Means by fault; records are added."""


def _cut(patches: Tensor, std: Tensor, random: torch.Generator) -> Tensor:
    """The second half keeps the last value of the first."""
    half = max(patches.shape[1] // 2, 1)
    return torch.cat(
        [patches[:, :half], patches[:, half - 1 : half].expand_as(patches[:, half:])], 1
    )


SPOIL: Mapping[str, Callable[[Tensor, Tensor, torch.Generator], Tensor]] = {
    "noisy": lambda x, std, random: x + torch.randn(x.shape, generator=random) * std,
    "cut": _cut,
    "frozen": lambda x, std, random: x[:, :1].expand_as(x).clone(),
    "swapped": lambda x, std, random: x[torch.randperm(len(x), generator=random)],
}
"""Fault to what it does: patches (B, P, D), std of each feature (D,), a source of chance ->
patches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoiltPatches:
    """The patches of a modality with some records replaced; indexed by rows as the others are.

    Only what is replaced is held, so that a cache which is on the disk stays there.
    """

    patches: Any
    """All records as they are: :data:`dmft.data.cache.Patches`."""
    replaced: Tensor
    """Shapes: (n, P, D)."""
    position: Tensor
    """Where a record stands in ``replaced``; -1 where it is left as it is. Shapes: (N,) int64."""

    def __getitem__(self, rows: Tensor) -> Tensor:
        values: Tensor = self.patches[rows]
        position = self.position[rows]
        values[position >= 0] = self.replaced[position[position >= 0]]
        return values


def spoilt(cache: Cache, fold: Fold, modality: str, fault: str, seed: int = 0) -> Cache:
    """Return the cache as it is when one modality of the test records has a fault."""
    column = cache.modalities.index(modality)
    present, features = cache.present.clone(), dict[str, Any](cache.features)
    if fault == REMOVED:
        present[fold.test, column] = False
    else:
        rows = fold.test[cache.present[fold.test, column]]
        if len(rows):
            patches = features[modality]
            std = _std(patches, fold.train[cache.present[fold.train, column]])
            random = torch.Generator().manual_seed(derive_seed(seed, column, fault))
            stored = (patches[some] for some in torch.split(rows, BLOCK_RECORDS))
            replaced = [
                SPOIL[fault](block.float(), std, random).to(block.dtype) for block in stored
            ]
            position = torch.full((len(cache),), -1)
            position[rows] = torch.arange(len(rows))
            features[modality] = SpoiltPatches(
                patches=patches, replaced=torch.cat(replaced), position=position
            )
    return dataclasses.replace(cache, present=present, features=features)


def _std(patches: Any, rows: Tensor) -> Tensor:
    """Standard deviation of each feature over the training records.

    Shapes: (N, P, D), (n,) -> (D,).
    """
    n, total = 0, torch.zeros((), dtype=torch.float64)
    squares = total
    for block in torch.split(rows, BLOCK_RECORDS):
        values = patches[block].double().flatten(0, 1)
        total = total + values.sum(dim=0)
        squares = squares + values.square().sum(dim=0)
        n += len(values)
    variance = squares / max(n, 1) - (total / max(n, 1)).square()
    return variance.clamp(min=0).sqrt().float()


def measure_faults(run: TrainedRun, cache: Cache, fold: Fold) -> dict[str, FaultScores]:
    """Figures with nothing wrong, and with each fault of each modality.

    The keys are ``intact`` and ``removed skeleton``. With its only modality removed a run has
    nothing to vote on, so that is left out.
    """
    names = run.info.spec.modalities
    measured = {INTACT: _measure(run, cache, fold)}
    for modality in names:
        for fault in FAULT_NAMES:
            if fault != REMOVED or len(names) > 1:
                changed = spoilt(cache, fold, modality, fault)
                measured[f"{fault} {modality}"] = _measure(run, changed, fold)
    return measured


def _measure(run: TrainedRun, cache: Cache, fold: Fold) -> FaultScores:
    has_any = present_of(cache, run.info.spec.modalities)[fold.test].any(dim=1)
    votes, labels = run.predict(cache, fold.test)[has_any], cache.labels[fold.test][has_any]
    confidence = float(votes.max(dim=-1).values.mean()) if len(votes) else 0.0
    matrix = confusion(labels, votes.argmax(dim=-1), votes.shape[-1])
    return FaultScores.of(matrix, n_records=len(votes), confidence=confidence)


def robustness(
    folders: Sequence[Path],
    *,
    cache_path: str | Path | None = None,
    device: str = "cpu",
    memory: int | None = None,
    trust: bool = False,
    save: bool = False,
    on_cache: Callable[[Cache], None] | None = None,
    on_run: Callable[[int], None] | None = None,
) -> RobustnessReport:
    """Mean figures of some runs (folds, seeds) of one kind of model, with every fault.

    Args:
        folders: Folders of finished runs.
        cache_path: Where the cache is; by default where the runs found it.
        device: cpu or cuda.
        memory: Bytes that the patches of a cache may need; more stay on the disk.
        trust: Use a cache that nothing vouches for.
        save: Also write what is found into each run's folder, where the report finds it; only
            of the cache that the runs were trained on.
        on_cache: Called with each cache that is opened.
        on_run: Told the number of runs that are measured.

    Raises:
        ContractError: a run is not finished, the cache has changed, or the modalities differ.
    """
    infos = [read_info(folder) for folder in folders]
    for info, folder in zip(infos, folders, strict=True):
        if info.spec.modalities != infos[0].spec.modalities:
            raise ContractError(
                f"{folder} has modalities {list(info.spec.modalities)} and {folders[0]} has "
                f"{list(infos[0].spec.modalities)}: wanted the same; select them with "
                "DIR#modalities=skeleton+inertial"
            )
    caches = RunCaches(cache_path, memory=memory, trust=trust, on_cache=on_cache)
    measured = []
    for info, folder in zip(infos, folders, strict=True):
        cache, fold = caches.of(info)
        measured.append(measure_faults(load_run(folder, device), cache, fold))
        if save and cache.spec.fingerprint == info.spec.cache_fingerprint:
            saved = SavedFaults(model_sha256=info.finished.model_sha256, faults=measured[-1])
            write_json(folder / ROBUSTNESS_FILE, to_table(saved))
        if on_run is not None:
            on_run(len(measured))
    return RobustnessReport(
        kinds=tuple(sorted({info.spec.kind for info in infos})),
        modalities=infos[0].spec.modalities,
        metric=infos[0].source.protocol.metric,
        n_runs=len(infos),
        faults={fault: mean_scores([run[fault] for run in measured]) for fault in measured[0]},
    )
