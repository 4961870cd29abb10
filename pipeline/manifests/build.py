"""From a raw tree to its manifest: which file is which record's, its size and its hash.

Files that are no recordings are reported and left out. Nothing is guessed: two files for one
stream of one record, or a name that is almost a recording's, stop the build with every such file
named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pipeline.common.cores import n_cores
from pipeline.contract import ContractError, Record, RecordingError, StreamRef
from pipeline.manifests.layout import Layout, layout_of
from pipeline.manifests.model import Manifest
from pipeline.manifests.place import Place
from pipeline.raw.tree import RawTree

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
    unfilmed: tuple[str, ...] = ()
    """Trials with sensor files that no camera filmed, left out because others were filmed."""


def default_jobs() -> int:
    """Threads that hash files: the machine's processors, at most eight."""
    return min(8, n_cores())


def build(
    dataset: str,
    raw: RawTree,
    *,
    progress: Progress | None = None,
    jobs: int | None = None,
    n_classes: int | None = None,
    keep_unfilmed: bool = False,
) -> Build:
    """Scan and hash a raw tree.

    A file that all views of a trial share is listed by each of them and hashed once. Where the
    tree holds no view of any trial, a trial is one record, of view 0.

    Args:
        dataset: Whose naming the tree follows, such as ``utd-mhad``.
        raw: The tree.
        progress: Called from this thread as files are hashed.
        jobs: Threads that hash; None for :func:`default_jobs`.
        n_classes: How the data set's classes are counted; None for the usual way.
        keep_unfilmed: List a trial that no camera filmed as a record of view 0.

    Raises:
        ConfigError: no such data set, or no such count of its classes.
        ContractError: no recordings, two files for one record, impossible names, or files that
            cannot be read; every one is named.
        RecordingError: an archive is damaged.
    """
    layout = layout_of(dataset, n_classes)
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
    unfilmed = {} if keep_unfilmed else _unfilmed(layout, placed)
    placed = [(path, place) for path, place in placed if place.trial not in unfilmed]
    digests: list[tuple[int, str]] = []
    if not problems:
        digests, problems = _digest([path for path, _ in placed], raw, progress, jobs)
    if problems:
        raise ContractError(
            f"{raw.root} cannot be listed, {len(problems)} problems:\n  " + "\n  ".join(problems)
        )
    manifest = assemble(
        layout,
        [
            (place, StreamRef(name=place.stream, path=path, n_bytes=n_bytes, sha256=sha256))
            for (path, place), (n_bytes, sha256) in zip(placed, digests, strict=True)
        ],
    )
    modalities = manifest.modalities
    return Build(
        manifest=manifest,
        ignored=tuple(sorted(ignored)),
        incomplete=tuple(
            (record.id, lacking)
            for record in manifest.records
            if (lacking := tuple(m for m in modalities if m not in record.streams))
        ),
        absent=tuple(m for m in layout.modalities if m not in modalities),
        unfilmed=tuple(unfilmed[trial] for trial in sorted(unfilmed)),
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


def assemble(layout: Layout, files: Sequence[tuple[Place, StreamRef]]) -> Manifest:
    """The manifest of some files; those that the views of a trial share go to each of its views.

    Raises:
        ContractError: two files are one stream of one record.
    """
    views: dict[tuple[int, ...], dict[int, Place]] = {}
    streams: dict[tuple[int, ...], dict[str, list[StreamRef]]] = {}
    for place, ref in files:
        by_view = views.setdefault(place.trial, {})
        if place.modality not in layout.shared:
            by_view[place.view] = place
        streams.setdefault(_owner(layout, place), {}).setdefault(place.modality, []).append(ref)
    for place, _ in files:
        if not views[place.trial]:
            views[place.trial][place.view] = place
    records = []
    for place in sorted((p for by_view in views.values() for p in by_view.values()), key=_order):
        by_modality = streams.get(place.trial, {}) | streams.get((*place.trial, place.view), {})
        records.append(
            Record(
                id=place.record_id,
                label=place.label,
                attributes=place.attributes,
                streams={m: tuple(sorted(refs, key=_name)) for m, refs in by_modality.items()},
            )
        )
    return Manifest(dataset=layout.dataset, classes=layout.classes, records=tuple(records))


def _owner(layout: Layout, place: Place) -> tuple[int, ...]:
    return place.trial if place.modality in layout.shared else place.order


def _order(place: Place) -> tuple[int, ...]:
    return place.order


def _name(ref: StreamRef) -> str:
    return ref.name


def _unfilmed(layout: Layout, placed: list[tuple[str, Place]]) -> dict[tuple[int, ...], str]:
    """Trials of shared files alone, with their name, in a tree that has views of others."""
    filmed = {place.trial for _, place in placed if place.modality not in layout.shared}
    if not filmed:
        return {}
    return {place.trial: place.record_id for _, place in placed if place.trial not in filmed}
