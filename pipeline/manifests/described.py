"""From what a table or a tree says of a described data set's recordings to its manifest.

Whoever lists the recordings hands over texts; here labels become classes, attributes become whole
numbers, and files are hashed. Everything that is wrong is gathered and named by its place: a row
and a column of a table, or a path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from pipeline.common.words import first_of, usual_spellings
from pipeline.contract import ContractError, Record, StreamRef, check_path_name
from pipeline.datasets.description import VALUES, Description
from pipeline.manifests.build import Build, Progress, built, digest_files
from pipeline.manifests.model import Manifest
from pipeline.raw.tree import RawTree

MAX_SHOWN = 20
"""Problems that an error names; the others are counted."""
MAX_VALUES = 1000
"""Different texts of an attribute; one of more is left out, as a comment is."""
NOT_GIVEN = -1
"""The number of an attribute that a record does not have."""
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.\-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One recording as it is listed."""

    place: str
    """Where: ``row 3``, or its first path."""
    record: str
    """Its name; empty where it is to be made of its paths."""
    label: str
    fields: Mapping[str, str]
    """Attribute to its text, empty where the record has none."""
    paths: Mapping[tuple[str, str], tuple[str, str]]
    """Modality and stream to a path and where that stands."""
    label_place: str = ""
    """Where the label stands, where that can be said better than by ``place``."""


class Problems:
    """What is wrong, gathered; raised at once."""

    def __init__(self, where: str) -> None:
        """Begin with nothing wrong in ``where``."""
        self.where = where
        self.texts: list[str] = []

    def add(self, text: str) -> None:
        """Note one more."""
        self.texts.append(text)

    def check(self) -> None:
        """Raise if there is any.

        Raises:
            ContractError: naming the first of them and counting all.
        """
        if not self.texts:
            return
        n = len(self.texts)
        shown = self.texts[:MAX_SHOWN] + [f"and {n - MAX_SHOWN} more"] * (n > MAX_SHOWN)
        raise ContractError(
            f"{self.where} cannot be listed, {n} problem(s):\n  " + "\n  ".join(shown)
        )


def list_described(
    description: Description,
    listed: Sequence[Listed],
    raw: RawTree,
    *,
    where: str,
    ignored: Sequence[tuple[str, str]] = (),
    progress: Progress | None = None,
    jobs: int | None = None,
) -> Build:
    """The manifest of some recordings, in their order.

    Args:
        description: Of their data set.
        listed: What is said of each.
        raw: Where their files lie.
        where: Who lists them, for errors.
        ignored: Files that are passed over, with the reason.
        progress: Called from this thread as files are hashed.
        jobs: Threads that hash.

    Raises:
        ContractError: a label that is no class, a name twice, a file that is not there or that two
            records may not share; every one is named.
    """
    problems = Problems(where)
    classes = classes_of(description, listed)
    labels = [_label(description, classes, each, problems) for each in listed]
    numbers, values, dropped = _attributes(listed, problems)
    names = _names(description, listed, problems)
    _check_claims(description, listed, problems)
    problems.check()
    paths = {path: cell for each in listed for path, cell in each.paths.values()}
    digests, unread = digest_files(list(paths), raw, progress, jobs)
    for path, reason in unread.items():
        problems.add(f"{paths[path]}: {reason}")
    problems.check()
    records = []
    for number, (each, label) in enumerate(zip(listed, labels, strict=True)):
        streams: dict[str, list[StreamRef]] = {}
        for (modality, stream), (path, _) in each.paths.items():
            n_bytes, sha256 = digests[path]
            ref = StreamRef(name=stream, path=path, n_bytes=n_bytes, sha256=sha256)
            streams.setdefault(modality, []).append(ref)
        records.append(
            Record(
                id=names[number],
                label=label,
                attributes={name: column[number] for name, column in numbers.items()},
                streams={
                    m: tuple(sorted(refs, key=attrgetter("name"))) for m, refs in streams.items()
                },
            )
        )
    table = {key: entry for key, entry in description.table.items() if key != VALUES}
    if values:
        table[VALUES] = values
    manifest = Manifest(
        dataset=description.name,
        classes=classes,
        records=tuple(records),
        description=table,
        fabricated=raw.is_fabricated,
    )
    return built(manifest, [*ignored, *dropped], description.modalities)


def classes_of(description: Description, listed: Sequence[Listed]) -> tuple[str, ...]:
    """Those of the description, or those found: numbers in their order, names by the alphabet."""
    if description.top.classes:
        return description.top.classes
    rename = description.top.rename
    found = usual_spellings(rename.get(each.label, each.label) for each in listed if each.label)
    return tuple(
        sorted(
            found.values(), key=lambda name: (0, int(name), "") if _is_whole(name) else (1, 0, name)
        )
    )


