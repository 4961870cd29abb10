"""Commands of the documentation that no test runs: their options and experiments exist."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import click
import pytest

from cli import dmft
from dmft.experiments.grid import load_experiment, override, shipped_experiments
from tests.e2e.test_docs import PAGES, blocks_of


def commands_not_run() -> Iterator[tuple[str, list[str]]]:
    """Where it stands, and the words of each ``dmft`` command in blocks that are not run."""
    for page in PAGES:
        for block in blocks_of(page):
            if block.language != "sh" or not block.reason:
                continue
            for line in block.code.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words[:1] == ["time"]:
                    words = words[1:]
                if words[:1] == ["dmft"]:
                    ends = [i for i, word in enumerate(words) if word in ("&", "|", ">", "&&")]
                    yield block.where, words[1 : ends[0] if ends else None]


COMMANDS = list(commands_not_run())


def parsed(words: list[str]) -> tuple[str, dict[str, object], list[str]]:
    """The command's path, its options and what is left, as its own parser takes them.

    Raises:
        click.UsageError: no such command or option.
    """
    command: click.Command = dmft
    context, path = click.Context(dmft, info_name="dmft"), []
    while isinstance(command, click.Group):
        name, command, words = command.resolve_command(context, words)
        assert command is not None
        path.append(str(name))
        context = click.Context(command, parent=context, info_name=name)
    values, left, _ = command.make_parser(context).parse_args(args=list(words))
    return " ".join(path), values, left


@pytest.mark.parametrize(
    ("where", "words"), COMMANDS, ids=[f"{where} {words[0]}" for where, words in COMMANDS]
)
def test_a_command_that_is_not_run_could_be(where: str, words: list[str]) -> None:
    path, values, left = parsed(words)
    assert not left, f"{where}: {left} is nothing that {path} takes"
    if path == "experiment" and values["file"] in shipped_experiments():
        chosen = override(
            load_experiment(str(values["file"])),
            modalities=values.get("modalities", ()),
            protocols=values.get("protocols", ()),
        )
        assert chosen.grids


def test_it_sees_commands_and_options_that_are_not_there() -> None:
    assert len(COMMANDS) > 10
    with pytest.raises(click.UsageError, match="No such option"):
        parsed(["train", "x.zarr", "--protokoll", "utd-loso"])
    with pytest.raises(click.UsageError, match="No such command"):
        parsed(["cache", "shrink", "x.zarr"])
