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
from dataclasses import dataclass, replace
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


def _in_one_tree(files: Mapping[str, RawFile]) -> tuple[RawFile, ...]:
    """The same files, by their stream, in a tree that holds all of them."""
    ordered = [file for _, file in sorted(files.items())]
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
    known, layout = tuple(modalities), layout_of(dataset)
    trees: dict[Path, RawTree] = {}
    listed = [(str(f), Path(f).parent, Path(f).name, Path(f).absolute().as_posix()) for f in files]
    if raw is not None:
        tree = trees[Path(raw)] = RawTree(raw)
        inside = [shown for shown, *_ in listed]
        inside = inside or [path for path in tree.walk() if _is_placed(path, layout)]
        listed = [(path, Path(raw), path, path) for path in inside]
    recordings: dict[str, dict[str, dict[str, RawFile]]] = {}
    views: dict[tuple[int, ...] | None, set[str]] = {}
    shared: dict[str, tuple[int, ...] | None] = {}
    failures: list[tuple[str, str]] = []
    ignored: list[str] = []
    for shown, root, path, says in listed:
        try:
            if root not in trees:
                trees[root] = RawTree(root)
            named = place(says, dataset)
            StreamRef(name=named.modality, path=path)  # refuses what leads out of the tree
        except (ContractError, RecordingError) as error:
            failures.append((shown, str(error)))
            continue
        if named.modality not in known:
            ignored.append(shown)
            continue
        streams = recordings.setdefault(named.record_id, {}).setdefault(named.modality, {})
        if named.stream in streams:
            what = f"{named.modality} of {named.record_id}"
            failures.append((shown, f"is a second {what}, beside {streams[named.stream].shown}"))
            continue
        streams[named.stream] = RawFile(
            tree=trees[root], path=path, shown=shown, stream=named.stream
        )
        if named.is_shared:
            shared[named.record_id] = named.trial
        else:
            views.setdefault(named.trial, set()).add(named.record_id)
    if not recordings and not failures:
        only = f"only {ignored[0]}" if ignored else "none"
        if len(ignored) > 1:
            only = f"{len(ignored)} files of other modalities, as {ignored[0]}"
        raise ConfigError(
            f"nothing to recognise: wanted recordings of {', '.join(known)}, found {only}"
        )
    for record_id, trial in shared.items():
        if trial in views:
            of_all_views = recordings.pop(record_id)
            for view in views[trial]:
                recordings[view].update(of_all_views)
    return Grouped(
        recordings=tuple(
            Recording(id=i, files={m: _in_one_tree(files) for m, files in by_modality.items()})
            for i, by_modality in recordings.items()
        ),
        failures=tuple(failures),
        ignored=tuple(ignored),
    )


def _is_placed(path: str, layout: Layout) -> bool:
    try:
        return layout.place(path) is not None
    except ContractError:
        return False
