"""Every command that makes something ends with the next one, and that one runs as it stands."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from tests.e2e.running import ROOT

START = "synth utd-mhad raw --actions 2 --subjects 2 --trials 1 --modalities skeleton,inertial"
SMALL = ("--set", "encoder.width=8", "--epochs", "1", "--device", "cpu", "--threads", "1")


def run_dmft(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run ``dmft`` in a folder, as a person would."""
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import cli; cli.main()"
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done


def next_of(text: str) -> list[str]:
    """The command that the last line names."""
    last = text.splitlines()[-1]
    assert last.startswith("Next: dmft "), text
    return shlex.split(last.removeprefix("Next: dmft "))


def test_from_recordings_to_a_report_by_the_lines_that_say_what_is_next(tmp_path: Path) -> None:
    done = run_dmft(*START.split(), cwd=tmp_path)
    for wanted in ("manifest build", "encode"):
        command = next_of(done.stdout)
        assert " ".join(command).startswith(wanted)
        done = run_dmft(*command, cwd=tmp_path)
    train = next_of(done.stdout)
    assert train[:2] == ["train", "raw.zarr"]
    places = {"NAME": "utd-loso", "RUN": "run"}
    done = run_dmft(*(places.get(word, word) for word in train), *SMALL, cwd=tmp_path)
    for wanted in ("distill", "evaluate", "report"):
        command = next_of(done.stdout)
        assert command[0] == wanted
        done = run_dmft(*command, cwd=tmp_path)
    assert done.stdout.endswith("Next: open report.html in a browser\n")
    assert (tmp_path / "report.html").exists()
