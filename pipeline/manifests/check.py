"""Holds a manifest against a raw tree, or against another manifest.

It names every problem and changes nothing. A manifest that does not even parse has its problems
found in ``files``.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from pipeline.contract import ContractError, RecordingError, StreamRef
from pipeline.manifests.build import Progress, default_jobs
from pipeline.manifests.layout import LAYOUTS
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
    ids = [record.id for record, _, _ in manifest.streams()]
    streams = [stream for _, _, stream in manifest.streams()]
    with ThreadPoolExecutor(jobs or default_jobs()) as pool:
        faults = pool.map(partial(_fault, raw, present, escaping), streams)
        for done, (record_id, fault) in enumerate(zip(ids, faults, strict=True), start=1):
            if fault is not None:
                kind, message = fault
                problems.append(Problem(kind, record_id, message))
            if progress is not None:
                progress(done, len(streams))
    listed = {stream.path for stream in streams}
    for path, reason in escaping.items():
        if path not in listed:
            problems.append(Problem(ProblemKind.ESCAPING, path, reason))
    problems.extend(_extra(manifest, survey.paths, listed))
    return problems


def compare(manifest: Manifest, other: Manifest) -> list[Problem]:
    """Where two manifests say different things of the records that are in both.

    Label (by the class's name), attributes, paths, and every size, hash and frame count that
    both know. Two paths agree where the data set's layout reads the same from both.
    """
    problems: list[Problem] = []

    def hold(where: str, what: str, value: object, wanted: object) -> None:
        if value != wanted:
            message = f"{what} is {value!r}, and {wanted!r} in the other manifest"
            problems.append(Problem(ProblemKind.DISAGREES, where, message))

    hold("line 1", "dataset", manifest.dataset, other.dataset)
    if problems:
        return problems
    others = {record.id: record for record in other.records}
    common = [(record, others[record.id]) for record in manifest.records if record.id in others]
    if not common:
        message = "no record is in both manifests: there is nothing to compare"
        problems.append(Problem(ProblemKind.DISAGREES, "line 1", message))
    for record, twin in common:
        label, wanted = manifest.classes[record.label], other.classes[twin.label]
        hold(record.id, "label", f"{record.label} {label}", f"{twin.label} {wanted}")
        hold(record.id, "attributes", dict(record.attributes), dict(twin.attributes))
        for modality in sorted(record.streams.keys() & twin.streams.keys()):
            mine = {stream.name: stream for stream in record.streams[modality]}
            for theirs in twin.streams[modality]:
                ours = mine.get(theirs.name)
                if ours is None:
                    continue
                if not _same_place(manifest.dataset, ours.path, theirs.path):
                    hold(record.id, f"path of {modality}", ours.path, theirs.path)
                for what in ("n_bytes", "sha256", "n_frames"):
                    known = getattr(ours, what), getattr(theirs, what)
                    if None not in known:
                        hold(record.id, f"{what} of {modality}", *known)
    return problems


def _same_place(dataset: str, path: str, other: str) -> bool:
    layout = LAYOUTS.get(dataset)
    try:
        return layout is not None and None is not layout.place(path) == layout.place(other)
    except ContractError:
        return False


def _same_content(manifest: Manifest) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for record, _, stream in manifest.streams():
        if stream.sha256 is None or stream.n_bytes == 0:  # all empty files are alike
            continue
        if stream.sha256 in first:
            message = f"{stream.path} has the same content as {first[stream.sha256]}: one of them"
            yield Problem(ProblemKind.DUPLICATED, record.id, f"{message} is a wrong copy")
        first.setdefault(stream.sha256, f"{stream.path} of {record.id}")


def _fault(
    raw: RawTree, present: frozenset[str], escaping: dict[str, str], stream: StreamRef
) -> tuple[ProblemKind, str] | None:
    """What is wrong with one file that a manifest lists."""
    path = stream.path
    if path in escaping:
        return ProblemKind.ESCAPING, f"{path} is {escaping[path]}"
    if path not in present:
        return ProblemKind.MISSING, f"{path} is not in {raw.root}"
    try:
        n_bytes = raw.size(path)
        if stream.n_bytes not in (None, n_bytes):
            return ProblemKind.CHANGED, f"{path} holds {n_bytes} bytes: wanted {stream.n_bytes}"
        sha256 = None if stream.sha256 is None else raw.digest(path)[1]
    except RecordingError as error:
        return ProblemKind.MISSING, str(error)
    if sha256 != stream.sha256:
        return ProblemKind.CHANGED, f"{path} has SHA-256 {sha256}: wanted {stream.sha256}"
    return None


def _extra(manifest: Manifest, paths: tuple[str, ...], listed: set[str]) -> Iterator[Problem]:
    """Recordings that no record lists; stray files of other names are nobody's concern.

    Nor are shared files of trials that no camera filmed: ``build`` leaves those out.
    """
    own = manifest.described
    if own is not None:
        for path in paths:
            if path not in listed and own.is_recording(path):
                yield Problem(ProblemKind.EXTRA, path, "is a recording that no record lists")
        return
    layout = LAYOUTS.get(manifest.dataset)
    if layout is None:
        return
    filmed = set()
    for _, modality, stream in manifest.streams() if layout.shared else ():
        if modality not in layout.shared:
            with suppress(ContractError):
                place = layout.place(stream.path)
                filmed |= {place.trial} if place is not None else set()
    for path in paths:
        if path in listed:
            continue
        try:
            place = layout.place(path)
            if place is None:
                continue
            if filmed and place.modality in layout.shared and place.trial not in filmed:
                continue
            message = "is a recording that no record lists"
        except ContractError as error:
            message = str(error)
        yield Problem(ProblemKind.EXTRA, path, message)
