"""The page of a cache: its parts in order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.common.page import check_place, render_page, write_page
from pipeline.raw.tree import RawTree
from pipeline.view import tables
from pipeline.view.content import CacheContent
from pipeline.view.frames import with_frames
from pipeline.view.outliers import SUSPECT_LENGTH, SUSPECT_VALUE, Outlier, find_outliers
from pipeline.view.records import choose, drawn_from

N_SHOWN = 12


def write_view(
    location: str,
    path: Path,
    *,
    n_shown: int = N_SHOWN,
    named: Sequence[str] = (),
    raw: Path | None = None,
) -> tuple[int, list[Outlier]]:
    """Write the page of a cache; return its bytes and the suspect records.

    Args:
        location: Of the cache.
        path: Of the page.
        n_shown: Records that are drawn, beside those named.
        named: Ids of records that are drawn first.
        raw: The tree of raw recordings, to draw frames from.

    Raises:
        ContractError: there is no cache, or its description is damaged.
        RecordingError: ``raw`` is not a folder.
        ConfigError: there is no place for the page, or no record of a name.
    """
    check_place(path)
    tree = RawTree(raw) if raw is not None else None
    content = CacheContent.read(location)
    spec, records = content.store.spec, content.store.records
    outliers = find_outliers(content)
    chosen = choose(records, outliers, n_shown, named)
    shown = [records[row] for row in chosen]
    notes = {name: dict(modality.encoding) for name, modality in spec.modalities.items()}
    page = render_page(
        "pipeline.view",
        content=content,
        name=Path(content.store.objects.location).name or content.store.objects.location,
        outliers=outliers,
        limits=(SUSPECT_LENGTH, SUSPECT_VALUE),
        counts=tables.counts(content),
        numbered=[f"#{name}" for name in spec.modalities],
        gaps=tables.gaps(content),
        streams=tables.streams(content),
        partial=tables.partial(content),
        drawn={record.id: number for number, record in enumerate(shown)},
        ranges=tables.ranges(content),
        names=[f"{record.id}: {spec.classes[record.label]}" for record in shown],
        framed=with_frames(spec.dataset, shown, notes),
        has_raw=tree is not None,
        encodings=notes,
        found=drawn_from(content, chosen, tree),
    )
    return write_page(page, path), [outlier for outlier in outliers if outlier.suspect]
