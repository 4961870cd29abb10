"""What a trained run still knows when a modality is lost or fails at test time.

A fault changes the stored patches of one modality, before features are derived, as a broken
sensor would; the model is not told. ``removed`` is the exception: there the model knows that the
modality is absent, and it does not vote. Nothing is trained or chosen here.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dmft.data import Cache
from dmft.data.counter_rng import derive_seed
from dmft.data.fault_words import BOTH, REMOVED, SEVERITIES
from dmft.data.faults import FAULTS, Signals
from dmft.data.features import plan_features
from dmft.data.geometry import Geometry
from dmft.evaluation.averages import mean_scores
from dmft.evaluation.evaluate import RunCaches
from dmft.evaluation.fault_scores import (
    AND,
    INTACT,
    SURE_FROM,
    FaultScores,
    SavedFaults,
    SuiteScores,
    suite_scores,
)
from dmft.evaluation.metrics import confusion
from dmft.models import overall_vote
from dmft.protocols import Fold
from dmft.runs.files import write_json
from dmft.runs.folder import ROBUSTNESS_FILE, read_info
from dmft.runs.trained import TrainedRun, load_run, present_of
from pipeline.common.settings import to_table
from pipeline.contract import ContractError

BLOCK_RECORDS = 1024
"""Records that are changed at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RobustnessReport:
    """Mean figures of some runs (folds, seeds), with every fault."""

    kinds: tuple[str, ...]
    """Kinds of model: teacher, student or distilled."""
    modalities: tuple[str, ...]
    """In the order of the model."""
    metric: str
    """The score that the protocol quotes."""
    learnt_from: tuple[str, ...]
    """Faults that the models met in training."""
    n_runs: int
    """How many were measured."""
    faults: Mapping[str, FaultScores]
    """Means by fault; records are added."""
    suite: SuiteScores
    """The faults in a few figures."""


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


def spoilt(
    cache: Cache,
    fold: Fold,
    modality: str,
    fault: str,
    geometry: Geometry | None = None,
    severity: float = 1.0,
    seed: int = 0,
) -> Cache:
    """Return the cache as it is when one modality of the test records has a fault."""
    column = cache.modalities.index(modality)
    present, features = cache.present.clone(), dict[str, Any](cache.features)
    if fault == REMOVED:
        present[fold.test, column] = False
        return dataclasses.replace(cache, present=present, features=features)
    rows = fold.test[cache.present[fold.test, column]]
    if not len(rows):
        return cache
    patches, key = features[modality], derive_seed(seed, column, fault)
    partners = _partners(rows, fold.train[cache.present[fold.train, column]], fault, key)
    replaced = []
    for some, others in zip(
        torch.split(rows, BLOCK_RECORDS), torch.split(partners, BLOCK_RECORDS), strict=True
    ):
        block = patches[some]
        signals = Signals(
            patches=block.float(),
            severity=torch.full((len(some),), severity),
            others=patches[others].float() if FAULTS[fault].needs_others else block,
            indices=some,
            key=key,
            geometry=geometry,
        )
        replaced.append(FAULTS[fault].spoil(signals).to(block.dtype))
    position = torch.full((len(cache),), -1)
    position[rows] = torch.arange(len(rows))
    features[modality] = SpoiltPatches(
        patches=patches, replaced=torch.cat(replaced), position=position
    )
    return dataclasses.replace(cache, present=present, features=features)


def _partners(rows: Tensor, train: Tensor, fault: str, key: int) -> Tensor:
    """For each record another one, of the test side or, for a stranger, of the training side.

    Shapes: rows (n,), train (m,) -> (n,).
    """
    draws = torch.Generator().manual_seed(key)
    if fault == "stranger" and len(train):
        return train[torch.randint(len(train), (len(rows),), generator=draws)]
    order = torch.randperm(len(rows), generator=draws)
    partners = torch.empty_like(rows)
    partners[order] = rows[order.roll(1)]
    return partners


def measure_faults(run: TrainedRun, cache: Cache, fold: Fold) -> dict[str, FaultScores]:
    """Figures with nothing wrong, with each fault of each modality, and of two at once.

    The keys are ``intact``, ``removed skeleton``, ``frozen skeleton and swapped inertial``. With
    its only modality removed a run has nothing to vote on, so that is left out.
    """
    names = run.info.spec.modalities
    plans = plan_features(cache, run.info.spec.config)
    geometries = {name: plans[name].geometry for name in names}
    measured = {INTACT: _measure(run, cache, fold)}
    for name in names:
        if len(names) > 1:
            removed = spoilt(cache, fold, name, REMOVED)
            measured[f"{REMOVED} {name}"] = _measure(run, removed, fold)
        for fault, family in FAULTS.items():
            if not family.fits(geometries[name]):
                continue
            by_severity = {
                severity: _measure(
                    run, spoilt(cache, fold, name, fault, geometries[name], severity), fold
                )
                for severity in (SEVERITIES if family.has_degrees else SEVERITIES[-1:])
            }
            scores = mean_scores(list(by_severity.values()))
            if family.has_degrees:
                accuracies = {str(s): scored.accuracy for s, scored in by_severity.items()}
                n_records = measured[INTACT].n_records
                scores = dataclasses.replace(scores, by_severity=accuracies, n_records=n_records)
            measured[f"{fault} {name}"] = scores
    for first, second in itertools.combinations(names, 2):
        for one, other in itertools.product(BOTH, repeat=2):
            changed = spoilt(cache, fold, first, one, geometries[first])
            changed = spoilt(changed, fold, second, other, geometries[second])
            measured[f"{one} {first}{AND}{other} {second}"] = _measure(run, changed, fold)
    return measured


def _measure(run: TrainedRun, cache: Cache, fold: Fold) -> FaultScores:
    present = present_of(cache, run.info.spec.modalities)[fold.test]
    voted = present.any(dim=1)
    answer, labels = run.ask(cache, fold.test), cache.labels[fold.test][voted]
    votes = overall_vote(answer, present, run.spec.config.voting)[voted]
    probability, chosen = votes.max(dim=-1)
    believed = {
        name: float(answer.reliability[present[:, column], column].mean())
        for column, name in enumerate(run.spec.modalities)
        if present[:, column].any()
    }
    return FaultScores.of(
        confusion(labels, chosen, votes.shape[-1]),
        n_records=len(votes),
        confidence=float(probability.mean()) if len(votes) else 0.0,
        answered={str(p): _part(probability >= p) for p in SURE_FROM},
        wrong={str(p): _part((chosen != labels) & (probability >= p)) for p in SURE_FROM},
        reliability={name: believed.get(name, 0.0) for name in run.spec.modalities},
        by_severity={},
    )


def _part(chosen: Tensor) -> float:
    """Part that is true; 0 of nothing."""
    return float(chosen.double().mean()) if len(chosen) else 0.0


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
    faults = {fault: mean_scores([run[fault] for run in measured]) for fault in measured[0]}
    metric = infos[0].source.protocol.metric
    learnt_from = tuple(
        name
        for name in infos[0].spec.config.doubt.faults
        if all(name in info.spec.config.doubt.faults for info in infos)
    )
    return RobustnessReport(
        kinds=tuple(sorted({info.spec.kind for info in infos})),
        modalities=infos[0].spec.modalities,
        metric=metric,
        learnt_from=learnt_from,
        n_runs=len(infos),
        faults=faults,
        suite=suite_scores(faults, metric, learnt_from),
    )
