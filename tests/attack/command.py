"""One ``dmft`` command in a process group of its own, watched: time, memory, exit code, words.

The command runs in a fork of a process that has imported its libraries (:func:`preload`), which
makes a try cost a tenth of a second. It is the command line all the same: ``cli.main`` with
arguments, in a session of its own, with standard streams of its own and nothing left running.
"""

from __future__ import annotations

import atexit
import importlib
import multiprocessing
import os
import pickle
import pkgutil
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIMIT_S = 60.0
"""A command that takes longer is killed and counted."""
LIMIT_BYTES = 1 << 30
"""A command that holds more is killed and counted."""
HEAVY = ("frames", "weights", "synthetic")
"""In the names of modules that import torchvision, 400 MB: for commands on films alone."""
NOT_PRELOADED = ("export", "figures", "cluster", "dask")

Prepare = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a command ended."""

    code: int
    """Exit code; minus the signal that ended it."""
    out: str
    err: str
    seconds: float
    peak_bytes: int
    timed_out: bool = False
    too_large: bool = False

    @property
    def traceback(self) -> bool:
        """Whether it showed one."""
        return "Traceback (most recent call last)" in self.err + self.out

    @property
    def said(self) -> str:
        """The line that says most of what it said, short."""
        lines = [line.strip() for line in (self.err.strip() or self.out.strip()).splitlines()]
        telling = [line for line in lines if line.startswith(("Error", "failed:"))]
        line = (telling or lines or ["nothing"])[0 if telling else -1]
        return f"exit {self.code}: {line[:300]}"


MODULES = (
    *("cli", "pandas", "tensorboard", "torch.utils.tensorboard", "importlib.readers"),
    *("encodings.utf_8_sig", "fileinput"),
)
"""What commands import when they need it, which another user may not read."""


def preload(*, heavy: bool = False) -> None:
    """Import what commands import, once, before they are forked."""
    for name in MODULES:
        importlib.import_module(name)
    for package in ("pipeline", "dmft"):
        path = importlib.import_module(package).__path__
        for module in pkgutil.walk_packages(path, f"{package}."):
            if any(part in module.name for part in NOT_PRELOADED):
                continue
            if heavy or not any(part in module.name for part in HEAVY):
                importlib.import_module(module.name)


def dmft(
    *arguments: str | Path,
    cwd: Path | None = None,
    prepare: Prepare | None = None,
    stdin: bytes = b"",
    kill_after_s: float | None = None,
    limit_s: float = LIMIT_S,
) -> Answer:
    """Run one command to its end, or to a SIGKILL of its whole group.

    Args:
        arguments: After ``dmft``.
        cwd: Where it runs.
        prepare: Called in its process before it begins: limits, another user, a hook.
        stdin: What it reads.
        kill_after_s: When the group is killed.
        limit_s: When it is killed as too slow.
    """
    return Started(arguments, cwd=cwd, prepare=prepare, stdin=stdin).wait(
        kill_after_s=kill_after_s, limit_s=limit_s
    )


class Started:
    """A command that runs."""

    def __init__(
        self,
        arguments: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        prepare: Prepare | None = None,
        stdin: bytes = b"",
    ) -> None:
        """Fork it."""
        self._streams = [tempfile.TemporaryFile() for _ in range(3)]  # noqa: SIM115
        self._streams[0].write(stdin)
        self._streams[0].seek(0)
        self._began = time.monotonic()
        self.pid = os.fork()
        if not self.pid:
            _become([str(each) for each in arguments], self._streams, cwd, prepare)

    def wait(self, *, kill_after_s: float | None = None, limit_s: float = LIMIT_S) -> Answer:
        """Wait for its end, and kill what is left of its group."""
        handle = os.pidfd_open(self.pid)
        timed_out = too_large = killed = False
        while not select.select([handle], [], [], self._pause(kill_after_s, limit_s))[0]:
            passed = time.monotonic() - self._began
            timed_out = passed >= limit_s
            too_large = _resident(self.pid) > LIMIT_BYTES
            killed = kill_after_s is not None and passed >= kill_after_s
            if killed or timed_out or too_large:
                self._kill()
                break
        _, status, used = os.wait4(self.pid, 0)
        seconds = time.monotonic() - self._began
        os.close(handle)
        self._kill()  # what it started and left
        out, err = (self._text(stream) for stream in self._streams[1:])
        peak = used.ru_maxrss << 10
        return Answer(
            code=os.waitstatus_to_exitcode(status),
            out=out,
            err=err,
            seconds=seconds,
            peak_bytes=peak,
            timed_out=timed_out and not killed,
            too_large=peak > LIMIT_BYTES,
        )

    def _pause(self, kill_after_s: float | None, limit_s: float) -> float:
        until = min(limit_s, kill_after_s if kill_after_s is not None else limit_s)
        return max(0.0, min(0.05, until - (time.monotonic() - self._began)))

    def _kill(self) -> None:
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return

    @staticmethod
    def _text(stream: Any) -> str:
        stream.seek(0)
        with stream:
            text: str = stream.read(1 << 22).decode(errors="replace")
            return text


def _become(
    arguments: list[str], streams: Sequence[Any], cwd: Path | None, prepare: Prepare | None
) -> None:
    """In the fork: be ``dmft``, and end."""
    code = 1
    try:
        os.setsid()
        atexit._clear()
        # Of a pool's process it would have inherited that it may have no children.
        multiprocessing.current_process()._config["daemon"] = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # as Python has it
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for descriptor, stream in enumerate(streams):
            os.dup2(stream.fileno(), descriptor)
        sys.stdin, sys.stdout, sys.stderr = (
            open(descriptor, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            for descriptor, mode in enumerate("rww")
        )
        sys.argv = ["dmft", *arguments]
        if cwd is not None:
            os.chdir(cwd)
        if prepare is not None:
            prepare()
        code = _main(arguments)
        atexit._run_exitfuncs()
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def _main(arguments: list[str]) -> int:
    import cli

    try:
        cli.main(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _resident(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0
    return int(fields[1]) * os.sysconf("SC_PAGESIZE")


def isolated(function: Callable[..., Any], *arguments: Any, limit_s: float = 20.0) -> Any:
    """What a function gives in a fork of its own; None where it raises, crashes or takes too long.

    For reference readers, which meet the same damaged files.
    """
    with tempfile.TemporaryFile() as file:
        pid = os.fork()
        if not pid:
            try:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                pickle.dump(function(*arguments), file)
                file.flush()
                os._exit(0)
            finally:
                os._exit(1)
        handle = os.pidfd_open(pid)
        if not select.select([handle], [], [], limit_s)[0]:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        os.close(handle)
        file.seek(0)
        return pickle.load(file) if status == 0 else None  # noqa: S301 - we wrote it
