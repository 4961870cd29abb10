"""A tree with the structure of the published list of MMAct's clips goes through the commands.

Two sessions of one subject always; all 35,117 clips among the slow tests.
"""

from __future__ import annotations

import csv
import importlib.resources
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from dmft.data import open_cache
from dmft.protocols import choose_folds, load_protocol
from pipeline.manifests import load_manifest
from tests.e2e.running import ROOT

CLIPS = Path(str(importlib.resources.files("data_manifests"))) / "mmact-clips.csv"
Row = Mapping[str, str]
COUNTS = {
    "mmact-cross-subject": (27_718, 7_399),
    "mmact-cross-session": (28_194, 6_923),
    "mmact-cross-scene": (25_046, 10_071),
    "mmact-cross-view": (26_415, 8_702),
}
"""Training and test records of all clips."""


def one_subject(row: Row) -> bool:
    """The one of whom one class is spelt with a capital, in that session and in the test's."""
    return (row["subject"], row["scene"]) == ("14", "1") and row["session"] in ("2", "5")


def everyone(row: Row) -> bool:
    return bool(row)


def run(arguments: Sequence[str | Path]) -> tuple[int, str, str]:
    """Run ``dmft`` to its end, however long that takes: exit code, output, errors."""
    command = [sys.executable, "-m", "cli", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("chosen", [one_subject, pytest.param(everyone, marks=pytest.mark.slow)])
def test_the_published_clips_are_listed_and_their_sensors_encoded(
    tmp_path: Path, chosen: Callable[[Row], bool]
) -> None:
    with CLIPS.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if chosen(row)]
    clips = tmp_path / "clips.csv"
    with clips.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    raw, listed, cache = tmp_path / "raw", tmp_path / "m.jsonl", tmp_path / "c.zarr"
    assert run(["synth", "mmact", raw, "--structure", clips, "--seconds", "0.5"])[0] == 0
    code, _, err = run(["manifest", "build", "mmact", raw, "-o", listed])
    assert code == 0, err
    manifest = load_manifest(listed)
    assert {record.id for record in manifest.records} == {
        f"subject{r['subject']}_cam{r['camera']}_scene{r['scene']}_session{r['session']}_"
        f"{r['file_stem'].lower()}"
        for r in rows
    }
    classes = {manifest.classes[record.label] for record in manifest.records}
    assert classes == {row["file_stem"].lower() for row in rows}

    encode = ["encode", listed, "--raw", raw, "--out", cache, "--modalities", "inertial", "--json"]
    code, out, err = run([*encode, "--dry-run"])
    assert code == 0, err
    assert json.loads(out)["modalities"]["inertial"]["n_pending"] == len(rows)
    assert not cache.exists()
    code, out, err = run([*encode, "--workers", "2"])
    assert code == 0, err
    counts = {"present": len(rows), "absent": 0, "failed": 0}
    assert json.loads(out)["counts"] == {"inertial": counts}

    opened = open_cache(cache, ["inertial"])
    names = COUNTS if chosen is everyone else ("mmact-cross-session", "mmact-cross-view")
    for name in names:
        (fold,) = choose_folds(load_protocol(name), opened, None)
        found = (len(fold.train), len(fold.test))
        assert sum(found) == len(rows)
        assert chosen is not everyone or found == COUNTS[name]
    assert chosen is not everyone or len(classes) == 35
