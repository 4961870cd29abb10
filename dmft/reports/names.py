"""What runs are called where people read them: ``teacher S+I seed 0``, and what else tells apart.

A folder that a person named keeps its name. One that an experiment named, by a hash, does not.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dmft.config import RunConfig, load_config
from dmft.reports.format import count
from dmft.runs.spec import RunInfo
from pipeline.common.settings import flatten, shipped_names, to_table

LETTERS: Mapping[str, str] = {"rgb": "R", "depth": "D", "skeleton": "S", "inertial": "I"}
"""Modality to the paper's letter; others are written out."""
_HASH = re.compile(r"[0-9a-f]{12,}")
_MOST_CHANGES = 2


def letters_of(modalities: Sequence[str]) -> str:
    """A set of modalities as the paper writes it.

    >>> letters_of(["skeleton", "inertial", "wifi"])
    'S+I+wifi'
    """
    return "+".join(LETTERS.get(name, name) for name in modalities)


def is_hash(folder: Path) -> bool:
    """Whether a folder was named by an experiment and not by a person."""
    return _HASH.fullmatch(folder.name) is not None


def run_names(infos: Sequence[RunInfo], places: Sequence[Path | None]) -> list[str]:
    """A name for each run, no two alike and as short as that allows.

    Args:
        infos: What the runs are, by one fold of each.
        places: The folder whose name each has; None for what it is in words.
    """
    given = short_names([place for place in places if place is not None])
    in_words = [info for info, place in zip(infos, places, strict=True) if place is None]
    told = iter(_told_apart(in_words))
    names = iter(given)
    return _numbered([next(told) if place is None else next(names) for place in places])


def short_names(places: Sequence[Path]) -> list[str]:
    """Last parts of the paths, as many as tell them apart; numbers where nothing does."""
    resolved = [place.resolve().parts for place in places]
    names: list[str] = []
    for depth in range(1, max(map(len, resolved), default=0) + 1):
        names = ["/".join(parts[-depth:]) for parts in resolved]
        if len(set(names)) == len(set(resolved)):
            break
    return _numbered(names)


def recipes_of(configs: Sequence[RunConfig]) -> list[str]:
    """The shipped configuration nearest to each, and where those at hand differ, what it changes.

    >>> recipes_of([load_config("paper"), load_config("default", ["training.epochs=7"])])
    ['paper', 'default, training.epochs 7']
    """
    tables = [flatten(to_table(config)) for config in configs]
    differing = [key for key in tables[0] if any(t[key] != tables[0][key] for t in tables)]
    recipes = []
    for own in tables:
        nearest = min(
            _shipped(), key=lambda name: sum(own[key] != _shipped()[name].get(key) for key in own)
        )
        shipped = _shipped()[nearest]
        changes = [f"{key} {own[key]}" for key in differing if own[key] != shipped.get(key)]
        if len(changes) > _MOST_CHANGES:
            changes[_MOST_CHANGES:] = [f"and {count(len(changes) - _MOST_CHANGES, 'other change')}"]
        recipes.append(", ".join([nearest, *changes]))
    return recipes


def _told_apart(infos: Sequence[RunInfo]) -> list[str]:
    """Each run in words, with its protocol, recipe or fold where others are alike without it."""
    words: list[Callable[[Sequence[RunInfo]], list[str]]] = [
        lambda alike: [info.source.protocol.name for info in alike],
        lambda alike: recipes_of([info.spec.config for info in alike]),
        lambda alike: [count(len(info.spec.teachers), "teacher") for info in alike],
        lambda alike: [_own_of(info) for info in alike],
        lambda alike: [f"fold {info.spec.fold.name}" for info in alike],
    ]
    names = [
        f"{info.spec.model_name} {letters_of(info.spec.modalities)} seed {info.spec.seed}"
        for info in infos
    ]
    for word in words:
        alike: dict[str, list[int]] = {}
        for index, name in enumerate(names):
            alike.setdefault(name, []).append(index)
        for name, indices in alike.items():
            words_of = word([infos[index] for index in indices]) if len(indices) > 1 else []
            if len(set(words_of)) > 1:
                for index, more in zip(indices, words_of, strict=True):
                    names[index] = f"{name}, {more}"
    return names


def _own_of(info: RunInfo) -> str:
    """What of the user's own a run was trained with, and whom it held out."""
    spec = info.spec
    parts = [f"loss {spec.loss.title}"] if spec.loss else []
    parts += [f"augment {spec.augment.title}"] if spec.augment else []
    if spec.validation:
        parts.append(f"{spec.validation.keep} epoch by {spec.validation.by} held out")
    return ", ".join(parts) or "on the whole training side"


def _numbered(names: Sequence[str]) -> list[str]:
    seen: Counter[str] = Counter()
    numbered = []
    for name in names:
        seen[name] += 1
        numbered.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return numbered


@functools.cache
def _shipped() -> Mapping[str, Mapping[str, Any]]:
    """The shipped configurations, each as one flat table."""
    return {name: flatten(to_table(load_config(name))) for name in shipped_names("configs")}
