"""A manifest: one data set's classes and its records, in their order.

It is only the list. Whether the files are there and unchanged is asked in ``check``.
"""

from __future__ import annotations

import enum
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from pipeline.contract import ConfigError, ContractError, Record, StreamRef
from pipeline.datasets import Description, described
from pipeline.manifests.layout import LAYOUTS

if TYPE_CHECKING:
    import pandas as pd

MANIFEST_FORMAT = "dmft-manifest"
MANIFEST_VERSION = 1
_STREAM_KEYS = tuple(field.name for field in fields(StreamRef))
_dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_DATASET = re.compile(r"[a-z][a-z0-9\-]*")


class ProblemKind(enum.StrEnum):
    """What sort of thing is wrong."""

    STRUCTURE = "structure"
    """The manifest is not what its format promises."""
    MISSING = "missing"
    """A listed file is not in the tree, or cannot be opened."""
    EXTRA = "extra"
    """A recording lies in the tree and no record lists it."""
    CHANGED = "changed"
    """A file has another size or hash than the manifest lists."""
    DUPLICATED = "duplicated"
    """Two streams list one file, or two files with the same content."""
    ESCAPING = "escaping"
    """A path or a link leads out of the tree."""
    DISAGREES = "disagrees"
    """Another manifest says something else of the same record."""
    PINNED = "pinned"
    """The file is another than was pinned, or is not pinned and should be."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where."""

    kind: ProblemKind
    where: str
    """A line of the manifest, a record's id, or a path of the tree."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The ordered records of one data set; an instance that exists is consistent."""

    dataset: str
    """Names the readers, such as ``utd-mhad``."""
    classes: tuple[str, ...]
    """A record's label is an index into these."""
    records: tuple[Record, ...]
    description: Mapping[str, Any] | None = None
    """What the data set's ``dataset.toml`` says; None where the readers are known by its name."""
    fabricated: bool = False
    """Whether the recordings are of nobody; figures on them stand beside no published ones."""

    def __post_init__(self) -> None:
        problems = list(header_problems(self.dataset, self.classes, self.description))
        may_share = sharing(self.dataset, self.description)
        contradictions = record_problems(self.classes, self.records, may_share)
        problems += [text for _, _, text in contradictions]
        if problems:
            raise ContractError("the manifest contradicts itself: " + "; ".join(problems))

    def lines(self) -> Iterator[str]:
        """The manifest's file, line by line without line ends; equal manifests, equal lines."""
        yield _dump(
            {
                "format": MANIFEST_FORMAT,
                "version": MANIFEST_VERSION,
                "dataset": self.dataset,
                "classes": list(self.classes),
                "n_records": len(self.records),
                **({"description": self.description} if self.description is not None else {}),
                **({"fabricated": True} if self.fabricated else {}),
            }
        )
        for record in self.records:
            yield _dump(_record_json(record))

    @property
    def described(self) -> Description | None:
        """The description, read; None where there is none."""
        return described(self.description)

    @property
    def sha256(self) -> str:
        """Content hash: that of the file which ``save_manifest`` writes."""
        digest = hashlib.sha256()
        for line in self.lines():
            digest.update(line.encode() + b"\n")
        return digest.hexdigest()

    @property
    def modalities(self) -> tuple[str, ...]:
        """Every modality that some record has, sorted."""
        return tuple(sorted({modality for record in self.records for modality in record.streams}))

    def to_frame(self) -> pd.DataFrame:
        """The records as a table: a row a record, in their order, indexed by id.

        Columns: ``label``, ``class_name``, the attributes, and of each modality
        ``{modality}_paths`` (a tuple, empty where the record has none) and ``{modality}_bytes``
        (missing where a size is not known).

        Example:
            >>> from pipeline.manifests import shipped_manifest
            >>> table = shipped_manifest("utd-mhad").to_frame()
            >>> table.loc["a1_s1_t1", "skeleton_paths"], table.loc["a1_s1_t1", "class_name"]
            (('Skeleton/a1_s1_t1_skeleton.mat',), 'swipe_left')
            >>> int(table.groupby("subject").size().max())
            108
        """
        import pandas as pd

        columns: dict[str, Any] = {
            "label": [record.label for record in self.records],
            "class_name": [self.classes[record.label] for record in self.records],
        }
        for name in self.records[0].attributes if self.records else ():
            columns[name] = [record.attributes[name] for record in self.records]
        for modality in self.modalities:
            streams = [record.streams.get(modality, ()) for record in self.records]
            columns[f"{modality}_paths"] = [tuple(ref.path for ref in refs) for refs in streams]
            sizes = [[ref.n_bytes for ref in refs] for refs in streams]
            n_bytes = [sum(s) if None not in s else None for s in sizes]  # type: ignore[arg-type]
            columns[f"{modality}_bytes"] = pd.array(n_bytes, dtype="Int64")
        return pd.DataFrame(columns, index=pd.Index([r.id for r in self.records], name="id"))

    def streams(self) -> Iterator[tuple[Record, str, StreamRef]]:
        """Every file: its record, its modality and itself, in the manifest's order.

        A file that the views of a trial share comes once, with the first of them.
        """
        seen: set[str] = set()
        for record in self.records:
            for modality in sorted(record.streams):
                for stream in record.streams[modality]:
                    if stream.path not in seen:
                        seen.add(stream.path)
                        yield record, modality, stream


