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
from pipeline.common.every_command import OUTPUT, Destination, alike
from pipeline.common.progress_bar import ProgressBar
from pipeline.encoders.config import load_config as load_encoding
from tests.fabricate import record_ids, save_manifest_of, write_raw


def leaves(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """The commands of a group, and of its groups, with what calls them."""
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from leaves(each, f"{path} {name}")
    else:
        yield path, command


FROM_ONE_PLACE_TO_ANOTHER = {
    *("publish", "fetch", "cache subset", "cache merge", "cache export"),
    *("synth utd-mhad", "synth mmact"),
}
"""Commands whose last argument is where to; all others name what they write by an option."""
ONE_CONFIGURATION = {"encode", "train", "distill", "tune"}
A_CONFIGURATION_A_GRID = {"experiment"}


@pytest.mark.parametrize("name", COMMANDS)
def test_what_all_commands_have_has_one_spelling(name):
    """The rule is in docs/reference/cli.md."""
    command = dmft.get_command(click.Context(dmft), name)
    assert command is not None
    for path, each in leaves(command, name):
        options = {opt: p for p in each.params for opt in p.opts if isinstance(p, click.Option)}
        arguments = [p for p in each.params if isinstance(p, click.Argument)]
        assert {"-q", "--quiet", "-v", "--verbose"} <= options.keys()
        assert len({id(options.get(opt)) for opt in OUTPUT}) == 1, f"{path}: -o and --out differ"
        destined = [p for p in arguments if isinstance(p, Destination)]
        assert bool(destined) == (path in FROM_ONE_PLACE_TO_ANOTHER), path
        assert destined in ([], arguments[-1:]), path
        assert "cache" not in {p.name for p in arguments} or "--cache" not in options, path
        for opt in ("--force", "--json", "--print-config", "--trust"):
            assert opt not in options or options[opt].is_flag, f"{path} {opt}"
        if "--config" in options:
            assert ("--print-config" in options) == (path in ONE_CONFIGURATION), path
            assert path in ONE_CONFIGURATION | A_CONFIGURATION_A_GRID


@pytest.mark.parametrize(
    ("argument", "given", "taken"),
    [
        (Destination(["out"]), ["x"], "x"),
        (Destination(["out"]), ["-o", "x"], "x"),
        (Destination(["out"]), ["--out", "x"], "x"),
        (Destination(["out"], nargs=-1), ["a", "b", "x"], ("a", "b", "x")),
        (Destination(["out"], nargs=-1), ["a", "b", "--output", "x"], ("a", "b", "x")),
    ],
)
def test_a_destination_is_named_by_its_place_or_by_an_option(argument, given, taken):
    bring = alike(click.Command("bring", params=[argument], callback=lambda out: out))
    assert bring.main(given, standalone_mode=False) == taken


def test_a_destination_that_is_named_twice_or_never_is_refused():
    where = Destination(["out"], type=click.Path())
    bring = alike(click.Command("bring", params=[where], callback=lambda out: out))
    twice = CliRunner().invoke(bring, ["x", "-o", "y"])
    assert (twice.exit_code, "x or y? Say where to once" in twice.output) == (2, True)
    never = CliRunner().invoke(bring, [])
    assert (never.exit_code, "Missing argument 'OUT'" in never.output) == (2, True)
    assert "Usage: bring [OPTIONS] OUT" in CliRunner().invoke(bring, ["--help"]).output


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


def test_an_encoding_that_is_printed_is_one_that_is_read(tmp_path: Path):
    write_raw(tmp_path / "raw", record_ids(1), ["skeleton", "depth"])
    manifest = save_manifest_of(tmp_path / "raw", tmp_path / "m.jsonl")
    asked = ["encode", str(manifest), f"--raw={tmp_path / 'raw'}", f"--out={tmp_path / 'x.zarr'}"]
    changed = [*asked, "--config=paper", "--set=depth.every=2", "--print-config"]
    done = CliRunner().invoke(dmft, changed, catch_exceptions=False)
    (tmp_path / "c.toml").write_text(done.stdout)
    told = load_encoding(tmp_path / "c.toml")
    wanted = load_encoding("paper", ["depth.every=2"])
    assert [told.of(name) for name in ("skeleton", "depth")] == [
        wanted.of(name) for name in ("skeleton", "depth")
    ]
    assert told.of("inertial") != wanted.of("inertial"), "what the manifest has, and no more"
    assert not (tmp_path / "x.zarr").exists()
