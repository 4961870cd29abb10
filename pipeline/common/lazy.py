"""A package whose names are imported when they are asked for.

Whoever wants one light thing of a package does not wait for PyTorch, which takes seconds.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazily(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """What a package calls its ``__getattr__``.

    Type checkers want the same imports under ``if TYPE_CHECKING``.

    Args:
        package: Its ``__name__``.
        homes: Module of the package to the names that it has, with spaces between them.

    Example:
        >>> lazily("pipeline.common", {"cores": "n_cores usable"})("n_cores").__module__
        'pipeline.common.cores'
    """
    home_of = {name: module for module, names in homes.items() for name in names.split()}

    def find(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{home_of[name]}"), name)

    return find
