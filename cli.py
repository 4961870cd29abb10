"""The command line: ``dmft`` (and ``python cli.py``).

Each command lives beside the program it drives (``pipeline/commands``, ``dmft/commands``) and is
imported only when it is named, so that ``--help`` answers at once. Nothing imports this module.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

from pipeline.contract import DmftError

COMMANDS: dict[str, tuple[str, str]] = {
    "manifest": ("pipeline.commands.manifest:manifest", "Build and check lists of recordings."),
    "synth": ("pipeline.commands.synth:synth", "Fabricate raw recordings to try things on."),
    "encode": ("pipeline.commands.encode:encode", "Raw recordings to a feature cache."),
    "cache": ("pipeline.commands.cache:cache", "Look into a feature cache and verify it."),
    "train": ("dmft.commands.train:train", "Train a teacher or a student on a cache."),
    "distill": ("dmft.commands.distill:distill", "Distil a trained teacher into a student."),
    "evaluate": ("dmft.commands.evaluate:evaluate", "Measure a run on its test fold."),
    "report": ("dmft.commands.report:report", "Show runs on one page, for a browser."),
    "figures": ("dmft.commands.figures:figures", "Draw runs for a paper, as PDF or SVG."),
    "experiment": ("dmft.commands.experiment:experiment", "Train a whole grid of models."),
    "tables": ("dmft.commands.tables:tables", "The paper's tables, ours beside the published."),
    "compare": ("dmft.commands.compare:compare", "Test whether one run is better than another."),
    "robustness": ("dmft.commands.robustness:robustness", "Measure runs with a failing modality."),
    "predict": ("dmft.commands.predict:predict", "Raw recordings to activities."),
    "export": ("dmft.commands.export:export", "A run as ONNX, to use without PyTorch."),
    "bench": ("dmft.commands.bench:bench", "What runs cost: time, bytes, memory."),
    "doctor": ("dmft.commands.doctor:doctor", "Say what a bug report needs to know."),
    "completion": ("dmft.commands.completion:completion", "Complete with the Tab key."),
}
"""Command name to where it lives and its line in the overview, in the order of use."""

NEEDED_FOR = {
    "encode": "the encoder's packages",
    "export": "the packages for exports",
    "report": "the package for figures",
}
"""Extra to what its packages are called in a message."""


class LazyGroup(click.Group):
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
        return command

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

    Exit codes: 0 done, 1 finished with quarantined records or a failed check, 2 wrong use.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a user's error is one message and exit code 2, not a traceback."""
    try:
        dmft.main(args=arguments, prog_name="dmft", standalone_mode=True)
    except DmftError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except ModuleNotFoundError as error:
        message = _missing_extra(sys.argv[1] if sys.argv[1:] else "", error)
        if message is None:
            raise
        click.echo(f"Error: {message}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
