"""Starts the real command in a session of its own, so that it can be killed whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
SMALL_CHUNKS = """
import pipeline.cache.writer
pipeline.cache.writer.MAX_CHUNK_RECORDS = 2
import cli
cli.main()
"""
"""The command line with two records a chunk, so that few records make many commits."""


def start(arguments: Sequence[str | Path], **environment: str) -> subprocess.Popen[str]:
    """Start ``dmft`` in its own session."""
    return subprocess.Popen(
        [sys.executable, "-c", SMALL_CHUNKS, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hear_ctrl_c,
    )


def hear_ctrl_c() -> None:
    """Undo what nohup and some runners do to their children: ignoring SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run(arguments: Sequence[str | Path], **environment: str) -> tuple[int, str, str]:
    """Run ``dmft`` to its end: exit code, output, errors."""
    process = start(arguments, **environment)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def kill_all(process: subprocess.Popen[str]) -> None:
    """SIGKILL to the whole process group, as a scheduler of jobs or a power cut would."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def dask_workers(process: subprocess.Popen[str] | psutil.Process) -> list[psutil.Process]:
    """Worker processes of a running encode, or the one behind a nanny."""
    try:
        children = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    found, servers = [], set()
    for child in children:  # a parent before its own
        try:
            line = " ".join(child.cmdline())
            if "multiprocessing.forkserver" in line and child.ppid() not in servers:
                servers.add(child.pid)
            elif "spawn_main" in line or child.ppid() in servers:
                found.append(child)
        except psutil.Error:
            continue
    return found


@contextmanager
def dask_cluster(folder: Path, n_workers: int) -> Iterator[tuple[str, list[psutil.Process]]]:
    """A scheduler and workers of the user's own: its address, and the processes, scheduler first.

    A worker is a nanny, which is what is listed, and the process that it watches over.
    """
    file = folder / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    common = ["--scheduler-file", str(file), "--no-dashboard"]
    commands = [
        [*dask, "scheduler", "--port", "0", *common],
        *[[*dask, "worker", "--nthreads", "1", *common]] * n_workers,
    ]
    # The package is found there as it is by a user who has installed it.
    processes = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for command in commands
    ]
    try:
        until = time.monotonic() + 60
        while not file.exists() or not file.read_text().endswith("}"):
            assert processes[0].poll() is None, "the scheduler has ended"
            assert time.monotonic() < until, "no scheduler in 60 s"
            time.sleep(0.05)
        address = json.loads(file.read_text())["address"]
        yield address, [psutil.Process(process.pid) for process in processes]
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            process.wait(60)
