"""New recordings of a described data set: which files belong together, and as what.

A path is read by the description's patterns, the whole of it or, where it lies elsewhere, as much
of its end as fits. No label is needed: what a pattern calls so is part of the name. Where paths say
nothing, a table of trials or whoever asks says which file is what.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.contract import ContractError
from pipeline.datasets.description import Description
from pipeline.manifests.table import list_rows, read_trials

Source = tuple[str, str]
"""Modality and stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a path says."""

    source: Source
    folder: tuple[str, ...]
    """Where the part of the path begins that the pattern reads."""
    says: tuple[tuple[str, str], ...]
    """Facts, in one order for all patterns."""
    of_trial: tuple[tuple[str, str], ...]
    """Those that every modality's pattern says."""
    is_shared: bool
    """Whether it belongs to all views of its trial."""


class Places:
    """Reads paths by a description's patterns."""

    def __init__(self, description: Description) -> None:
        """Take the patterns of a description, for labels that are not known."""
        self.description = description
        self.patterns = description.patterns_with(())
        names = [set(pattern.names) for pattern in self.patterns.values()]
        self._order = tuple(dict.fromkeys(n for p in self.patterns.values() for n in p.names))
        self._common = set.intersection(*names) if names else set()

    def find(self, path: str) -> Facts:
        """What a path says.

        Raises:
            ContractError: no pattern reads it, or two do.
        """
        parts = PurePosixPath(path).parts
        for start in range(len(parts)):
            end = "/".join(parts[start:])
            found = {s: says for s, p in self.patterns.items() if (says := p.find(end)) is not None}
            if len(found) > 1:
                raise ContractError(
                    f"{path} is {' and '.join(m for m, _ in found)} by the patterns"
                )
            for source, says in found.items():
                facts = tuple((name, says[name]) for name in self._order if name in says)
                return Facts(
                    source=source,
                    folder=tuple(parts[:start]),
                    says=facts,
                    of_trial=tuple((n, v) for n, v in facts if n in self._common),
                    is_shared=self.description.may_share(source[0]),
                )
        texts = dict.fromkeys(repr(pattern.text) for pattern in self.patterns.values())
        wanted = ", ".join(texts) or "none"
        raise ContractError(
            f"{path} is of none of the patterns of {self.description.name} ({wanted}): say what it "
            f"is, as {'|'.join(self.description.modalities)}={PurePosixPath(path).name}"
        )


def recordings_of_table(
    description: Description, trials: Path
) -> Iterator[tuple[str, Mapping[Source, str]]]:
    """Names of the recordings that a table lists, and their paths; it needs no label.

    Raises:
        ContractError: the table cannot be read, or lacks a column.
    """
    for each in list_rows(description, read_trials(trials), str(trials), labelled=False):
        yield each.record or each.place, {s: path for s, (path, _) in each.paths.items()}
