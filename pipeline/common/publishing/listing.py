"""What is published: a list of checksums that vouches for itself, and what kind of thing it is of.

The list comes from elsewhere and is believed in nothing but its own hash: every name in it becomes
a path only after it was seen to lead nowhere but below the folder that it is fetched into.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.common.checksums import SUMS_FILE, Checksums
from pipeline.common.files import PARTIAL
from pipeline.common.stores import Store
from pipeline.contract import LEDGER_PREFIX, ContractError, check_path_name

ROOTS = {"zarr.json": "cache", "folds.json": "run", "run.json": "run"}
"""What says what a thing is, and is written after everything else: what lacks it is nothing yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A list of checksums of a cache or a run."""

    kind: str
    """cache or run."""
    checksums: Checksums
    content: bytes
    """The list as it is stored."""

    @classmethod
    def of(cls, checksums: Checksums, *, where: str, content: bytes | None = None) -> Listing:
        """A list whose every name can be that of a file below some folder.

        Raises:
            ContractError: a name leads elsewhere, or the list is of neither cache nor run.
        """
        for key in checksums.sha256:
            _check_key(key, where)
        kind = next((kind for root, kind in ROOTS.items() if root in checksums.sha256), None)
        if kind is None:
            raise ContractError(
                f"{where} lists neither a cache nor a run: wanted one of {', '.join(ROOTS)} in it"
            )
        return cls(kind=kind, checksums=checksums, content=content or checksums.to_bytes())

    def in_order(self) -> Iterator[tuple[str, ...]]:
        """Names in groups, each to be whole before the next is begun; the roots come last."""
        names = sorted(self.checksums.sha256)
        last = {key: key.rpartition("/")[2] in ROOTS for key in names}
        yield tuple(key for key in names if not last[key])
        yield tuple(key for key in names if last[key] and "/" in key)
        yield tuple(key for key in names if last[key] and "/" not in key)


def read_listing(store: Store) -> Listing | None:
    """The list that lies with a cache or a publication; None where there is none.

    Raises:
        ContractError: it is not what was written, or a name in it leads elsewhere.
    """
    content = store.read(SUMS_FILE)
    return None if content is None else parsed(content, where=f"{store.location}/{SUMS_FILE}")


def believed(content: bytes | None, *, where: str) -> Listing | None:
    """A list that was found; None where there is none, or none to be believed."""
    try:
        return None if content is None else parsed(content, where=where)
    except ContractError:
        return None


def parsed(content: bytes, *, where: str) -> Listing:
    """A list as it is stored.

    Raises:
        ContractError: it is not what was written, or a name in it leads elsewhere.
    """
    return Listing.of(Checksums.from_bytes(content, where=where), where=where, content=content)


def _check_key(key: str, where: str) -> None:
    """See that a name of the list leads nowhere but below a folder.

    Raises:
        ContractError: it does not.
    """
    parts = key.split("/")
    for part in parts[1:] if parts[0] == LEDGER_PREFIX and parts[1:] else parts:
        check_path_name(part, f"{where} lists what")
    if parts[-1].endswith(PARTIAL) or key == SUMS_FILE:
        raise ContractError(f"{where} lists {key!r}, which is no part of a cache or a run")
