"""Every command that makes something ends with the next one, and that one runs as it stands."""

from __future__ import annotations

import shlex
import subprocess
from functools import partial
from pathlib import Path

START = "synth utd-mhad raw --actions 2 --subjects 2 --trials 1 --modalities skeleton,inertial"
SMALL = ("--set", "encoder.width=8", "--epochs", "1", "--device", "cpu", "--threads", "1")


def run_in(folder: Path, dmft: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``dmft`` in a folder, as a person would."""
    done = subprocess.run(
        [dmft, *arguments],
        cwd=folder,
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


def test_from_recordings_to_a_report_by_the_lines_that_say_what_is_next(
    tmp_path: Path, warm_dmft: Path
) -> None:
    run_dmft = partial(run_in, tmp_path, warm_dmft)
    done = run_dmft(*START.split())
    for wanted in ("manifest build", "encode"):
        command = next_of(done.stdout)
        assert " ".join(command).startswith(wanted)
        done = run_dmft(*command)
    train = next_of(done.stdout)
    assert train[:2] == ["train", "raw.zarr"]
    places = {"NAME": "utd-loso", "RUN": "run"}
    done = run_dmft(*(places.get(word, word) for word in train), *SMALL)
    for wanted in ("distill", "evaluate", "report"):
        command = next_of(done.stdout)
        assert command[0] == wanted
        done = run_dmft(*command)
    assert done.stdout.endswith("Next: open report.html in a browser\n")
    assert (tmp_path / "report.html").exists()
