"""A cache that is not there: said alike by commands, before they import PyTorch, and by readers."""

from __future__ import annotations

from pathlib import Path

from pipeline.contract import ContractError


def refuse_absent(path: Path) -> None:
    """See that there is something at the path of a cache.

    Raises:
        ContractError: there is nothing.
    """
    if not path.exists():
        raise ContractError(f"{path} does not exist. Make a cache with 'dmft encode'.")
