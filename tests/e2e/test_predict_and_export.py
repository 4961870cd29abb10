"""From raw files to answers by the command line; and the graph where nothing of us is installed."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import textwrap
import time
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from dmft.data import open_cache
from dmft.export.folder import GRAPH_FILE, INT8_FILE
from dmft.recognise.live import rows_of
from dmft.recognise.recordings import group_files
from dmft.runs.trained import load_run
from tests.e2e.running import ROOT
from tests.fabricate import path_of, record_ids, write_raw
from tests.trained import Place, shared_export, shared_place

ANSWER_S = 120
"""Until a live answer has to be there; generous, for busy machines."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return shared_place(tmp_path_factory)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_export(tmp_path_factory)


def start(program: Path, *arguments: object, **pipes: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [program, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **pipes,  # type: ignore[call-overload]
    )


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def dmft(warm_dmft: Path) -> Run:
    """Runs a command to its end."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        process = start(warm_dmft, *arguments)
        out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    return run


def test_predict_says_from_raw_files_what_evaluate_says_from_the_cache(
    place: Place, dmft: Run
) -> None:
    done = dmft("predict", place.run, "--raw", place.raw, "--json")
    assert done.returncode == 0, done.stderr
    found = {each["recording"]: each for each in json.loads(done.stdout)["recordings"]}
    said = json.loads((place.run / "predictions.json").read_text())
    classes = load_run(place.run).info.spec.classes
    for record, label, wanted in zip(
        said["records"], said["predicted"], said["probabilities"], strict=True
    ):
        assert found[record]["activity"] == classes[label]
        given = [found[record]["probabilities"][name] for name in classes]
        np.testing.assert_allclose(given, wanted, rtol=0, atol=1e-5)


def test_a_broken_file_is_named_the_others_are_answered_and_the_exit_code_is_1(
    place: Place, dmft: Run, tmp_path: Path
) -> None:
    broken = tmp_path / "a1_s1_t1_skeleton.mat"
    broken.write_bytes(b"not a recording")
    good = [place.raw / path_of(i, "inertial") for i in ("a1_s1_t1", "a2_s1_t1")]
    done = dmft("predict", place.run, broken, *good)
    assert done.returncode == 1
    (said,) = done.stderr.splitlines()
    assert said.startswith(f"{broken}: ")
    assert f"a1_s1_t1  ({good[0]})\n" in done.stdout
    assert f"a2_s1_t1  ({good[1]})\n" in done.stdout
    assert f"{tmp_path.name}/a1_s1_t1: no answer, none of its files could be read" in done.stdout


def test_wrong_use_of_predict_exits_2(place: Place, dmft: Run) -> None:
    for arguments, said in (
        ([], "Name files, or a raw tree with --raw"),
        (["--follow", "x.jsonl"], "--follow goes with --sliding"),
        (["--sliding", "--follow", "x_skeleton.mat"], "--follow reads rows: name one .jsonl"),
        (["--sliding", "-", "x.jsonl"], "A stream of rows is read alone"),
        (["--sliding", "-", "--step", "9"], "step_s is 9"),
    ):
        done = dmft("predict", place.run, *arguments)
        assert done.returncode == 2
        assert said in done.stderr


def test_a_tampered_run_is_refused_by_name(place: Place, dmft: Run, tmp_path: Path) -> None:
    run = Path(shutil.copytree(place.run, tmp_path / "run"))
    content = bytearray((run / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (run / "model.safetensors").write_bytes(content)
    done = dmft("predict", run, place.raw / path_of("a1_s1_t1", "inertial"))
    assert done.returncode == 2
    assert "model.safetensors has SHA-256" in done.stderr


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Ten seconds of both modalities as lines."""
    raw = write_raw(tmp_path_factory.mktemp("long"), record_ids(1), n_frames=300)
    files = [raw / path_of("a1_s1_t1", m) for m in ("skeleton", "inertial")]
    (recording,) = group_files(
        files, dataset="utd-mhad", modalities=("skeleton", "inertial")
    ).recordings
    return [
        json.dumps(
            {"modality": r.modality, "time_s": r.time_s, "values": r.values.reshape(-1).tolist()}
        )
        + "\n"
        for r in rows_of(recording, dataset="utd-mhad", on_problem=pytest.fail)
    ]


def lines_of(process: subprocess.Popen[str]) -> Iterator[dict[str, object]]:
    assert process.stdout is not None
    for line in process.stdout:
        yield json.loads(line)


def test_a_pipe_is_answered_while_it_is_open(
    exported: Path, rows: list[str], warm_dmft: Path
) -> None:
    process = start(
        warm_dmft, "predict", exported, "--sliding", "-", "--json", stdin=subprocess.PIPE
    )
    assert process.stdin is not None
    try:
        process.stdin.writelines(rows[: len(rows) // 2])
        process.stdin.flush()
        first = next(lines_of(process))  # the pipe is still open
        assert (first["kind"], first["end_s"]) == ("window", pytest.approx(3.5, abs=0.1))
        process.stdin.write("what?\n")
        process.stdin.writelines(rows[len(rows) // 2 :])
        process.stdin.close()
        rest = list(lines_of(process))
        assert process.wait(timeout=ANSWER_S) == 1
        assert process.stderr is not None
        assert "is no row" in process.stderr.read()
    finally:
        process.kill()
        process.wait()
    spans = [each for each in rest if each["kind"] == "activity"]
    assert spans[0]["start_s"] == pytest.approx(0, abs=0.1)
    assert spans[-1]["end_s"] == pytest.approx(10, abs=0.6)
    assert all(a["end_s"] == b["start_s"] for a, b in itertools.pairwise(spans))


def test_a_growing_file_is_followed_until_it_is_idle(
    exported: Path, rows: list[str], tmp_path: Path, warm_dmft: Path
) -> None:
    path = tmp_path / "live.jsonl"
    path.write_text("".join(rows[: len(rows) // 2]))
    arguments = ("predict", exported, "--sliding", path, "--follow", "--idle", "3", "--json")
    process = start(warm_dmft, *arguments)
    try:
        lines = lines_of(process)
        first = next(lines)
        assert first["kind"] == "window"
        time.sleep(0.2)
        with path.open("a") as file:
            file.writelines(rows[len(rows) // 2 :])
        rest = list(lines)
        assert process.wait(timeout=ANSWER_S) == 0
    finally:
        process.kill()
        process.wait()
    assert max(float(str(each["end_s"])) for each in rest) > 9


def test_a_long_recording_in_files_gives_a_timeline(
    exported: Path, dmft: Run, tmp_path: Path
) -> None:
    raw = write_raw(tmp_path, record_ids(1), n_frames=300)
    done = dmft("predict", exported, "--sliding", raw / path_of("a1_s1_t1", "skeleton"))
    assert done.returncode == 0, done.stderr
    name, *spans = done.stdout.splitlines()
    assert name == "a1_s1_t1"
    assert spans[0].split()[:3] == ["0.0", "to", spans[0].split()[2]]


ALONE = """
import json, sys
import numpy as np
import onnxruntime

for name in ("torch", "dmft", "pipeline", "recognise", "onnx"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    sys.exit(f"{name} is installed here")
given = dict(np.load(sys.argv[1]))
for graph in sys.argv[2:]:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["dmft"])["classes"] == facts["classes"].split("\\n")
    probabilities, votes, reliability = session.run(None, given)
    assert reliability.shape == given["present"].shape
    print(json.dumps(probabilities.tolist()))
"""


@pytest.mark.slow
def test_the_graph_runs_where_neither_torch_nor_this_project_is_installed(
    place: Place, exported: Path, tmp_path: Path
) -> None:
    venv.create(tmp_path / "alone", with_pip=True)
    python = tmp_path / "alone" / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "numpy", "onnxruntime"]
    installed = subprocess.run(install, capture_output=True, text=True, cwd=tmp_path)
    if installed.returncode:
        pytest.skip(f"pip cannot install onnxruntime here: {installed.stderr.strip()[-200:]}")
    run = load_run(place.run)
    cache = open_cache(place.cache, run.info.spec.modalities)
    wanted = run.predict(cache, torch.arange(len(cache))).numpy()
    arrays = {name: values.numpy() for name, values in cache.features.items()}
    np.savez(tmp_path / "given.npz", present=cache.present.numpy(), **arrays)
    graphs = [str(exported / name) for name in (GRAPH_FILE, INT8_FILE)]
    done = subprocess.run(
        [python, "-c", textwrap.dedent(ALONE), tmp_path / "given.npz", *graphs],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )
    assert done.returncode == 0, done.stderr
    single, int8 = (np.array(json.loads(line)) for line in done.stdout.splitlines())
    np.testing.assert_allclose(single, wanted, rtol=0, atol=1e-5)
    assert (single.argmax(axis=1) == wanted.argmax(axis=1)).all()
    assert np.abs(int8 - wanted).max() < 0.05
