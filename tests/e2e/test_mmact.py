"""A fabricated MMAct tree with everything wrong goes through the real commands.

What fails in the encode is what the list of irregular files says, and nothing else does.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.running import run
from tests.trained import built_once

Trial = tuple[int, int, int, str]
"""Subject, scene, session and class."""
SIZE = ["--subjects", "2", "--sessions", "2", "--cameras", "2", "--classes", "3"]
SMALL = ["--seconds", "1", "--size", "64x36", "--jobs", "1", "--share", "0"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """What came of the tree."""

    summary: Mapping[str, Any]
    """What the encode printed."""
    listed: Mapping[str, set[Trial]]
    """The trials that suffered each irregularity."""
    records: Sequence[dict]
    """Of the manifest."""

    def of(self, trial: Trial) -> list[dict]:
        """The records that are views of a trial."""
        return [record for record in self.records if trials([record]) == {trial}]


def numbers_of(path: str) -> Trial:
    """Subject, scene, session and class of a path, whatever the order and spelling."""
    parts = path.lower().split("/")
    found = {part.rstrip("0123456789"): part for part in parts[:-1]}
    subject, scene, session = (
        int(found[name].removeprefix(name)) for name in ("subject", "scene", "session")
    )
    return subject, scene, session, parts[-1].split(".")[0]


def trials(records: Iterable[dict]) -> set[Trial]:
    """The trials of records as the manifest has them, a name and attributes each."""
    return {
        (
            *(record["attributes"][name] for name in ("subject", "scene", "session")),
            record["id"].split("_", 4)[4],
        )
        for record in records
    }


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Encoded:
    """Encode a tree with everything wrong by the real commands."""
    folder = built_once(tmp_path_factory, "mmact", encode_everything_wrong)
    listed: dict[str, set[Trial]] = defaultdict(set)
    for line in (folder / "raw.irregular.jsonl").read_text().splitlines():
        item = json.loads(line)
        if item["path"].endswith((".mp4", ".csv")) and item["irregularity"] != "stray-files":
            listed[item["irregularity"]].add(numbers_of(item["path"]))
    lines = (folder / "raw.jsonl").read_text().splitlines()[1:]
    return Encoded(
        summary=json.loads((folder / "summary.json").read_text()),
        listed=listed,
        records=[json.loads(line) for line in lines],
    )


def encode_everything_wrong(folder: Path) -> None:
    """Fabricate, list and encode it; what the encode prints is kept beside it."""
    folder.mkdir()
    raw, manifest, cache = folder / "raw", folder / "raw.jsonl", folder / "raw.zarr"
    code, out, err = run(["synth", "mmact", raw, *SIZE, *SMALL, "--irregular", "all"])
    assert code == 0, err
    assert "12 trials, 24 views" in out
    code, out, err = run(["manifest", "build", "mmact", raw, "-o", manifest])
    assert code == 0, err
    encode = ["encode", manifest, "--raw", raw, "--out", cache, "--weights", "random:0"]
    code, out, err = run([*encode, "--set", "rgb.every=15", "--workers", "0", "--json"])
    assert code == 1, err
    (folder / "summary.json").write_text(out)


def test_every_trial_with_a_film_is_a_record_for_each_of_its_views(encoded: Encoded) -> None:
    assert len(encoded.records) == 24 - 2 - 1
    filmed = trials(encoded.records)
    assert len(filmed) == 11
    assert not filmed & encoded.listed["no-video"]


def test_what_cannot_be_read_is_what_was_spoilt_beyond_reading(encoded: Encoded) -> None:
    failed: dict[str, set[Trial]] = defaultdict(set)
    for failure in encoded.summary["failures"]:
        failed[failure["modality"]].add(numbers_of(failure["file"]))
    assert failed == {
        "rgb": encoded.listed["truncated-video"],
        "inertial": encoded.listed["garbage"],
    }


def test_a_trial_whose_sensor_is_lost_or_empty_is_encoded_all_the_same(encoded: Encoded) -> None:
    for irregularity, n_files in (("missing-sensor", 3), ("empty-sensor", 4)):
        (hit,) = encoded.listed[irregularity]
        assert {len(record["streams"]["inertial"]) for record in encoded.of(hit)} == {n_files}
    n_garbage = len(encoded.of(next(iter(encoded.listed["garbage"]))))
    assert encoded.summary["counts"]["inertial"] == {
        "present": len(encoded.records) - n_garbage,
        "absent": 0,
        "failed": n_garbage,
    }


def test_views_of_a_trial_list_the_same_sensor_files(encoded: Encoded) -> None:
    shared = {trial: encoded.of(trial) for trial in trials(encoded.records)}
    assert max(len(records) for records in shared.values()) == 2
    for records in shared.values():
        assert all(r["streams"]["inertial"] == records[0]["streams"]["inertial"] for r in records)
