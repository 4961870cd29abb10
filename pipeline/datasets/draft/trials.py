"""What the columns of a table of trials are: paths of files, the label, the records' names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipeline.datasets.pattern import is_picture

_LABELS = (
    "label", "activity", "action", "class", "gesture", "exercise", "task", "movement", "category",
    "behaviour", "behavior", "state", "target",
)  # fmt: skip
_RECORDS = ("record", "record_id", "trial", "trial_id", "id", "name", "recording", "clip", "sample")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """A table of trials by its columns."""

    paths: Mapping[str, Sequence[str]]
    """Column to the paths of the tree in it."""
    label: str | None
    record: str | None


def trials_of(columns: Mapping[str, Sequence[str]], files: Sequence[str]) -> Trials:
    """Which column is what.

    Args:
        columns: Name to texts, a row each; empty where there is nothing.
        files: Paths of the tree.
    """
    known = {*files, *(str(PurePosixPath(path).parent) for path in files if is_picture(path))}
    paths = {}
    for name, cells in columns.items():
        given = [PurePosixPath(cell.replace("\\", "/")).as_posix() for cell in cells if cell]
        known_paths = [path for path in given if path in known]
        if known_paths and 2 * len(known_paths) >= len(given):
            paths[name] = known_paths
    others = {name: cells for name, cells in columns.items() if name not in paths}
    return Trials(paths=paths, label=_label(others), record=_record(others))


def _label(columns: Mapping[str, Sequence[str]]) -> str | None:
    """A column that is called so, else the texts without numbers of which there are fewest."""
    by_name = {name.strip().lower(): name for name in columns}
    if called := next((by_name[name] for name in _LABELS if name in by_name), None):
        return called
    few = {
        name: len(set(cells))
        for name, cells in columns.items()
        if 1 < len(set(cells)) <= len(cells) / 2 and not any(re.search("[0-9]", c) for c in cells)
    }
    return min(few, key=lambda name: few[name], default=None)


def _record(columns: Mapping[str, Sequence[str]]) -> str | None:
    """A column that is called so and says something else in each row."""
    for wanted in _RECORDS:
        for name, cells in columns.items():
            if name.strip().lower() == wanted and all(cells) and len(set(cells)) == len(cells):
                return name
    return None
