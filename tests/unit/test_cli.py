"""The command line as a whole: quick, documented, and polite about mistakes."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

import cli
from cli import COMMANDS, dmft
from tests.fabricate import record_ids, save_manifest_of, write_raw

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "torchvision", "dask", "distributed", "av", "scipy", "h5py", "zarr", "pandas")
HELP_SECONDS = 5.0
"""Generous: what is held here is that nothing heavy is imported, on busy machines too."""


def walk(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command's path, groups included."""
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from walk(found, (*path, name))


def command_at(path: tuple[str, ...]) -> click.Command:
    """The command of a path."""
    found: click.Command = dmft
    for name in path:
        assert isinstance(found, click.Group)
        below = found.get_command(click.Context(found), name)
        assert below is not None
        found = below
    return found


PATHS = list(walk(dmft))


def run(*arguments: str, before: str = "", cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, after some lines of Python."""
    script = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{before}\nimport cli\ncli.main()\n"
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
    )


def named(path: tuple[str, ...]) -> str:
    """For the test's name."""
    return " ".join(("dmft", *path))


@pytest.mark.parametrize("path", PATHS, ids=named)
def test_help_answers_quickly_without_importing_what_is_heavy(path: tuple[str, ...]) -> None:
    listed = (
        "import atexit, json\n"
        f"heavy = {HEAVY!r}\n"
        "atexit.register(lambda: print('IMPORTED', json.dumps("
        "[m for m in heavy if m in sys.modules]), file=sys.stderr))"
    )
    started = time.monotonic()
    done = run(*path, "--help", before=listed)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Usage: {named(path)}")
    assert json.loads(done.stderr.rpartition("IMPORTED ")[2]) == []
    assert time.monotonic() - started < HELP_SECONDS


@pytest.mark.parametrize("path", PATHS, ids=named)
def test_every_command_and_every_option_says_what_it_does(path: tuple[str, ...]) -> None:
    command = command_at(path)
    assert command.help, f"{named(path)} has no help"
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{named(path)} {parameter.opts[0]} has no help text"
        else:
            assert isinstance(parameter, click.Argument)
            shown = parameter.make_metavar(click.Context(command))
            usage = " ".join(command.collect_usage_pieces(click.Context(command)))
            assert shown in usage


def test_the_overview_lists_the_commands_in_the_order_of_use() -> None:
    shown = run("--help").stdout
    places = [shown.index(f"\n  {name} ") for name in COMMANDS]
    assert places == sorted(places)
    assert all(line in shown for _, line in COMMANDS.values())


def test_the_version_is_printed() -> None:
    done = run("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("dmft, version ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fly"], "No such command 'fly'"),
        (["trian"], "No such command 'trian' (did you mean 'train'?)."),
        (["cache", "verfy"], "No such command 'verfy' (did you mean 'verify'?)."),
        (["cache", "fly"], "No such command 'fly'"),
        (["train", "--fly"], "No such option"),
        (["encode"], "Missing argument 'MANIFEST'"),
        (["train", ".", "--out", "run"], "Missing option '--protocol'"),
        (["synth", "utd-mhad", "raw", "--actions", "28"], "28 is not in the range"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_exits_2_and_says_what_is_wrong(arguments: list[str], said: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "nowhere.zarr", "--protocol", "utd-loso", "--out", "run"],
        ["distill", "nowhere.zarr", "--teacher", "nowhere", "--out", "run"],
        ["evaluate", "nowhere"],
        ["cache", "info", "nowhere.zarr"],
        ["cache", "status", "nowhere.zarr"],
        ["cache", "verify", "nowhere.zarr"],
    ],
    ids=" ".join,
)
def test_a_users_error_is_one_line_without_a_traceback(
    arguments: list[str], tmp_path: Path, warm_dmft: Path
) -> None:
    done = subprocess.run(
        [warm_dmft, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("Error: nowhere")
    assert list(tmp_path.iterdir()) == [], "something was left behind"


def blocking(package: str) -> str:
    """Lines that make a package look as if it were not installed."""
    return (
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] == {package!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Blocked())"
    )


def test_a_missing_extra_is_named_with_the_command_that_installs_it(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    synth = ["synth", "utd-mhad", "out", "--actions", "1", "--subjects", "1", "--trials", "1"]
    done = run(*synth, "--jobs", "1", before=blocking("av"), cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert done.stderr.splitlines()[-1] == (
        "Error: 'dmft synth' needs the encoder's packages and av is not installed. "
        "Install them with: pip install 'dmft[encode]'"
    )
    assert "Traceback" not in done.stderr


def test_a_package_that_no_recording_can_be_read_without_is_not_blamed_on_each(
    tmp_path: Path,
) -> None:
    raw = write_raw(tmp_path / "raw", record_ids(2), ("inertial",))
    listed = save_manifest_of(raw, tmp_path / "raw.jsonl")
    encode = ["encode", str(listed), "--raw", str(raw), "--out", "c.zarr", "--workers", "0"]
    done = run(*encode, before=blocking("isal"), cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "Error: 'dmft encode' needs the encoder's packages and isal is not installed. "
        "Install them with: pip install 'dmft[encode]'"
    )
    assert "failed" not in done.stderr


@pytest.mark.parametrize("package", ["dask", "av", "h5py", "torchvision"])
def test_help_and_the_trainers_commands_do_without_the_extra(package: str) -> None:
    for arguments in (["--help"], ["train", "--help"], ["evaluate", "--help"]):
        done = run(*arguments, before=blocking(package))
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("train nowhere --protocol utd-loso --out run", "nowhere does not exist"),
        ("train . --protocol utd-lso --out run", "did you mean 'utd-loso'?"),
        ("train . --protocol utd-loso --set a.b=1 --out run", "a is not a setting"),
        ("distill . --teacher nowhere --out run", "nowhere is not a run"),
        ("tune . --protocol utd-lso --space s.toml --out run", "did you mean 'utd-loso'?"),
        ("evaluate nowhere", "nowhere is not a run"),
        ("experiment table-1 --cache nowhere --out run", "nowhere does not exist"),
    ],
)
def test_a_wrong_word_is_refused_before_seconds_go_into_pytorch(
    arguments: str, said: str, tmp_path: Path
) -> None:
    done = run(*arguments.split(), before=blocking("torch"), cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "torch" not in done.stderr


def test_a_bug_is_not_dressed_up_as_a_users_error() -> None:
    done = run("evaluate", "nowhere", before=blocking("json"))
    assert "Traceback" in done.stderr


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "/data/c.zarr"),
            "/data/c.zarr: No space",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "x"), "x: Permission denied. Ask for"),
        (OSError(errno.EROFS, "Read-only file system", "x"), "name another place"),
        (OSError("odd"), "odd. What is finished is kept"),
        (MemoryError(), "there is too little memory: close other programs"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "too little"),
        (RuntimeError("can't start new thread"), "may start no more threads"),
    ],
)
def test_a_machine_that_has_too_little_is_one_message(
    error: Exception,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(**_: Any) -> None:
        raise error

    monkeypatch.setattr(cli.dmft, "main", fails)
    with pytest.raises(SystemExit) as ended:
        cli.main([])
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(**_: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(cli.dmft, "main", fails)
    with pytest.raises(RuntimeError, match="a bug"):
        cli.main([])
