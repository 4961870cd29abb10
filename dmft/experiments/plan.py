"""From an experiment to its rows: one row is one training of one model on one fold.

A row's key is the identity of the run that it makes (``RunSpec.identity``): everything that
decides the weights and nothing else. Rows that two grids, or two files, share are done once.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from dmft.config import RunConfig, change_config, load_config
from dmft.experiments.grid import MODELS, Experiment, Grid
from dmft.models.config import require
from dmft.own import Own
from dmft.protocols import (
    Fold,
    Protocol,
    choose_folds,
    fold_rules,
    load_protocol,
    make_fold,
)
from dmft.protocols.shared_files import forbid_shared
from dmft.runs.spec import RunSpec
from pipeline.contract import ContractError

if TYPE_CHECKING:
    from dmft.data import Cache

FOLDER_DIGITS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRow:
    """One training, with everything that a process of its own needs to do it."""

    key: str
    """SHA-256 of what decides the weights."""
    model: str
    """teacher, student or distilled."""
    fusion: str
    """The teacher's fusion; for a student that of its teacher, late or none for a raw one."""
    fusion_tokens: int
    """F where the fusion is mid, else 0."""
    protocol: Protocol
    """In full."""
    fold: str
    """Name of the fold."""
    n_folds: int
    """Folds that the protocol has on this cache."""
    modalities: tuple[str, ...]
    """In the order of the model."""
    seed: int
    """Source of everything random."""
    config: RunConfig
    """In full, changes applied."""
    recipe: str
    """The configuration's name and the changes to it, for people."""
    device: str
    """cpu or cuda."""
    teachers: tuple[str, ...] = ()
    """Keys of the rows that must be done before."""
    network: Own | None = None
    """The user's own in the place of the teacher's or the student's; None for ours."""

    @property
    def model_name(self) -> str:
        """What people call its model: by its kind, or a network of the user's own by its class."""
        return self.model if self.network is None else self.network.title

    @property
    def folder(self) -> str:
        """Name of the run's folder."""
        return self.key[:FOLDER_DIGITS]

    @property
    def title(self) -> str:
        """What the row is in a few words."""
        fusion = f" {self.fusion}" + (f" F={self.fusion_tokens}" if self.fusion_tokens else "")
        what = "+".join(self.modalities)
        return (
            f"{self.model_name}{fusion}, {self.protocol.name} {self.fold}, {what}, seed {self.seed}"
        )


def plan_rows(
    experiment: Experiment, cache: Cache, device: str, *, may_share: bool = True
) -> tuple[PlannedRow, ...]:
    """Return the rows of an experiment on a cache, teachers before their students.

    Of the cache only its description and columns are read, so one loaded modality is enough.
    ``may_share``: also rows whose test records share raw files with training records.

    Raises:
        ConfigError: a protocol, fold or configuration cannot be used.
        ContractError: a fold cannot be made of this cache's records, or it lacks a modality.
    """
    rows: dict[str, PlannedRow] = {}
    for grid in experiment.grids:
        for row in _Planner(grid, cache, device, may_share).rows():
            rows.setdefault(row.key, row)
    return tuple(sorted(rows.values(), key=lambda row: row.model == "distilled"))


