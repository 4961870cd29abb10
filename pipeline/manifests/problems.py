"""What can be wrong with a manifest or with the files that it lists."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class ProblemKind(enum.StrEnum):
    """What sort of thing is wrong."""

    STRUCTURE = "structure"
    """The manifest is not what its format promises."""
    MISSING = "missing"
    """A listed file is not in the tree, or cannot be opened."""
    EXTRA = "extra"
    """A recording lies in the tree and no record lists it."""
    CHANGED = "changed"
    """A file has another size or hash than the manifest lists."""
    DUPLICATED = "duplicated"
    """Two streams list one file, or two files with the same content."""
    ESCAPING = "escaping"
    """A path or a link leads out of the tree."""
    DISAGREES = "disagrees"
    """Another manifest says something else of the same record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong, and where."""

    kind: ProblemKind
    where: str
    """A line of the manifest, a record's id, or a path of the tree."""
    message: str
