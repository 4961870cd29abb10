"""Data sets that no code here knows: from a tree to a teacher, and the bits of built-in readers."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cli import dmft
from pipeline.encoders.config import EncodingConfig
from pipeline.encoders.described import own_encodings
from pipeline.encoders.kinds import kind_of
from pipeline.manifests import build
from pipeline.manifests.pattern import build_pattern
from pipeline.raw.tree import RawTree
from pipeline.readers.registry import readable
from pipeline.signals.recording import Frames, Signal
from tests.described import ACTIVITIES, WRIST, fabricate_wrist_codes
from tests.fabricate import arrays_of
from tests.real_recordings import mmact_clip, mmact_sensor_file, utd_mhad_root

UTD_MHAD = {
    "inertial": (400, "e103ba284e75f8fa79ffed86592e25ce4b6ba54121306f2e4c109a074c21e9c0"),
    "skeleton": (400, "f3696259b1149dc3ffc96c31480cd5e51fd6e0d36bf489a36a95dee065fbd633"),
    "depth": (3, "1c69ba16c6a279ff8bc549069acfdd4c002b78c48e723e57b2b5863a18485713"),
}
"""Modality to its first records and the SHA-256 of what a reader in Python once gave of them."""
EXAMPLES = Path(__file__).resolve().parents[2] / "data_manifests" / "datasets"


def run(*arguments: str | Path) -> str:
    """Run ``dmft`` in this process; its output."""
    done = CliRunner().invoke(dmft, [str(argument) for argument in arguments])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def test_codes_of_an_unknown_kind_go_from_their_tree_to_a_teacher(tmp_path: Path) -> None:
    n_files = fabricate_wrist_codes(tmp_path / "raw")
    (tmp_path / "dataset.toml").write_text(WRIST)
    (tmp_path / "loso.toml").write_text(
        'name = "someone-new"\n[leave_one_out]\nattribute = "subject"\n'
    )
    raw, manifest, cache = tmp_path / "raw", tmp_path / "m.jsonl", tmp_path / "m.zarr"
    described = ("--dataset", tmp_path / "dataset.toml")
    out = run("manifest", "build", "pattern", raw, *described, "-o", manifest)
    assert f"{n_files} records of wrist-codes" in out
    assert f"{len(ACTIVITIES)} classes" in out
    assert "subject: 16 values: f1, f2" in out
    run("manifest", "check", manifest, "--raw", raw)
    (tmp_path / "dataset.toml").unlink()  # the manifest carries it, and then the cache
    encode = ("encode", manifest, "--raw", raw, "--out", cache, "--workers", "0")
    assert 'attribute = "subject"' in run(*encode)  # a protocol to begin with
    assert "is up to date" in run(*encode)
    manifest.unlink()
    run("cache", "verify", "--full", "--source", raw, "--recompute", "2", cache)
    codes = np.loadtxt(next(raw.rglob("*-f1.txt")))
    stored = arrays_of(cache)["wrist"]
    assert stored.shape == (n_files, 32, 3)
    assert stored.min() >= -1.5
    assert stored.max() <= 1.5
    assert codes.max() <= 63
    protocol = ("--protocol", tmp_path / "loso.toml", "--fold", "5", "--epochs", "1")
    run("train", cache, *protocol, "--out", tmp_path / "run")
    files = sorted(raw.rglob("*-f1.txt"))
    everyone = json.loads(run("predict", tmp_path / "run", "--raw", raw, "--json"))["recordings"]
    assert len(everyone) == n_files
    copy = tmp_path / "new.txt"
    shutil.copy(files[0], copy)
    (tmp_path / "new.csv").write_text("record,wrist\nnew,new.txt\n")
    answers = [
        json.loads(run("predict", tmp_path / "run", "--json", *arguments))["recordings"][0]
        for arguments in (
            (files[0],),
            (f"wrist={copy}",),
            ("--raw", tmp_path, "--table", tmp_path / "new.csv"),
        )
    ]
    probabilities = [answer["probabilities"] for answer in answers]
    assert probabilities[0] == probabilities[1] == probabilities[2]
    assert answers[2]["recording"] == "new"
    run("cache", "view", cache, "-o", tmp_path / "view.html", "--raw", raw)


def test_skeletons_in_json_are_encoded_as_their_description_says(tmp_path: Path) -> None:
    raw, about = tmp_path / "raw", tmp_path / "dataset.toml"
    (raw / "wave").mkdir(parents=True)
    for who in ("ann", "bob"):
        frames = [
            {"at": 33 * n, "bodies": [[[0, 0, 0], [0, 500, 10], [100, 450, 0], [-100, 450, 0]]]}
            for n in range(9)
        ]
        frames[4]["bodies"] = []
        (raw / "wave" / f"{who}_1.json").write_text(json.dumps({"frames": frames}))
    about.write_text(
        """
        name = "tracked"
        pattern = "{label}/{who}_{trial:d}.json"
        [modality.skeleton]
        kind = "skeleton"
        reader = "json"
        key = "frames.*.bodies.0"
        time_key = "frames.*.at"
        time_format = "milliseconds"
        factor = 0.001
        missing = "skip"
        joints = ["hip", "neck", "left", "right"]
        encoding = { patches = 4, scale = "none", face = false, recentre = "frame" }
        [modality.skeleton.body]
        hips = ["hip"]
        shoulders = ["neck"]
        left_shoulder = "left"
        right_shoulder = "right"
        """
    )
    run("manifest", "build", "pattern", raw, "--dataset", about, "-o", tmp_path / "m.jsonl")
    cache = tmp_path / "c.zarr"
    run("encode", tmp_path / "m.jsonl", "--raw", raw, "--out", cache, "--workers", "0")
    stored = arrays_of(cache)["skeleton"]
    assert stored.shape == (2, 4, 12)
    np.testing.assert_allclose(
        stored[0, 0], [0, 0, 0, 0, 0.5, 0.01, 0.1, 0.45, 0, -0.1, 0.45, 0], atol=1e-6
    )


@pytest.mark.real
def test_utd_mhad_described_gives_the_bits_that_a_reader_in_python_gave() -> None:
    from pipeline.datasets import load_description

    raw = RawTree(utd_mhad_root())
    own = load_description(EXAMPLES / "utd-mhad.toml")
    made, usual = build_pattern(own, raw).manifest, build("utd-mhad", raw).manifest
    assert made.records == usual.records
    assert made.classes == usual.classes
    encodings = own_encodings(own)
    for name, (n_records, digest) in UTD_MHAD.items():
        noted, found = own.modalities[name].reading.to_note(), hashlib.sha256()
        described, plain = readable(own.name, name, noted), readable("utd-mhad", name)
        assert described.columns == plain.columns
        for record in usual.records[:n_records]:
            opened = [(raw.read(ref.path), ref) for ref in record.streams[name]]
            recording = described.read(opened)
            if isinstance(recording, Frames):
                for frames, times_s in recording.blocks:
                    found.update(frames.tobytes())
                    found.update(times_s.tobytes())
                continue
            assert isinstance(recording, Signal)
            found.update(recording.values.tobytes())
            found.update(recording.times_s.tobytes())
            rows = [
                kind_of(each).encode(recording.values, each).tobytes()
                for each in (EncodingConfig().of(name), encodings[name])
            ]
            assert rows[0] == rows[1]
        assert found.hexdigest() == digest, name


@pytest.mark.real
def test_the_mmact_sample_in_a_table_gives_the_bits_of_its_own_readers(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    film = raw / "trainval/subject1/cam1/scene1/session1/carrying.mp4"
    sensor = raw / "acc_watch_clip/subject1/scene1/session1/carrying.csv"
    for source, file in ((mmact_clip(), film), (mmact_sensor_file(), sensor)):
        file.parent.mkdir(parents=True)
        shutil.copy(source, file)
    columns = {
        "label": "carrying",
        "rgb": film.relative_to(raw),
        **dict.fromkeys(("inertial_acc_phone", "inertial_gyro", "inertial_orientation"), ""),
        **dict.fromkeys(("wifi", "pressure"), ""),
        "inertial_acc_watch": sensor.relative_to(raw),
    }
    trials = tmp_path / "trials.csv"
    trials.write_text(f"{','.join(columns)}\n{','.join(map(str, columns.values()))}\n")
    own, usual = tmp_path / "own.jsonl", tmp_path / "usual.jsonl"
    dataset = EXAMPLES / "mmact.toml"
    run("manifest", "build", "table", trials, "--raw", raw, "--dataset", dataset, "-o", own)
    run("manifest", "build", "mmact", raw, "-o", usual)
    for manifest in (own, usual):
        encode = ("encode", manifest, "--raw", raw, "--out", manifest.with_suffix(".zarr"))
        small = ("--set", "rgb.every=67", "--set", "rgb.image_size=64", "--weights", "random:0")
        run(*encode, "--workers", "0", *small)
    one, other = (arrays_of(manifest.with_suffix(".zarr")) for manifest in (own, usual))
    for name in ("rgb", "inertial", "rgb_length", "inertial_length"):
        assert one[name].tobytes() == other[name].tobytes(), name
