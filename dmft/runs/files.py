"""A run's and an export's files: JSON, hashes, and writing them whole or not at all.

It knows no framework and no array library, so that an export is opened without them. Hashes find
accidents and mix-ups; whoever can write the folder can write the hashes too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.common.files import replacing
from pipeline.contract import ContractError

UNSEALED = ("sha256", "cache_path")
"""Entries that a table's own hash does not cover; a cache may be moved."""


def seal_of(table: Mapping[str, Any]) -> str:
    """SHA-256 over the entries of a table that is written as JSON, but for ``UNSEALED``."""
    sealed = {k: v for k, v in table.items() if k not in UNSEALED}
    return hashlib.sha256(json.dumps(sealed, sort_keys=True).encode()).hexdigest()


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


def read_json(path: Path, wanted: str) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ContractError: there is none.
    """
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise ContractError(f"{path} does not exist: wanted {wanted}") from error
    except (OSError, ValueError) as error:
        raise ContractError(f"{path} cannot be read ({error}): wanted {wanted}") from error
    if not isinstance(content, dict):
        raise ContractError(f"{path} holds {type(content).__name__}: wanted {wanted}")
    return content


def write_json(path: Path, content: Mapping[str, Any], *, indent: int | None = 2) -> None:
    """Write a JSON file, atomically."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, indent=indent) + "\n")
