"""Holds a manifest against a raw tree, or against another manifest.

It names every problem and changes nothing. A manifest that does not even parse has its problems
found in ``files``.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from pipeline.contract import ContractError, Record, RecordingError, StreamRef
from pipeline.manifests.build import Progress, default_jobs
from pipeline.manifests.layout import LAYOUTS, Layout
from pipeline.manifests.model import Manifest, Problem, ProblemKind
from pipeline.raw.tree import RawTree


def check(
    manifest: Manifest,
    raw: RawTree | None = None,
    *,
    progress: Progress | None = None,
    jobs: int | None = None,
) -> list[Problem]:
    """Everything wrong with a manifest and, where a tree is given, with its files.

    Files whose hash the manifest knows are hashed; others are looked for, by size where known.

    Args:
        manifest: What should be there.
        raw: Where it should be; None to look at the manifest alone.
        progress: Called from this thread as files are done.
        jobs: Threads that hash; None for as many as the machine has processors.

    Raises:
        RecordingError: an archive of the tree is damaged.
    """
    problems = list(_same_content(manifest))
    if raw is None:
        return problems
    survey = raw.survey()
    present = frozenset(survey.paths)
    escaping = {refusal.path: refusal.reason for refusal in survey.refused if refusal.escapes}
    entries = [(record, stream) for record, _, stream in manifest.streams()]
    check_file = partial(_check_file, raw, present, escaping)
    with ThreadPoolExecutor(jobs or default_jobs()) as pool:
        for done, problem in enumerate(pool.map(check_file, entries), start=1):
            if problem is not None:
                problems.append(problem)
            if progress is not None:
                progress(done, len(entries))
    listed = {stream.path for _, stream in entries}
    for path, reason in escaping.items():
        if path not in listed:
            problems.append(Problem(kind=ProblemKind.ESCAPING, where=path, message=reason))
    problems.extend(_extra(manifest, survey.paths, listed))
    return problems


def compare(manifest: Manifest, other: Manifest) -> list[Problem]:
    """Where two manifests say different things of the records that are in both.

    Label (by the class's name), attributes, paths, and every size, hash and frame count that
    both know. Two paths agree where the data set's layout reads the same from both.
    """
    problems: list[Problem] = []

    def disagree(where: str, what: str, found: object, wanted: object) -> None:
        message = f"{what} is {found!r}, and {wanted!r} in the other manifest"
        problems.append(Problem(kind=ProblemKind.DISAGREES, where=where, message=message))

    if manifest.dataset != other.dataset:
        disagree("line 1", "dataset", manifest.dataset, other.dataset)
        return problems
    others = {record.id: record for record in other.records}
    common = [record for record in manifest.records if record.id in others]
    if not common:
        message = "no record is in both manifests: there is nothing to compare"
        problems.append(Problem(kind=ProblemKind.DISAGREES, where="line 1", message=message))
    for record in common:
        twin = others[record.id]
        name, wanted = manifest.classes[record.label], other.classes[twin.label]
        if (record.label, name) != (twin.label, wanted):
            disagree(record.id, "label", f"{record.label} {name}", f"{twin.label} {wanted}")
        if dict(record.attributes) != dict(twin.attributes):
            disagree(record.id, "attributes", dict(record.attributes), dict(twin.attributes))
        for modality in sorted(record.streams.keys() & twin.streams.keys()):
            mine = {stream.name: stream for stream in record.streams[modality]}
            for stream in twin.streams[modality]:
                if stream.name not in mine:
                    continue
                for what in ("path", "n_bytes", "sha256", "n_frames"):
                    ours, theirs = getattr(mine[stream.name], what), getattr(stream, what)
                    if what == "path" and _same_place(manifest.dataset, ours, theirs):
                        continue
                    if None not in (ours, theirs) and ours != theirs:
                        disagree(record.id, f"{what} of {modality}", ours, theirs)
    return problems


def _same_place(dataset: str, path: str, other: str) -> bool:
    layout = LAYOUTS.get(dataset)
    try:
        return layout is not None and None is not layout.place(path) == layout.place(other)
    except ContractError:
        return False


def _same_content(manifest: Manifest) -> Iterator[Problem]:
    first: dict[str, tuple[str, str]] = {}
    for record, _, stream in manifest.streams():
        if stream.sha256 is None or stream.n_bytes == 0:  # all empty files are alike
            continue
        if stream.sha256 in first:
            other_id, other_path = first[stream.sha256]
            yield Problem(
                kind=ProblemKind.DUPLICATED,
                where=record.id,
                message=f"{stream.path} has the same content as {other_path} of {other_id}: one of "
                "them is a wrong copy",
            )
        first.setdefault(stream.sha256, (record.id, stream.path))


def _check_file(
    raw: RawTree,
    present: frozenset[str],
    escaping: dict[str, str],
    entry: tuple[Record, StreamRef],
) -> Problem | None:
    record, stream = entry

    def problem(kind: ProblemKind, message: str) -> Problem:
        return Problem(kind=kind, where=record.id, message=message)

    if stream.path in escaping:
        return problem(ProblemKind.ESCAPING, f"{stream.path} is {escaping[stream.path]}")
    if stream.path not in present:
        return problem(ProblemKind.MISSING, f"{stream.path} is not in {raw.root}")
    try:
        n_bytes = raw.size(stream.path)
        if stream.n_bytes not in (None, n_bytes):
            return problem(
                ProblemKind.CHANGED,
                f"{stream.path} holds {n_bytes} bytes: wanted {stream.n_bytes}",
            )
        if stream.sha256 is None:
            return None
        sha256 = raw.digest(stream.path)[1]
    except RecordingError as error:
        return problem(ProblemKind.MISSING, str(error))
    if sha256 != stream.sha256:
        return problem(
            ProblemKind.CHANGED, f"{stream.path} has SHA-256 {sha256}: wanted {stream.sha256}"
        )
    return None


def _extra(manifest: Manifest, paths: tuple[str, ...], listed: set[str]) -> Iterator[Problem]:
    """Recordings that no record lists; stray files of other names are nobody's concern.

    Nor are shared files of trials that no camera filmed: ``build`` leaves those out.
    """
    layout = LAYOUTS.get(manifest.dataset)
    filmed = _filmed_trials(manifest, layout) if layout is not None and layout.shared else None
    for path in paths:
        if path in listed:
            continue
        try:
            place = layout.place(path) if layout is not None else None
            if layout is None or place is None:
                continue
            if filmed and place.modality in layout.shared and place.trial not in filmed:
                continue
            message = "is a recording that no record lists"
        except ContractError as error:
            message = str(error)
        yield Problem(kind=ProblemKind.EXTRA, where=path, message=message)


def _filmed_trials(manifest: Manifest, layout: Layout) -> set[tuple[int, ...]]:
    """Trials of which the manifest lists what a camera saw."""
    trials = set()
    for _, modality, stream in manifest.streams():
        if modality not in layout.shared:
            with suppress(ContractError):
                place = layout.place(stream.path)
                trials |= {place.trial} if place is not None else set()
    return trials
