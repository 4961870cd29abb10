"""Sensors that the views of a trial share: decoded once, failed alike, kept apart by content."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.cache.verify import verify
from pipeline.cache.writer import CacheStore
from pipeline.contract import Presence
from pipeline.encode.job import Summary, encode
from pipeline.encode.options import EncodeOptions
from pipeline.encode.recheck import recheck
from pipeline.encoders.config import EncodingConfig, SeriesEncoding
from pipeline.manifests import Manifest, build
from pipeline.raw.tree import RawTree
from tests.fabricate import arrays_of

SENSORS = ("acc_phone", "acc_watch", "gyro", "orientation")
N_TRIALS, N_VIEWS = 3, 4


def rows(seed: int) -> bytes:
    values = np.random.default_rng(seed).normal(4, 0.5, (20, 3))  # gravity, in m/s^2
    return "\n".join(
        f"20181016_13:37:{i // 10:02}.{i % 10}00,{x:.6f},{y:.6f},{z:.6f}"
        for i, (x, y, z) in enumerate(values)
    ).encode()


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Three trials of four views; a view is a file that is not decoded here."""
    root = tmp_path / "raw"
    for trial in range(1, N_TRIALS + 1):
        for view in range(1, N_VIEWS + 1):
            folder = root / f"trainval/subject{trial}/cam{view}/scene1/session1"
            folder.mkdir(parents=True)
            (folder / "fall.mp4").write_bytes(f"{trial}{view}".encode())
        for index, sensor in enumerate(SENSORS):
            folder = root / f"{sensor}_clip/subject{trial}/scene1/session1"
            folder.mkdir(parents=True)
            (folder / "fall.csv").write_bytes(rows(10 * trial + index))
    return root


def manifest_of(raw: Path) -> Manifest:
    return build("mmact", RawTree(raw), jobs=1).manifest


