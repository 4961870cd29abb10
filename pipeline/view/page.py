"""The page of a cache: its sections in order."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from pipeline.common.page import render_page, write_page
from pipeline.raw.tree import RawTree
from pipeline.view import records, tables
from pipeline.view.content import CacheContent
from pipeline.view.outliers import Oddity, oddities_of

N_SHOWN = 8
CONTENTS = ("counts", "gaps", "lengths", "values", "outliers", "records", "provenance")


def write_view(
    location: str, path: Path, *, n_shown: int = N_SHOWN, raw: Path | None = None
) -> tuple[int, list[Oddity]]:
    """Write the page of a cache; return its bytes and the suspect records.

    Args:
        location: Of the cache.
        path: Of the page.
        n_shown: Records that are drawn.
        raw: The tree of raw recordings, to draw frames from.

    Raises:
        ContractError: there is no cache, or its description is damaged.
        RecordingError: ``raw`` is not a folder.
    """
    tree = RawTree(raw) if raw is not None else None
    content = CacheContent.read(location)
    oddities = oddities_of(content)
    n_bytes = write_page(_render(content, oddities, n_shown, tree), path)
    return n_bytes, [each for each in oddities if each.suspect]


def _render(
    content: CacheContent, oddities: list[Oddity], n_shown: int, tree: RawTree | None
) -> str:
    store, spec = content.store, content.store.spec
    chosen = records.choose(store.records, oddities, n_shown)
    where = Path(store.objects.location).name or store.objects.location
    return render_page(
        title=f"Cache {where}",
        subtitle=f"{spec.n_records:,} records of {spec.dataset}, {len(spec.classes)} classes, "
        f"{', '.join(spec.modalities)}; state {spec.state}",
        contents={name: name.capitalize() for name in CONTENTS},
        sections=[
            tables.summary(content),
            tables.suspects(oddities),
            tables.counts(content),
            tables.gaps(content),
            tables.lengths(content),
            tables.ranges(content),
            tables.outliers(oddities),
            records.records_section(content, chosen, has_raw=tree is not None),
            tables.provenance(store),
        ],
        script=resources.files("pipeline.view").joinpath("page.js").read_text(encoding="utf-8"),
        found=records.drawn_from(content, chosen, tree),
    )
