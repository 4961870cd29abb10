"""Writes the parts of the reference that are made from the code.

``reference/cli.md`` comes from the command line itself, and the tables of
``reference/configuration.md`` from the dataclasses that read the files. Run it after a change to
either, from the repository's root::

    python docs/generate.py

``--check`` writes nothing and exits with 1 if something is stale; a test does the same.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

CLI_PAGE = Path("docs/reference/cli.md")
CONFIGURATION_PAGE = Path("docs/reference/configuration.md")
COMMAND = "python docs/generate.py"


def pages() -> dict[Path, str]:
    """Every generated page, by its path in the repository, as it should be."""
    return {CLI_PAGE: cli_page(), CONFIGURATION_PAGE: configuration_page()}


def stale() -> list[Path]:
    """Pages that are not what they should be."""
    return [
        path
        for path, text in pages().items()
        if not (ROOT / path).exists() or (ROOT / path).read_text() != text
    ]


# -- the command line ------------------------------------------------------------------------------


def cli_page() -> str:
    """The reference of all commands, one section a command."""
    from cli import dmft

    parts = [
        "# Command line",
        f"Made from the code by `{COMMAND}`; do not edit. `dmft NAME --help` says the same.",
        "Exit codes: 0 done, 1 finished with quarantined records or a failed check, 2 wrong use, "
        "130 stopped by Ctrl-C. Results go to standard output, progress to standard error.",
    ]
    for path, command in _commands(dmft, "dmft"):
        parts += _command(path, command)
    return "\n\n".join(parts) + "\n"


def _commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from _commands(found, f"{path} {name}")


def _command(path: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=path)
    yield f"## {path}"
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"```text\n{path} {usage}\n```"
    yield from _prose(command.help or "")
    if isinstance(command, click.Group):
        rows = []
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            line = found.get_short_help_str(limit=120)
            rows.append((f"[`{path} {name}`](#{_anchor(f'{path} {name}')})", line))
        yield _table(("command", "what it does"), rows)
        return
    rows = []
    for parameter in command.get_params(context):
        if isinstance(parameter, click.Option) and not parameter.hidden:
            record = parameter.get_help_record(context)
            assert record is not None
            rows.append((f"`{_cell(record[0])}`", _cell(record[1])))
    yield _table(("option", "meaning"), rows)


def _prose(text: str) -> Iterator[str]:
    """A help text's paragraphs; those that click leaves unwrapped become code."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b"):
            yield f"```text\n{paragraph[1:].strip(chr(10))}\n```"
        else:
            yield " ".join(paragraph.split())


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")


# -- configuration ---------------------------------------------------------------------------------


def configuration_page() -> str:
    """The configuration page with the tables between its markers made anew."""
    text = (ROOT / CONFIGURATION_PAGE).read_text()
    for name, table in configuration_tables().items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, found, rest = text.partition(start)
        assert found, f"{CONFIGURATION_PAGE} lacks {start}"
        _, found, after = rest.partition(end)
        assert found, f"{CONFIGURATION_PAGE} lacks {end}"
        text = f"{before}{start}\n\n{table}\n\n{end}{after}"
    return text


def configuration_tables() -> dict[str, str]:
    """Marker to sections: the encoder's settings and the trainer's, a table of the file each."""
    return {
        "encoding": "\n\n".join(_encoding_sections()),
        "run sections": "\n\n".join(_run_sections()),
    }


def _encoding_sections() -> Iterator[str]:
    from pipeline.encoders.config import EncodingConfig

    default = EncodingConfig()
    for name, kind in typing.get_type_hints(EncodingConfig).items():
        encoding = getattr(default, name)
        rows = [
            (f"`{field.name}`", _type(hint), _value(getattr(encoding, field.name)), text)
            for field, hint, text in _fields(kind)
        ]
        yield f"### `[{name}]`"
        yield _summary(kind)
        yield _table(("key", "type", "default", "meaning"), rows)


def _run_sections() -> Iterator[str]:
    from dmft.config import ModalityConfig, RunConfig, load_config

    default, paper = load_config("default"), load_config("paper")
    for name, hint in typing.get_type_hints(RunConfig).items():
        kind = hint if dataclasses.is_dataclass(hint) else ModalityConfig
        rows = [
            (
                f"`{field.name}`",
                _type(field_hint),
                _setting(getattr(default, name), field.name),
                _setting(getattr(paper, name), field.name),
                text,
            )
            for field, field_hint, text in _fields(kind)
        ]
        yield f"### `[{name}]`" if kind is hint else f"### `[{name}.NAME]`"
        yield _summary(kind)
        yield _table(("key", "type", "`default`", "`paper`", "meaning"), rows)


def _setting(section: Any, field: str) -> str:
    """A field of a section, or of each of several named ones."""
    if isinstance(section, Mapping):
        return ", ".join(f"{name} {_setting(each, field)}" for name, each in section.items())
    return _value(getattr(section, field))


def _summary(kind: Any) -> str:
    """The first paragraph of a class's docstring."""
    return " ".join(inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].split())


def _fields(kind: Any) -> Iterator[tuple[dataclasses.Field[Any], Any, str]]:
    """Fields of a dataclass with their types and the strings below them."""
    texts: dict[str, str] = {}
    for part in filter(dataclasses.is_dataclass, reversed(kind.__mro__)):
        body = ast.parse(inspect.cleandoc(inspect.getsource(part))).body[0]
        assert isinstance(body, ast.ClassDef)
        for statement, below in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
            ):
                texts[statement.target.id] = str(below.value.value)
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        yield field, hints[field.name], _cell(texts[field.name])


def _type(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return ", ".join(f"`{argument}`" for argument in arguments)
    if origin is types.UnionType:
        return " or ".join(_type(argument) for argument in arguments)
    if origin is not None:
        return "table" if issubclass(origin, Mapping) else "list"
    return {int: "integer", float: "number", str: "text", bool: "true or false"}[hint]


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, Mapping) and not value:
        return "empty"
    return f"`{value}`"


# -- tables ----------------------------------------------------------------------------------------


def _cell(text: str) -> str:
    """One line of Markdown from a docstring or a help text."""
    return " ".join(text.replace("``", "`").replace("|", "\\|").split())


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if a page is stale.")
def main(check: bool) -> None:
    """Write the generated pages, or check that they are what the code says."""
    old = stale()
    if not check:
        for path, text in pages().items():
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(text)
    for path in old:
        click.echo(f"{path}: {f'stale; run: {COMMAND}' if check else 'written'}")
    sys.exit(1 if check and old else 0)


if __name__ == "__main__":
    main()