def encode_sensors(raw: Path, cache: Path, **options: object) -> Summary:
    asked = EncodeOptions(modalities=("inertial",), n_workers=0, **options)  # type: ignore[arg-type]
    return encode(manifest_of(raw), str(raw), str(cache), asked)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file is read whole."""
    counted: Counter[str] = Counter()
    whole = RawTree.read

    def counting(tree: RawTree, path: str) -> bytes:
        counted[path] += 1
        return whole(tree, path)

    monkeypatch.setattr(RawTree, "read", counting)
    return counted


def test_each_file_is_decoded_once_and_every_view_has_its_row(
    raw: Path, tmp_path: Path, read: Counter[str]
) -> None:
    summary = encode_sensors(raw, tmp_path / "c")
    assert summary.counts["inertial"] == {"present": 12, "absent": 0, "failed": 0}
    assert len(read) == N_TRIALS * len(SENSORS)
    assert set(read.values()) == {1}
    arrays = arrays_of(tmp_path / "c")
    assert arrays["inertial"].shape == (12, 128, 16)
    for trial in range(N_TRIALS):
        views = arrays["inertial"][trial * N_VIEWS : (trial + 1) * N_VIEWS]
        assert (views == views[0]).all()
    assert not (arrays["inertial"][0] == arrays["inertial"][N_VIEWS]).all()
    assert (arrays["inertial_length"] == 191).all()
    report = verify(str(tmp_path / "c"), full=True)
    outside = recheck(report, str(raw), n_records=12)
    assert (report.findings, outside.findings) == ((), ())
    assert (outside.n_sources, outside.n_recomputed) == (12, 12)


def test_encoding_again_does_nothing_and_a_changed_file_takes_its_trial_alone(
    raw: Path, tmp_path: Path, read: Counter[str]
) -> None:
    encode_sensors(raw, tmp_path / "c")
    read.clear()
    assert encode_sensors(raw, tmp_path / "c").plan.n_pending == 0
    (raw / "gyro_clip/subject2/scene1/session1/fall.csv").write_bytes(rows(99))
    assert encode_sensors(raw, tmp_path / "c").plan.n_pending == N_VIEWS
    assert {path.split("/")[1] for path in read} == {"subject2"}


def test_a_sensor_that_is_empty_is_a_stream_that_is_missing(raw: Path, tmp_path: Path) -> None:
    (raw / "gyro_clip/subject1/scene1/session1/fall.csv").write_bytes(b"")
    (raw / "acc_watch_clip/subject2/scene1/session1/fall.csv").unlink()
    encode_sensors(raw, tmp_path / "c")
    patches = arrays_of(tmp_path / "c")["inertial"]
    there = {
        0: [1, 1, 0, 1],
        N_VIEWS: [1, 0, 1, 1],
        2 * N_VIEWS: [1, 1, 1, 1],
    }
    for row, wanted in there.items():
        assert (patches[row, :, 12:] == wanted).all()
        for stream, is_there in enumerate(wanted):
            assert patches[row, :, 3 * stream : 3 * stream + 3].any() == bool(is_there)


def test_a_bad_line_fails_every_view_by_its_file_and_line(raw: Path, tmp_path: Path) -> None:
    bad = "acc_watch_clip/subject3/scene1/session1/fall.csv"
    (raw / bad).write_bytes(rows(1) + b"\n20181016_13:37:09.0,1,nan,3")
    summary = encode_sensors(raw, tmp_path / "c")
    assert summary.counts["inertial"] == {"present": 8, "absent": 0, "failed": 4}
    for (record_id, modality, failure), view in zip(
        summary.failures, range(1, N_VIEWS + 1), strict=True
    ):
        assert record_id == f"subject3_cam{view}_scene1_session1_fall"
        assert (modality, failure.path) == ("inertial", bad)
        assert failure.message.startswith(f"{bad}, line 21, is '20181016_13:37:09.0,1,nan,3'")
    entries = CacheStore.read(str(tmp_path / "c")).entries("inertial")
    assert len(entries["subject3_cam1_scene1_session1_fall"].sources) == len(SENSORS)
    (raw / bad).write_bytes(rows(1))
    again = encode_sensors(raw, tmp_path / "c")
    assert (again.plan.n_pending, again.failures) == (N_VIEWS, ())


def test_no_rows_in_any_sensor_is_a_failure_that_names_them(raw: Path, tmp_path: Path) -> None:
    for sensor in SENSORS:
        (raw / f"{sensor}_clip/subject1/scene1/session1/fall.csv").write_bytes(b"")
    summary = encode_sensors(raw, tmp_path / "c")
    assert len(summary.failures) == N_VIEWS
    assert summary.failures[0][2].message.startswith("no rows in acc_phone_clip/subject1/")


def test_a_trial_without_any_sensor_is_absent(raw: Path, tmp_path: Path) -> None:
    for sensor in SENSORS:
        (raw / f"{sensor}_clip/subject1/scene1/session1/fall.csv").unlink()
    encode_sensors(raw, tmp_path / "c")
    presence = arrays_of(tmp_path / "c")["inertial_presence"]
    assert presence.tolist() == [Presence.ABSENT] * N_VIEWS + [Presence.PRESENT] * 8


def test_the_rate_of_the_grid_is_a_setting_and_part_of_the_key(raw: Path, tmp_path: Path) -> None:
    encode_sensors(raw, tmp_path / "c")
    slower = EncodingConfig(inertial=SeriesEncoding(patches=128, rate_hz=10))
    summary = encode_sensors(raw, tmp_path / "c", config=slower, replace=True)
    assert summary.plan.n_pending == N_TRIALS * N_VIEWS
    assert summary.spec.modalities["inertial"].encoding["rate_hz"] == 10
    assert (arrays_of(tmp_path / "c")["inertial_length"] == 20).all()


def test_a_count_of_rows_that_the_manifest_knows_is_checked_and_encoded_once(
    raw: Path, tmp_path: Path
) -> None:
    manifest = manifest_of(raw)
    counted = replace(
        manifest,
        records=tuple(
            replace(
                record,
                streams={
                    "inertial": tuple(replace(s, n_frames=20) for s in record.streams["inertial"])
                },
            )
            for record in manifest.records
        ),
    )
    options = EncodeOptions(n_workers=0)
    first = encode(counted, str(raw), str(tmp_path / "c"), options)
    again = encode(counted, str(raw), str(tmp_path / "c"), options)
    assert (first.plan.n_pending, again.plan.n_pending) == (12, 0)
