"""What was understood of a described data set, as one page to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pipeline.common.page import render_page, write_page
from pipeline.datasets.description import Description
from pipeline.view.look import Look


def write_dataset_page(
    description: Description, looks: Sequence[Look], n_records: int, path: Path
) -> int:
    """Write the page; return its bytes."""
    found = [
        {"modality": each.modality, **asdict(stream)} for each in looks for stream in each.streams
    ]
    page = render_page(
        "pipeline.view.dataset",
        name=description.name,
        what=description.top.title,
        looks=looks,
        n_records=n_records,
        found=found,
    )
    return write_page(page, path)
