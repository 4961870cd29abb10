"""An experiment file: which protocols, modalities, models, fusions, tokens and seeds to cross.

It is TOML, read strictly. It names no cache and no folder: those are given where it is run.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dmft.models.config import require
from dmft.own import MODEL, entry_points
from pipeline.common.settings import parse_table, read_toml, shipped_names
from pipeline.contract import ConfigError

MODELS = ("teacher", "student", "distilled")
FUSIONS = ("none", "late", "mid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """One block of an experiment: everything in it is crossed with everything else."""

    protocols: tuple[str, ...]
    """Shipped protocols by name, or TOML files, looked for beside the experiment first."""
    modalities: tuple[tuple[str, ...], ...]
    """Sets of modalities, as ``[["skeleton", "inertial"], ["inertial"]]``."""
    models: tuple[str, ...] = MODELS
    """``teacher``, ``student`` (raw: on labels alone), ``distilled`` (trains its teachers too), or
    a network of your own, trained on labels, as ``my_package.gru:GruFusion``."""
    fusion: tuple[str, ...] = ("mid",)
    """How the teacher joins modalities: ``mid`` (tokens, paper 3.3), ``late`` (only the vote of
    Eq. (12)), ``none`` (each modality of a set alone). A student has no fusion but the vote."""
    fusion_tokens: tuple[int, ...] = ()
    """F of the teacher; empty for the configuration's."""
    folds: tuple[str, ...] = ("all",)
    """Folds by name or number, or all."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Sources of everything random; one training each."""
    config: str = "default"
    """Named configuration, or a TOML file."""
    set: tuple[str, ...] = ()
    """Changes to it, as ``training.epochs=20``."""
    set_for: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """More changes for one model alone: ``{ student = [...], distilled = [...] }``; a name of your
    own in quotes."""

    def __post_init__(self) -> None:
        for name in ("protocols", "modalities", "models", "fusion", "folds", "seeds"):
            values = getattr(self, name)
            require(bool(values), name, list(values), "at least one")
        for model in self.models:
            is_own = ":" in model or model in entry_points(MODEL)
            wanted = f"one of {', '.join(MODELS)}, or a {MODEL.example}"
            require(model in MODELS or is_own, "models", model, wanted)
        for fusion in self.fusion:
            require(fusion in FUSIONS, "fusion", fusion, f"one of {', '.join(FUSIONS)}")
        for names in self.modalities:
            wanted = "sets of at least one modality, each named once"
            require(
                bool(names) and len(set(names)) == len(names), "modalities", list(names), wanted
            )
        for tokens in self.fusion_tokens:
            require(tokens >= 1, "fusion_tokens", tokens, "positive numbers")
        for seed in self.seeds:
            require(0 <= seed < 2**63, "seeds", seed, "0 to 2^63 - 1")
        for name in self.set_for:
            known = dict.fromkeys((*MODELS, *self.models))
            require(name in known, "set_for", name, f"one of {', '.join(known)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """An experiment file."""

    name: str
    """For people, and noted in every row that it asked for first."""
    description: str = ""
    """For people."""
    grids: tuple[Grid, ...]
    """Blocks, done in this order."""

    def __post_init__(self) -> None:
        require(bool(self.grids), "grids", list(self.grids), "at least one [[grids]]")


def shipped_experiments() -> tuple[str, ...]:
    """Names of the experiments that come with the software."""
    return shipped_names("experiments")


def load_experiment(name_or_file: str) -> Experiment:
    """Read a shipped experiment by name, or a TOML file.

    Raises:
        ConfigError: there is none of that name, or it is not a valid experiment.
    """
    table = read_toml(name_or_file, "experiments", "experiment")
    if name_or_file not in shipped_experiments():
        _resolve_files(table, Path(name_or_file).parent)
    return parse_table(Experiment, table, where=f"experiment {name_or_file}")


def override(
    experiment: Experiment,
    *,
    seeds: str | None = None,
    config: str | None = None,
    changes: Sequence[str] = (),
    modalities: Sequence[str] = (),
    protocols: Sequence[str] = (),
) -> Experiment:
    """Return the experiment with other seeds or another configuration, more changes, or a part.

    Args:
        experiment: As its file says.
        seeds: Instead of the file's, as ``0,1``.
        config: Instead of the file's.
        changes: Beside the file's.
        modalities: Keep only these sets, each as ``skeleton,inertial``; all of them where empty.
        protocols: Keep only these; all of them where empty.

    Raises:
        ConfigError: ``seeds`` is not a list of whole numbers, or no part of the file is kept.
    """
    wanted = [frozenset(names.split(",")) for names in modalities]
    grids = []
    for grid in experiment.grids:
        sets = tuple(s for s in grid.modalities if not wanted or frozenset(s) in wanted)
        names = tuple(name for name in grid.protocols if not protocols or name in protocols)
        if not sets or not names:
            continue
        grid = dataclasses.replace(grid, modalities=sets, protocols=names)
        if seeds is not None:
            grid = dataclasses.replace(grid, seeds=_whole_numbers(seeds))
        if config is not None:
            grid = dataclasses.replace(grid, config=config)
        grids.append(dataclasses.replace(grid, set=(*grid.set, *changes)))
    if not grids:
        has = sorted({(p, ",".join(s)) for g in experiment.grids for p, s in _places(g)})
        raise ConfigError(
            f"experiment {experiment.name} has nothing for modalities {list(modalities)} and "
            f"protocols {list(protocols)}: it has {'; '.join(f'{p} {s}' for p, s in has)}"
        )
    return dataclasses.replace(experiment, grids=tuple(grids))


def _places(grid: Grid) -> Iterator[tuple[str, tuple[str, ...]]]:
    return itertools.product(grid.protocols, grid.modalities)


def _whole_numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(seed) for seed in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--seeds {text!r}: wanted whole numbers, as 0,1,2") from error


def _resolve_files(table: dict[str, object], beside: Path) -> None:
    """Give protocols and configurations that lie beside the experiment their path."""
    grids = table.get("grids")
    for grid in grids if isinstance(grids, list) else []:
        if not isinstance(grid, dict):
            continue
        protocols = grid.get("protocols")
        if isinstance(protocols, list):
            grid["protocols"] = [_beside(name, beside) for name in protocols]
        if "config" in grid:
            grid["config"] = _beside(grid["config"], beside)


def _beside(name: object, folder: Path) -> object:
    lies_there = isinstance(name, str) and name.endswith(".toml") and (folder / name).is_file()
    return str(folder / str(name)) if lies_there else name
