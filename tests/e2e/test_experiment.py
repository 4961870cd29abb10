"""``dmft experiment`` killed in every way goes on, repeats nothing and ends with the same bits."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from dmft.experiments import RESULTS_FILE, load_results
from tests.e2e.running import dask_workers as spawned
from tests.e2e.running import kill_all, run, start
from tests.factories import write_cache

EXPERIMENT = """
name = "killed"
[[grids]]
protocols = ["p.toml"]
modalities = [["skeleton", "inertial"]]
models = ["teacher", "distilled"]
folds = ["0"]
seeds = [0, 1]
set = ["encoder.width=16", "training.epochs=12"]
"""
N_ROWS = 4
SECONDS = 120


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache, an experiment and its uninterrupted run in one process."""
    folder = tmp_path_factory.mktemp("killed")
    write_cache(folder / "c.zarr", n_subjects=2, n_classes=3)
    (folder / "p.toml").write_text('name = "p"\n[leave_one_out]\nattribute = "subject"\n')
    (folder / "e.toml").write_text(EXPERIMENT)
    code, _, errors = run(command(folder, folder / "whole", 0))
    assert code == 0, errors
    return folder


def command(place: Path, out: Path, n_workers: int) -> list[str | Path]:
    """The command line of the experiment."""
    options = ["--cache", place / "c.zarr", "--out", out, "--device", "cpu"]
    return ["experiment", place / "e.toml", *options, "--workers", str(n_workers)]


def weights(out: Path) -> dict[str, bytes]:
    """The weights of every row."""
    return {r.key: (out / r.run / "model.safetensors").read_bytes() for r in load_results(out)}


def n_lines(out: Path) -> int:
    """Lines of the results file."""
    path = out / RESULTS_FILE
    return path.read_text().count("\n") if path.exists() else 0


def wait_for(condition: object, what: str) -> None:
    """Wait until something is so."""
    assert callable(condition)
    for _ in range(SECONDS * 20):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"not in {SECONDS} s: {what}")


def test_killed_whole_it_goes_on_and_ends_with_the_same_bits(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start(command(place, out, 2))
    wait_for(lambda: n_lines(out) >= 1 or process.poll() is not None, "a finished row")
    kill_all(process)
    n_before = n_lines(out)
    assert n_before < N_ROWS, "it was killed too late to show anything"
    code, said, errors = run(command(place, out, 2))
    assert code == 0, errors
    assert f"{N_ROWS - n_before} trained, {n_before} finished before, 0 failed" in said
    assert n_lines(out) == N_ROWS
    assert weights(out) == weights(place / "whole")


@pytest.mark.slow
def test_a_killed_worker_costs_nothing_but_time(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start(command(place, out, 2))
    wait_for(
        lambda: list(out.glob("runs/*/checkpoint.safetensors")) and len(spawned(process)) == 2,
        "two processes at work",
    )
    victim = spawned(process)[0]
    os.kill(victim.pid, signal.SIGKILL)
    _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, errors
    assert n_lines(out) == N_ROWS
    assert weights(out) == weights(place / "whole")


def test_ctrl_c_leaves_a_short_message_and_no_process(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start(command(place, out, 2))
    wait_for(lambda: list(out.glob("runs/*/checkpoint.safetensors")), "a row at work")
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert f"of {N_ROWS} rows finished. Nothing is lost: run the same command to go on." in errors
    assert "Traceback" not in errors
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
