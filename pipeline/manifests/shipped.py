"""The manifests of published data sets that ship with the software, in ``data_manifests``.

UTD-MHAD's is a manifest's file. MMAct's is made of the list of its clips, which is a tenth of the
size: ``mmact-clips.csv`` with the columns subject, camera, scene, session, file_stem, n_frames.
"""

from __future__ import annotations

import csv
from functools import lru_cache
from pathlib import Path

from pipeline.common.settings import shipped_folder
from pipeline.contract import ConfigError, ContractError, StreamRef
from pipeline.manifests.build import assemble
from pipeline.manifests.files import load_manifest
from pipeline.manifests.layout import layout_of
from pipeline.manifests.model import Manifest

CLIPS = "-clips.csv"
"""How the names of lists of clips end, after the data set's."""
DATA = (".csv", ".jsonl", ".toml")
"""How the names of data end; what else lies there is about them."""


def shipped_files() -> tuple[str, ...]:
    """Every file of data that ships, by its path from their folder.

    >>> "configs/default.toml" in shipped_files()
    True
    """
    folder = shipped_folder()
    files = (file for file in folder.rglob("*") if file.suffix in DATA and file.is_file())
    return tuple(sorted(file.relative_to(folder).as_posix() for file in files))


def is_shipped(file: Path) -> bool:
    """Whether a file lies among the data that ship."""
    return file.resolve().is_relative_to(shipped_folder().resolve())


@lru_cache(maxsize=3)  # MMAct's takes seconds, and a manifest never changes
def shipped_manifest(dataset: str, n_classes: int | None = None) -> Manifest:
    """The manifest of a published data set.

    Args:
        dataset: Such as ``mmact``.
        n_classes: How its classes are counted; None for the usual way.

    Raises:
        ConfigError: none ships for ``dataset``, or there is no such way of counting.
    """
    folder = shipped_folder()
    lists = {file.name.removesuffix(CLIPS): file for file in folder.glob(f"*{CLIPS}")}
    files = {file.stem: file for file in folder.glob("*.jsonl")}
    if dataset in files:
        layout_of(dataset, n_classes)
        return load_manifest(files[dataset])
    if dataset in lists:
        return manifest_of_clips(dataset, lists[dataset].read_text(encoding="utf-8"), n_classes)
    raise ConfigError(f"no manifest ships for {dataset!r}: there are {sorted(lists | files)}")


def manifest_of_clips(dataset: str, clips: str, n_classes: int | None = None) -> Manifest:
    """The manifest of the clips that a list names, as if they lay in a tree; sizes are unknown.

    Args:
        dataset: Names the layout.
        clips: CSV with the columns subject, camera, scene, session, file_stem, n_frames.
        n_classes: How classes are counted; None for the usual way.

    Raises:
        ContractError: a line that cannot be read, a clip that is named twice, no clip.
    """
    layout = layout_of(dataset, n_classes)
    files = []
    lines_by_id: dict[str, int] = {}
    for number, row in enumerate(csv.DictReader(clips.splitlines()), start=2):
        try:
            path = (
                f"trainval/subject{row['subject']}/cam{row['camera']}/scene{row['scene']}/"
                f"session{row['session']}/{row['file_stem']}.mp4"
            )
            place = layout.place(path)
            n_frames = int(row["n_frames"])
        except (KeyError, TypeError, ValueError, ContractError) as error:
            raise ContractError(f"line {number} of the clips cannot be read: {error!r}") from error
        first = lines_by_id.setdefault(place.record_id, number) if place is not None else None
        if place is None or first != number:
            raise ContractError(
                f"line {number} of the clips is {path}: wanted a clip that is not line {first}"
            )
        files.append((place, StreamRef(name=place.stream, path=path, n_frames=n_frames)))
    if not files:
        raise ContractError("the list of clips names no clip: wanted one a line below the header")
    return assemble(layout, files)
