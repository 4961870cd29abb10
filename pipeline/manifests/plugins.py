"""Data sets that a package brings: the entry points ``dmft.datasets``, found by name.

An entry point is a module, or anything else with a ``DESCRIPTION``: the path of a ``dataset.toml``
or its table. Where no pattern and no table says what the files are, it has ``recordings(paths)``
too: rows as a table of trials has them, made of the paths of the tree. Nothing of it runs but where
a manifest is built; the description travels in that, with the package and its version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from pipeline.contract import ConfigError, ContractError, DmftError
from pipeline.datasets.description import (
    PLUGIN,
    Description,
    load_description,
    parse_description,
)
from pipeline.manifests.build import Build, Progress, other_files
from pipeline.manifests.described import list_described
from pipeline.manifests.pattern import build_pattern
from pipeline.manifests.table import list_rows, with_frames
from pipeline.raw.tree import RawTree

GROUP = "dmft.datasets"
Recordings = Callable[[Sequence[str]], Iterable[Mapping[str, Any]]]
"""Paths of a tree to a row a record: column to text or whole number, empty where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetPlugin:
    """A data set that a package brings."""

    name: str
    package: str
    """With its version."""
    description: Description
    recordings: Recordings | None
    """None where the description's patterns say what files are."""


def dataset_plugins() -> tuple[str, ...]:
    """Names of the data sets that installed packages bring; nothing is imported."""
    return tuple(sorted({entry.name for entry in entry_points(group=GROUP)}))


def load_dataset(name: str) -> DatasetPlugin:
    """The data set of a name.

    Raises:
        ConfigError: no package, or more than one, brings it; it cannot be imported; it has no
            description, or one that says something wrong.
    """
    matching = [entry for entry in entry_points(group=GROUP) if entry.name == name]
    if len(matching) != 1:
        others = ", ".join(dataset_plugins()) or "none"
        raise ConfigError(
            f"{len(matching)} packages bring a data set {name!r} as an entry point {GROUP!r}: "
            f"wanted one; there are {others}"
        )
    (entry,) = matching
    brought, package = _loaded(entry), _package(entry)
    given = getattr(brought, "DESCRIPTION", None)
    if isinstance(given, (str, Path)):
        table: Any = load_description(given).table
    elif isinstance(given, Mapping):
        table = given
    else:
        raise ConfigError(
            f"data set {name!r} of {package} has the DESCRIPTION {given!r}: wanted the path of a "
            "dataset.toml, or its table"
        )
    where = f"the description of {name!r} that {package} brings"
    recordings = getattr(brought, "recordings", None)
    return DatasetPlugin(
        name=name,
        package=package,
        description=parse_description({**table, PLUGIN: package}, where=where),
        recordings=recordings if callable(recordings) else None,
    )


def build_plugin(
    plugin: DatasetPlugin,
    raw: RawTree,
    *,
    progress: Progress | None = None,
    jobs: int | None = None,
) -> Build:
    """The manifest of the recordings of a tree, as a package finds them.

    Args:
        plugin: The data set.
        raw: The tree.
        progress: Called from this thread as files are hashed.
        jobs: Threads that hash.

    Raises:
        ContractError: the package fails, finds none, or lists what cannot be; every problem by
            its row, counted from 1, and its column.
        ConfigError: as :func:`pipeline.manifests.pattern.build_pattern`.
    """
    if plugin.recordings is None:
        return build_pattern(plugin.description, raw, progress=progress, jobs=jobs)
    import pandas as pd

    paths, where = raw.walk(), f"{plugin.name} of {plugin.package}"
    try:
        rows = [dict(row) for row in plugin.recordings(tuple(paths))]
    except DmftError:
        raise
    except Exception as error:  # somebody else's code
        raise ContractError(
            f"{where} cannot list {raw.root}: {type(error).__name__}: {error}"
        ) from error
    if not rows:
        ignored = [(path, "not listed") for path in paths]
        raise ContractError(f"{where} finds no recordings in {raw.root}: {other_files(ignored)}")
    columns = list(dict.fromkeys(str(column) for row in rows for column in row))
    cells = [[_text(row.get(column), where, n, column) for column in columns]
             for n, row in enumerate(rows, start=1)]  # fmt: skip
    table = pd.DataFrame(cells, columns=pd.Index(columns), dtype=object)
    listed = list_rows(plugin.description, table, where, first_row=1)
    listed = with_frames(plugin.description, listed, raw)
    taken = {path for each in listed for path, _ in each.paths.values()}
    ignored = [(path, f"not listed by {plugin.name}") for path in paths if path not in taken]
    return list_described(
        plugin.description,
        listed,
        raw,
        where=where,
        ignored=ignored,
        progress=progress,
        jobs=jobs,
    )


def _text(cell: Any, where: str, row: int, column: str) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool) or not isinstance(cell, (str, int)):
        raise ContractError(
            f"{where}: row {row}, column {column!r} is {cell!r}: wanted a text or a whole number"
        )
    return str(cell).strip()


def _loaded(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except Exception as error:  # somebody else's code
        raise ConfigError(
            f"data set {entry.name!r} of {entry.value} cannot be imported: "
            f"{type(error).__name__}: {error}"
        ) from error


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "unknown"
