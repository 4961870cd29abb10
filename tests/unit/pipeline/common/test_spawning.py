"""Children are started where they pay, and do not run their parent's script again."""

import multiprocessing
import os
import subprocess
import sys
import textwrap
from collections import deque
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil
import pytest

import pipeline.common.spawning as spawning_module
from pipeline.common.spawning import each_done, forking, quicker_here

ROOT = Path(__file__).resolve().parents[4]


def test_a_script_without_a_guard_encodes_once(tmp_path):
    """It gave 118 lines and six tracebacks."""
    script = tmp_path / "mine.py"
    script.write_text(
        textwrap.dedent(
            """
            print("mine runs")
            from tests.fabricate import manifest_of, record_ids, write_raw
            from pathlib import Path
            from pipeline.encode.job import encode
            from pipeline.encode.options import EncodeOptions
            raw = write_raw(Path("raw"), record_ids(2), modalities=("inertial",))
            summary = encode(manifest_of(raw), str(raw), "c.zarr", EncodeOptions(n_workers=1))
            print(summary.counts)
            """
        )
    )
    done = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "mine runs",
        "{'inertial': {'present': 2, 'absent': 0, 'failed': 0}}",
    ]
    assert "Traceback" not in done.stderr


def test_work_stays_here_while_workers_would_start_too_late(monkeypatch):
    few = deque(range(5))
    assert list(quicker_here(few, 8)) == [0, 1, 2, 3, 4]
    monkeypatch.setattr(spawning_module, "WORKERS_START_S", -1.0)
    assert list(quicker_here(deque(range(5)), 0)) == [0, 1, 2, 3, 4], "no workers were asked for"
    many = deque(range(5))
    assert list(quicker_here(many, 2)) == []
    assert list(many) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("n_processes", [1, 2, None])
def test_each_job_is_done_once_wherever_it_is_done(n_processes, monkeypatch):
    monkeypatch.setattr(spawning_module, "n_cores", lambda: 2)
    assert sorted(each_done(divmod, [(n, 3) for n in range(7)], n_processes)) == sorted(
        divmod(n, 3) for n in range(7)
    )


def _told(connection: Any) -> None:
    there = "colorsys" in sys.modules
    connection.send((os.getppid(), there, os.environ.get("WANTED"), Path.cwd()))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems spawn")
def test_processes_are_forked_from_one_that_has_imported_and_goes_with_the_block():
    with forking(["colorsys", "no_such_module"], {"WANTED": "1"}) as method:
        assert method == "forkserver"
        assert "WANTED" not in os.environ
        with forking(["json"]) as inner:
            assert inner == "spawn", "there is one already"
        context, told = get_context(method), []
        for _ in range(2):
            ours, theirs = context.Pipe()
            process = context.Process(target=_told, args=(theirs,))
            process.start()
            told.append(ours.recv())
            process.join(10)
            assert process.exitcode == 0
        server = psutil.Process(told[0][0])
        assert told == [(server.pid, True, "1", Path.cwd())] * 2
        assert server.pid != os.getpid()
        assert server.num_threads() == 1, "threads would not survive a fork"
    assert not server.is_running()
    assert not multiprocessing.active_children()