class _Planner:
    """Expands one grid."""

    def __init__(self, grid: Grid, cache: Cache, device: str, may_share: bool) -> None:
        self.may_share = may_share
        self.grid, self.cache, self.device = grid, cache, device
        self.own = _own_networks(grid.models)
        models = (*MODELS, *self.own)
        changes = {m: (*grid.set, *grid.set_for.get(m, ())) for m in models}
        self.configs = {m: load_config(grid.config, changes[m]) for m in models}
        self.recipes = {m: " ".join((grid.config, *changes[m])) for m in models}
        layers = self.configs["teacher"].teacher.fusion_layers
        wanted = "at least 1 for fusion 'mid'"
        require(layers > 0 or "mid" not in grid.fusion, "teacher.fusion_layers", layers, wanted)

    def rows(self) -> Iterator[PlannedRow]:
        grid = self.grid
        for name in grid.protocols:
            protocol = load_protocol(name)
            n_folds = len(fold_rules(protocol, self.cache))
            folds = {f.name: f for w in grid.folds for f in choose_folds(protocol, self.cache, w)}
            for wanted, fold in itertools.product(grid.modalities, folds.values()):
                if not self.may_share:
                    seen = described(self.cache, wanted)
                    forbid_shared([make_fold(fold.rule, seen, protocol.name)])
                for seed, fusion in itertools.product(grid.seeds, grid.fusion):
                    alone = [(m,) for m in wanted] if fusion == "none" else [wanted]
                    for modalities in alone:
                        place = (self.cache, protocol, fold, n_folds, modalities)
                        row = partial(planned_row, *place, device=self.device)
                        yield from self._models(
                            row, fusion if len(modalities) > 1 else "none", seed
                        )

    def _models(
        self, row: Callable[..., PlannedRow], fusion: str, seed: int
    ) -> Iterator[PlannedRow]:
        """Rows of one fold and seed; ``row`` knows the fold and the modalities."""

        def row_of(model: str, **what: Any) -> PlannedRow:
            return row(model=model, recipe=self.recipes[model], **what)

        unfused = {"fusion": "none" if fusion == "none" else "late", "fusion_tokens": 0}
        for name, network in self.own.items():
            what = {"config": self.configs[name], "recipe": self.recipes[name], **unfused}
            yield row(model="teacher", network=network, seed=seed, **what)
        for tokens in (self.grid.fusion_tokens if fusion == "mid" else ()) or (None,):
            config = self.configs["teacher"]
            changes = ["teacher.fusion_layers=0"] if fusion == "late" else []
            changes += [f"teacher.fusion_tokens={tokens}"] if tokens is not None else []
            config = change_config(config, changes) if changes else config
            fused = {
                "fusion": fusion,
                "fusion_tokens": config.teacher.fusion_tokens if fusion == "mid" else 0,
            }
            teacher = partial(row_of, "teacher", config=config, **fused)
            if "teacher" in self.grid.models:
                yield teacher(seed=seed)
            if "student" in self.grid.models:
                yield row_of("student", config=self.configs["student"], seed=seed, **unfused)
            if "distilled" in self.grid.models:
                config = self.configs["distilled"]
                seeds = self.grid.seeds if config.distill.joint_teachers else (seed,)
                teachers = [teacher(seed=its_seed) for its_seed in seeds]
                yield from teachers
                keys = tuple(each.key for each in teachers)
                yield row_of("distilled", config=config, seed=seed, teachers=keys, **fused)


def _own_networks(models: Sequence[str]) -> dict[str, Own]:
    """Those of some models that are networks of the user's own, by their names.

    Raises:
        ConfigError: one is not to be found, or is no network.
    """
    names = [name for name in models if name not in MODELS]
    if not names:
        return {}
    from dmft.models.own import find_own  # imports torch, which planning of ours does without

    found = {name: find_own(name) for name in names}
    return {name: network for name, network in found.items() if network is not None}


def planned_row(
    cache: Cache,
    protocol: Protocol,
    fold: Fold,
    n_folds: int,
    modalities: tuple[str, ...],
    *,
    model: str,
    fusion: str,
    fusion_tokens: int,
    seed: int,
    config: RunConfig,
    recipe: str,
    device: str,
    teachers: tuple[str, ...] = (),
    network: Own | None = None,
) -> PlannedRow:
    """A row, and the key that what decides its weights gives it.

    Raises:
        ContractError: the cache lacks one of the modalities.
    """
    spec = RunSpec.of(
        described(cache, modalities),
        fold,
        kind=model,
        config=config,
        seed=seed,
        device=device,
        teachers=teachers,
        network=network,
    )
    return PlannedRow(
        key=spec.identity,
        model=model,
        fusion=fusion,
        fusion_tokens=fusion_tokens,
        protocol=protocol,
        fold=fold.name,
        n_folds=n_folds,
        modalities=modalities,
        seed=seed,
        config=config,
        recipe=recipe,
        device=device,
        teachers=teachers,
        network=network,
    )


def described(cache: Cache, modalities: tuple[str, ...]) -> Cache:
    """Return the cache as one of these modalities, good for descriptions, not for features.

    Raises:
        ContractError: the cache lacks one of them.
    """
    for name in modalities:
        if name not in cache.spec.modalities:
            raise ContractError(
                f"{cache.path} has no modality {name!r}: it has "
                f"{', '.join(cache.spec.modalities)}. Encode {name} as well, or choose sets "
                "without it (--modalities)."
            )
    return dataclasses.replace(cache, modalities=modalities)
