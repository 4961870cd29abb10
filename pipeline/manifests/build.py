"""From a raw tree to its manifest: which file is which record's, its size and its hash.

Files that are no recordings are reported and left out. Nothing is guessed: two files for one
stream of one record, or a name that is almost a recording's, stop the build with every such file
named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from operator import attrgetter

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


def built(
    manifest: Manifest,
    ignored: Iterable[tuple[str, str]],
    modalities: Iterable[str],
    unfilmed: Iterable[str] = (),
) -> Build:
    """What there is to say of a manifest that was made.

    Args:
        manifest: Of the recordings that were found.
        ignored: Path and reason of what is not in it.
        modalities: Those that the data set can have.
        unfilmed: Trials that were left out.
    """
    present = manifest.modalities
    lacking = [(r.id, tuple(m for m in present if m not in r.streams)) for r in manifest.records]
    return Build(
        manifest=manifest,
        ignored=tuple(ignored),
        incomplete=tuple((record_id, lacks) for record_id, lacks in lacking if lacks),
        absent=tuple(m for m in modalities if m not in present),
        unfilmed=tuple(unfilmed),
    )


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
    problems = [f"{r.path}: {r.reason}" for r in survey.refused if r.is_unread]
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
            f"{raw.root} holds no recordings of {dataset}: {other_files(ignored)}. "
            "Wanted the folder that holds the data set's folders or archives."
        )
    filmed = {place.trial for _, place in placed if place.modality not in layout.shared}
    unfilmed: dict[tuple[int, ...], str] = {}
    if filmed and not keep_unfilmed:
        unfilmed = {p.trial: p.record_id for _, p in placed if p.trial not in filmed}
    placed = [(path, place) for path, place in placed if place.trial not in unfilmed]
    digests: dict[str, tuple[int, str]] = {}
    if not problems:
        digests, unread = digest_files([path for path, _ in placed], raw, progress, jobs)
        problems += unread.values()
    if problems:
        raise ContractError(
            f"{raw.root} cannot be listed, {len(problems)} problems:\n  " + "\n  ".join(problems)
        )
    manifest = assemble(
        layout,
        [
            (place, StreamRef(name=place.stream, path=path, n_bytes=n_bytes, sha256=sha256))
            for path, place in placed
            for n_bytes, sha256 in [digests[path]]
        ],
    )
    manifest = replace(manifest, fabricated=raw.is_fabricated)
    left_out = (unfilmed[trial] for trial in sorted(unfilmed))
    return built(manifest, sorted(ignored), layout.modalities, left_out)


def other_files(ignored: Sequence[tuple[str, str]]) -> str:
    """How many other files there are, and of the first few what each is."""
    shown = "".join(f"\n  {path[:200]}: {reason}" for path, reason in sorted(ignored)[:5])
    return f"{len(ignored)} other files are there{':' if shown else ''}{shown}"


def _rivals(placed: list[tuple[str, Place]]) -> list[str]:
    claims: dict[tuple[str, str, str], list[str]] = {}
    for path, place in placed:
        claims.setdefault((place.record_id, place.modality, place.stream), []).append(path)
    return [
        f"record {record_id} has {len(paths)} {modality} files: {', '.join(paths)}; keep one"
        for (record_id, modality, _), paths in claims.items()
        if len(paths) > 1
    ]


def digest_files(
    paths: list[str], raw: RawTree, progress: Progress | None, jobs: int | None
) -> tuple[dict[str, tuple[int, str]], dict[str, str]]:
    """Path to size and hash of every file that can be read; to what is wrong with the others."""
    digests: dict[str, tuple[int, str]] = {}
    problems: dict[str, str] = {}
    with ThreadPoolExecutor(jobs or default_jobs()) as pool:
        tasks = [pool.submit(raw.digest, path) for path in paths]
        for done, (path, task) in enumerate(zip(paths, tasks, strict=True), start=1):
            try:
                digests[path] = task.result()
            except RecordingError as error:
                problems[path] = str(error)
            if progress is not None:
                progress(done, len(paths))
    return digests, problems


def assemble(layout: Layout, files: Sequence[tuple[Place, StreamRef]]) -> Manifest:
    """The manifest of some files; those that the views of a trial share go to each of its views.

    Raises:
        ContractError: two files are one stream of one record.
    """
    views: dict[tuple[int, ...], Place] = {}
    # A shared file is the trial's, by its numbers; any other is the view's, by one number more.
    streams: dict[tuple[int, ...], dict[str, list[StreamRef]]] = {}
    for place, ref in files:
        owner = place.trial if place.modality in layout.shared else place.order
        streams.setdefault(owner, {}).setdefault(place.modality, []).append(ref)
        if owner == place.order:
            views[place.order] = place
    filmed = {place.trial for place in views.values()}
    for place, _ in files:
        if place.trial not in filmed:
            views.setdefault(place.order, place)
    records = []
    for order in sorted(views):
        place = views[order]
        by_modality = streams.get(place.trial, {}) | streams.get(order, {})
        by_name = {m: sorted(refs, key=attrgetter("name")) for m, refs in by_modality.items()}
        records.append(
            Record(
                id=place.record_id,
                label=place.label,
                attributes=place.attributes,
                streams={modality: tuple(refs) for modality, refs in by_name.items()},
            )
        )
    return Manifest(dataset=layout.dataset, classes=layout.classes, records=tuple(records))