MayShare = Callable[[str, Record, Record], bool]
"""Whether two records may list one file of a modality."""


def sharing(dataset: str, description: Mapping[str, Any] | None) -> MayShare:
    """Which records of a data set may share files: by its description, or by its layout."""
    try:
        own = described(description)
    except ConfigError:  # a problem of the header, which is named there
        return lambda modality, one, other: False
    if own is not None:
        return lambda modality, one, other: own.may_share(modality) and one.label == other.label
    layout = LAYOUTS.get(dataset)
    return layout.may_share if layout is not None else lambda modality, one, other: False


def header_problems(
    dataset: str, classes: Sequence[str], description: Mapping[str, Any] | None = None
) -> Iterator[str]:
    """What is wrong with a data set's name, class names or description."""
    try:
        own = described(description)
    except ConfigError as error:
        yield str(error)
    else:
        if own is not None and own.name != dataset:
            yield f"dataset is {dataset!r} and its description is of {own.name!r}"
    if not _DATASET.fullmatch(dataset):
        yield f"dataset is {dataset!r}: wanted lower-case letters, digits and '-'"
    if not classes:
        yield "classes is empty: wanted the names that labels index"
    seen: set[str] = set()
    for name in classes:
        if not name or name in seen:
            yield f"class name {name!r} is {'there twice' if name else 'empty'}"
        seen.add(name)


def record_problems(
    classes: Sequence[str], records: Sequence[Record], may_share: MayShare
) -> Iterator[tuple[int, ProblemKind, str]]:
    """What is wrong with each record, itself and beside those before it: index, kind, text.

    A file is of one stream of one record, but for those that the views of a trial may share.
    """
    ids: set[str] = set()
    claims: dict[str, tuple[Record, str, StreamRef]] = {}
    for index, record in enumerate(records):
        texts = []
        if record.id in ids:
            texts.append(f"record {record.id} is there twice: wanted each id once")
        ids.add(record.id)
        if record.label >= len(classes):
            texts.append(
                f"record {record.id} has label {record.label}: wanted 0 to {len(classes) - 1}"
            )
        if record.attributes.keys() != records[0].attributes.keys():
            texts.append(
                f"record {record.id} has attributes {sorted(record.attributes)}: wanted "
                f"{sorted(records[0].attributes)} as {records[0].id} has"
            )
        if not record.streams:
            texts.append(f"record {record.id} has no streams: wanted at least one file")
        for modality, stream in ((m, s) for m, refs in record.streams.items() for s in refs):
            plain = PurePosixPath(stream.path).as_posix()
            if plain != stream.path:
                texts.append(f"path {stream.path!r} of record {record.id}: write {plain!r}")
            first, claimed_as, listed = claims.setdefault(plain, (record, modality, stream))
            if first is record and claimed_as == modality and listed is stream:
                continue
            shared = may_share(modality, first, record)
            if not shared or (claimed_as, listed.name) != (modality, stream.name):
                claimed = f"file {plain} is claimed by record {record.id} and by record {first.id}"
                yield index, ProblemKind.DUPLICATED, f"{claimed}: wanted one file for one stream"
            elif listed != stream:
                texts.append(
                    f"file {plain} of record {record.id} has size, hash or frames other than "
                    f"{first.id} lists: wanted the same of a shared file"
                )
        for text in texts:
            yield index, ProblemKind.STRUCTURE, text


def _record_json(record: Record) -> dict[str, Any]:
    return {
        "id": record.id,
        "label": record.label,
        "attributes": dict(sorted(record.attributes.items())),
        "streams": {
            modality: [{key: getattr(stream, key) for key in _STREAM_KEYS} for stream in streams]
            for modality, streams in sorted(record.streams.items())
        },
    }
