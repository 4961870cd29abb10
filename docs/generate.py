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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

CONFIGURATION_PAGE = Path("docs/reference/configuration.md")
DATASET_PAGE = Path("docs/reference/dataset-format.md")
COMMAND = "python docs/generate.py"
SPELLING = """\
The same thing is spelt the same everywhere:

- What a command reads comes first, without an option: a cache, a list, runs. What it writes is
  named by `-o`, `--out` or `--output`, which are the same. A command that brings something from
  one place to another (`publish`, `fetch`, `cache subset`, `cache merge`, `cache export`), or
  makes a tree (`synth`), takes the place as its last argument too, as `cp` does.
- `--cache` is the cache behind a run, where that is not the one that the run names.
- Pages, figures and tables are written over: they are made again from what is there. A list, a
  description or a tree of recordings is written over with `--force` alone. A run, a cache or a
  search that is there already is gone on with.
- `--json` prints for machines. `-q` says nothing but results and errors, `-v` says more.
- `--print-config` prints what `--config` and `--set` come to, where one configuration is
  trained or encoded by, as a file that `--config` takes."""


# -- the command line ------------------------------------------------------------------------------


def cli_page() -> str:
    """The reference of all commands, one section a command."""
    from cli import dmft

    parts = [
        "# Command line",
        f"Made from the code by `{COMMAND}`; do not edit. `dmft NAME --help` says the same.",
        "Exit codes: 0 done, 1 finished with quarantined records or a failed check, 2 wrong use, "
        "130 stopped by Ctrl-C. Results go to standard output, progress to standard error.",
        SPELLING,
    ]
    return "\n\n".join([*parts, *_sections(dmft, "dmft")]) + "\n"


def _sections(command: click.Command, path: str) -> Iterator[str]:
    """A command's section and, of a group, those of its commands."""
    context = click.Context(command, info_name=path)
    yield f"## {path}"
    yield f"```text\n{path} {' '.join(command.collect_usage_pieces(context))}\n```"
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("\b"):  # what click leaves unwrapped is code
            yield f"```text\n{paragraph[1:].strip(chr(10))}\n```"
        else:
            yield " ".join(paragraph.split())
    if isinstance(command, click.Group):
        children = {
            f"{path} {name}": command.get_command(context, name)
            for name in command.list_commands(context)
        }
        rows = []
        for title, child in children.items():
            assert child is not None
            anchor = re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")
            rows.append((f"[`{title}`](#{anchor})", child.get_short_help_str(limit=120)))
        yield _table(("command", "what it does"), rows)
        for title, child in children.items():
            assert child is not None
            yield from _sections(child, title)
    else:
        records = [
            parameter.get_help_record(context)
            for parameter in command.get_params(context)
            if isinstance(parameter, click.Option)
        ]
        rows = [(f"`{_cell(record[0])}`", _cell(record[1])) for record in records if record]
        yield _table(("option", "meaning"), rows)


# -- configuration ---------------------------------------------------------------------------------


def configuration_page() -> str:
    """The configuration page with the tables between its markers made anew."""
    from dmft.config import ModalityConfig, RunConfig, load_config
    from pipeline.encoders.config import EncodingConfig

    runs = {f"`{name}`": load_config(name) for name in ("default", "paper")}
    made = {
        "encoding": _settings(EncodingConfig, {"default": EncodingConfig()}),
        "run sections": _settings(RunConfig, runs, ModalityConfig),
    }
    return _filled(CONFIGURATION_PAGE, made)


def dataset_page() -> str:
    """The page of descriptions with the tables between its markers made anew."""
    from pipeline.datasets.checks import Check
    from pipeline.datasets.description import Body, Head, Top
    from pipeline.datasets.reading import Source

    kinds = {"top": Top, "modality": Head, "body": Body, "source": Source, "check": Check}
    return _filled(DATASET_PAGE, {name: [_keys(kind)] for name, kind in kinds.items()})


def _filled(page: Path, made: Mapping[str, Iterable[str]]) -> str:
    text = (ROOT / page).read_text()
    for name, tables in made.items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, opened, rest = text.partition(start)
        assert opened, f"{page} lacks {start}"
        _, closed, after = rest.partition(end)
        assert closed, f"{page} lacks {end}"
        text = "".join([before, start, "\n\n", "\n\n".join(tables), "\n\n", end, after])
    return text


def _keys(kind: Any) -> str:
    """A table of what one table of a file may say."""
    hints, texts = typing.get_type_hints(kind), _texts(kind)
    rows = [
        (f"`{f.name}`", _type(hints[f.name]), _default(f), _cell(texts[f.name]))
        for f in dataclasses.fields(kind)
    ]
    return _table(("key", "type", "default", "meaning"), rows)


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING or field.default in ("", (), None):
        return ""
    if field.default is dataclasses.MISSING:
        return "required"
    value = field.default
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _settings(config: Any, instances: Mapping[str, Any], named: Any = None) -> Iterator[str]:
    """A section for each table of a file, with the values that some instances have.

    ``named`` is the class of the tables in a section that holds them by name.
    """
    for name, hint in typing.get_type_hints(config).items():
        kind = hint if dataclasses.is_dataclass(hint) else named
        yield f"### `[{name}]`" if kind is hint else f"### `[{name}.NAME]`"
        yield _cell(inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0])
        hints, texts = typing.get_type_hints(kind), _texts(kind)
        rows = []
        for field in (f.name for f in dataclasses.fields(kind)):
            values = [_setting(getattr(config, name), field) for config in instances.values()]
            rows.append((f"`{field}`", _type(hints[field]), *values, _cell(texts[field])))
        yield _table(("key", "type", *instances, "meaning"), rows)


def _setting(section: Any, field: str) -> str:
    """A field's value in a section, or in each of several named ones."""
    if isinstance(section, Mapping):
        return ", ".join(f"{name} {_setting(table, field)}" for name, table in section.items())
    value = getattr(section, field)
    if isinstance(value, Mapping) and not value:
        return "empty"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _texts(kind: Any) -> dict[str, str]:
    """The strings below a dataclass's fields, its parents' too."""
    texts: dict[str, str] = {}
    for part in filter(dataclasses.is_dataclass, reversed(kind.__mro__)):
        body = ast.parse(inspect.cleandoc(inspect.getsource(part))).body[0]
        assert isinstance(body, ast.ClassDef)
        for statement, below in zip(body.body, body.body[1:], strict=False):
            match statement, below:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=text)),
                ):
                    texts[name] = str(text)
    return texts


def _type(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return ", ".join(f"`{argument}`" for argument in arguments)
    if origin is types.UnionType:
        return " or ".join(_type(argument) for argument in arguments)
    if origin is not None:
        return "table" if issubclass(origin, Mapping) else "list"
    if dataclasses.is_dataclass(hint):
        return "table"
    if hint is types.NoneType:
        return "nothing"
    return {int: "integer", float: "number", str: "text", bool: "true or false"}[hint]


# -- tables and pages ------------------------------------------------------------------------------


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
    pages = {
        Path("docs/reference/cli.md"): cli_page(),
        CONFIGURATION_PAGE: configuration_page(),
        DATASET_PAGE: dataset_page(),
    }
    stale = [path for path, text in pages.items() if (ROOT / path).read_text() != text]
    for path in stale:
        if not check:
            (ROOT / path).write_text(pages[path])
        click.echo(f"{path}: {f'stale; run: {COMMAND}' if check else 'written'}")
    sys.exit(1 if check and stale else 0)


if __name__ == "__main__":
    main()
