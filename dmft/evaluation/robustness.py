"""What a trained run still knows when a modality is lost or fails at test time.

A fault changes the stored patches of one modality, before features are derived, as a broken
sensor would; the model is not told. ``removed`` is the exception: there the model knows that the
modality is absent, and it does not vote. Nothing is trained or chosen here.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dmft.data import Cache, open_cache
from dmft.data.counter_rng import derive_seed
from dmft.evaluation.metrics import accuracy, confusion, macro_f1
from dmft.models import overall_vote
from dmft.protocols import Fold, make_fold
from dmft.runs.files import read_json, write_json
from dmft.runs.folder import ROBUSTNESS_FILE, read_info
from dmft.runs.spec import RunInfo
from dmft.runs.trained import TrainedRun, check_cache_fits, load_run, present_of
from pipeline.contract import ContractError

INTACT, REMOVED = "intact", "removed"
SAVED = ("accuracy", "macro_f1", "confidence")
BLOCK_RECORDS = 1024
"""Records that are changed at a time; swapping happens inside such a block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A way for a modality to fail."""

    name: str
    """For tables."""
    meaning: str
    """In words."""
    spoil: Callable[[Tensor, Tensor, torch.Generator], Tensor]
    """Patches (B, P, D), deviation of each feature (D,) and a source of chance to patches."""


def _noisy(patches: Tensor, deviation: Tensor, random: torch.Generator) -> Tensor:
    return patches + torch.randn(patches.shape, generator=random) * deviation


def _frozen(patches: Tensor, deviation: Tensor, random: torch.Generator) -> Tensor:
    return patches[:, :1].expand_as(patches).clone()


def _cut(patches: Tensor, deviation: Tensor, random: torch.Generator) -> Tensor:
    """The second half keeps the last value of the first."""
    half = max(patches.shape[1] // 2, 1)
    return torch.cat(
        [patches[:, :half], patches[:, half - 1 : half].expand_as(patches[:, half:])], 1
    )


def _swapped(patches: Tensor, deviation: Tensor, random: torch.Generator) -> Tensor:
    return patches[torch.randperm(len(patches), generator=random)]


FAULTS = (
    Fault(name="noisy", meaning="noise as large as each feature's own deviation", spoil=_noisy),
    Fault(name="cut", meaning="stuck at half time until the record's end", spoil=_cut),
    Fault(name="frozen", meaning="stuck at its first value", spoil=_frozen),
    Fault(name="swapped", meaning="of another record, as when clocks fail", spoil=_swapped),
)
FAULT_NAMES = (REMOVED, *(fault.name for fault in FAULTS))


def spoilt(cache: Cache, fold: Fold, modality: str, fault: str, seed: int = 0) -> Cache:
    """Return the cache as it is when one modality of the test records has a fault."""
    column = cache.modalities.index(modality)
    present, features = cache.present.clone(), dict(cache.features)
    if fault == REMOVED:
        present[fold.test, column] = False
    else:
        spoil = next(each.spoil for each in FAULTS if each.name == fault)
        rows = fold.test[cache.present[fold.test, column]]
        known = fold.train[cache.present[fold.train, column]]
        if len(rows):
            changed = features[modality][torch.arange(len(cache))]
            deviation = _deviation(changed, known)
            random = torch.Generator().manual_seed(derive_seed(seed, column, fault))
            for some in torch.split(rows, BLOCK_RECORDS):
                patches = changed[some].float()
                changed[some] = spoil(patches, deviation, random).to(changed.dtype)
            features[modality] = changed
    return dataclasses.replace(cache, present=present, features=features)


def _deviation(patches: Tensor, rows: Tensor) -> Tensor:
    """Of each feature over the training records.

    Shapes: (N, P, D), (n,) -> (D,).
    """
    total = torch.zeros(patches.shape[2], dtype=torch.float64)
    squares, n = torch.zeros_like(total), 0
    for some in torch.split(rows, BLOCK_RECORDS):
        values = patches[some].double().flatten(0, 1)
        total += values.sum(dim=0)
        squares += values.square().sum(dim=0)
        n += len(values)
    variance = squares / max(n, 1) - (total / max(n, 1)).square()
    return variance.clamp(min=0).sqrt().float()


def measure_faults(run: TrainedRun, cache: Cache, fold: Fold) -> dict[str, dict[str, Any]]:
    """Figures with nothing wrong, and with each fault of each modality.

    The keys are ``intact`` and ``removed skeleton``. With its only modality removed a run has
    nothing to vote on, so that is left out.
    """
    names = run.info.spec.modalities
    found = {INTACT: _figures(run, cache, fold)}
    for modality in names:
        for fault in FAULT_NAMES:
            if fault != REMOVED or len(names) > 1:
                changed = spoilt(cache, fold, modality, fault)
                found[f"{fault} {modality}"] = _figures(run, changed, fold)
    return found


def _figures(run: TrainedRun, cache: Cache, fold: Fold) -> dict[str, Any]:
    logits = run.logits(cache, fold.test)
    present = present_of(cache, run.info.spec.modalities)[fold.test]
    votes = overall_vote(logits, present, run.info.spec.config.voting.rule)
    seen = present.any(dim=1)
    labels = cache.labels[fold.test]
    matrix = confusion(labels[seen], votes[seen].argmax(dim=-1), votes.shape[-1])
    confidence = float(votes[seen].max(dim=-1).values.mean()) if bool(seen.any()) else 0.0
    return {
        "n_records": int(seen.sum()),
        "accuracy": accuracy(matrix),
        "macro_f1": macro_f1(matrix),
        "confidence": confidence,
    }


def read_faults(folder: Path, info: RunInfo) -> dict[str, dict[str, float]]:
    """Figures by fault that were saved in a run's folder; empty where there are none.

    Raises:
        ContractError: the file is damaged, or of another run.
    """
    path = folder / ROBUSTNESS_FILE
    if not path.exists():
        return {}
    content, wanted = read_json(path, "what 'dmft robustness' found"), info.finished.model_sha256
    if content.get("model_sha256") != wanted:
        raise ContractError(
            f"{path} is of weights {str(content.get('model_sha256'))[:12]!r}, wanted "
            f"{wanted[:12]!r}: measure again with 'dmft robustness {folder}', or "
            "remove it"
        )
    try:
        faults = {
            str(fault): {key: float(figures[key]) for key in SAVED}
            for fault, figures in content["faults"].items()
        }
        faults[INTACT]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ContractError(
            f"{path} is damaged ({type(error).__name__}: {error}): measure again with "
            f"'dmft robustness {folder}', or remove it"
        ) from error
    return faults


def robustness(
    folders: Sequence[Path],
    *,
    cache_path: str | Path | None = None,
    device: str = "cpu",
    save: bool = False,
    on_run: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Mean figures of some runs (folds, seeds) of one kind of model, with every fault.

    Args:
        folders: Of finished runs.
        cache_path: Where the cache is; by default where the runs found it.
        device: cpu or cuda.
        save: Also write what is found into each run's folder, where the report finds it; only
            of the cache that the runs were trained on.
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
    caches: dict[str, Cache] = {}
    reports = []
    for n_done, (info, folder) in enumerate(zip(infos, folders, strict=True), start=1):
        path = str(cache_path or info.cache_path)
        cache = caches.setdefault(path, open_cache(path, info.spec.modalities))
        if cache_path is None and cache.spec.fingerprint != info.spec.cache_fingerprint:
            raise ContractError(
                f"{path} has changed since the run: its fingerprint is "
                f"{cache.spec.fingerprint[:12]!r}, the run's {info.spec.cache_fingerprint[:12]!r}. "
                "Name a cache with --cache to measure on it all the same."
            )
        check_cache_fits(info.spec, cache)
        fold = make_fold(info.spec.fold, cache, info.source.protocol.name)
        reports.append(measure_faults(load_run(folder, device), cache, fold))
        if save and cache.spec.fingerprint == info.spec.cache_fingerprint:
            content = {"model_sha256": info.finished.model_sha256, "faults": reports[-1]}
            write_json(folder / ROBUSTNESS_FILE, content)
        if on_run is not None:
            on_run(n_done)
    return {
        "kinds": sorted({info.spec.kind for info in infos}),
        "modalities": list(infos[0].spec.modalities),
        "metric": infos[0].source.protocol.metric,
        "n_runs": len(infos),
        "faults": {
            name: {
                key: statistics.fmean(float(report[name][key]) for report in reports)
                for key in SAVED
            }
            for name in reports[0]
        },
    }
