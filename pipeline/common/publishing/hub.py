"""Bring a cache to Hugging Face's hub as a data set, or a run as a model.

Objects go in commits of some at a time, what says what the whole is and the list of checksums in
the last. What the hub has already is not sent again, and each commit is taken only on top of the
one before it, so of two who publish at once one is refused. At the end everything that the hub
lists is held against the list: large files by their SHA-256, small ones by git's hash.

Repositories are not made here: whether the world may see one is for its owner to say.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pipeline.common.checksums import SUMS_FILE
from pipeline.common.publishing.listing import Listing, believed
from pipeline.common.publishing.sending import (
    OnProgress,
    Published,
    check_place,
    sound,
)
from pipeline.common.stores import HUB, Store, StoreError, hub_address
from pipeline.contract import ConfigError, ContractError

MOST_FILES = 100
"""Of one commit; the hub takes long over more."""
MOST_BYTES = 64 << 20
"""Of one commit: they are held in memory."""
ITS_OWN = frozenset((".gitattributes",))
"""Files that the hub puts into every repository."""
TYPES = {"cache": "dataset", "run": "model"}
"""What the hub calls what we publish."""


def publish_to_hub(
    source: Store,
    listing: Listing,
    destination: str,
    *,
    replace: bool = False,
    on_progress: OnProgress = lambda done, total: None,
) -> Published:
    """Bring what a list lists into a repository of the hub.

    Args:
        source: Where it lies.
        listing: Its checksums.
        destination: ``hf://datasets/USER/NAME`` for a cache, ``hf://USER/NAME`` for a run.
        replace: Put it in the place of another publication that is there.
        on_progress: Told how far it is.

    Raises:
        ConfigError: huggingface_hub is not installed, there is no token or no such repository, or
            something else lies there.
        ContractError: an object is missing or is not what was written, here or there.
        StoreError: the hub does not answer as it must.
    """
    repository = _Repository.at(destination, listing.kind)
    published = repository.files()
    content = repository.read(SUMS_FILE) if SUMS_FILE in published else None
    old = believed(content, where=f"{destination}/{SUMS_FILE}")
    check_place(listing, old, published.keys() - ITS_OWN, destination, replace=replace)
    wanted = listing.checksums.sha256
    gone = (old.checksums.sha256.keys() if old else set()) & published.keys() - wanted.keys()
    hashes, batch, sizes = dict[str, set[str]](), dict[str, bytes](), list[int]()
    keys = [*(key for group in listing.in_order() for key in group), SUMS_FILE]
    for n_done, key in enumerate(keys, start=1):
        content = listing.content if key == SUMS_FILE else sound(source, listing, key)
        hashes[key] = {hashlib.sha256(content).hexdigest(), _git_hash(content)}
        sizes.append(len(content))
        if published.get(key) not in hashes[key]:
            batch[key] = content
        is_full = len(batch) == MOST_FILES or sum(map(len, batch.values())) >= MOST_BYTES
        if (is_full or key == SUMS_FILE) and (batch or gone):
            repository.commit(batch, sorted(gone), f"{listing.kind}: {n_done} of {len(keys)} files")
            batch, gone = {}, set()
        on_progress(n_done, len(keys))
    after = repository.files()
    wrong = [key for key in keys if after.get(key) not in hashes[key]]
    if wrong:
        raise ContractError(
            f"{destination}/{wrong[0]} is not what was sent ({len(wrong)} such): the same command "
            "again sends what is not there"
        )
    sent = [n for key, n in zip(keys, sizes, strict=True) if published.get(key) not in hashes[key]]
    return Published(
        kind=listing.kind,
        n_objects=len(keys),
        n_bytes=sum(sizes),
        n_sent=len(sent),
        sent_bytes=sum(sent),
    )


@dataclass(slots=True, kw_only=True)
class _Repository:
    """A folder of a repository, at the end of a branch."""

    location: str
    api: Any
    name: str
    type: str
    branch: str
    folder: str
    """Before every name; empty, or with a slash at its end."""
    head: str = ""
    """The last commit that was seen."""

    @classmethod
    def at(cls, location: str, kind: str) -> _Repository:
        """Open the place where a cache or a run is to go.

        Raises:
            ConfigError: it cannot be written there.
        """
        wanted = "hf://datasets/USER/NAME" if kind == "cache" else "hf://USER/NAME"
        found = HUB.fullmatch(location)
        if found is None or ("dataset" if found["kind"] else "model") != TYPES[kind]:
            raise ConfigError(f"{location} is no place for a {kind}: wanted {wanted}")
        try:
            from huggingface_hub import HfApi, get_token
            from huggingface_hub.utils.tqdm import disable_progress_bars
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"{location} lies on Hugging Face's hub and huggingface_hub is not installed: "
                "pip install 'dmft[hub]'"
            ) from error
        if get_token() is None:
            raise ConfigError(
                f"{location}: there is no token for the hub. Make one that may write at "
                "https://huggingface.co/settings/tokens and say it with 'hf auth login', or in "
                "HF_TOKEN"
            )
        disable_progress_bars()
        folder = (found["rest"] or "").strip("/")
        return cls(
            location=location,
            api=HfApi(hub_address(), library_name="dmft"),
            name=found["name"],
            type=TYPES[kind],
            branch=found["at"] or "main",
            folder=f"{folder}/" if folder else "",
        )

    def files(self) -> dict[str, str]:
        """Every file: the SHA-256 of a large one, git's hash of a small one."""
        with self._explaining():
            about = self.api.repo_info(self.name, repo_type=self.type, revision=self.branch)
            self.head = about.sha or ""
            listed = self.api.list_repo_tree(
                self.name, recursive=True, repo_type=self.type, revision=self.head or self.branch
            )
            return {
                each.path.removeprefix(self.folder): each.lfs.sha256 if each.lfs else each.blob_id
                for each in listed
                if hasattr(each, "blob_id") and each.path.startswith(self.folder)
            }

    def read(self, key: str) -> bytes:
        """The bytes of a small file."""
        from huggingface_hub import get_session, get_token, hf_hub_url

        with self._explaining():
            url = hf_hub_url(
                self.name,
                f"{self.folder}{key}",
                repo_type=self.type,
                revision=self.head,
                endpoint=self.api.endpoint,
            )
            answer = get_session().get(url, headers={"Authorization": f"Bearer {get_token()}"})
            answer.raise_for_status()
            content: bytes = answer.content
            return content

    def commit(self, files: dict[str, bytes], gone: Sequence[str], message: str) -> None:
        """Put files there and remove others, all at once, on top of the last commit."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        with self._explaining(), warnings.catch_warnings():
            away = [CommitOperationDelete(f"{self.folder}{k}", is_folder=False) for k in gone]
            new = [CommitOperationAdd(f"{self.folder}{k}", files[k]) for k in files]
            # Where a card of an earlier encode says nothing to the hub, it is warned of.
            warnings.simplefilter("ignore", UserWarning)
            done = self.api.create_commit(
                self.name,
                [*away, *new],
                commit_message=f"dmft publish, {message}",
                repo_type=self.type,
                revision=self.branch,
                parent_commit=self.head or None,
            )
            self.head = done.oid

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        """Say what went wrong in the words of our own errors.

        Raises:
            ConfigError: the hub refuses us, or there is no such place.
            StoreError: it does not answer as it must.
        """
        from huggingface_hub import errors

        any_answer: Any = errors.HfHubHTTPError.__mro__[1]  # httpx's, whichever it is built upon
        a_set = "data set" if self.type == "dataset" else "model"
        try:
            yield
        except errors.HFValidationError as error:
            raise ConfigError(f"{self.location} is no name that the hub knows: {error}") from error
        except errors.RevisionNotFoundError as error:
            raise ConfigError(
                f"{self.location}: {self.name} has no branch {self.branch!r}: make it first, or "
                "leave it out"
            ) from error
        except errors.RepositoryNotFoundError as error:
            raise ConfigError(
                f"{self.location}: the hub has no {a_set} {self.name}, or this token may not see "
                f"it. Make it first, with 'hf repo create {self.name} --repo-type {self.type}' "
                "(and --private where not everyone may see it)"
            ) from error
        except errors.HfHubHTTPError as error:
            status, reason = error.response.status_code, error.server_message or str(error)
            if status in (401, 403):
                raise ConfigError(
                    f"{self.location}: the hub refuses: {reason}. See that the token may write to "
                    f"{self.name}"
                ) from error
            if status in (409, 412):
                raise ConfigError(
                    f"{self.location}: somebody else has changed it meanwhile. The same command "
                    "again goes on with what is there"
                ) from error
            raise StoreError(
                f"{self.location}: the hub does not answer as it must: {reason}"
            ) from error
        except (any_answer, OSError, RuntimeError, ValueError) as error:  # of uploads: any of these
            whole, cause = str(error), str(error.__cause__ or "")
            reason = " ".join((whole if cause in whole else f"{whole} {cause}").split()).rstrip(".")
            raise StoreError(
                f"{self.location}: the hub does not answer as it must: {reason}. The same command "
                "again goes on with what is there"
            ) from error


def _git_hash(content: bytes) -> str:
    """What git calls a file's bytes, by which the hub lists small files."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
