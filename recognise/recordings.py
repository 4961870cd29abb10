"""From a list of files to recordings: which files were recorded together, told by their names.

A name that the data set's layout knows says record and modality. Any other name does if it ends
as the data set's names do (``kitchen_07_skeleton.mat``, ``kitchen_07_color.avi``): what stands
before is the recording. Files are not opened here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pipeline.contract import ConfigError, ContractError, RecordingError, StreamRef
from pipeline.manifests.layout import Layout
from pipeline.manifests.layouts import layout_of
from pipeline.rawtree import RawTree

_SUFFIXES: Mapping[str, Mapping[str, str]] = {
    "utd-mhad": {
        "rgb": "_color.avi",
        "depth": "_depth.mat",
        "skeleton": "_skeleton.mat",
        "inertial": "_inertial.mat",
    }
}
"""Data set to how its names end, by modality."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawFile:
    """One file of a recording."""

    tree: RawTree
    """Where it lies."""
    path: str
    """In the tree."""
    shown: str
    """As it was named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Files that were recorded together."""

    id: str
    """What their names have in common."""
    files: Mapping[str, RawFile]
    """By modality."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouped:
    """What a list of files came to."""

    recordings: tuple[Recording, ...]
    """In the order in which they were first named."""
    failures: tuple[tuple[str, str], ...] = ()
    """Files that belong to no recording, with the reason."""
    ignored: tuple[str, ...] = ()
    """Files of modalities that the model does not know."""


@dataclass(slots=True)
class _Gathering:
    """Sorts one file after the other."""

    recordings: dict[str, dict[str, RawFile]] = field(default_factory=dict)
    failures: list[tuple[str, str]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    def add(self, file: RawFile, dataset: str, modalities: Iterable[str]) -> None:
        try:
            record_id, modality = place(file.path, dataset)
            StreamRef(name=modality, path=file.path)  # refuses what leads out of the tree
        except ContractError as error:
            self.failures.append((file.shown, str(error)))
            return
        if modality not in modalities:
            self.ignored.append(file.shown)
            return
        files = self.recordings.setdefault(record_id, {})
        if modality in files:
            reason = f"is a second {modality} of {record_id}, beside {files[modality].shown}"
            self.failures.append((file.shown, reason))
            return
        files[modality] = file


def place(path: str, dataset: str) -> tuple[str, str]:
    """Return the recording and the modality that a file's name says.

    Raises:
        ContractError: the name says neither, or almost says them.
    """
    found = layout_of(dataset).place(path)
    if found is not None:
        return found.record_id, found.modality
    name = PurePosixPath(path).name
    suffixes = _SUFFIXES.get(dataset, {})
    for modality, suffix in suffixes.items():
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return re.sub(r"[^A-Za-z0-9_.\-]", "_", name[: -len(suffix)]), modality
    raise ContractError(
        f"the name {name!r} does not say what it is a recording of: wanted it to end in one of "
        f"{', '.join(suffixes.values())}"
    )


def group_files(
    files: Iterable[str | Path],
    *,
    dataset: str,
    modalities: Iterable[str],
    raw: str | Path | None = None,
) -> Grouped:
    """Sort files into recordings.

    Args:
        files: Paths; with ``raw``, paths inside it, and none means all that it holds.
        dataset: Names the layout.
        modalities: Those that the model knows.
        raw: A raw tree, whose folders may be archives.

    Raises:
        ConfigError: not one file is of a modality that the model knows.
        RecordingError: ``raw`` is no folder or an archive in it is damaged.
    """
    known = tuple(modalities)
    gathering = _Gathering()
    if raw is not None:
        tree = RawTree(raw)
        named = [str(file) for file in files]
        layout = layout_of(dataset)
        for inside in named or [p for p in tree.walk() if _is_placed(p, layout)]:
            gathering.add(RawFile(tree=tree, path=inside, shown=inside), dataset, known)
    else:
        trees: dict[Path, RawTree] = {}
        for each in files:
            path = Path(each)
            try:
                if path.parent not in trees:
                    trees[path.parent] = RawTree(path.parent)
            except RecordingError as error:
                gathering.failures.append((str(each), str(error)))
                continue
            file = RawFile(tree=trees[path.parent], path=path.name, shown=str(each))
            gathering.add(file, dataset, known)
    if not gathering.recordings and not gathering.failures:
        found = f"only {gathering.ignored[0]}" if len(gathering.ignored) == 1 else "none"
        if len(gathering.ignored) > 1:
            found = f"{len(gathering.ignored)} files of other modalities, as {gathering.ignored[0]}"
        raise ConfigError(
            f"nothing to recognise: wanted recordings of {', '.join(known)}, found {found}"
        )
    return Grouped(
        recordings=tuple(Recording(id=i, files=f) for i, f in gathering.recordings.items()),
        failures=tuple(gathering.failures),
        ignored=tuple(gathering.ignored),
    )


def _is_placed(path: str, layout: Layout) -> bool:
    try:
        return layout.place(path) is not None
    except ContractError:
        return False
