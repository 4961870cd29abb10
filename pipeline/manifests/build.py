"""From a raw tree to its manifest: which file is which record's, its size and its hash.

Files that are no recordings are reported and left out. Nothing is guessed: two files for one
stream of one record, or a name that is almost a recording's, stop the build with every such file
named.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pipeline.contract import ContractError, Record, RecordingError, StreamRef
from pipeline.manifests.layouts import Layout, Place, layout_of
from pipeline.manifests.model import Manifest
from pipeline.rawtree import RawTree

Progress = Callable[[int, int], None]
"""Called with the number of files done and of files in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A manifest and what was noticed while it was made."""

    manifest: Manifest
    ignored: tuple[tuple[str, str], ...]
    """Path and reason of every file that is in the tree and not in the manifest."""
    incomplete: tuple[tuple[str, tuple[str, ...]], ...]
    """Records that lack a modality which others have, with what they lack."""
    absent: tuple[str, ...]
    """Modalities of the data set of which the tree holds nothing."""


def default_jobs() -> int:
    """Threads that hash files: the machine's processors, at most eight."""
    return min(8, os.cpu_count() or 1)


def build(
    dataset: str,
    raw: RawTree,
    *,
    progress: Progress | None = None,
    jobs: int | None = None,
) -> Build:
    """Scan and hash a raw tree.

    Args:
        dataset: Whose naming the tree follows, such as ``utd-mhad``.
        raw: The tree.
        progress: Called from this thread as files are hashed.
        jobs: Threads that hash; None for :func:`default_jobs`.

    Raises:
        ConfigError: no such data set.
        ContractError: no recordings, two files for one record, impossible names, or files that
            cannot be read; every one is named.
        RecordingError: an archive is damaged.
    """
    layout = layout_of(dataset)
    survey = raw.survey()
    ignored = [(refusal.path, refusal.reason) for refusal in survey.refused]
    problems: list[str] = []
    placed: list[tuple[str, Place]] = []
    for path in survey.paths:
        try:
            place = layout.place(path)
        except ContractError as error:
            problems.append(str(error))
            continue
        if place is None:
            ignored.append((path, f"not a recording's name in {dataset}"))
        else:
            placed.append((path, place))
    problems += _rivals(placed)
    if not placed and not problems:
        raise ContractError(
            f"{raw.root} holds no recordings of {dataset}: {len(ignored)} other files are there. "
            "Wanted the folder that holds the data set's folders or archives."
        )
    digests: list[tuple[int, str]] = []
    if not problems:
        digests, problems = _digest([path for path, _ in placed], raw, progress, jobs)
    if problems:
        raise ContractError(
            f"{raw.root} cannot be listed, {len(problems)} problems:\n  " + "\n  ".join(problems)
        )
    manifest = _assemble(layout, placed, digests)
    return Build(
        manifest=manifest,
        ignored=tuple(sorted(ignored)),
        incomplete=tuple(
            (record.id, lacking)
            for record in manifest.records
            if (lacking := tuple(m for m in manifest.modalities if m not in record.streams))
        ),
        absent=tuple(m for m in layout.modalities if m not in manifest.modalities),
    )


def _rivals(placed: list[tuple[str, Place]]) -> list[str]:
    claims: dict[tuple[str, str, str], list[str]] = {}
    for path, place in placed:
        claims.setdefault((place.record_id, place.modality, place.stream), []).append(path)
    return [
        f"record {record_id} has {len(paths)} {modality} files: {', '.join(paths)}; keep one"
        for (record_id, modality, _), paths in claims.items()
        if len(paths) > 1
    ]


def _digest(
    paths: list[str], raw: RawTree, progress: Progress | None, jobs: int | None
) -> tuple[list[tuple[int, str]], list[str]]:
    def digest(path: str) -> tuple[int, str] | str:
        try:
            return raw.digest(path)
        except RecordingError as error:
            return str(error)

    digests: list[tuple[int, str]] = []
    problems: list[str] = []
    with ThreadPoolExecutor(jobs or default_jobs()) as pool:
        for done, outcome in enumerate(pool.map(digest, paths), start=1):
            if isinstance(outcome, str):
                problems.append(outcome)
            else:
                digests.append(outcome)
            if progress is not None:
                progress(done, len(paths))
    return digests, problems


def _assemble(
    layout: Layout, placed: list[tuple[str, Place]], digests: list[tuple[int, str]]
) -> Manifest:
    places: dict[str, Place] = {}
    streams: dict[str, dict[str, list[StreamRef]]] = {}
    for (path, place), (n_bytes, sha256) in zip(placed, digests, strict=True):
        places[place.record_id] = place
        ref = StreamRef(name=place.stream, path=path, n_bytes=n_bytes, sha256=sha256)
        streams.setdefault(place.record_id, {}).setdefault(place.modality, []).append(ref)
    return Manifest(
        dataset=layout.dataset,
        classes=layout.classes,
        records=tuple(
            Record(
                id=place.record_id,
                label=place.label,
                attributes=place.attributes,
                streams={m: tuple(refs) for m, refs in streams[place.record_id].items()},
            )
            for place in sorted(places.values(), key=lambda place: place.order)
        ),
    )
