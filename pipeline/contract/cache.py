"""The cache's layout, in names: what the encoder writes and the trainer reads.

A cache is one Zarr v3 group. For N records and each modality ``m``:

=================  ==================  ========================================================
array              shape               meaning
=================  ==================  ========================================================
``m``              (N, P, D) float     patches; NaN where absent. Dimensions
                                       ``record``, ``m_patch``, ``m_feature``
``m_presence``     (N,) uint8          a :class:`Presence` code
``m_length``       (N,) int32          raw length T of the stream in samples or frames; 0 absent
``m_source``       (N,) string         the files that the row was made from: the first
                                       :data:`SOURCE_DIGITS` digits of each one's SHA-256, in
                                       order, with spaces between them; empty where absent
``record_id``      (N,) string         unique; Zarr's variable-length UTF-8
``label``          (N,) int32          index into ``classes``
attribute columns  (N,) int32          ``subject``, ``trial``, ...: as listed in ``columns``;
                                       -1 where a record has none
=================  ==================  ========================================================

Everything else stands in the group's attribute ``dmft``, which :class:`CacheSpec` describes.
``docs/reference/cache-format.md`` is the same for people.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from pipeline.contract.errors import ContractError
from pipeline.contract.records import check_modality_name

CACHE_FORMAT = "dmft-cache"
CACHE_ATTRIBUTE = "dmft"
SCHEMA_VERSION = 1
LEDGER_PREFIX = ".ledger"

TABLE_FILE = "records.parquet"
CARD_FILE = "README.md"
CROISSANT_FILE = "croissant.json"
COMPANIONS = frozenset({TABLE_FILE, CARD_FILE, CROISSANT_FILE})
"""Objects beside the arrays for people and other programs: derived, and never read back."""

SOURCE_DIGITS = 16
"""Of a raw file's SHA-256: enough to tell all files of a data set apart."""
RESERVED_COLUMNS = frozenset({"record_id", "label"})


class CacheState(enum.StrEnum):
    """Whether a cache may be trained on."""

    BUILDING = "building"
    """An encode has begun and not ended; run it again to go on."""
    COMPLETE = "complete"
    """Every record is encoded, absent or quarantined, and every file has its checksum."""


class Presence(enum.IntEnum):
    """What a cache holds of one record's modality."""

    PENDING = 0
    """Not encoded yet; never in a complete cache."""
    PRESENT = 1
    """Encoded; the row is finite."""
    ABSENT = 2
    """The recording has no such modality."""
    FAILED = 3
    """The recording has it and it could not be encoded: quarantined, with its reason."""


def feature_array(modality: str) -> str:
    """Name of the (N, P, D) array of a modality."""
    return modality


def presence_array(modality: str) -> str:
    """Name of the (N,) array of :class:`Presence` codes of a modality."""
    return f"{modality}_presence"


def length_array(modality: str) -> str:
    """Name of the (N,) array of raw stream lengths of a modality."""
    return f"{modality}_length"


