"""``dmft experiment --scheduler``: a Dask cluster trains what processes here would, bit for bit."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from dmft.experiments.cluster import Cluster
from dmft.experiments.task import do_rows
from pipeline.contract import ConfigError
from tests.e2e.running import dask_cluster, dask_workers, kill_all, run, start
from tests.e2e.test_experiment import N_ROWS, SECONDS, command, n_lines, place, wait_for, weights

__all__ = ["place"]
Workers = list[psutil.Process]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Workers]]:
    """Two workers: the scheduler's address and the workers' nannies."""
    with dask_cluster(tmp_path_factory.mktemp("dask"), n_workers=2) as (address, processes):
        yield address, processes[1:]


def on_cluster(place: Path, out: Path, address: str) -> list[str | Path]:
    """The command line of the experiment on a cluster."""
    return [*command(place, out, 0)[:-2], "--scheduler", address]


def test_a_worker_that_is_killed_costs_nothing_but_time(
    place: Path, cluster: tuple[str, Workers], tmp_path: Path
) -> None:
    address, workers = cluster
    out = tmp_path / "out"
    process = start(on_cluster(place, out, address))
    wait_for(
        lambda: list(out.glob("runs/*/checkpoint.safetensors")) or process.poll() is not None,
        "a row at work",
    )
    os.kill(dask_workers(workers[0])[0].pid, signal.SIGKILL)
    said, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, errors
    assert f"{N_ROWS} trained, 0 finished before, 0 failed" in said
    assert n_lines(out) == N_ROWS
    assert weights(out) == weights(place / "whole")


def test_killed_it_leaves_the_workers_idle_and_goes_on_without_them(
    place: Path, cluster: tuple[str, Workers], tmp_path: Path
) -> None:
    address, _ = cluster
    out = tmp_path / "out"
    process = start([*on_cluster(place, out, address), "--epochs", "400"])
    wait_for(lambda: list(out.glob("runs/*/epochs.jsonl")), "a row at work")
    kill_all(process)

    def written() -> list[bytes]:
        return [path.read_bytes() for path in sorted(out.glob("runs/*/epochs.jsonl"))]

    before: list[list[bytes]] = []

    def still() -> bool:
        before.append(written())
        return len(before) > 60 and before[-60] == before[-1]

    wait_for(still, "three seconds without another epoch")
    assert not list(out.glob("runs/*/model.safetensors")), "it ended too soon to show anything"
    code, said, errors = run(command(place, out, 0))
    assert code == 0, errors
    assert f"{N_ROWS} trained" in said
    assert weights(out) == weights(place / "whole")


def test_what_a_cluster_cannot_do_is_refused_at_once(
    place: Path, cluster: tuple[str, Workers], tmp_path: Path
) -> None:
    address, _ = cluster
    code, _, errors = run([*on_cluster(place, tmp_path / "o", address), "--workers", "2"])
    assert code == 2
    assert "--scheduler and --workers exclude each other" in errors
    code, _, errors = run(on_cluster(place, tmp_path / "o", "not an address"))
    assert code == 2
    assert "no Dask scheduler answers at 'not an address'" in errors
    assert "Traceback" not in errors
    with pytest.raises(ConfigError, match=f"does not see {tmp_path / 'none'}: wanted cache and"):
        Cluster(address, do_rows, [place, tmp_path / "none"])
