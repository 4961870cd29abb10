"""``dmft cache merge``: the records of several caches, as one.

They must be of one data set's kind and encoded alike, or the differences are listed. Classes are
joined by their names. Where two caches call records or files alike, each is given a name, which
goes before its records' ids and, as a folder, before its files' paths: the raw trees as they would
lie beside each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.cache.card import LICENCE, licence_of
from pipeline.cache.description import DESCRIPTION, encoding_difference
from pipeline.cache.edit.assemble import Assembly, OnProgress, assemble
from pipeline.cache.edit.history import HISTORY, MERGE, entry, history_of
from pipeline.cache.edit.source import Source, open_source
from pipeline.common.words import first_of
from pipeline.contract import (
    CacheSpec,
    ConfigError,
    ModalitySpec,
    Record,
    check_path_name,
)
from pipeline.manifests import Manifest


def merge(
    locations: Sequence[str],
    out: str,
    *,
    names: Sequence[str] = (),
    apart: Sequence[str] = (),
    modalities: Sequence[str] = (),
    on_progress: OnProgress = lambda done, total: None,
) -> tuple[CacheSpec, list[str]]:
    """Write the records of several caches to one, as an encode of the joint list would be.

    Args:
        locations: Finished caches, two at least; they are not touched.
        out: Where the new one is to be.
        names: One a cache, to tell their records and files apart.
        apart: Attributes whose equal numbers mean different things in each, such as the subjects
            of two labs: those of later caches are counted on from the largest before.
        modalities: Those to take; all where empty.
        on_progress: Told as rows are in place.

    Returns:
        What the new cache says of itself, and what a person should look at.

    Raises:
        ConfigError: they do not go together.
        ContractError: one is not whole.
    """
    if len(locations) < 2 or len(set(locations)) != len(locations):
        raise ConfigError(
            f"{list(locations)} cannot be merged: wanted two different caches or more"
        )
    if names and (len(names) != len(locations) or len(set(names)) != len(names)):
        raise ConfigError(f"the names are {list(names)}: wanted one for each of {len(locations)}")
    sources = [open_source(location) for location in locations]
    specs = _joint_modalities(sources, modalities)
    classes = tuple(dict.fromkeys(c for source in sources for c in source.store.spec.classes))
    shifts = _shifts(sources, apart)
    records, origins = list[Record](), dict[str, tuple[Source, str]]()
    _check_apart(sources, names)
    for source, name, shift in zip(sources, names or [""] * len(sources), shifts, strict=True):
        for record in source.store.records:
            label = classes.index(source.store.spec.classes[record.label])
            renamed = _renamed(record, name, label, shift)
            records.append(renamed)
            origins[renamed.id] = (source, record.id)
    first = sources[0]
    manifest = Manifest(
        dataset=first.store.spec.dataset,
        classes=classes,
        records=tuple(records),
        description=first.manifest.description,
        fabricated=any(source.manifest.fabricated for source in sources),
    )
    wanted = Assembly(
        manifest=manifest,
        modalities=specs,
        origins=origins,
        provenance=_provenance(sources, names, manifest),
    )
    return assemble(out, wanted, on_progress), list(_remarks(sources, apart))


def _joint_modalities(sources: Sequence[Source], wanted: Sequence[str]) -> dict[str, ModalitySpec]:
    """The modalities of the result.

    Raises:
        ConfigError: the caches differ in what they are of or how they were encoded; names all.
    """
    first = sources[0]
    found: dict[str, tuple[Source, ModalitySpec]] = {}
    problems = []
    for source in sources:
        spec, where = source.store.spec, source.location
        if spec.dataset != first.store.spec.dataset:
            problems.append(
                f"{where} is of {spec.dataset}, {first.location} of {first.store.spec.dataset}"
            )
        elif _described(source) != _described(first):
            problems.append(f"{where} has another description than {first.location}")
        if set(spec.columns) != set(first.store.spec.columns):
            problems.append(
                f"{where} has the attributes {', '.join(spec.columns)}, {first.location} has "
                f"{', '.join(first.store.spec.columns)}"
            )
        for name, own in spec.modalities.items():
            if wanted and name not in wanted:
                continue
            other, its = found.setdefault(name, (source, own))
            if its != own:
                difference = encoding_difference(its, own)
                problems.append(
                    f"{name} of {where} is encoded otherwise than that of {other.location} "
                    f"({difference})"
                )
    for name in wanted:
        if name not in found:
            problems.append(f"no cache has the modality {name!r}")
    for name in found:
        for source in sources:
            lacking = [r.id for r in source.store.records if name in r.streams]
            if name not in source.store.spec.modalities and lacking:
                problems.append(
                    f"{source.location} has no {name}, though {len(lacking)} of its records list "
                    f"files of it: encode them, or leave {name} out with --modalities"
                )
    if problems:
        raise ConfigError("they cannot be merged:\n  " + "\n  ".join(problems))
    return {name: spec for name, (_, spec) in found.items()}


def _described(source: Source) -> Any:
    return source.store.spec.provenance.get(DESCRIPTION)


def _check_apart(sources: Sequence[Source], names: Sequence[str]) -> None:
    """Refuse records or files that two caches call alike and nothing tells apart.

    Raises:
        ConfigError: there are some.
    """
    for name in names:
        check_path_name(name, "the cache")
    if names:
        return
    ids = Counter(record.id for source in sources for record in source.store.records)
    paths = Counter(
        path
        for source in sources
        for path in {s.path for r in source.store.records for v in r.streams.values() for s in v}
    )
    for what, counts in (("record", ids), ("file", paths)):
        twice = [each for each, n in counts.items() if n > 1]
        if twice:
            raise ConfigError(
                f"{len(twice)} {what}s are called alike in several ({first_of(twice, 3)}): give "
                "each cache a name with --as, which goes before its records' ids and its files' "
                "paths"
            )


def _shifts(sources: Sequence[Source], apart: Sequence[str]) -> list[dict[str, int]]:
    """What is added to attributes of each cache."""
    shifts, next_free = [], dict[str, int]()
    for name in apart:
        if name not in sources[0].store.spec.columns:
            raise ConfigError(
                f"--apart {name}: the attributes are {', '.join(sources[0].store.spec.columns)}"
            )
    for source in sources:
        shift = {}
        for name in apart:
            own = [record.attributes[name] for record in source.store.records]
            shift[name] = max(0, next_free.get(name, min(own)) - min(own))
            next_free[name] = max(own) + shift[name] + 1
        shifts.append(shift)
    return shifts


def _renamed(record: Record, name: str, label: int, shift: Mapping[str, int]) -> Record:
    streams = {
        modality: tuple(replace(s, path=f"{name}/{s.path}" if name else s.path) for s in refs)
        for modality, refs in record.streams.items()
    }
    return Record(
        id=f"{name}-{record.id}" if name else record.id,
        label=label,
        attributes={k: v + shift.get(k, 0) for k, v in record.attributes.items()},
        streams=streams,
    )


def _provenance(
    sources: Sequence[Source], names: Sequence[str], manifest: Manifest
) -> dict[str, Any]:
    """That of the first, what only others have, and what each was."""
    joint: dict[str, Any] = {}
    for source in reversed(sources):
        joint |= source.store.spec.provenance
    merged = [
        {
            "name": name,
            "fingerprint": source.store.spec.fingerprint,
            "n_records": source.store.spec.n_records,
            HISTORY: history_of(source.store.spec.provenance),
        }
        for source, name in zip(sources, names or [""] * len(sources), strict=True)
    ]
    if licences := sorted({licence_of(source.store.spec) for source in sources} - {""}):
        joint[LICENCE] = " and ".join(licences)
    return {**joint, "manifest_sha256": manifest.sha256, HISTORY: [entry(MERGE, "", of=merged)]}


def _remarks(sources: Sequence[Source], apart: Sequence[str]) -> Iterator[str]:
    """What may be right and is worth a look."""
    if "subject" in sources[0].store.spec.columns and "subject" not in apart:
        people = Counter(
            number
            for source in sources
            for number in {r.attributes["subject"] for r in source.store.records}
        )
        same = [str(number) for number, n in sorted(people.items()) if n > 1]
        if same:
            yield (
                f"subject {first_of(same, 8)} is in several: the same person? If not, write it "
                "again with --apart subject, or a protocol will take them for one"
            )
    files = Counter(
        sha
        for source in sources
        for sha in {
            s.sha256 for by_id in source.entries.values() for e in by_id.values() for s in e.sources
        }
    )
    n_twice = sum(n > 1 for n in files.values())
    if n_twice:
        yield f"{n_twice} raw files are in several, bit for bit"
