"""SIGKILL to whole process groups of encodes and trainings, at random and at chosen instants.

Promise (docs/how-to/resume-and-repair.md): the same command again finishes, and what it leaves is
what an uninterrupted one leaves, byte for byte. A chosen instant is just before one of the
writes that Python's audit events show: files opened for writing, renamed, removed, folders made.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from tests.attack.bench import TRAINING, Bench, copy, same_files, same_run
from tests.attack.command import Answer, Prepare, dmft
from tests.attack.family import Family
from tests.attack.outcome import Outcome, must_end_well

WRITES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate"}
FOR_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT

Act = Callable[[int], None]
"""Told the number of a write, just before it."""


def before_each_write(folder: Path, act: Act) -> Prepare:
    """Have a command call something just before each of its writes under a folder."""
    root = str(folder)

    def prepare() -> None:
        number = 0

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal number
            if event == "open":
                if not isinstance(arguments[2], int) or not arguments[2] & FOR_WRITING:
                    return
            elif event not in WRITES:
                return
            if any(_is_under(argument, root) for argument in arguments[:2]):
                number += 1
                act(number)

        sys.addaudithook(hook)

    return prepare


def _is_under(argument: object, root: str) -> bool:
    if not isinstance(argument, str | os.PathLike):
        return False
    path = os.path.abspath(os.fspath(argument))  # noqa: PTH100 - of any kind of path
    return path == root or path.startswith(root + os.sep)


def kill_before(folder: Path, wanted: int) -> Prepare:
    """Have a command kill its whole group just before its numbered write under a folder."""

    def act(number: int) -> None:
        if number == wanted:
            os.killpg(0, signal.SIGKILL)

    return before_each_write(folder, act)


def n_writes(folder: Path, note: Path, *command: str | Path) -> tuple[int, Answer]:
    """How many writes a command makes under a folder, by doing it once."""
    handle = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    answer = dmft(*command, prepare=before_each_write(folder, lambda _: _tick(handle)))
    os.close(handle)
    return note.stat().st_size, answer


def _tick(handle: int) -> None:
    os.write(handle, b".")


def _scene(bench: Bench, chance: random.Random, place: Path, kind: str) -> tuple[Path, list[str]]:
    """A cache in some state, and the command that makes a whole one of it."""
    out, manifest, options = place / "cache", bench.manifest, list[str]()
    if kind in ("grown", "changed"):
        lines = bench.manifest.read_text().splitlines()
        header = json.loads(lines[0]) | {"n_records": 7}
        few = place / "few.jsonl"
        few.write_text("\n".join([json.dumps(header), *lines[1:8]]) + "\n")
        if kind == "grown":
            bench.encode(few, bench.raw, out)
        else:  # inertial anew, of all records
            bench.encode(manifest, bench.raw, out, "--set", "inertial.patches=64")
            options = ["--replace"]
    if kind == "repaired":
        copy(bench.cache, out)
        damage(chance, out)
        options = ["--check-stored"]
    common = ["--raw", str(bench.raw), "--out", str(out), "--workers", "0"]
    return out, ["encode", str(manifest), *common, *options]


def damage(chance: random.Random, cache: Path) -> str:
    """Flip a bit of one chunk."""
    path = cache / chance.choice(["skeleton", "inertial"]) / "c/0/0/0"
    content = bytearray(path.read_bytes())
    bit = chance.randrange(len(content) * 8)
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    return f"bit {bit} of {path.parent.parent.parent.name}"


SCENES = ("new", "grown", "changed", "repaired")


def encode_killed_at_random(bench: Bench, chance: random.Random, place: Path) -> list[Outcome]:
    """Up to three kills of one encode, anywhere, then the same command to its end."""
    kind = chance.choice(SCENES)
    out, command = _scene(bench, chance, place, kind)
    instants = [chance.uniform(0.0, 0.4) for _ in range(chance.randint(1, 3))]
    for instant in instants:
        dmft(*command, kill_after_s=instant)
    shown = ", ".join(f"{instant:.3f}" for instant in instants)
    what = f"{kind} cache, killed after {shown} s"
    return [must_end_well(dmft(*command), what, lambda: same_files(out, bench.cache))]


def encode_killed_at_a_write(bench: Bench, chance: random.Random, place: Path) -> list[Outcome]:
    """A kill before one chosen write, then the same command to its end."""
    kind = chance.choice(SCENES)
    rehearsal = place / "rehearsal"
    rehearsal.mkdir()
    state = chance.getstate()
    out, command = _scene(bench, chance, rehearsal, kind)
    n, _ = n_writes(out, place / "note", *command)
    chance.setstate(state)  # the same damage again
    out, command = _scene(bench, chance, place, kind)
    number = chance.randint(1, max(n, 1))
    dmft(*command, prepare=kill_before(out, number))
    what = f"{kind} cache, killed before write {number} of {n}"
    return [must_end_well(dmft(*command), what, lambda: same_files(out, bench.cache))]


def encode_with_workers_killed(bench: Bench, chance: random.Random, place: Path) -> list[Outcome]:
    """The same with Dask's workers, which are killed with it."""
    out, command = _scene(bench, chance, place, chance.choice(SCENES))
    command[command.index("--workers") + 1] = "2"
    instant = chance.uniform(0.5, 5.0)
    dmft(*command, kill_after_s=instant)
    answer = dmft(*command)
    what = f"2 workers, killed after {instant:.2f} s"
    return [must_end_well(answer, what, lambda: same_files(out, bench.cache))]


def train_killed_at_random(bench: Bench, chance: random.Random, place: Path) -> list[Outcome]:
    """Kills of a training, then the same command to its end: the same weights and figures."""
    out = place / "run"
    command = ["train", str(bench.cache), *TRAINING, "--out", str(out)]
    instants = [chance.uniform(0.0, 1.0) for _ in range(chance.randint(1, 2))]
    for instant in instants:
        dmft(*command, kill_after_s=instant)
    what = f"training killed after {', '.join(f'{i:.3f}' for i in instants)} s"
    return [must_end_well(dmft(*command), what, lambda: same_run(out, bench.run))]


def train_killed_at_a_write(bench: Bench, chance: random.Random, place: Path) -> list[Outcome]:
    """A kill before one chosen write of a training."""
    rehearsal = place / "rehearsal"
    command = ["train", str(bench.cache), *TRAINING, "--out"]
    n, _ = n_writes(rehearsal, place / "note", *command, rehearsal)
    number, out = chance.randint(1, max(n, 1)), place / "run"
    dmft(*command, out, prepare=kill_before(out, number))
    what = f"training killed before write {number} of {n}"
    return [must_end_well(dmft(*command, out), what, lambda: same_run(out, bench.run))]


FAMILIES = (
    Family(name="kills-encode", attack=encode_killed_at_random, n=60, n_short=2, needs=("cache",)),
    Family(
        name="kills-encode-writes",
        attack=encode_killed_at_a_write, n=80, n_short=0, needs=("cache",),
    ),
    Family(
        name="kills-encode-workers",
        attack=encode_with_workers_killed, n=8, n_short=0, needs=("cache",),
    ),
    Family(name="kills-train", attack=train_killed_at_random, n=15, n_short=1, needs=("run",)),
    Family(
        name="kills-train-writes", attack=train_killed_at_a_write, n=30, n_short=0, needs=("run",)
    ),
)  # fmt: skip
