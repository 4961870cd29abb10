"""The command line: ``dmft`` (and ``python cli.py``).

Each command lives beside the program it drives (``pipeline/commands``, ``dmft/commands``) and is
imported only when it is named, so that ``--help`` answers at once. Nothing imports this module.
"""

from __future__ import annotations

import atexit
import errno
import gc
import importlib
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any

import click

from pipeline.common.suggesting import SuggestingGroup
from pipeline.contract import DmftError

COMMANDS: dict[str, tuple[str, str]] = {
    "manifest": ("pipeline.commands.manifest:manifest", "Build and check lists of recordings."),
    "dataset": ("pipeline.commands.dataset:dataset", "Describe a data set of your own."),
    "synth": ("pipeline.commands.synth:synth", "Fabricate raw recordings to try things on."),
    "encode": ("pipeline.commands.encode:encode", "Raw recordings to a feature cache."),
    "cache": ("pipeline.commands.cache:cache", "Look into a feature cache, verify it, edit it."),
    "publish": ("dmft.commands.publish:publish", "Bring a cache or a run to another place."),
    "fetch": ("dmft.commands.publish:fetch", "Bring a published cache or run here, verified."),
    "train": ("dmft.commands.train:train", "Train a teacher or a student on a cache."),
    "distill": ("dmft.commands.distill:distill", "Distil a trained teacher into a student."),
    "evaluate": ("dmft.commands.evaluate:evaluate", "Measure a run on its test fold."),
    "tune": ("dmft.commands.tune:tune", "Choose settings without looking at the test side."),
    "runs": ("dmft.commands.runs:runs", "List runs by what they are, and choose some."),
    "report": ("dmft.commands.report:report", "Show runs on one page, for a browser."),
    "figures": ("dmft.commands.figures:figures", "Draw runs for a paper, as PDF or SVG."),
    "experiment": ("dmft.commands.experiment:experiment", "Train a whole grid of models."),
    "tables": ("dmft.commands.tables:tables", "The paper's tables, ours beside the published."),
    "compare": ("dmft.commands.compare:compare", "Test whether one run is better than another."),
    "audit": ("dmft.commands.audit:audit", "Name records that deserve a look."),
    "robustness": ("dmft.commands.robustness:robustness", "Measure runs with a failing modality."),
    "calibrate": ("dmft.commands.calibrate:calibrate", "Teach a run to say: I don't know."),
    "predict": ("dmft.commands.predict:predict", "Raw recordings to activities."),
    "export": ("dmft.commands.export:export", "A run as ONNX, to use without PyTorch."),
    "bench": ("dmft.commands.bench:bench", "What runs cost: time, bytes, memory."),
    "doctor": ("dmft.commands.doctor:doctor", "Say what a bug report needs to know."),
    "completion": ("dmft.commands.completion:completion", "Complete with the Tab key."),
}
"""Command name to where it lives and its line in the overview, in the order of use."""

_alike: dict[str, click.Command] = {}
"""Commands that have got what every command takes."""
OBJECTS_A_COLLECTION = 50_000
"""New objects until the garbage collector looks; Python's own 700 is for small programs."""
TERMINATED = 128 + signal.SIGTERM
REMEDIES = {
    errno.ENOSPC: "Make room on that disk, or name a place on another.",
    errno.EDQUOT: "Your quota is used up: make room, or name another place.",
    errno.EFBIG: "Files there may not grow so large: see 'ulimit -f'.",
    errno.EACCES: "Ask for the right to it, or name another place.",
    errno.EPERM: "Ask for the right to it, or name another place.",
    errno.EROFS: "Nothing can be written there: name another place.",
    errno.EMFILE: "Too many files are open: see 'ulimit -n', or give fewer --workers.",
    errno.EAGAIN: "No more processes or threads can be started: see 'ulimit -u'.",
    errno.ENOMEM: "Close other programs, or give fewer --workers.",
}
"""What to do about an error of the system, by its number."""
KEPT = "What is finished is kept: run the same command again to go on."
NEEDED_FOR = {
    "encode": "the encoder's packages",
    "export": "the packages for exports",
    "tune": "the package that proposes trials",
    "report": "the package for figures",
}
"""Extra to what its packages are called in a message."""


