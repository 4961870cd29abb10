"""A small tree of UTD-MHAD's names, and records and lists made of nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.contract import Record, StreamRef
from pipeline.manifests import Manifest

FOLDERS = {
    "Inertial": "inertial.mat",
    "Skeleton": "skeleton.mat",
    "Depth": "depth.mat",
    "RGB": "color.avi",
}
TRIALS = ((2, 1, 1), (10, 1, 1), (2, 3, 2))


def content(folder: str, name: str) -> bytes:
    return f"{folder} {name}".encode() * 10


def write_tree(raw: Path) -> Path:
    """Three records of four modalities and a stray file."""
    for folder, ending in FOLDERS.items():
        (raw / folder).mkdir(parents=True)
        for action, subject, trial in TRIALS:
            name = f"a{action}_s{subject}_t{trial}_{ending}"
            (raw / folder / name).write_bytes(content(folder, name))
    (raw / "Skeleton" / "Skeleton_joint_order.txt").write_text("head")
    return raw


def record(name: str = "a1", **changes: Any) -> Record:
    streams = {"inertial": (StreamRef(name="inertial", path=f"Inertial/{name}.mat"),)}
    fields = {"id": name, "label": 0, "attributes": {"subject": 1}, "streams": streams}
    return Record(**(fields | changes))


def manifest(*records: Record, classes: tuple[str, ...] = ("wave", "clap")) -> Manifest:
    return Manifest(dataset="utd-mhad", classes=classes, records=records or (record(),))
