"""What is tried: settings and the values that each may take, from a TOML file or a table.

A key is one of ``--set``. Its values are a list, or a range with ``low``, ``high`` and, where
wanted, ``log = true`` or a ``step``::

    "training.learning_rate" = { low = 1e-4, high = 1e-2, log = true }
    "encoder.width" = [16, 32, 64]
"""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from dmft.config import RunConfig, change_config
from pipeline.common.settings import flatten, to_table
from pipeline.contract import ConfigError

log = logging.getLogger(__name__)

Space = dict[str, BaseDistribution]
"""Setting to the values that it may take."""
RANGE = {"low", "high", "log", "step"}
WANTED = "wanted a list of values, or a table with low and high (and log = true, or a step)"


def read_space(space: str | Path | Mapping[str, Any], config: RunConfig) -> Space:
    """Read a file of ranges, or take a table of them, for a configuration.

    >>> space = read_space({"encoder.width": [16, 32]}, RunConfig())
    >>> space["encoder.width"]
    CategoricalDistribution(choices=(16, 32))

    Raises:
        ConfigError: there is no such file, or it is not TOML; or naming all that is wrong in it.
    """
    where = "the space" if isinstance(space, Mapping) else f"space {space}"
    if not isinstance(space, Mapping):
        try:
            space = tomllib.loads(Path(space).read_text(encoding="utf-8-sig"))
        except OSError as error:
            raise ConfigError(f"{where} cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{where} is not valid TOML: {error}") from error
    named, problems = _leaves(space), list[str]()
    made: Space = {}
    for key, values in named.items():
        try:
            made[key] = _distribution(key, values, config)
        except ConfigError as error:
            problems.append(f"{key}: {error}")
    if not named:
        problems.append(f"it names no setting: {WANTED} for one at least")
    if problems:
        raise ConfigError(f"{where} has {len(problems)} problem(s):\n  " + "\n  ".join(problems))
    return made


def _leaves(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Setting to what a table says of it, however it is nested."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and not (value.keys() and value.keys() <= RANGE):
            found |= _leaves(value, f"{name}.") or {name: value}
        else:
            found[name] = value
    return found


def _distribution(key: str, values: Any, config: RunConfig) -> BaseDistribution:
    """The values of one setting, of the setting's own type."""
    if isinstance(values, list | tuple):
        if len(set(map(repr, values))) < 2:
            raise ConfigError(f"{list(values)!r}: wanted at least two different values")
        if wrong := [v for v in values if not isinstance(v, bool | int | float | str)]:
            raise ConfigError(f"{wrong[0]!r} is a list or a table: wanted plain values")
        return CategoricalDistribution(_accepted(key, values, config))
    if not isinstance(values, Mapping) or not {"low", "high"} <= values.keys():
        raise ConfigError(f"{values!r}: {WANTED}")
    low, high = _accepted(key, [values["low"], values["high"]], config)
    if isinstance(low, bool | str):
        raise ConfigError(f"{low!r} to {high!r} is no range: wanted a list of values")
    kind = IntDistribution if isinstance(low, int) else FloatDistribution
    if low >= high:
        raise ConfigError(f"low is {low} and high is {high}: wanted low below high")
    more = {name: values[name] for name in ("log", "step") if name in values}
    try:
        return kind(low, high, **more)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{dict(values)!r} is no range: {error}") from error


def _accepted(key: str, values: Any, config: RunConfig) -> list[Any]:
    """Values as the configuration takes them; those that fit only with another change as they are.

    Raises:
        ConfigError: it takes none of them.
    """
    taken: dict[int, Any] = {}
    refused: dict[int, str] = {}
    for number, value in enumerate(values):
        try:
            taken[number] = flatten(to_table(change_config(config, {key: value}))).get(key, value)
        except ConfigError as error:
            refused[number] = str(error).partition("\n")[2].strip() or str(error)
    if not taken:
        raise ConfigError(refused[0])
    for number, why in refused.items():
        log.warning(
            "space: %s = %r cannot be had by itself (%s): trials in which no other setting mends "
            "that will fail",
            *(key, values[number], why),
        )
    return [taken.get(number, value) for number, value in enumerate(values)]
