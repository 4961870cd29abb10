"""A finished run as it is published: its files, and a card of it beside them.

It comes back as a folder; one that is named by a URL is brought into a folder of this machine, by
the checksums of all of it, so that the same is brought once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dmft.runs.files import file_sha256
from dmft.runs.folder import MODEL_FILE, fold_folders, is_run, read_info
from pipeline.common.checksums import SUMS_FILE, Checksums
from pipeline.common.files import PARTIAL, kept_here
from pipeline.common.publishing import Listing, fetch, read_listing
from pipeline.common.stores import Folder, open_store, served_at
from pipeline.contract import ContractError

CARD_FILE = "README.md"
FOLDER_VARIABLE = "DMFT_RUNS"
"""Names the folder into which published runs are brought."""


@dataclass(frozen=True, slots=True)
class RunFolder(Folder):
    """A run's folder as it is published: its files, and some that are not in it."""

    beside: Mapping[str, bytes] = field(default_factory=dict)
    """Name to content; these go before files of the same name."""

    def read(self, key: str) -> bytes | None:
        """See :class:`~pipeline.common.stores.Store`."""
        return self.beside[key] if key in self.beside else Folder.read(self, key)


def published_run(folder: Path, card: str, *, mark: str) -> tuple[RunFolder, Listing]:
    """A run with its card, and the list of both.

    Args:
        folder: The run's.
        card: What ``README.md`` is to say.
        mark: A line of cards that we made: a ``README.md`` without it is somebody's own words, and
            is published instead.

    Raises:
        ContractError: it is no run, is not finished, is not what was written, or has a link in it.
    """
    sums, own = dict(run_checksums(folder).sha256), folder / CARD_FILE
    if own.is_file() and mark not in own.read_text(encoding="utf-8", errors="replace"):
        return RunFolder(str(folder)), Listing.of(Checksums(sha256=sums), where=str(folder))
    content = card.encode()
    sums[CARD_FILE] = hashlib.sha256(content).hexdigest()
    listing = Listing.of(Checksums(sha256=sums), where=str(folder))
    return RunFolder(str(folder), {CARD_FILE: content}), listing


def brought_run(url: str, on_progress: Callable[[int, int], None] = lambda *_: None) -> Path:
    """The folder of a run that is published elsewhere, brought here where it is not yet.

    Raises:
        ConfigError: the store cannot be opened.
        ContractError: no run is published there, or a file of it is damaged.
    """
    store = open_store(served_at(url.rstrip("/")))
    listing = read_listing(store)
    if listing is None or listing.kind != "run":
        what = "nothing is published there" if listing is None else f"a {listing.kind} lies there"
        raise ContractError(f"{url} is no run ({what}): wanted what 'dmft publish RUN' brought")
    folder = kept_here(FOLDER_VARIABLE, "runs") / hashlib.sha256(listing.content).hexdigest()[:32]
    if is_run(folder):
        return folder  # what makes it one comes last; since then it may have been measured
    done = fetch(store, folder, on_progress=on_progress)
    if done.damaged:
        raise ContractError(
            f"{url}/{done.damaged[0]} is missing or not what the list says: publish it there again"
        )
    return folder


def run_checksums(folder: Path) -> Checksums:
    """The checksums of every file of a run, whose weights are those that it says.

    Hidden files, and a list of checksums that came with it, are left out.

    Raises:
        ContractError: it is no run, is not finished, is not what was written, or has a link in it.
    """
    for fold in fold_folders(folder):
        if file_sha256(fold / MODEL_FILE) != read_info(fold).finished.model_sha256:
            raise ContractError(
                f"{fold / MODEL_FILE} is not what was written: restore it, or train again"
            )
    sums = {}
    for path in sorted(folder.rglob("*")):
        key = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise ContractError(f"{path} is a link: put the file itself there, or remove it")
        is_left_out = key == SUMS_FILE or path.name.endswith(PARTIAL) or "/." in f"/{key}"
        if path.is_file() and not is_left_out:
            sums[key] = file_sha256(path)
    return Checksums(sha256=sums)
