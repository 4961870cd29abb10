"""Described data sets for tests: tables of a description and small trees of files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.contract import StreamRef
from pipeline.datasets import Description, parse_description
from pipeline.readers.described import readable_as

ACTIVITIES = (
    "brush_teeth", "climb_stairs", "comb_hair", "descend_stairs", "drink_glass", "eat_meat",
    "eat_soup", "getup_bed", "liedown_bed", "pour_water", "sitdown_chair", "standup_chair",
    "use_telephone", "walk",
)  # fmt: skip

WRIST = """
name = "wrist-codes"
pattern = "{label}/Accelerometer-{time}-{label}-{subject}.txt"
attributes = ["subject"]

[modality.wrist]
kind = "series"
reader = "delimited"
separator = "space"
header = false
columns = [1, 2, 3]
names = ["acc_x", "acc_y", "acc_z"]
rate_hz = 32
factor = 0.047619047619
offset = -1.5
unit = "g"
range = [-1.5, 1.51]
encoding = { patches = 32 }
"""
"""Integer codes of three axes at 32 Hz, without header or times; label and person in the name."""


def description(table: dict[str, Any]) -> Description:
    """A description out of its table."""
    return parse_description(table, where="dataset.toml")


def read(content: bytes | dict[str, bytes], table: dict[str, Any]) -> Any:
    """What the one modality of a description reads of a file, or of its streams' files."""
    ((name, modality),) = description(table).modalities.items()
    files = {name: content} if isinstance(content, bytes) else content
    opened = [(c, StreamRef(name=n, path=f"{n}.dat")) for n, c in files.items()]
    return readable_as(modality.reading).read(opened)


def series(**options: Any) -> dict[str, Any]:
    """The table of a described data set with one modality, ``acc``, of delimited text."""
    given = {"kind": "series", "reader": "delimited", "columns": ["x", "y"], "rate_hz": 50.0}
    return {"name": "toys", "modality": {"acc": given | options}}


def fabricate_wrist_codes(root: Path, n_people: int = 16) -> int:
    """Files of 14 activities by people with one to few files each; how many there are."""
    rng = np.random.default_rng(0)
    n_files = 0
    for person in range(n_people):
        for take in range(1 + person % 5):
            activity = n_files % len(ACTIVITIES)
            rows = int(rng.integers(40, 120))
            swing = np.sin(np.arange(rows)[:, None] * (activity + 1) / 12 + np.arange(3))
            codes = np.clip(np.rint(32 + 20 * swing + rng.normal(0, 2, (rows, 3))), 0, 63)
            name = ACTIVITIES[activity]
            folder = root / name.capitalize()
            folder.mkdir(parents=True, exist_ok=True)
            text = "".join(" ".join(f"{int(code)}" for code in row) + "\n" for row in codes)
            text += "\n" * (take % 2)
            who = f"{'fm'[person % 2]}{person // 2 + 1}"
            stamp = f"2011-03-{take + 1:02d}-10-{person:02d}-00"
            (folder / f"Accelerometer-{stamp}-{name}-{who}.txt").write_text(text)
            n_files += 1
    (root / "README.txt").write_text("what the files are")
    (root / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    for path in list(root.glob("Walk/*.txt")):
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")
    return n_files
