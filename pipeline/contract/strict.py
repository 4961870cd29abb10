"""TOML tables to frozen dataclasses, strictly: every problem at once, each with its path.

Both programs keep their configuration this way. Scalars, tuples of scalars, optional values,
literals and nested dataclasses are all that a configuration may hold.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from pipeline.contract.errors import ConfigError

T = TypeVar("T")


def parse(cls: type[T], table: Mapping[str, Any], *, where: str) -> T:
    """Build ``cls`` from a table; keys that are missing take their defaults.

    Args:
        cls: A dataclass.
        table: As ``tomllib`` gives it.
        where: What the table came from, for the message.

    Raises:
        ConfigError: unknown keys, wrong types, values that ``cls`` refuses: all of them.
    """
    problems: list[str] = []
    value = _build(cls, table, "", problems)
    if problems:
        raise ConfigError(f"{where}:\n  " + "\n  ".join(problems))
    return typing.cast(T, value)


def _build(cls: Any, table: object, path: str, problems: list[str]) -> Any:
    if not isinstance(table, Mapping):
        problems.append(f"{path or 'the file'}: found {table!r}, wanted a table")
        return None
    hints = typing.get_type_hints(cls)
    known = {field.name: field for field in dataclasses.fields(cls)}
    before = len(problems)
    values: dict[str, Any] = {}
    for key, raw in table.items():
        where = f"{path}.{key}" if path else str(key)
        if key not in known:
            problems.append(f"{where}: unknown key; wanted one of {', '.join(sorted(known))}")
            continue
        values[key] = _value(hints[key], raw, where, problems)
    for name, field in known.items():
        no_default = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        if name not in table and no_default:
            problems.append(f"{path + '.' if path else ''}{name}: missing")
    if len(problems) > before:
        return None
    try:
        return cls(**values)
    except ConfigError as error:
        problems.append(f"{path + ': ' if path else ''}{error}")
        return None


def _value(hint: Any, raw: object, where: str, problems: list[str]) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return _build(hint, raw, where, problems)
    if origin in (typing.Union, types.UnionType):
        if raw is None and type(None) in arguments:
            return None
        rest = [argument for argument in arguments if argument is not type(None)]
        return _value(rest[0], raw, where, problems)
    if origin is typing.Literal:
        if raw not in arguments:
            wanted = ", ".join(repr(argument) for argument in arguments)
            problems.append(f"{where}: found {raw!r}, wanted one of {wanted}")
        return raw
    if origin is tuple:
        if not isinstance(raw, list | tuple):
            problems.append(f"{where}: found {raw!r}, wanted a list")
            return None
        return tuple(
            _value(arguments[0], item, f"{where}[{index}]", problems)
            for index, item in enumerate(raw)
        )
    if origin in (dict, Mapping) or hint is dict or getattr(origin, "__name__", "") == "Mapping":
        if not isinstance(raw, Mapping):
            problems.append(f"{where}: found {raw!r}, wanted a table")
            return None
        return {
            str(key): _value(arguments[1], item, f"{where}.{key}", problems)
            for key, item in raw.items()
        }
    if hint is float and type(raw) is int:
        return float(raw)
    if type(raw) is not hint:
        problems.append(f"{where}: found {raw!r}, wanted {hint.__name__}")
    return raw
