"""Readers that other packages bring, found by name among the entry points ``dmft.readers``.

An entry point is a function of a file's bytes, its :class:`StreamRef` and the ``options`` of the
description; it gives values (T, D) with times (T,) in seconds, or None where the rows are evenly
spaced. Its package and version are part of how a record is read: another version encodes again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import ConfigError, StreamRef
from pipeline.datasets.reading import BUILT_IN, Reading, is_plugin

GROUP = "dmft.readers"
PLUGIN = "plugin"
"""Key of a source's options under which a package and its version are noted."""


class PluginReader(Protocol):
    """What an entry point is."""

    def __call__(
        self, content: bytes, ref: StreamRef, options: Mapping[str, Any]
    ) -> tuple[NDArray[Any], NDArray[np.float64] | None]:
        """Values (T, D) and times (T,) in seconds, or None for evenly spaced rows.

        Raises:
            RecordingError: the file cannot be read; ``ref.refuse(reason)`` makes one.
        """


@cache
def load_plugin(name: str) -> PluginReader:
    """The reader of a name.

    Raises:
        ConfigError: no package, or more than one, brings it; it cannot be imported.
    """
    found = _found(name)
    try:
        reader: PluginReader = found.load()
    except Exception as error:  # somebody else's code
        raise ConfigError(
            f"reader {name!r} of {found.value} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    return reader


def version_of(name: str) -> str:
    """The package that brings a reader, with its version.

    Raises:
        ConfigError: none does.
    """
    package = _found(name).dist
    return f"{package.name} {package.version}" if package is not None else "unknown"


def with_plugins(reading: Reading) -> Reading:
    """The same reading, with the package and the version of each plug-in that it names.

    Raises:
        ConfigError: none brings it.
    """
    streams = {
        name: replace(source, options={**source.options, PLUGIN: version_of(source.reader)})
        if is_plugin(source.reader)
        else source
        for name, source in reading.streams.items()
    }
    return replace(reading, streams=streams)


def _found(name: str) -> EntryPoint:
    brought = entry_points(group=GROUP)
    matching = [entry for entry in brought if entry.name == name]
    if len(matching) != 1:
        others = sorted({entry.name for entry in brought})
        raise ConfigError(
            f"reader {name!r} is none of {', '.join(BUILT_IN)}, and {len(matching)} packages bring "
            f"it as an entry point {GROUP!r}: wanted one; there are {', '.join(others) or 'none'}"
        )
    return matching[0]
