"""What a run is: what decides its weights, where that came from, and what came of it.

``run.json`` holds the three beside each other. Only :class:`RunSpec` is hashed into the run's
identity, and it is hashed whole: whatever decides a weight is a field of it, and no field of it
decides none.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dmft.config import RunConfig
from dmft.data.coverage import Coverage, coverage_of
from dmft.data.shuffle import ShuffleBuffer
from dmft.models.config import InputShape
from dmft.own import Own
from dmft.protocols import Fold, FoldRule, Protocol
from pipeline.common.settings import difference, flatten, to_table
from pipeline.contract import ConfigError, ContractError

if TYPE_CHECKING:
    from dmft.data import Cache

KINDS = ("teacher", "student", "distilled")
KEEP = ("last", "best")


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """Training people who were held out to be looked at while the others were learnt from."""

    by: str
    """The attribute whose values were held out whole."""
    rule: FoldRule
    """Whom the model learnt from, and who was held out, all of the fold's training side."""
    split_hash: str
    """SHA-256 of the record identities of both."""
    keep: str
    """``last``: the last epoch's weights; ``best``: those of the best epoch on the held out."""
    patience: int
    """Epochs without a better one after which the training stopped; 0 for never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutScores:
    """Figures on the training people who were held out."""

    epoch: int
    """Of the weights, from 1."""
    n_records: int
    """Records measured."""
    loss: float
    """Mean negative log-likelihood of the vote."""
    accuracy: float
    """Of the vote."""
    macro_f1: float
    """Of the vote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """All that decides a run's weights."""

    kind: str
    """teacher, student (trained on labels alone) or distilled."""
    config: RunConfig
    """In full."""
    fold: FoldRule
    """What selects the records of both sides."""
    split_hash: str
    """SHA-256 of the record identities on both sides."""
    n_train: int
    """Training records."""
    n_test: int
    """Test records."""
    cache_fingerprint: str
    """The cache's own SHA-256."""
    stored: Mapping[str, InputShape]
    """P and D of each modality in the cache, in the order of the model."""
    classes: tuple[str, ...]
    """Class names."""
    seed: int
    """Source of everything random."""
    device: str
    """cpu or cuda; another device gives other bits."""
    shuffle_buffer: ShuffleBuffer | None = None
    """Over which an out-of-core training's epochs were mixed; None where it was all records."""
    teachers: tuple[str, ...] = ()
    """Identities of the runs that taught a distilled student."""
    network: Own | None = None
    """The user's own in the place of the teacher's or the student's; None for ours."""
    loss: Own | None = None
    """The user's own on labels, instead of ``training.loss``; None for that."""
    augment: Own | None = None
    """The user's own changes to training records, before ours; None for ours alone."""
    validation: Validation | None = None
    """Who was held out of the training side; None where all of it was learnt from."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"kind is {self.kind!r}: wanted one of {', '.join(KINDS)}")

    @classmethod
    def of(
        cls,
        cache: Cache,
        fold: Fold,
        *,
        kind: str,
        config: RunConfig,
        seed: int,
        device: str,
        shuffle_buffer: ShuffleBuffer | None = None,
        teachers: Sequence[str] = (),
        network: Own | None = None,
        loss: Own | None = None,
        augment: Own | None = None,
        validation: Validation | None = None,
    ) -> RunSpec:
        """Gather what decides the weights of a model that is trained on a fold of a cache."""
        specs = {name: cache.modality_spec(name) for name in cache.modalities}
        return cls(
            kind=kind,
            config=config,
            fold=fold.rule,
            split_hash=fold.split_hash,
            n_train=len(fold.train),
            n_test=len(fold.test),
            cache_fingerprint=cache.spec.fingerprint,
            stored={
                name: InputShape(n_patches=spec.n_patches, n_features=spec.n_features)
                for name, spec in specs.items()
            },
            classes=cache.spec.classes,
            seed=seed,
            device=device,
            shuffle_buffer=shuffle_buffer,
            teachers=tuple(teachers),
            network=network,
            loss=loss,
            augment=augment,
            validation=validation,
        )

    @property
    def model_name(self) -> str:
        """What people call its model: by its kind, and a network of the user's own by its class."""
        if self.network is None:
            return self.kind
        return f"{self.network.title}{', distilled' if self.kind == 'distilled' else ''}"

    @property
    def modalities(self) -> tuple[str, ...]:
        """In the order of the model."""
        return tuple(self.stored)

    @property
    def identity(self) -> str:
        """SHA-256 over every field, and over the order of the modalities."""
        table = {**to_table(self), "modalities": list(self.stored)}
        for name in ("network", "loss", "augment", "validation"):
            if getattr(self, name) is None:  # as before there were any
                del table[name]
        return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()

    def difference_from(self, wanted: RunSpec) -> str:
        """Name up to three settings in which this run differs from the wanted one."""
        named = difference(flatten(to_table(self)), flatten(to_table(wanted)))
        return named or "the order of its modalities differs"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSource:
    """Where what decides a run came from, and how raw recordings become its inputs."""

    protocol: Protocol
    """The protocol that the fold belongs to."""
    dataset: str
    """Data set of the cache: names the readers that raw files of it need."""
    encodings: Mapping[str, Mapping[str, Any]]
    """How the cache says that each modality was encoded."""
    encoder_weights: str = ""
    """Name of the weights that the cache's frames passed; their hash stands in ``encodings``."""
    manifest_sha256: str = ""
    """The manifest that the cache was encoded from; empty where the cache does not say."""
    description: Mapping[str, Any] = field(default_factory=dict)
    """Of a data set that is described; empty where its readers are known by its name."""
    teachers: tuple[str, ...] = ()
    """Folders of the teachers of a distilled student."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package to its version, of the software that trained it."""
    fabricated: bool = False
    """Whether the cache says that its recordings are of nobody."""
    coverage: Coverage | None = None
    """How much of the published data set the cache holds; None where no list of it ships."""
    shared: Mapping[str, int] = field(default_factory=dict)
    """Modality to the test records of which some raw file is a training record's too."""
    expected: Mapping[str, float] = field(default_factory=dict)
    """Of a model on every record: the figures of a run of all folds with the same settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """What came of a run."""

    n_parameters: int
    """Weights that are learnt."""
    saved_bytes: int
    """Size of ``model.safetensors``."""
    seconds_per_epoch: float
    """Median over the epochs."""
    model_sha256: str
    """The hash of ``model.safetensors``."""
    epochs_sha256: str
    """The hash of ``epochs.jsonl``."""
    held_out: HeldOutScores | None = None
    """Figures of the weights on those who were held out; None where nobody was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """Everything that ``run.json`` says."""

    spec: RunSpec
    """What decides the weights."""
    source: RunSource
    """Where that came from."""
    cache_path: str
    """Where the cache was; ``evaluate`` looks there again. A cache may be moved."""
    outcome: RunOutcome | None = None
    """What came of it; None while it trains."""
    records: tuple[str, ...] = ()
    """The cache's records that were selected by hand beforehand; empty for all."""

    @classmethod
    def of(
        cls,
        cache: Cache,
        spec: RunSpec,
        protocol: Protocol,
        teachers: Sequence[str] = (),
        shared: Mapping[str, int] = MappingProxyType({}),
        expected: Mapping[str, float] = MappingProxyType({}),
    ) -> RunInfo:
        """What there is to say of a run on a cache before it is trained."""
        weights = cache.spec.provenance.get("weights")
        source = RunSource(
            protocol=protocol,
            dataset=cache.spec.dataset,
            encodings={name: dict(cache.modality_spec(name).encoding) for name in cache.modalities},
            encoder_weights=str(weights.get("name", "")) if isinstance(weights, Mapping) else "",
            manifest_sha256=str(cache.spec.provenance.get("manifest_sha256", "")),
            description=dict(cache.spec.provenance.get("description") or {}),
            teachers=tuple(teachers),
            versions=software_versions(),
            fabricated=bool(cache.spec.provenance.get("fabricated")),
            coverage=coverage_of(cache, cache.modalities),
            shared=dict(shared),
            expected=dict(expected),
        )
        return cls(
            spec=spec,
            source=source,
            cache_path=str(cache.path.resolve()),
            records=cache.record_ids if cache.is_selection else (),
        )

    @property
    def finished(self) -> RunOutcome:
        """What came of it.

        Raises:
            ContractError: its training has not ended.
        """
        if self.outcome is None:
            raise ContractError(
                f"run {self.spec.identity[:12]!r} is a training that has not ended: run the same "
                "command again to finish it"
            )
        return self.outcome


def software_versions() -> dict[str, str]:
    """Versions that a run is made with, by package."""
    versions = {"python": platform.python_version(), "machine": platform.machine()}
    for name in ("dmft", "torch", "numpy", "zarr", "safetensors"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions
