"""What a cache holds of the data set that a protocol's published figures are of.

The lists that ship with the software say which recordings those are, with their checksums. A cache
says which files each of its rows was made from.
"""

from __future__ import annotations

import csv
import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.common.settings import shipped_folder
from pipeline.contract import SOURCE_DIGITS

if TYPE_CHECKING:
    from dmft.data.cache import Cache

LISTS = {"utd-mhad": "utd-mhad.jsonl", "mmact": "mmact-clips.csv"}
"""Data set to the shipped list of the whole of it: a manifest with checksums, or clips without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How much of a published data set a cache holds."""

    n_records: int
    """Recordings of the published list that the cache has with every modality asked for."""
    n_records_published: int
    """Recordings on that list."""
    n_subjects: int
    """People among them."""
    n_subjects_published: int
    """People on the list."""
    n_others: int = 0
    """Recordings of the cache that are not on the list, or are under a listed name."""
    n_differ: int = 0
    """Recordings with a file that has another checksum than the list says."""
    n_unknown: int = 0
    """Recordings with a file whose checksum the list or the cache does not say."""

    @property
    def is_whole(self) -> bool:
        """Whether figures on this cache may stand beside published ones."""
        same = not (self.n_others or self.n_differ)
        return same and self.n_records == self.n_records_published

    def __str__(self) -> str:
        parts = [
            f"{self.n_subjects} of {self.n_subjects_published} people",
            f"{self.n_records} of {self.n_records_published} records",
        ]
        if self.n_differ:
            parts.append(f"checksums differ in {self.n_differ}")
        elif self.n_unknown:
            parts.append(f"checksums not known of {self.n_unknown}")
        else:
            parts.append("checksums agree")
        if self.n_others:
            parts.append(f"{self.n_others} that are not of the data set")
        return ", ".join(parts)


def coverage_of(cache: Cache, modalities: Sequence[str]) -> Coverage | None:
    """How much of its data set a cache holds; None where no list of it ships.

    Args:
        cache: Its ``sources`` say which files it was made from.
        modalities: Those that count.
    """
    if cache.spec.dataset not in LISTS:
        return None
    listed = _listed(LISTS[cache.spec.dataset])
    found, n_differ, n_unknown, n_others = [], 0, 0, 0
    columns = [cache.modalities.index(name) for name in modalities]
    has_all = cache.present[:, columns].all(1).tolist()
    for row, record_id in enumerate(cache.record_ids):
        entry = listed.get(record_id)
        if entry is None:
            n_others += 1
            continue
        if not has_all[row]:
            continue
        found.append(entry)
        answers = [_agrees(entry, name, cache.sources.get(name, ()), row) for name in modalities]
        n_differ += False in answers
        n_unknown += False not in answers and None in answers
    return Coverage(
        n_records=len(found),
        n_records_published=len(listed),
        n_subjects=_n_people(found),
        n_subjects_published=_n_people(listed.values()),
        n_others=n_others,
        n_differ=n_differ,
        n_unknown=n_unknown,
    )


def comparable(
    coverage: Coverage | None, shared: Mapping[str, int], *, fabricated: bool
) -> tuple[str, bool]:
    """What figures are of, in words, empty where that is not known; whether they may stand beside
    published ones.

    Args:
        coverage: Of the cache that they were measured on.
        shared: Modality to the test records whose raw file a training record has too.
        fabricated: Whether the recordings are of nobody.
    """
    if fabricated:
        return "fabricated recordings", False
    if coverage is None:
        return "", False
    return str(coverage), coverage.is_whole and not shared


def _agrees(
    entry: Mapping[str, Any], modality: str, sources: Sequence[str], row: int
) -> bool | None:
    """Whether a row was made from the files that the list names; None where that is not known."""
    wanted = [stream["sha256"] for stream in entry["streams"].get(modality, ())]
    if not wanted or None in wanted or not len(sources) or not sources[row]:
        return None
    return sources[row].split() == [digest[:SOURCE_DIGITS] for digest in wanted]


def _n_people(entries: Any) -> int:
    return len({entry["attributes"].get("subject") for entry in entries})


@functools.cache
def _listed(name: str) -> Mapping[str, Mapping[str, Any]]:
    """Record to its entry in a list; read once, for every training of a table asks."""
    return {entry["id"]: entry for entry in _entries(name)}


def _entries(name: str) -> Iterator[dict[str, Any]]:
    text = (shipped_folder() / name).read_text(encoding="utf-8")
    if name.endswith(".jsonl"):
        for line in text.splitlines()[1:]:
            yield json.loads(line)
        return
    for clip in csv.DictReader(text.splitlines()):
        levels = "subject{subject}_cam{camera}_scene{scene}_session{session}".format_map(clip)
        yield {
            "id": f"{levels}_{clip['file_stem'].lower()}",
            "attributes": {"subject": clip["subject"]},
            "streams": {},
        }
