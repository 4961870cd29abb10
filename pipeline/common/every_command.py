"""What every command of the command line takes: one spelling of output, and how much it says.

It is put onto a command as it is loaded, so that none can lack it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import click

from pipeline.common.progress_bar import ProgressBar

OUTPUT = ("-o", "--out", "--output")
"""Whichever of these a command has, it takes the others too."""
LOGGERS = ("dmft", "pipeline")
NAMED = "dmft.destination"
"""Where a context keeps the destination that an option has named."""


class Destination(click.Argument):
    """Where a command brings something to: its last argument, or what ``--out`` names.

    Of several arguments (``nargs=-1``) it is the last.
    """

    def option(self) -> click.Option:
        """The option that may stand in its place."""

        def keep(context: click.Context, _: click.Parameter, named: str | None) -> None:
            context.meta[NAMED] = named

        shown = self.human_readable_name.rpartition(" ")[2]
        return click.Option(
            [*OUTPUT, "destination_option"],
            metavar="PATH",
            is_eager=True,
            expose_value=False,
            callback=keep,
            help=f"Instead of {shown} as the last argument.",
        )

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]
    ) -> tuple[Any, list[str]]:
        """Take the option's value where there is one.

        Raises:
            click.UsageError: the argument is there as well.
        """
        assert self.name is not None
        named, given = ctx.meta.get(NAMED), opts.get(self.name)
        if named is not None and isinstance(given, str):
            raise click.UsageError(f"{given} or {named}? Say where to once", ctx)
        if named is not None:
            several = (*(given if isinstance(given, tuple) else ()), named)
            opts = {**opts, self.name: several if self.nargs == -1 else named}
        return super().handle_parse_result(ctx, opts, args)


print_config = click.option(
    "--print-config",
    is_flag=True,
    is_eager=True,  # known before the cache is looked for
    help="Print what --config and --set come to, as a file that --config takes, and stop.",
)


def alike(command: click.Command) -> click.Command:
    """Give a command, or all commands of a group, what every command takes."""
    if isinstance(command, click.Group):
        for each in command.commands.values():
            alike(each)
        return command
    taken = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    for option in command.params:
        if isinstance(option, click.Option) and {"--out", "--output"} & {*option.opts}:
            option.opts = [name for name in OUTPUT if name in option.opts or name not in taken]
            break
    command.params += [each.option() for each in command.params if isinstance(each, Destination)]
    for names, manner in ((["-v", "--verbose"], verbose), (["-q", "--quiet"], quiet)):
        if not taken & {*names}:
            command.params.append(_switch(names, manner))
    return command


def _switch(names: list[str], manner: Callable[[], AbstractContextManager[None]]) -> click.Option:
    def turn(context: click.Context, _: click.Parameter, wanted: bool) -> None:
        if wanted and not context.resilient_parsing:
            context.with_resource(manner())

    return click.Option(
        names, is_flag=True, expose_value=False, hidden=True, callback=turn, help=manner.__doc__
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Say nothing but results and errors: no bars, no lines on the way, no warnings."""
    ProgressBar.is_quiet = True
    shown = logging.lastResort
    level = shown.level if shown else 0
    if shown:
        shown.setLevel(logging.ERROR)
    try:
        yield
    finally:
        ProgressBar.is_quiet = False
        if shown:
            shown.setLevel(level)


@contextmanager
def verbose() -> Iterator[None]:
    """Also say what libraries of ours note on the way."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
