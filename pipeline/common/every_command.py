"""What every command of the command line takes: one spelling of output, and how much it says.

It is put onto a command as it is loaded, so that none can lack it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import click

from pipeline.common.progress_bar import ProgressBar

OUTPUT = ("-o", "--out", "--output")
"""Whichever of these a command has, it takes the others too."""
LOGGERS = ("dmft", "pipeline")


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
