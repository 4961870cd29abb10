"""Bring what is published into a folder: every object is held against the list before it is there.

An object is written beside its place and moved there once its bytes are those that the list says,
what says what the whole is comes last, and the list at the very end: what was broken off passes
for nothing, and the same call again fetches what is missing. Nothing outside the folder is
written, whatever the list says; nothing that lay in it is written over but a piece of the same.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Set
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.common.checksums import SUMS_FILE
from pipeline.common.files import sweep_partial
from pipeline.common.publishing.listing import ROOTS, Listing, read_listing
from pipeline.common.publishing.together import together
from pipeline.common.stores import Folder, Store
from pipeline.contract import ConfigError, ContractError

OnProgress = Callable[[int, int], None]
"""Told how many objects are done, and of how many."""
ATTEMPTS = 3
"""How often an object is asked for that arrives damaged: the way may be at fault."""
PAUSE_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What was done."""

    kind: str
    """cache or run."""
    n_objects: int
    """Objects of it; of a cache also its list."""
    n_bytes: int
    """Of those that are there now."""
    n_fetched: int
    """Those that were not there yet."""
    fetched_bytes: int
    damaged: tuple[str, ...] = ()
    """Objects that are missing at the source, or are not what the list says; they are not there
    now, and without them the whole passes for nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arrived:
    key: str
    size: int = 0
    is_fetched: bool = False
    is_damaged: bool = False


def fetch(
    source: Store,
    out: Path,
    *,
    later: Set[str] = frozenset(),
    on_progress: OnProgress = lambda done, total: None,
) -> Fetched:
    """Bring a published cache or run into a folder.

    Args:
        source: Where it is published.
        out: The folder: new, empty, or with a part of it.
        later: Objects that are not brought now, for whoever brings them when they are wanted.
        on_progress: Told how far it is.

    Raises:
        ConfigError: something else lies in the folder.
        ContractError: nothing whole is published there, or its list is not to be believed.
    """
    listing = read_listing(source)
    if listing is None:
        raise ContractError(
            f"{source.location} has no {SUMS_FILE}: nothing is published there, or not to its end. "
            "Publish it again with 'dmft publish', or finish the cache with 'dmft encode'"
        )
    _check_folder(listing, out)
    out.mkdir(parents=True, exist_ok=True)
    for parent in {(out / key).parent for key in (*listing.checksums.sha256, SUMS_FILE)}:
        sweep_partial(parent)
    keeps_list = listing.kind == "cache"  # a run's files change as it is measured
    total, arrived = len(listing.checksums.sha256.keys() - later) + keeps_list, list[_Arrived]()
    for keys in listing.in_order():
        if any(one.is_damaged for one in arrived):
            break  # what says what the whole is must not stand beside what is damaged
        now = [key for key in keys if key not in later]
        for one in together(partial(_bring, source, listing, out), now):
            arrived.append(one)
            on_progress(len(arrived), total)
    damaged = tuple(one.key for one in arrived if one.is_damaged)
    if keeps_list and not damaged:
        is_there = Folder(str(out)).read(SUMS_FILE) == listing.content
        if not is_there:
            Folder(str(out)).write(SUMS_FILE, listing.content)
        arrived.append(_Arrived(key=SUMS_FILE, size=len(listing.content), is_fetched=not is_there))
        on_progress(len(arrived), total)
    return Fetched(
        kind=listing.kind,
        n_objects=total,
        n_bytes=sum(one.size for one in arrived),
        n_fetched=sum(one.is_fetched for one in arrived),
        fetched_bytes=sum(one.size for one in arrived if one.is_fetched),
        damaged=damaged,
    )


def _bring(source: Store, listing: Listing, out: Path, key: str) -> _Arrived:
    """Have one object in the folder, as the list says it."""
    folder, digest = Folder(str(out)), listing.checksums.sha256[key]
    place = out / key
    if not place.parent.resolve().is_relative_to(out.resolve()):
        raise ConfigError(f"{place.parent} leads out of {out}: remove that link")
    if place.is_file() and not place.is_symlink():
        content = place.read_bytes()
        if hashlib.sha256(content).hexdigest() == digest:
            return _Arrived(key=key, size=len(content))
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_S * 2**attempt)
        found = source.read(key)
        if found is not None and hashlib.sha256(found).hexdigest() == digest:
            folder.write(key, found)
            return _Arrived(key=key, size=len(found), is_fetched=True)
    place.unlink(missing_ok=True)
    return _Arrived(key=key, is_damaged=True)


def _check_folder(listing: Listing, out: Path) -> None:
    """See that nothing lies in the folder but a part of what is fetched.

    Raises:
        ConfigError: something does.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file: wanted a folder")
    wanted = listing.checksums.sha256
    strange = sorted(Folder(str(out)).sizes("").keys() - wanted.keys() - {SUMS_FILE})
    digests = {key: wanted[key] for key in ROOTS if key in wanted}
    digests[SUMS_FILE] = hashlib.sha256(listing.content).hexdigest()
    for key, digest in digests.items():
        content = Folder(str(out)).read(key)
        if content is not None and hashlib.sha256(content).hexdigest() != digest:
            strange.insert(0, key)
    if strange:
        raise ConfigError(
            f"{out} holds {strange[0]}, which is no part of this {listing.kind} or of another "
            "state of it: choose another folder, or remove it"
        )