def source_array(modality: str) -> str:
    """Name of the (N,) array of the raw files' hashes of a modality."""
    return f"{modality}_source"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModalitySpec:
    """One modality of a cache."""

    name: str
    n_patches: int
    """P: patches a record."""
    n_features: int
    """D: width of a patch."""
    dtype: str
    """``float32`` or ``float16``."""
    records_per_chunk: int
    """Records in one stored object, the unit of writing."""
    encoding: Mapping[str, Any] = field(default_factory=dict)
    """The resolved encoding configuration, in full."""
    feature_names: tuple[str, ...] = ()
    """One name a column where the columns have meaning (``head_x``); else empty."""

    def __post_init__(self) -> None:
        check_modality_name(self.name)
        for what in ("n_patches", "n_features", "records_per_chunk"):
            value = getattr(self, what)
            if type(value) is not int or value < 1:
                raise ContractError(f"{self.name}.{what} is {value!r}: wanted a positive number")
        if self.dtype not in ("float32", "float16"):
            raise ContractError(f"{self.name}.dtype is {self.dtype!r}: wanted float32 or float16")
        if self.feature_names and len(self.feature_names) != self.n_features:
            raise ContractError(
                f"{self.name} names {len(self.feature_names)} features: wanted {self.n_features}"
            )

    @property
    def row_bytes(self) -> int:
        """Bytes of one record's patches."""
        return self.n_patches * self.n_features * (4 if self.dtype == "float32" else 2)

    def to_json(self) -> dict[str, Any]:
        """As it stands in the cache's attributes."""
        return {key: value for key, value in asdict(self).items() if key != "name"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSpec:
    """What the group's ``dmft`` attribute says of the whole cache."""

    state: CacheState
    dataset: str
    classes: tuple[str, ...]
    columns: tuple[str, ...]
    """Attribute columns of the record table, such as subject and trial."""
    n_records: int
    modalities: Mapping[str, ModalitySpec]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Code and library versions, device, weights' hash, manifest's hash."""
    fingerprint: str = ""
    """SHA-256 over every record's identity, label and content; empty until complete."""

    def __post_init__(self) -> None:
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise ContractError(f"classes are {list(self.classes)}: wanted different names")
        for column in self.columns:
            check_modality_name(column)
            if column in RESERVED_COLUMNS or column in self.modalities:
                raise ContractError(f"column {column!r} is the name of another array of the cache")
        for name, spec in self.modalities.items():
            if name != spec.name or name in RESERVED_COLUMNS:
                raise ContractError(f"modality {name!r} cannot be described as {spec.name!r}")

    def to_json(self) -> dict[str, Any]:
        """As it stands in the group's attributes, with the format and the schema version."""
        return {
            "format": CACHE_FORMAT,
            "schema_version": SCHEMA_VERSION,
            **asdict(self),
            "modalities": {name: spec.to_json() for name, spec in self.modalities.items()},
        }

    @classmethod
    def from_json(cls, attribute: object, *, where: str) -> CacheSpec:
        """Read the attribute of a cache found at ``where``.

        Raises:
            ContractError: it is not a cache's attribute, or of another schema version.
        """
        if not isinstance(attribute, Mapping) or attribute.get("format") != CACHE_FORMAT:
            raise ContractError(
                f"{where} is not a feature cache: its group has no '{CACHE_ATTRIBUTE}' attribute "
                f"of format '{CACHE_FORMAT}'. Make one with 'dmft encode'."
            )
        version = attribute.get("schema_version")
        if version != SCHEMA_VERSION:
            is_earlier = isinstance(version, int) and 0 < version < SCHEMA_VERSION
            remedy = (
                f"'dmft cache migrate {where}' brings it up to it without encoding again"
                if is_earlier
                else "a later version of it wrote the cache: install that one"
            )
            raise ContractError(
                f"{where} has cache schema version {version!r}; this software reads version "
                f"{SCHEMA_VERSION}: {remedy}"
            )
        try:
            modalities = {}
            for name, entry in attribute["modalities"].items():
                given = {f.name: entry[f.name] for f in fields(ModalitySpec) if f.name != "name"}
                given |= {"name": str(name), "feature_names": tuple(entry["feature_names"])}
                modalities[str(name)] = ModalitySpec(**given)
            return cls(
                state=CacheState(attribute["state"]),
                dataset=str(attribute["dataset"]),
                classes=tuple(attribute["classes"]),
                columns=tuple(attribute["columns"]),
                n_records=int(attribute["n_records"]),
                modalities=modalities,
                provenance=attribute["provenance"],
                fingerprint=str(attribute["fingerprint"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ContractError(
                f"{where} describes itself wrongly ({type(error).__name__}: {error}). "
                "Its metadata is damaged: run 'dmft cache verify' on it."
            ) from error
