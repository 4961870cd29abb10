"""A cache against its list of checksums, before anything in it is believed.

What is small (the group's metadata, the record table, labels, presence, lengths) is hashed when a
cache is opened; a chunk of features is held against its checksum whenever it is read. A file that
is not there is damage: Zarr would make fill values of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline.common.checksums import CRC_BYTES, SUMS_FILE, Checksums
from pipeline.contract import (
    COMPANIONS,
    LEDGER_PREFIX,
    ContractError,
    check_path_name,
    feature_array,
)

ROOT = "zarr.json"


def read_checksums(path: Path) -> Checksums:
    """Read the list of a cache.

    Raises:
        ContractError: there is none, or it is not what was written.
    """
    file = path / SUMS_FILE
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        raise ContractError(
            f"{path} has no {SUMS_FILE}, so nothing says that its labels and features are those "
            "that were written: run the same 'dmft encode' again to list them, or give --trust to "
            "use the cache as it is"
        ) from error
    except OSError as error:
        raise ContractError(f"{file} cannot be read: {error.strerror or error}") from error
    return Checksums.from_bytes(content, where=str(file))


def check_table(path: Path, checksums: Checksums, modalities: Iterable[str]) -> None:
    """Hold everything that a cache lists against the list, but what is not read or is read later.

    That is ledgers, the files for people and other programs, and chunks of features.

    Raises:
        ContractError: a file is missing or is not what was written.
    """
    chunks = tuple(f"{feature_array(name)}/c/" for name in modalities)
    for key, digest in checksums.sha256.items():
        if key in COMPANIONS or key.startswith((f"{LEDGER_PREFIX}/", *chunks)):
            continue
        for part in key.split("/"):
            check_path_name(part, f"{path / SUMS_FILE} lists what")
        check_object(path, key, digest)
    if ROOT not in checksums.sha256:
        raise ContractError(f"{path / SUMS_FILE} does not list {ROOT}: it is not of a whole cache")


def check_object(path: Path, key: str, digest: str) -> None:
    """Hold one file against its SHA-256.

    Raises:
        ContractError: it is missing or is not what was written.
    """
    try:
        content = (path / key).read_bytes()
    except FileNotFoundError as error:
        raise ContractError(f"{path / key} is missing. {MEND}") from error
    except OSError as error:
        raise ContractError(f"{path / key} cannot be read: {error.strerror or error}") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise ContractError(f"{path / key} is not what was written. {MEND}")


MEND = "Run 'dmft cache verify' on the cache; 'dmft encode --check-stored' mends it."


def chunk_checksums(path: Path, checksums: Checksums, modality: str) -> Mapping[int, bytes]:
    """Chunk of a modality to the CRC-32C that it must end in.

    Where an earlier encode listed none, the chunks are hashed here, once, instead.

    Raises:
        ContractError: such a chunk is missing or is not what was written.
    """
    prefix, suffix = f"{feature_array(modality)}/c/", "/0/0"
    listed = {
        int(key.removeprefix(prefix).removesuffix(suffix)): key
        for key in checksums.sha256
        if key.startswith(prefix) and key.removeprefix(prefix).removesuffix(suffix).isdecimal()
    }
    expected = {}
    for chunk, key in listed.items():
        if key in checksums.crc32c:
            expected[chunk] = checksums.crc32c[key]
        else:
            check_object(path, key, checksums.sha256[key])
            with (path / key).open("rb") as file:
                file.seek(-CRC_BYTES, 2)
                expected[chunk] = file.read()
    return expected
