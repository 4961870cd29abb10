"""A network of the user's own in the place of teacher or student.

It is found by the name of its class, in a module or an entry point, and is made to give logits
(B, M, 2, K) as ours do, so that losses, votes, figures, reports and exports work with it. A run
notes the hash of the file that holds the class: whatever is in there decides weights. A file that
is not the one a run was trained with is not imported for it.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dmft.models.config import BRANCHES, ModelShape
from dmft.models.network import Network
from pipeline.common.words import meant
from pipeline.contract import ConfigError, ContractError

if TYPE_CHECKING:
    from collections.abc import Iterator

ENTRY_POINTS = "dmft.models"
"""Group in which an installed package names its networks."""

_imported: dict[str, str] = {}
"""Module to the hash of its file when it was first met in this process."""


class OwnNetwork(nn.Module):
    """A network of the user's own, giving logits as ours do.

    Its own may be (B, K), (B, M, K) or (B, M, 2, K): a part that it does not have is the same for
    all modalities or branches, and so are the votes.

    Shapes: features {m: (B, P, D)}, present (B, M) -> (B, M, 2, K).
    """

    def __init__(self, network: nn.Module, name: str, shape: ModelShape) -> None:
        super().__init__()
        self.network, self.name = network, name
        self.wanted = (len(shape.modalities), len(BRANCHES), shape.n_classes)
        self.step_seed = 0

    def forward(
        self, features: Mapping[str, Tensor], present: Tensor, *, unimodal: bool = False
    ) -> Tensor:
        """Logits of every branch; its own draws (dropout) are a function of the step's seed.

        ``unimodal``: of each modality as if a record had it alone.
        """
        if unimodal:
            M = self.wanted[0]
            alone = [self._alone(features, present, column) for column in range(M)]
            return torch.stack([self(*inputs)[:, m] for m, inputs in enumerate(alone)], dim=1)
        if not self.training:
            return self._full(self.network(features, present))
        on = present.device
        with torch.random.fork_rng(devices=[on] if on.type == "cuda" else []):
            torch.manual_seed(self.step_seed)
            return self._full(self.network(features, present))

    def _full(self, logits: Any) -> Tensor:
        M, n_branches, K = self.wanted
        if not isinstance(logits, Tensor):
            raise ContractError(
                f"{self.name} gives {type(logits).__name__}: wanted a Tensor of logits"
            )
        shape = tuple(logits.shape[1:])
        if shape == (K,):
            return logits[:, None, None].expand(-1, M, n_branches, -1)
        if shape == (M, K):
            return logits[:, :, None].expand(-1, -1, n_branches, -1)
        if shape != self.wanted:
            found = ", ".join(map(str, shape))
            raise ContractError(
                f"{self.name} gives logits (B, {found}): wanted (B, {K}), (B, {M}, {K}) or "
                f"(B, {M}, {n_branches}, {K}): record, modality, branch and class"
            )
        return logits

    @staticmethod
    def _alone(
        features: Mapping[str, Tensor], present: Tensor, column: int
    ) -> tuple[dict[str, Tensor], Tensor]:
        only = torch.zeros_like(present)
        only[:, column] = present[:, column]
        kept = {
            m: x if i == column else torch.zeros_like(x)
            for i, (m, x) in enumerate(features.items())
        }
        return kept, only


def find_own(model: str | type[nn.Module] | None) -> Network | None:
    """The network that a class or a name means; None for ours.

    Raises:
        ConfigError: there is none, or it is no network.
    """
    if model is None:
        return None
    return find_network(model) if isinstance(model, str) else network_of(model)


def find_network(name: str) -> Network:
    """Import the class of a name and say what it is.

    Raises:
        ConfigError: there is none, or it is no network.
    """
    sha256 = _sha256(_file_of(name))
    module = class_of(name).__module__
    if _imported.setdefault(module, sha256) != sha256:
        raise ConfigError(
            f"{_file_of(name)} has changed since this process imported it: begin a new one (in a "
            "notebook, restart the kernel)"
        )
    return Network(name=name, source_sha256=sha256)


def network_of(kind: type[nn.Module]) -> Network:
    """The same, of a class at hand.

    Raises:
        ConfigError: it stands in a notebook or in another class, so that nothing else can find it.
    """
    if kind.__module__ == "__main__" or "." in kind.__qualname__:
        raise ConfigError(
            f"{kind.__qualname__} is of {kind.__module__}: put it into a module, a file of its own "
            "at the top level, so that whoever loads the run finds it there"
        )
    return find_network(f"{kind.__module__}:{kind.__qualname__}")


def build_own(network: Network, shape: ModelShape, config: Any) -> OwnNetwork:
    """Build a run's own network, from the very source that it was trained with.

    Raises:
        ContractError: that is not to be had, or the class cannot be built.
    """
    try:
        found = _sha256(_file_of(network.name))
    except ConfigError as error:
        raise ContractError(
            f"the run has a network of its own. {error}. It is needed to load the run"
        ) from error
    if found != network.source_sha256:
        raise ContractError(
            f"{_file_of(network.name)} has changed since the run was trained with it: SHA-256 "
            f"{found[:12]!r}, the run's {network.source_sha256[:12]!r}. Put it back as it was, or "
            "train again in another folder"
        )
    kind = class_of(network.name)
    _imported.setdefault(kind.__module__, found)
    try:
        made = kind(shape, config)
    except TypeError as error:
        raise ContractError(
            f"{network.name} cannot be built ({error}): wanted __init__(self, shape, config), a "
            "ModelShape and a RunConfig"
        ) from error
    return OwnNetwork(made, network.name, shape)


def class_of(name: str) -> type[nn.Module]:
    """Import the class of a name.

    Raises:
        ConfigError: there is none, or it is no network.
    """
    module, attribute = _place_of(name)
    with _working_folder():
        try:
            found = getattr(importlib.import_module(module), attribute, None)
        except ImportError as error:
            raise ConfigError(f"model {name}: importing {module} failed ({error})") from error
    if not (inspect.isclass(found) and issubclass(found, nn.Module)):
        raise ConfigError(f"model {name}: {module}.{attribute} is {found!r}, wanted an nn.Module")
    return found


def entry_points() -> dict[str, str]:
    """Names of networks that installed packages offer, and where each is."""
    return {point.name: point.value for point in metadata.entry_points(group=ENTRY_POINTS)}


def _place_of(name: str) -> tuple[str, str]:
    place = name if ":" in name else entry_points().get(name, "")
    module, _, attribute = place.partition(":")
    if not module or not attribute:
        known = ("teacher", "student", *entry_points())
        raise ConfigError(
            f"model {name!r} is not known{meant(name, known)}: wanted {', '.join(known)}, or a "
            "class as my_package.gru:GruFusion"
        )
    return module, attribute


def _file_of(name: str) -> Path:
    """The file that holds the class, found without importing it (the packages above it are)."""
    module, _ = _place_of(name)
    with _working_folder():
        try:
            found = importlib.util.find_spec(module)
        except (ImportError, ValueError, AttributeError) as error:
            raise ConfigError(f"model {name}: there is no module {module} ({error})") from error
    if found is None or not found.origin or not Path(found.origin).is_file():
        raise ConfigError(
            f"model {name}: there is no module {module} here. Go to the folder that holds it, put "
            "that on PYTHONPATH, or install its package"
        )
    return Path(found.origin)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@contextmanager
def _working_folder() -> Iterator[None]:
    """Also look where the user is, behind every installed package."""
    here = str(Path.cwd())
    if here in sys.path or "" in sys.path:
        yield
        return
    sys.path.append(here)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(here)
