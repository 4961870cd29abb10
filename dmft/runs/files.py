"""A run's, an export's and an experiment's files: JSON with its own hash, written whole or not.

Every object that is written carries ``sha256``, the hash of its other entries, and is held against
it when it is read. It knows no framework and no array library, so that an export is opened without
them. Hashes find accidents and mix-ups; whoever can write the folder can write the hashes too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.common.files import replacing
from pipeline.contract import ContractError

UNSEALED = ("sha256", "cache_path")
"""Entries that a table's own hash does not cover; a cache may be moved."""


Check = Callable[[Mapping[str, Any]], None]
"""Refuses a table by an error of its own."""


def seal_of(table: Mapping[str, Any]) -> str:
    """SHA-256 over the entries of a table that is written as JSON, but for ``UNSEALED``."""
    sealed = {k: v for k, v in table.items() if k not in UNSEALED}
    return hashlib.sha256(json.dumps(sealed, sort_keys=True).encode()).hexdigest()


def to_sealed_json(table: Mapping[str, Any], *, indent: int | None = None) -> str:
    """A table as JSON, its hash beside its entries."""
    return json.dumps({**table, "sha256": seal_of(table)}, indent=indent)


def from_sealed_json(
    text: str, *, where: str, wanted: str, check: Check | None = None
) -> dict[str, Any]:
    """Read what :func:`to_sealed_json` made.

    Args:
        text: The JSON.
        where: Names it in an error.
        wanted: What should be there, for an error.
        check: Looks at the entries before the hash does, to refuse another version.

    Raises:
        ContractError: it is no JSON object, or is not what was written.
    """
    try:
        table = json.loads(text)
    except ValueError as error:
        raise ContractError(f"{where} cannot be read ({error}): wanted {wanted}") from error
    if not isinstance(table, dict):
        raise ContractError(f"{where} holds {type(table).__name__}: wanted {wanted}")
    if check is not None:
        check(table)
    listed, computed = table.pop("sha256", None), seal_of(table)
    if listed != computed:
        raise ContractError(
            f"{where} is not what was written: its entries have SHA-256 {computed[:12]!r}, it says "
            f"{str(listed)[:12]!r}. Restore it, or make it again"
        )
    return table


def file_sha256(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        ContractError: it cannot be read.
    """
    return hashlib.sha256(read_file(path)).hexdigest()


def read_file(path: Path) -> bytes:
    """All bytes of a file.

    Raises:
        ContractError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ContractError(f"{path} cannot be read: {error.strerror or error}") from error


def read_json(path: Path, wanted: str, check: Check | None = None) -> dict[str, Any]:
    """Read the entries of a JSON file that :func:`write_json` wrote.

    Raises:
        ContractError: there is none, or it is not what was written.
    """
    try:
        text = path.read_text()
    except FileNotFoundError as error:
        raise ContractError(f"{path} does not exist: wanted {wanted}") from error
    except (OSError, ValueError) as error:
        raise ContractError(f"{path} cannot be read ({error}): wanted {wanted}") from error
    return from_sealed_json(text, where=str(path), wanted=wanted, check=check)


def write_json(path: Path, content: Mapping[str, Any], *, indent: int | None = 2) -> None:
    """Write a JSON file with its hash, atomically."""
    with replacing(path) as partial:
        partial.write_text(to_sealed_json(content, indent=indent) + "\n")