def wrong_labels(description: Description, listed: Sequence[Listed]) -> list[str]:
    """What is wrong with the labels of some recordings, a sentence each."""
    problems, classes = Problems(""), classes_of(description, listed)
    for each in listed:
        _label(description, classes, each, problems)
    return problems.texts


def _label(
    description: Description, classes: tuple[str, ...], each: Listed, problems: Problems
) -> int:
    top = description.top
    name = top.rename.get(each.label, each.label)
    if name in classes:
        return classes.index(name)
    folded = [c.casefold() for c in classes]
    if folded.count(name.casefold()) == 1:
        return folded.index(name.casefold())
    if top.classes and _is_whole(name) and 0 <= int(name) - top.first_label < len(classes):
        return int(name) - top.first_label
    shown = first_of(classes, 12)
    numbers = f" or {top.first_label} to {top.first_label + len(classes) - 1}" if classes else ""
    place = each.label_place or each.place
    problems.add(f"{place}: the {top.label} is {each.label!r}, wanted one of {shown}{numbers}")
    return 0


def _attributes(
    listed: Sequence[Listed], problems: Problems
) -> tuple[dict[str, list[int]], dict[str, list[str]], list[tuple[str, str]]]:
    """Attributes as whole numbers, what those stand for where they were texts, and those that
    are left out. Texts that differ in their letters' case alone are one: ``F1`` is ``f1``.
    """
    numbers: dict[str, list[int]] = {}
    values: dict[str, list[str]] = {}
    dropped = []
    for name in listed[0].fields if listed else ():
        texts = [each.fields.get(name, "") for each in listed]
        given = {text for text in texts if text}
        if not given:
            dropped.append((f"column {name}", "empty"))
        elif all(map(_is_whole, given)):
            if wide := next((t for t in given if abs(int(t)) >= 1 << 31), None):
                problems.add(f"column {name}: {wide} is too large, wanted whole numbers of 32 bits")
            numbers[name] = [int(text) if text else NOT_GIVEN for text in texts]
        elif len(given) > MAX_VALUES:
            dropped.append((f"column {name}", f"{len(given)} different texts: no attribute"))
        else:
            spelt = usual_spellings(text for text in texts if text)
            values[name] = sorted(spelt.values())
            at = {text.casefold(): number for number, text in enumerate(values[name])}
            numbers[name] = [at.get(text.casefold(), NOT_GIVEN) for text in texts]
    return numbers, values, dropped


def _names(description: Description, listed: Sequence[Listed], problems: Problems) -> list[str]:
    names = []
    for each in listed:
        name = each.record
        if not name:
            path = next(iter(each.paths.values()), ("", ""))[0]
            name = path.rsplit(".", 1)[0] if "." in path.rsplit("/", 1)[-1] else path
        names.append(_NOT_IN_A_NAME.sub("_", name).strip("_.-")[:120])
    for name, each in zip(names, listed, strict=True):
        try:
            check_path_name(name, "record")
        except ContractError as error:
            problems.add(f"{each.place}: {error}")
    first: dict[str, str] = {}
    for name, each in zip(names, listed, strict=True):
        if (other := first.setdefault(name, each.place)) != each.place:
            by_column = each.record and each.label_place  # a table's, which has columns
            column = f", column {description.top.record!r}" if by_column else ""
            problems.add(
                f"{each.place}{column}: record {name!r} is {other} too, wanted one a record"
            )
    return names


def _check_claims(description: Description, listed: Sequence[Listed], problems: Problems) -> None:
    claims: dict[str, tuple[tuple[str, str], Listed, str]] = {}
    for each in listed:
        if not each.paths:
            problems.add(f"{each.place} has no files: wanted one or more")
        for source, (path, cell) in each.paths.items():
            try:
                StreamRef(name=source[1], path=path)  # refuses what leads out of the tree
            except ContractError as error:
                problems.add(f"{cell}: {error}")
                continue
            as_what, other, said_first = claims.setdefault(path, (source, each, cell))
            if other is each and as_what == source:
                continue
            if as_what != source or not description.may_share(source[0]):
                problems.add(
                    f"{cell}: {path} stands at {said_first} too, wanted a file once; a modality "
                    "whose files several records have is 'shared' in the description"
                )


def _is_whole(text: str) -> bool:
    return re.fullmatch(r"[+-]?[0-9]{1,18}", text) is not None


def duplicates(manifest: Manifest) -> list[tuple[str, ...]]:
    """Groups of files with the same content."""
    by_hash: dict[str, list[str]] = {}
    for _, _, ref in manifest.streams():
        if ref.sha256 is not None and ref.n_bytes:
            by_hash.setdefault(ref.sha256, []).append(ref.path)
    return [tuple(paths) for paths in by_hash.values() if len(paths) > 1]
