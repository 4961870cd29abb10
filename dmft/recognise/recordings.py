"""From a list of files to recordings: which files were recorded together, told by their names.

A name that the data set's layout knows says record and modality. Any other name does if it ends
as the data set's names do (``kitchen_07_skeleton.mat``, ``kitchen_07_color.avi``): what stands
before is the recording. A file that the views of a trial share, such as MMAct's sensors, goes to
each of its views that is there. Files are not opened here.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from pipeline.contract import ConfigError, ContractError, RecordingError, StreamRef
from pipeline.manifests.layout import Layout, layout_of
from pipeline.raw.tree import RawTree

_SUFFIXES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "utd-mhad": {
        "_color.avi": ("rgb", "rgb"),
        "_depth.mat": ("depth", "depth"),
        "_skeleton.mat": ("skeleton", "skeleton"),
        "_inertial.mat": ("inertial", "inertial"),
    },
    "mmact": {
        ".mp4": ("rgb", "rgb"),
        ".json": ("skeleton", "skeleton"),
        "_acc_phone.csv": ("inertial", "acc_phone"),
        "_acc_watch.csv": ("inertial", "acc_watch"),
        "_gyro.csv": ("inertial", "gyro"),
        "_orientation.csv": ("inertial", "orientation"),
        "_wifi.csv": ("wifi", "wifi"),
        "_pressure.csv": ("pressure", "pressure"),
    },
}
"""Data set to how its names end, and which modality and stream that is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What a file's name says."""

    record_id: str
    """The recording."""
    modality: str
    stream: str
    trial: tuple[int, ...] | None = None
    """What was recorded at one time, where the data set's layout says it."""
    is_shared: bool = False
    """Whether it belongs to all views of its trial."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawFile:
    """One file of a recording."""

    tree: RawTree
    """Where it lies."""
    path: str
    """In the tree."""
    shown: str
    """As it was named."""
    stream: str
    """Which source of its modality it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Files that were recorded together."""

    id: str
    """What their names have in common."""
    files: Mapping[str, tuple[RawFile, ...]]
    """By modality; the streams of one modality lie in one tree."""


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

    recordings: dict[str, dict[str, list[RawFile]]] = field(default_factory=dict)
    views: dict[tuple[int, ...], set[str]] = field(default_factory=dict)
    """Trial to the recordings that are its views."""
    shared: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Recordings of files that all views share, with their trial."""
    failures: list[tuple[str, str]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    def add(
        self,
        tree: RawTree,
        path: str,
        *,
        shown: str,
        says: str,
        dataset: str,
        modalities: Iterable[str],
    ) -> None:
        """Sort the file at ``path`` of ``tree``, named ``shown``, by what the path ``says``."""
        try:
            named = place(says, dataset)
            StreamRef(name=named.modality, path=path)  # refuses what leads out of the tree
        except ContractError as error:
            self.failures.append((shown, str(error)))
            return
        if named.modality not in modalities:
            self.ignored.append(shown)
            return
        streams = self.recordings.setdefault(named.record_id, {}).setdefault(named.modality, [])
        for other in streams:
            if other.stream == named.stream:
                what = f"{named.modality} of {named.record_id}"
                self.failures.append((shown, f"is a second {what}, beside {other.shown}"))
                return
        streams.append(RawFile(tree=tree, path=path, shown=shown, stream=named.stream))
        if named.trial is not None and named.is_shared:
            self.shared[named.record_id] = named.trial
        elif named.trial is not None:
            self.views.setdefault(named.trial, set()).add(named.record_id)

    def gathered(self) -> tuple[Recording, ...]:
        """The recordings; of files that views share, in each view that is there."""
        for record_id, trial in self.shared.items():
            if trial in self.views:
                streams = self.recordings.pop(record_id)
                for view in self.views[trial]:
                    self.recordings[view].update(streams)
        return tuple(
            Recording(id=i, files={m: _in_one_tree(files) for m, files in of.items()})
            for i, of in self.recordings.items()
        )


def _in_one_tree(files: list[RawFile]) -> tuple[RawFile, ...]:
    """The same files, by their name, in a tree that holds all of them."""
    ordered = sorted(files, key=lambda file: file.stream)
    if all(file.tree is ordered[0].tree for file in ordered):
        return tuple(ordered)
    root = Path(os.path.commonpath([file.tree.root.absolute() for file in ordered]))
    tree = RawTree(root)
    return tuple(
        replace(file, tree=tree, path=path.relative_to(root).as_posix())
        for file in ordered
        for path in [file.tree.root.absolute() / file.path]
    )


def place(path: str, dataset: str) -> Named:
    """What a file's path says of it.

    Raises:
        ContractError: it does not say which recording and modality it is, or almost says it.
    """
    layout = layout_of(dataset)
    found = layout.place(path)
    if found is not None:
        return Named(
            record_id=found.record_id,
            modality=found.modality,
            stream=found.stream,
            trial=found.trial,
            is_shared=found.modality in layout.shared,
        )
    name = PurePosixPath(path).name
    suffixes = _SUFFIXES.get(dataset, {})
    for suffix, (modality, stream) in suffixes.items():
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            record_id = re.sub(r"[^A-Za-z0-9_.\-]", "_", name[: -len(suffix)])
            return Named(record_id=record_id, modality=modality, stream=stream)
    raise ContractError(
        f"the name {name!r} does not say what it is a recording of: wanted it to end in one of "
        f"{', '.join(suffixes)}"
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
            gathering.add(
                tree, inside, shown=inside, says=inside, dataset=dataset, modalities=known
            )
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
            gathering.add(
                trees[path.parent],
                path.name,
                shown=str(each),
                says=path.absolute().as_posix(),
                dataset=dataset,
                modalities=known,
            )
    if not gathering.recordings and not gathering.failures:
        found = f"only {gathering.ignored[0]}" if len(gathering.ignored) == 1 else "none"
        if len(gathering.ignored) > 1:
            found = f"{len(gathering.ignored)} files of other modalities, as {gathering.ignored[0]}"
        raise ConfigError(
            f"nothing to recognise: wanted recordings of {', '.join(known)}, found {found}"
        )
    return Grouped(
        recordings=gathering.gathered(),
        failures=tuple(gathering.failures),
        ignored=tuple(gathering.ignored),
    )


def _is_placed(path: str, layout: Layout) -> bool:
    try:
        return layout.place(path) is not None
    except ContractError:
        return False
