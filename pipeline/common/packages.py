"""Which packages each part of an installation needs, from the distribution's own metadata."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib import metadata

DISTRIBUTION = "dmft"


def packages_by_extra() -> Mapping[str, tuple[str, ...]]:
    """Extra to the names of the packages that it installs; those of every installation under "".

    Empty where ``dmft`` is not installed but run from a folder: then nothing is known.

    >>> "torch" in packages_by_extra().get("", ("torch",))
    True
    """
    try:
        requirements = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return {}
    packages: dict[str, list[str]] = {}
    for requirement in requirements:
        name = re.match(r"[\w.-]+", requirement)
        extra = re.search(r"extra == ['\"]([\w.-]+)['\"]", requirement)
        if name is not None and name[0] != DISTRIBUTION:  # an extra may name other extras of ours
            packages.setdefault(extra[1] if extra else "", []).append(name[0])
    return {extra: tuple(names) for extra, names in packages.items()}


@lru_cache(maxsize=64)  # every chunk notes all of them
def version_of(name: str) -> str:
    """Version of a package, ``unknown`` where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"


def extra_of(module: str) -> str | None:
    """Extra that installs a module which cannot be imported; None where none does.

    A package may be in several extras; the one that is there for it alone is named first.

    Args:
        module: Its full name, as ``ModuleNotFoundError`` has it.
    """
    package = module.partition(".")[0].replace("_", "-")
    extras = packages_by_extra()
    having = [extra for extra, names in extras.items() if extra and package in names]
    return min(having, key=lambda extra: (extra == "dev", len(extras[extra])), default=None)
