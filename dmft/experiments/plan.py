"""From an experiment to its rows: one row is one training of one model on one fold.

A row's key is the identity of the run that it makes (``RunInfo.identity``): everything that
decides the weights and nothing else. Rows that two grids, or two files, share are done once.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from dmft.config import RunConfig, change_config, load_config
from dmft.data import Cache
from dmft.experiments.grid import MODELS, Experiment, Grid
from dmft.models.config import require
from dmft.protocols import Fold, Protocol, choose_folds, fold_rules, load_protocol
from dmft.runs.spec import RunSpec
from pipeline.contract import ContractError

FOLDER_DIGITS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One training, with everything that a process of its own needs to do it."""

    key: str
    """SHA-256 of what decides the weights."""
    model: str
    """teacher, student or distilled."""
    fusion: str
    """Of the teacher; of a student's teacher where it is distilled; late or none for a raw one."""
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

    @property
    def folder(self) -> str:
        """Name of the run's folder."""
        return self.key[:FOLDER_DIGITS]

    @property
    def title(self) -> str:
        """What the row is in a few words."""
        fusion = f" {self.fusion}" + (f" F={self.fusion_tokens}" if self.fusion_tokens else "")
        what = "+".join(self.modalities)
        return f"{self.model}{fusion}, {self.protocol.name} {self.fold}, {what}, seed {self.seed}"


def plan_rows(experiment: Experiment, cache: Cache, device: torch.device) -> tuple[Row, ...]:
    """Return the rows of an experiment on a cache, teachers before their students.

    Of the cache only its description and columns are read, so one loaded modality is enough.

    Raises:
        ConfigError: a protocol, fold or configuration cannot be used.
        ContractError: a fold cannot be made of this cache's records, or it lacks a modality.
    """
    rows: dict[str, Row] = {}
    for grid in experiment.grids:
        for row in _Planner(grid, cache, device).rows():
            rows.setdefault(row.key, row)
    return tuple(sorted(rows.values(), key=lambda row: row.model == "distilled"))


class _Planner:
    """Expands one grid."""

    def __init__(self, grid: Grid, cache: Cache, device: torch.device) -> None:
        self.grid, self.cache, self.device = grid, cache, device
        self.configs = {m: load_config(grid.config, self._changes(m)) for m in MODELS}
        layers = self.configs["teacher"].teacher.fusion_layers
        wanted = "at least 1 for fusion 'mid'"
        require(layers > 0 or "mid" not in grid.fusion, "teacher.fusion_layers", layers, wanted)

    def _changes(self, model: str) -> tuple[str, ...]:
        return (*self.grid.set, *self.grid.set_for.get(model, ()))

    def rows(self) -> Iterator[Row]:
        grid = self.grid
        for name in grid.protocols:
            protocol = load_protocol(name)
            n_folds = len(fold_rules(protocol, self.cache))
            folds = {f.name: f for w in grid.folds for f in choose_folds(protocol, self.cache, w)}
            for wanted, fold in itertools.product(grid.modalities, folds.values()):
                for seed, fusion in itertools.product(grid.seeds, grid.fusion):
                    alone = [(m,) for m in wanted] if fusion == "none" else [wanted]
                    for modalities in alone:
                        at = _Place(protocol, fold, n_folds, modalities)
                        yield from self._models(at, fusion, seed)

    def _models(self, at: _Place, fusion: str, seed: int) -> Iterator[Row]:
        fusion = fusion if len(at.modalities) > 1 else "none"
        many = self.grid.fusion_tokens if fusion == "mid" else ()
        for tokens in many or (None,):
            if "teacher" in self.grid.models:
                yield self._teacher(at, fusion, tokens, seed)
            if "student" in self.grid.models:
                late = "late" if len(at.modalities) > 1 else "none"
                yield self._row(at, "student", late, 0, seed, self.configs["student"])
            if "distilled" in self.grid.models:
                seeds = self.grid.seeds if self.grid.joint_teachers else (seed,)
                teachers = [self._teacher(at, fusion, tokens, its_seed) for its_seed in seeds]
                yield from teachers
                n_tokens, keys = teachers[0].fusion_tokens, tuple(row.key for row in teachers)
                config = self.configs["distilled"]
                yield self._row(at, "distilled", fusion, n_tokens, seed, config, keys)

    def _teacher(self, at: _Place, fusion: str, tokens: int | None, seed: int) -> Row:
        changes = ["teacher.fusion_layers=0"] if fusion == "late" else []
        changes += [f"teacher.fusion_tokens={tokens}"] if tokens is not None else []
        config = self.configs["teacher"]
        config = change_config(config, changes) if changes else config
        n_tokens = config.teacher.fusion_tokens if fusion == "mid" else 0
        return self._row(at, "teacher", fusion, n_tokens, seed, config)

    def _row(
        self,
        at: _Place,
        model: str,
        fusion: str,
        tokens: int,
        seed: int,
        config: RunConfig,
        teachers: tuple[str, ...] = (),
    ) -> Row:
        spec = RunSpec.of(
            described(self.cache, at.modalities),
            at.fold,
            kind=model,
            config=config,
            seed=seed,
            device=self.device.type,
            teachers=teachers,
        )
        return Row(
            key=spec.identity,
            model=model,
            fusion=fusion,
            fusion_tokens=tokens,
            protocol=at.protocol,
            fold=at.fold.name,
            n_folds=at.n_folds,
            modalities=at.modalities,
            seed=seed,
            config=config,
            recipe=" ".join((self.grid.config, *self._changes(model))),
            device=self.device.type,
            teachers=teachers,
        )


@dataclass(frozen=True, slots=True)
class _Place:
    """Where rows of one protocol, fold and set of modalities stand."""

    protocol: Protocol
    fold: Fold
    n_folds: int
    modalities: tuple[str, ...]


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
