"""What is the user's own in the place of something of ours: found by name, known by its file.

A network, a loss, an augmentation or a callback stands in a module or is offered by an installed
package's entry points. What decides weights is noted with the SHA-256 of the file that holds it; a
file that is not the one a run was trained with is not imported for it. Needs no PyTorch.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import FunctionType
from typing import Any

from pipeline.common.words import meant
from pipeline.contract import ConfigError, ContractError


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """Something of the user's own that decides weights."""

    name: str
    """``my_package.gru:GruFusion``, or the name of an entry point."""
    source_sha256: str
    """Of the file that holds it."""

    @property
    def title(self) -> str:
        """Short, for people."""
        return self.name.rpartition(":")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What may be the user's own."""

    word: str
    """What it is called, as the option that names it."""
    group: str
    """Entry points in which an installed package names its own."""
    ours: tuple[str, ...]
    """Names that ours have."""
    example: str
    """Such a name."""


MODEL = Kind(
    word="model",
    group="dmft.models",
    ours=("teacher", "student"),
    example="class as my_package.gru:GruFusion",
)
LOSS = Kind(
    word="loss", group="dmft.losses", ours=(), example="class or function as my_package:Focal"
)
AUGMENT = Kind(
    word="augment", group="dmft.augmentations", ours=(), example="class as my_package:Warp"
)
CALLBACK = Kind(
    word="callback", group="dmft.callbacks", ours=(), example="class as my_package:Notes"
)
_imported: dict[str, str] = {}
"""Module to the hash of its file when it was first met in this process."""


def find(kind: Kind, own: str | Any) -> Own:
    """What a name, or a class or function at hand, is.

    Raises:
        ConfigError: there is none of that name; it has changed since it was imported; or it stands
            in a notebook or in something else, so that nothing else can find it.
    """
    name = own if isinstance(own, str) else _name_of(own)
    file = _file_of(kind, name)
    sha256 = _sha256(file)
    module = object_of(kind, name).__module__
    if _imported.setdefault(module, sha256) != sha256:
        raise ConfigError(
            f"{file} has changed since this process imported it: begin a new one (in a notebook, "
            "restart the kernel)"
        )
    return Own(name=name, source_sha256=sha256)


def load(kind: Kind, own: Own, *, needed_to: str) -> Any:
    """The class or function itself, from the very source that it was noted with.

    Raises:
        ContractError: that is not to be had.
    """
    try:
        file = _file_of(kind, own.name)
    except ConfigError as error:
        word = "network" if kind is MODEL else kind.word
        raise ContractError(
            f"the run has a {word} of its own. {error}. It is needed to {needed_to}"
        ) from error
    found = _sha256(file)
    if found != own.source_sha256:
        raise ContractError(
            f"{file} has changed since the run was trained with it: SHA-256 {found[:12]!r}, the "
            f"run's {own.source_sha256[:12]!r}. Put it back as it was, or train again in another "
            "folder"
        )
    loaded = object_of(kind, own.name)
    _imported.setdefault(loaded.__module__, found)
    return loaded


def made(kind: Kind, loaded: Any, arguments: Mapping[str, Any]) -> Any:
    """An instance of a class, by position; a function as it is.

    Raises:
        ContractError: the class cannot be built so.
    """
    if isinstance(loaded, FunctionType):
        return loaded
    try:
        return loaded(*arguments.values())
    except TypeError as error:
        wanted = ", ".join(("self", *arguments))
        raise ContractError(
            f"{kind.word} {loaded.__module__}:{loaded.__qualname__} cannot be built ({error}): "
            f"wanted __init__({wanted})"
        ) from error


def object_of(kind: Kind, name: str) -> Any:
    """Import the class or function of a name.

    Raises:
        ConfigError: there is none.
    """
    module, attribute = _place_of(kind, name)
    with _working_folder():
        try:
            found = getattr(importlib.import_module(module), attribute, None)
        except ImportError as error:
            raise ConfigError(f"{kind.word} {name}: importing {module} failed ({error})") from error
    if not isinstance(found, type | FunctionType):
        wanted = "an nn.Module" if kind is MODEL else "a class or a function"
        raise ConfigError(f"{kind.word} {name}: {module}.{attribute} is {found!r}, wanted {wanted}")
    return found


def entry_points(kind: Kind) -> dict[str, str]:
    """Names that installed packages offer, and where each is."""
    return {point.name: point.value for point in metadata.entry_points(group=kind.group)}


def _name_of(own: Any) -> str:
    if own.__module__ == "__main__" or "." in own.__qualname__:
        raise ConfigError(
            f"{own.__qualname__} is of {own.__module__}: put it into a module, a file of its own "
            "at the top level, so that whoever loads the run finds it there"
        )
    return f"{own.__module__}:{own.__qualname__}"


def _place_of(kind: Kind, name: str) -> tuple[str, str]:
    offered = entry_points(kind)
    place = name if ":" in name else offered.get(name, "")
    module, _, attribute = place.partition(":")
    if not module or not attribute:
        known = (*kind.ours, *offered)
        wanted = ", ".join((*known, f"or a {kind.example}" if known else f"a {kind.example}"))
        raise ConfigError(f"{kind.word} {name!r} is not known{meant(name, known)}: wanted {wanted}")
    return module, attribute


def _file_of(kind: Kind, name: str) -> Path:
    """The file that holds it, found without importing it (the packages above it are)."""
    module, _ = _place_of(kind, name)
    with _working_folder():
        try:
            found = importlib.util.find_spec(module)
        except (ImportError, ValueError, AttributeError) as error:
            raise ConfigError(
                f"{kind.word} {name}: there is no module {module} ({error})"
            ) from error
    if found is None or not found.origin or not Path(found.origin).is_file():
        raise ConfigError(
            f"{kind.word} {name}: there is no module {module} here. Go to the folder that holds "
            "it, put that on PYTHONPATH, or install its package"
        )
    return Path(found.origin)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@contextmanager
def _working_folder() -> Iterator[None]:
    """Also look where the user is, behind every installed package."""
    folder = str(Path.cwd())
    if folder in sys.path or "" in sys.path:
        yield
        return
    sys.path.append(folder)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(folder)
