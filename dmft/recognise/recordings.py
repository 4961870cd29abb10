"""From a list of files to recordings: which files were recorded together, told by their names.

Files belong together that lie in one folder, folders that name a modality left aside, and whose
whole names differ in nothing but the modality: ``anna/walk_inertial.mat`` and
``bert/walk_skeleton.mat`` do not. Names that the data set's layout knows are read as it reads them;
of others the ending says the modality (``kitchen 07_skeleton.mat``), or the folder of a sensor, and
no label is needed. A file that the views of a trial share, such as MMAct's sensors, goes to each of
its views that is there. Files are not opened here.
"""

from __future__ import annotations

import os.path
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from dmft.recognise.described import Places, recordings_of_table
from pipeline.contract import ConfigError, ContractError, RecordingError, StreamRef
from pipeline.datasets import Description
from pipeline.manifests.layout import Layout, layout_of
from pipeline.manifests.mmact import LEVEL, SENSOR_FOLDERS
from pipeline.raw.tree import RawTree

Key = tuple[tuple[str, ...], str]
"""Folder and name of a recording."""
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


_FOLDERS: Mapping[str, Mapping[str, tuple[str, str]]] = {"mmact": SENSOR_FOLDERS}
"""Data set to folders whose .csv files are of one modality and stream, whatever their names."""
_CONTAINERS: Mapping[str, frozenset[str]] = {
    "utd-mhad": frozenset(("rgb", "depth", "skeleton", "inertial")),
    "mmact": frozenset(("trainval", "rgb", "pose", "skeleton", *SENSOR_FOLDERS)),
}
"""Data set to folders, in lower case, that say what lies in them and nothing of the recording."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What a file's name says."""

    record_id: str
    """The recording, in its folder."""
    modality: str
    stream: str
    folder: tuple[str, ...] = ()
    """Where it lies, without the folders that name a modality or a part of the recording."""
    trial: tuple[Hashable, ...] | None = None
    """What was recorded at one time, where that may have several views."""
    is_shared: bool = False
    """Whether it belongs to all views of its trial."""

    @property
    def key(self) -> tuple[tuple[str, ...], str]:
        """What all files that were recorded together have alike."""
        return self.folder, self.record_id


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
        ContractError: it does not say which recording and modality it is.
    """
    layout = layout_of(dataset)
    *folders, name = PurePosixPath(path).parts
    outer = tuple(f for f in folders if f.lower() not in _CONTAINERS.get(dataset, ()))
    try:
        found = layout.place(path)
    except ContractError:  # a trial or an activity that the data set does not have
        found = None
    if found is not None:
        folder = tuple(f for f in outer if not LEVEL.fullmatch(f))
        return Named(
            record_id=found.record_id,
            modality=found.modality,
            stream=found.stream,
            folder=folder,
            trial=(folder, found.trial),
            is_shared=found.modality in layout.shared,
        )
    suffixes = _SUFFIXES.get(dataset, {})
    for suffix, (modality, stream) in suffixes.items():
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return _unlabelled(outer, name[: -len(suffix)], modality, stream, layout)
    by_folder = _FOLDERS.get(dataset, {})
    stem, ending = os.path.splitext(name)  # noqa: PTH122 - of a path in a tree or an archive
    for inner in folders if ending.lower() == ".csv" else ():
        if inner.lower() in by_folder:
            return _unlabelled(outer, stem, *by_folder[inner.lower()], layout)
    raise ContractError(
        f"the name {name!r} does not say what it is a recording of: wanted it to end in one of "
        f"{', '.join(suffixes)}"
    )


def _unlabelled(
    outer: tuple[str, ...], stem: str, modality: str, stream: str, layout: Layout
) -> Named:
    """A recording that the layout does not know: told by its folder and whole name."""
    levels = [LEVEL.fullmatch(folder) for folder in outer]
    without_camera = tuple(
        f for f, level in zip(outer, levels, strict=True) if not level or level[1].lower() != "cam"
    )
    is_shared = modality in layout.shared and any(levels)
    return Named(
        record_id=stem,
        modality=modality,
        stream=stream,
        folder=outer,
        trial=(without_camera, stem) if any(levels) else None,
        is_shared=is_shared,
    )


def group_files(
    files: Iterable[str | Path],
    *,
    dataset: str,
    modalities: Iterable[str],
    raw: str | Path | None = None,
    trials: str | Path | None = None,
    own: Description | None = None,
) -> Grouped:
    """Sort files into recordings.

    Args:
        files: Paths; with ``raw``, paths inside it, and none means all that it holds.
        dataset: Names the layout.
        modalities: Those that the model knows.
        raw: A raw tree, whose folders may be archives.
        trials: A table of trials, of a described data set.
        own: The description of the data set; None where its layout is known.

    Raises:
        ConfigError: not one file is of a modality that the model knows.
        RecordingError: ``raw`` is no folder or an archive in it is damaged.
    """
    if trials is not None:
        if own is None or raw is None:
            raise ConfigError("a table of trials needs a described data set and its raw tree")
        return _listed(own, Path(trials), RawTree(raw), tuple(modalities))
    known, ignored = tuple(modalities), list[str]()
    places = Places(own) if own is not None else None
    trees: dict[Path, RawTree] = {}
    endings = {PurePosixPath(suffix).suffix for suffix in _SUFFIXES.get(dataset, ())}
    named_files, files = _named_files(files, known)
    listed = [(str(f), Path(f).parent, Path(f).name, Path(f).absolute().as_posix()) for f in files]
    is_walked = raw is not None and not listed
    if raw is not None:
        tree = trees[Path(raw)] = RawTree(raw)
        inside = [shown for shown, *_ in listed] or tree.walk()
        listed = [(path, Path(raw), path, path) for path in inside]
    recordings: dict[Key, dict[str, dict[str, RawFile]]] = {}
    views: dict[tuple[Hashable, ...] | None, dict[Key, None]] = {}
    shared: dict[Key, tuple[Hashable, ...] | None] = {}
    failures: list[tuple[str, str]] = []
    for shown, root, path, says in listed:
        try:
            if root not in trees:
                trees[root] = RawTree(root)
            named = named_files.get(shown) or _named(says, dataset, places)
            StreamRef(name=named.modality, path=path)  # refuses what leads out of the tree
        except (ContractError, RecordingError) as error:
            if not is_walked:
                failures.append((shown, str(error)))
            elif PurePosixPath(path).suffix.lower() in endings:
                ignored.append(shown)
            continue
        if named.modality not in known:
            ignored.append(shown)
            continue
        streams = recordings.setdefault(named.key, {}).setdefault(named.modality, {})
        if named.stream in streams:
            what = f"{named.modality} of {named.record_id}"
            failures.append((shown, f"is a second {what}, beside {streams[named.stream].shown}"))
            continue
        streams[named.stream] = RawFile(
            tree=trees[root], path=path, shown=shown, stream=named.stream
        )
        if named.is_shared:
            shared[named.key] = named.trial
        elif named.trial is not None:
            views.setdefault(named.trial, {})[named.key] = None
    if not recordings and not failures:
        only = f"only {ignored[0]}" if ignored else "none"
        if len(ignored) > 1:
            only = f"{len(ignored)} files of other modalities, as {ignored[0]}"
        raise ConfigError(
            f"nothing to recognise: wanted recordings of {', '.join(known)}, found {only}"
        )
    for key, trial in shared.items():
        if trial in views:
            of_all_views = recordings.pop(key)
            for view in views[trial]:
                recordings[view].update(of_all_views)
    return Grouped(
        recordings=tuple(
            Recording(id=name, files={m: _in_one_tree(f) for m, f in by_modality.items()})
            for name, by_modality in zip(_ids(recordings), recordings.values(), strict=True)
        ),
        failures=tuple(failures),
        ignored=tuple(ignored),
    )


def _named_files(
    files: Iterable[str | Path], known: tuple[str, ...]
) -> tuple[dict[str, Named], list[str | Path]]:
    """What ``MODALITY=FILE`` and ``MODALITY.STREAM=FILE`` say, by file; and all files."""
    named: dict[str, Named] = {}
    paths: list[str | Path] = []
    for file in files:
        what, equals, path = str(file).partition("=")
        modality, _, stream = what.partition(".")
        if not equals or modality not in known:
            paths.append(file)
            continue
        named[path] = Named(record_id="recording", modality=modality, stream=stream or modality)
        paths.append(path)
    return named, paths


def _named(path: str, dataset: str, places: Places | None) -> Named:
    """What a path says, by the description's patterns or by the data set's layout."""
    if places is None:
        return place(path, dataset)
    facts = places.find(path)
    trial = (facts.folder, facts.of_trial)
    return Named(
        record_id="_".join(text for _, text in facts.says),
        modality=facts.source[0],
        stream=facts.source[1],
        folder=facts.folder,
        trial=trial,
        is_shared=facts.is_shared,
    )


def _listed(own: Description, trials: Path, tree: RawTree, known: tuple[str, ...]) -> Grouped:
    """The recordings of a table of trials."""
    recordings, ignored = [], list[str]()
    for name, paths in recordings_of_table(own, trials):
        files: dict[str, tuple[RawFile, ...]] = {}
        for (modality, stream), path in paths.items():
            if modality not in known:
                ignored.append(path)
                continue
            StreamRef(name=stream, path=path)  # refuses what leads out of the tree
            file = RawFile(tree=tree, path=path, shown=path, stream=stream)
            files[modality] = (*files.get(modality, ()), file)
        if files:
            recordings.append(Recording(id=name, files=files))
    if not recordings:
        raise ConfigError(f"{trials} lists no recordings of {', '.join(known)}")
    return Grouped(recordings=tuple(recordings), ignored=tuple(ignored))


def _ids(keys: Iterable[Key]) -> list[str]:
    """What recordings are called: by their names, and by folder where several share one."""
    keys = list(keys)
    counts = Counter(name for _, name in keys)
    top = os.path.commonpath([PurePosixPath(*folder) for folder, _ in keys]) if keys else ""
    return [
        name if counts[name] == 1 else str(PurePosixPath(*folder, name).relative_to(top))
        for folder, name in keys
    ]
