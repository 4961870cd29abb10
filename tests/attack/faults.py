"""Faults of the machine: disk full, folders and files that cannot be read or written, two writers.

Rule: a message without a traceback, exit code 1 or 2, and once the fault is mended the same command
ends with what an undisturbed one leaves.
"""

from __future__ import annotations

import os
import random
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.attack.bench import TRAINING, Bench, copy, same_files, same_run
from tests.attack.command import Prepare, Started, dmft
from tests.attack.family import Family
from tests.attack.outcome import Outcome, judge, must_end_well

NOBODY = 65534
ROOT = os.geteuid() == 0
INLINE = ("--workers", "0")
Job = tuple[list[str], Callable[[], bool]]
"""A command, and whether what it left is right."""


def _jobs(bench: Bench, place: Path) -> dict[str, Job]:
    """Commands that write, each into a folder of its own under ``place``."""
    cache, run = place / "cache", place / "run"
    figures, page, listed = place / "figures.json", place / "page.html", place / "list.jsonl"
    return {
        "encode": (
            ["encode", str(bench.manifest), "--raw", str(bench.raw), *INLINE, "--out", str(cache)],
            lambda: same_files(cache, bench.cache),
        ),
        "train": (
            ["train", str(bench.cache), *TRAINING, "--out", str(run)],
            lambda: same_run(run, bench.run),
        ),
        "manifest build": (
            ["manifest", "build", "utd-mhad", str(bench.raw), "-o", str(listed), "--jobs", "1"],
            lambda: listed.read_bytes() == bench.manifest.read_bytes(),
        ),
        "evaluate": (
            ["evaluate", str(bench.run), "-o", str(figures)],
            lambda: figures.read_text().strip() == bench.figures.strip(),
        ),
        "report": (
            ["report", str(bench.run), "-o", str(page)],
            lambda: page.read_text().rstrip().endswith("</html>"),
        ),
        "cache view": (
            ["cache", "view", str(bench.cache), "-o", str(page)],
            lambda: page.read_text().rstrip().endswith("</html>"),
        ),
    }


def disk_full(bench: Bench, chance: random.Random, place: Path) -> list[Outcome]:
    """A file system of so many pages, or without root a limit of so many bytes a file."""
    disk = place / "disk"
    disk.mkdir()
    name = chance.choice(("encode", "encode", "train", "train", *_jobs(bench, disk)))
    command, is_right = _jobs(bench, disk)[name]
    mounted = ROOT and _mount(disk, "size=32m")
    room = int(chance.uniform(0, 1) ** 3 * 1_500_000) // 4096 * 4096 + 4096
    prepare: Prepare | None = None
    if mounted:
        _mount(disk, f"remount,size={room}")
    else:
        prepare = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))  # noqa: E731
    try:
        what = f"{name}, {'disk' if mounted else 'file'} of {room} bytes"
        found = [judge(dmft(*command, prepare=prepare), what, is_right)]
        if mounted:
            _mount(disk, "remount,size=32m")
        again = [*command, "--force"] if name == "manifest build" else command
        return [*found, must_end_well(dmft(*again), f"again after {what}", is_right)]
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(disk)], check=False, capture_output=True)


def _mount(disk: Path, options: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", options, "attack", str(disk)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def no_rights(bench: Bench, chance: random.Random, place: Path) -> list[Outcome]:
    """One folder or file that a user may not read, or not write."""
    work = place / "work"
    work.mkdir()
    name = chance.choice(("encode", "encode", "train", "evaluate", "report", "cache view"))
    raw, cache, run = (
        copy(source, work / f"its-{source.name}") for source in (bench.raw, bench.cache, bench.run)
    )
    command, is_right = _jobs(bench, work)[name]
    own = {str(bench.raw): str(raw), str(bench.cache): str(cache), str(bench.run): str(run)}
    if name != "evaluate":
        command = [own.get(each, each) for each in command]
    used = {"encode": raw, "train": cache, "cache view": cache, "report": run}.get(name, work)
    paths = [work, used, *sorted(p for p in used.rglob("*"))]
    path = chance.choice((work, chance.choice(paths)))
    mode = chance.choice((0o000, 0o000 if path.is_file() else 0o555))
    if ROOT:
        subprocess.run(["chown", "-R", str(NOBODY), str(work)], check=True)
    before = path.stat().st_mode
    path.chmod(mode)
    what = f"{name}, {path.relative_to(place)} with rights {mode:o}"
    prepare = (lambda: os.setuid(NOBODY)) if ROOT else None
    found = [judge(dmft(*command, prepare=prepare), what, is_right)]
    path.chmod(before)
    again = dmft(*command, prepare=prepare)
    return [*found, must_end_well(again, f"again after {what}", is_right)]


def two_writers(bench: Bench, chance: random.Random, place: Path) -> list[Outcome]:
    """Two of one command at once, then it once more; also where files cannot be locked."""
    name = chance.choice(("encode", "train"))
    command, is_right = _jobs(bench, place)[name]
    prepare = _without_locks if chance.random() < 0.5 else None
    first = Started(command, prepare=prepare)
    pause = chance.choice((0.0, chance.uniform(0, 1.0)))
    dmft("--version", kill_after_s=pause)
    pair = (Started(command, prepare=prepare), first)
    what = f"two of {name}, {pause:.2f} s apart{', without locks' if prepare else ''}"
    answers = [each.wait() for each in pair]
    if any(answer.code == 0 for answer in answers):
        found = [judge(answer, what, is_right) for answer in answers]
    else:
        found = [judge(answer, what, lambda: True) for answer in answers]
    return [*found, must_end_well(dmft(*command, prepare=prepare), f"again, {what}", is_right)]


def _without_locks() -> None:
    """As on a network mount: each gets the lock it asks for."""
    import fcntl

    fcntl.flock = fcntl.lockf = lambda *_: None


FAMILIES = (
    Family(name="disk-full", attack=disk_full, n=40, n_short=0, needs=("figures", "run")),
    Family(name="no-rights", attack=no_rights, n=40, n_short=0, needs=("figures", "run")),
    Family(name="two-writers", attack=two_writers, n=15, n_short=1, needs=("run",)),
)
