"""Every command takes one spelling of output, and says as much as it is asked to."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cli import COMMANDS, dmft
from dmft.config import load_config
from pipeline.common.every_command import alike
from pipeline.common.progress_bar import ProgressBar


def leaves(command: click.Command) -> Iterator[click.Command]:
    """The commands of a group, and of its groups."""
    if isinstance(command, click.Group):
        for each in command.commands.values():
            yield from leaves(each)
    else:
        yield command


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_names_its_output_by_an_option_takes_all_spellings(name):
    command = dmft.get_command(click.Context(dmft), name)
    assert command is not None
    for each in leaves(command):
        names = {opt for param in each.params for opt in param.opts}
        assert {"-q", "--quiet", "-v", "--verbose"} <= names
        if {"--out", "--output"} & names:
            assert {"-o", "--out", "--output"} <= names


@click.command()
@click.option("--out", required=True)
def work(out: str) -> None:
    """Work."""
    logging.getLogger("pipeline.work").info("a note")
    logging.getLogger("pipeline.work").warning("a warning")
    ProgressBar().say("a line")
    click.echo(f"written to {out}")


ASKED = alike(work)


@pytest.mark.parametrize("spelling", ["-o", "--out", "--output"])
def test_each_spelling_means_the_same(spelling):
    assert CliRunner().invoke(ASKED, [spelling, "x"]).stdout == "written to x\n"


def test_quiet_leaves_results_and_verbose_adds_notes(monkeypatch, capsys):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # as outside of pytest

    def said(*arguments: str) -> str:
        ASKED.main(["-o", "x", *arguments], standalone_mode=False)
        told = capsys.readouterr()
        assert told.out == "written to x\n"
        return told.err

    assert said("-q") == ""
    assert said() == "a warning\na line\n"
    assert said("-v") == "a note\na warning\na line\n"
    assert said() == "a warning\na line\n", "one command's wish is not the next one's"


def test_a_configuration_that_is_printed_is_one_that_is_read(tmp_path: Path):
    asked = ["train", "x.zarr", "--protocol=utd-loso", "-o", "run", "--set=training.epochs=7"]
    done = CliRunner().invoke(dmft, [*asked, "--print-config"], catch_exceptions=False)
    (tmp_path / "c.toml").write_text(done.stdout)
    assert load_config(tmp_path / "c.toml") == load_config("default", ["training.epochs=7"])
    assert 'base = "default"' in done.stdout
