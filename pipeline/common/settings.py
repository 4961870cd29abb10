"""Settings: plain tables to frozen dataclasses and back, strictly.

Both programs keep their configuration this way. Every key must be a field and every value of the
field's type; all problems of a table are gathered with their paths and reported at once. It knows
no field by name.
"""

from __future__ import annotations

import dataclasses
import importlib.resources
import itertools
import json
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pipeline.common.words import meant
from pipeline.contract.errors import ConfigError

Config = TypeVar("Config")


def parse_table(kind: type[Config], table: Mapping[str, Any], *, where: str) -> Config:
    """Build ``kind`` from ``table``, which was read from ``where``.

    Raises:
        ConfigError: listing every unknown key, wrong type and broken invariant with its path.
    """
    problems: list[str] = []
    parsed = _table(kind, table, "", problems)
    if problems:
        raise ConfigError(f"{where} has {len(problems)} problem(s):\n  " + "\n  ".join(problems))
    assert isinstance(parsed, kind)
    return parsed


def parse_part(kind: type[Config], table: Any, path: str, problems: list[str]) -> Config | None:
    """Build ``kind`` from the part of a table at ``path``; None where something is wrong with it.

    Every problem is appended to ``problems``, by its path.
    """
    parsed = _table(kind, table, path, problems)
    assert parsed is None or isinstance(parsed, kind)
    return parsed