class LazyGroup(SuggestingGroup):
    """A group that imports a command's module when the command is asked for, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of use, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command, or say which extra it needs."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        try:
            command = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            message = _missing_extra(cmd_name, error)
            if message:
                raise click.ClickException(message) from error
            raise
        assert isinstance(command, click.Command)
        if cmd_name not in _alike:
            from pipeline.common.every_command import alike

            _alike[cmd_name] = alike(command)
        return _alike[cmd_name]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands, in the order of use"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def _missing_extra(command: str, error: ModuleNotFoundError) -> str | None:
    """What to install for a command whose package is not there; None where no extra has it."""
    from pipeline.common.packages import extra_of

    extra = extra_of(error.name or "")
    if extra is None:
        return None
    return (
        f"'dmft {command}' needs {NEEDED_FOR.get(extra, 'more packages')} and {error.name} is not "
        f"installed. Install them with: pip install 'dmft[{extra}]'"
    )


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dmft", prog_name="dmft")
def dmft() -> None:
    """Raw recordings of people to trained activity recognisers.

    \b
    The whole path, on fabricated recordings:
      dmft synth utd-mhad raw
      dmft manifest build utd-mhad raw -o raw.jsonl
      dmft encode raw.jsonl --raw raw --out raw.zarr --weights random:0
      dmft train raw.zarr --protocol utd-loso --model teacher --out teacher
      dmft distill raw.zarr --teacher teacher --out student
      dmft evaluate student
      dmft predict student --raw raw

    Every command takes -q (say nothing but results and errors) and -v (say more), and what it
    writes is named by -o, --out or --output alike, also where it is the last argument.

    Exit codes: 0 done, 1 finished with quarantined records or a failed check, 2 wrong use or a
    machine that has too little of something; 130 after Ctrl-C, 143 after SIGTERM.
    """


def _let_imports_be() -> None:
    """Keep the garbage collector from what imports leave for good: a hundred thousand objects.

    It would look through them time and again while PyTorch is imported, and once more at the end;
    of a command that does little this is a quarter of the processor's time.
    """
    gc.set_threshold(OBJECTS_A_COLLECTION, *gc.get_threshold()[1:])
    atexit.register(gc.freeze)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; what goes wrong is one message and an exit code, not a traceback."""
    if arguments is None:
        _let_imports_be()
    signals: list[int] = []

    def stop(number: int, _frame: Any) -> None:
        if not signals:  # once: what is stopping is not to be stopped
            signals.append(number)
            raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop)
    try:
        dmft.main(args=arguments, prog_name="dmft", standalone_mode=True)
    except SystemExit:
        if signals:
            sys.exit(TERMINATED)
        raise
    except (DmftError, OSError, MemoryError, RuntimeError, ModuleNotFoundError) as error:
        message = _explained(error)
        if message is None:
            raise
        click.echo(f"Error: {message}", err=True)
        sys.exit(2)
    except Exception as error:
        from pipeline.common.stores.faults import is_foreign, told

        if not is_foreign(error):
            raise
        click.echo(
            f"Error: the object store does not answer as it must: {told(error)}. {KEPT}", err=True
        )
        sys.exit(2)


def _explained(error: Exception) -> str | None:
    """What a person is told of an error; None where it is a mistake of ours."""
    if isinstance(error, DmftError):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        return _missing_extra(sys.argv[1] if sys.argv[1:] else "", error)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        mend = REMEDIES.get(error.errno or 0, "")
        return f"{where}{error.strerror or error}. {mend}{' ' if mend else ''}{KEPT}"
    text = str(error)
    if isinstance(error, MemoryError) or "allocate" in text or "out of memory" in text:
        size = f" ({text})" if text and len(text) < 200 else ""
        return (
            f"there is too little memory{size}: close other programs, or give less work at a time "
            f"(--workers, --memory, a smaller batch). {KEPT}"
        )
    if "new thread" in text:
        return f"{text}: this account may start no more threads (see 'ulimit -u'). {KEPT}"
    return None


if __name__ == "__main__":
    main()
