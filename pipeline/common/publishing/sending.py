"""Bring a cache or a run to another place: what is there already is not sent again.

Everything is held against its checksum as it is read, so damage is not published. The list of
checksums goes last, and without it nothing is fetched: a publication that was broken off is none,
and the same call again goes on with it. What else lies at the place is never touched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pipeline.common.checksums import SUMS_FILE
from pipeline.common.publishing.listing import Listing, believed
from pipeline.common.publishing.together import together
from pipeline.common.stores import Store
from pipeline.contract import ConfigError, ContractError

OnProgress = Callable[[int, int], None]
"""Told how many objects are done, and of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What was done."""

    kind: str
    """cache or run."""
    n_objects: int
    """Objects of it, the list included."""
    n_bytes: int
    n_sent: int
    """Those that were not there yet."""
    sent_bytes: int


def publish(
    source: Store,
    listing: Listing,
    target: Store,
    *,
    replace: bool = False,
    on_progress: OnProgress = lambda done, total: None,
) -> Published:
    """Bring what a list lists from one place to another.

    Args:
        source: Where it lies.
        listing: Its checksums.
        target: Where to.
        replace: Put it in the place of another publication that is there.
        on_progress: Told how far it is.

    Raises:
        ConfigError: something else lies there.
        ContractError: an object is missing or is not what was written.
    """
    target_sizes = target.sizes("")
    old = _published(target, target_sizes)
    check_place(listing, old, set(target_sizes), target.location, replace=replace)
    wanted, sent, n_bytes, n_done = listing.checksums.sha256, list[int](), 0, 0
    # First: a name that is no longer listed may be that of a folder of what is now.
    gone = sorted(
        (old.checksums.sha256.keys() if old else set()) & target_sizes.keys() - wanted.keys()
    )
    for key in gone:
        target.delete(key)
    if gone:
        target_sizes = target.sizes("")
    for keys in listing.in_order():
        send = partial(_send, source, listing, target, target_sizes)
        for size, is_sent in together(send, keys):
            n_bytes, n_done = n_bytes + size, n_done + 1
            sent += [size] * is_sent
            on_progress(n_done, len(wanted) + 1)
    if old is None or old.content != listing.content:
        target.write(SUMS_FILE, listing.content)
        sent.append(len(listing.content))
    on_progress(n_done + 1, len(wanted) + 1)
    return Published(
        kind=listing.kind,
        n_objects=n_done + 1,
        n_bytes=n_bytes + len(listing.content),
        n_sent=len(sent),
        sent_bytes=sum(sent),
    )


def _send(
    source: Store, listing: Listing, target: Store, target_sizes: dict[str, int], key: str
) -> tuple[int, bool]:
    """Bring one object, if it is not there; its size, and whether it was brought."""
    content = sound(source, listing, key)
    if target_sizes.get(key) == len(content) and target.holds(key, content):
        return len(content), False
    target.write(key, content)
    return len(content), True


def sound(source: Store, listing: Listing, key: str) -> bytes:
    """An object's bytes, held against the list.

    Raises:
        ContractError: it is missing or is not what was written.
    """
    content = source.read(key)
    if content is None:
        raise ContractError(f"{source.location}/{key} is missing: {_mend(listing, source)}")
    if hashlib.sha256(content).hexdigest() != listing.checksums.sha256[key]:
        where = f"{source.location}/{key}"
        raise ContractError(f"{where} is not what was written: {_mend(listing, source)}")
    return content


def _mend(listing: Listing, source: Store) -> str:
    if listing.kind == "run":
        return "the run was changed while it was read, so publish it again"
    return (
        f"'dmft cache verify {source.location} --full' names all that is damaged, and 'dmft encode "
        "--check-stored' mends it. Nothing that is damaged was published"
    )


def _published(target: Store, target_sizes: dict[str, int]) -> Listing | None:
    """The list of what is published there; None where there is none, or none to be believed."""
    content = target.read(SUMS_FILE) if SUMS_FILE in target_sizes else None
    return believed(content, where=f"{target.location}/{SUMS_FILE}")


def check_place(
    listing: Listing, old: Listing | None, target_keys: set[str], where: str, *, replace: bool
) -> None:
    """See that nothing lies there but this publication, or a part of it.

    Raises:
        ConfigError: something does.
    """
    old_sums = old.checksums.sha256 if old else {}
    strange = sorted(target_keys - listing.checksums.sha256.keys() - old_sums.keys() - {SUMS_FILE})
    if strange:
        raise ConfigError(
            f"{where} holds {strange[0]}{_more(strange)}, which is no part of this "
            f"{listing.kind}: choose another place"
        )
    new = listing.checksums.sha256
    other = sorted(key for key in old_sums.keys() | new if old_sums.get(key) != new.get(key))
    if old and other and not replace:
        raise ConfigError(
            f"{where} holds another {old.kind}, which differs in {other[0]}{_more(other)}: choose "
            "another place, or give --replace to put this one in its place"
        )


def _more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