def difference(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Up to three entries in which a table that is there differs from one that is asked for.

    Example:
        >>> difference({"a": 1, "b": 2}, {"a": 1, "b": 3})
        'b is 2 there and 3 here'
    """
    differing = (
        f"{key} is {stored.get(key)!r} there and {wanted.get(key)!r} here"
        for key in sorted(stored.keys() | wanted.keys())
        if stored.get(key) != wanted.get(key)
    )
    return "; ".join(itertools.islice(differing, 3))


def to_table(config: Any) -> dict[str, Any]:
    """Return the nested plain table of a dataclass, ready for JSON and for :func:`parse_table`."""
    return {field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config)}


def merge_tables(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with the entries of ``over`` laid over it, table by table."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[key] = merge_tables(old, value)
        else:
            merged[key] = value
    return merged


def shipped_folder() -> Path:
    """Where the data lie that ship with the software: ``data_manifests``."""
    return Path(str(importlib.resources.files("data_manifests")))


def shipped_names(folder: str) -> tuple[str, ...]:
    """Names of the TOML files that come with the software in a folder of ``data_manifests``.

    >>> shipped_names("configs")
    ('default', 'paper', 'paper-sizes')
    """
    files = (shipped_folder() / folder).glob("*.toml")
    return tuple(sorted(file.stem for file in files))


def read_toml(name_or_file: str, folder: str, what: str) -> dict[str, Any]:
    """Read a TOML file that ships in a folder of ``data_manifests``, by its name, or a user's own.

    Raises:
        ConfigError: there is no such ``what``, or it is not TOML.
    """
    names, path = shipped_names(folder), Path(name_or_file)
    if name_or_file in names:
        path = shipped_folder() / folder / f"{path}.toml"
    elif not path.is_file():
        raise ConfigError(
            f"{what} {name_or_file!r} is neither a file nor one of {', '.join(names)}"
            f"{meant(name_or_file, names)}"
        )
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{what} {name_or_file} is not valid TOML: {error}") from error


Changes = Sequence[str] | Mapping[str, Any]
"""What a command line says, ``section.key=value`` each, or a table whose keys may have dots."""


def apply_changes(table: Mapping[str, Any], changes: Changes) -> dict[str, Any]:
    """Lay changes over a table, one after another.

    >>> apply_changes({"training": {"epochs": 50, "loss": "vote"}}, ["training.epochs=20"])
    {'training': {'epochs': 20, 'loss': 'vote'}}
    >>> apply_changes({"training": {"epochs": 50, "loss": "vote"}}, {"training.epochs": 20})
    {'training': {'epochs': 20, 'loss': 'vote'}}

    Raises:
        ConfigError: naming every text that is not of that form.
    """
    if isinstance(changes, str):
        raise ConfigError(f"the changes are the text {changes!r}: wanted a list of such texts")
    if isinstance(changes, Mapping):
        tables = [_nested(key, value) for key, value in changes.items()]
    else:
        tables, wrong = [], []
        for change in changes:
            try:
                tables.append(table_of_change(change))
            except ConfigError as error:
                wrong.append(str(error))
        if wrong:
            raise ConfigError("\n".join(wrong))
    changed = dict(table)
    for each in tables:
        changed = merge_tables(changed, each)
    return changed


def flatten(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested table as one whose keys have dots.

    >>> flatten({"training": {"epochs": 50}, "seed": 0})
    {'training.epochs': 50, 'seed': 0}
    """
    flat: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{prefix}{key}"
        flat |= flatten(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return flat


def toml_text(settings: Mapping[str, Any]) -> str:
    """Settings by dotted name as the text of a TOML file; what is None is left out.

    >>> print(toml_text({"depth.every": 2, "depth.network": "onnx", "skeleton.window": 4}))
    [depth]
    every = 2
    network = "onnx"
    <BLANKLINE>
    [skeleton]
    window = 4
    <BLANKLINE>
    """
    sections: dict[str, list[str]] = {}
    for dotted, value in settings.items():
        section, _, key = dotted.rpartition(".")
        if value is not None:
            sections.setdefault(section, []).append(f"{key} = {json.dumps(value)}")
    return "\n\n".join("\n".join((f"[{name}]", *lines)) for name, lines in sections.items()) + "\n"


def _nested(dotted: str, value: Any) -> dict[str, Any]:
    """``{"training": {"epochs": 20}}`` of ``training.epochs`` and 20."""
    value = _plain(value)
    first, dot, rest = dotted.partition(".")
    if dot:
        return {first: _nested(rest, value)}
    if isinstance(value, Mapping):
        inner: dict[str, Any] = {}
        for key, entry in value.items():
            inner = merge_tables(inner, _nested(str(key), entry))
        return {first: inner}
    return {first: value}


def table_of_change(change: str) -> dict[str, Any]:
    """Read a command line's ``section.key=value``; a value that is not TOML is a text.

    Raises:
        ConfigError: it is not of that form.
    """
    path, equals, text = change.partition("=")
    keys = path.strip().split(".")
    if not equals or len(keys) < 2 or not all(keys):
        raise ConfigError(f"--set {change!r}: wanted section.key=value, as training.epochs=20")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    for key in reversed(keys):
        value = {key: value}
    assert isinstance(value, dict)
    return value


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_table(value)
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, tuple) else value


def _table(kind: Any, table: Any, path: str, problems: list[str]) -> Any:
    if not isinstance(table, Mapping):
        problems.append(f"{path or 'the file'} is {table!r}: wanted a table")
        return None
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    prefix = f"{path}." if path else ""
    before = len(problems)
    for key in table:
        if key not in fields:
            known = ", ".join(fields)
            problems.append(
                f"{prefix}{key} is not a setting: wanted one of {known}{meant(str(key), fields)}"
            )
    for name, field in fields.items():
        optional = (
            field.default is not dataclasses.MISSING
            or field.default_factory is not dataclasses.MISSING
        )
        if name not in table and not optional:
            problems.append(f"{prefix}{name} is missing: wanted {_wanted(hints[name])}")
    values = {
        name: _value(hints[name], table[name], f"{prefix}{name}", problems)
        for name in fields
        if name in table
    }
    if len(problems) > before:
        return None
    try:
        return kind(**values)
    except ConfigError as error:
        problems.append(f"{prefix}{error}")
        return None


def _value(hint: Any, value: Any, path: str, problems: list[str]) -> Any:
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        return _table(hint, value, path, problems)
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        if value not in typing.get_args(hint):
            problems.append(f"{path} is {value!r}: wanted {_wanted(hint)}")
        return value
    if origin is types.UnionType:
        choices = [h for h in typing.get_args(hint) if h is not types.NoneType]
        if value is None and len(choices) < len(typing.get_args(hint)):
            return None
        if len(choices) == 1:
            return _value(choices[0], value, path, problems)
        for choice in choices:  # the first that takes the value
            faults: list[str] = []
            parsed = _value(choice, value, path, faults)
            if not faults:
                return parsed
        problems.append(f"{path} is {value!r}: wanted {_wanted(hint)}")
        return value
    if origin is tuple and isinstance(value, (list, tuple)):
        inner = typing.get_args(hint)[0]
        return tuple(_value(inner, v, f"{path}[{i}]", problems) for i, v in enumerate(value))
    if origin is not None and issubclass(origin, Mapping) and isinstance(value, Mapping):
        inner = typing.get_args(hint)[1]
        return {str(k): _value(inner, v, f"{path}.{k}", problems) for k, v in value.items()}
    if hint is float and type(value) is int:
        return float(value)
    if origin is not None or type(value) is not hint:
        problems.append(f"{path} is {value!r}: wanted {_wanted(hint)}")
    return value


def _wanted(hint: Any) -> str:
    origin = typing.get_origin(hint)
    if origin is types.UnionType:
        return " or ".join(_wanted(choice) for choice in typing.get_args(hint))
    if origin is typing.Literal:
        return " or ".join(repr(choice) for choice in typing.get_args(hint))
    if origin is tuple:
        return f"a list of {_wanted(typing.get_args(hint)[0])}"
    if origin is not None or dataclasses.is_dataclass(hint):
        return "a table"
    names = {
        int: "a whole number",
        float: "a number",
        str: "a text",
        bool: "true or false",
        types.NoneType: "nothing",
    }
    return names.get(hint, str(hint))
